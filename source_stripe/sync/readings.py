"""Which lists a sync reads: one for all selected streams that take records from it and that are equally far."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from source_stripe.api.errors import StripeError
from source_stripe.sync.changes import Children
from source_stripe.sync.changing import ChangingReading
from source_stripe.sync.endpoint import Endpoint
from source_stripe.sync.handled import Handled
from source_stripe.sync.immutable import ImmutableReading
from source_stripe.sync.listed import ListedReading, SmallReading, SnapshotReading
from source_stripe.sync.outlet import ChildOutlet, Outlet, WalkOutlet, WholeOutlet
from source_stripe.sync.reading import Context, Reading
from source_stripe.sync.state import StreamState
from source_stripe.sync.stream import Stream


def readings_of(context: Context, streams: Sequence[Stream], endpoint_of: Callable[[str], Endpoint]) -> list[Reading]:
    """The readings that bring what `streams` want. Streams that share one share its state, too."""
    groups: dict[object, list[tuple[Stream, str]]] = {}
    for stream in streams:
        for parent, state in stream.states.items():
            walked = stream.name if stream.endpoint.walk is not None else ""
            groups.setdefault((parent, walked, state.position), []).append((stream, parent))
    return [_reading(context, [stream for stream, _ in group], endpoint_of(group[0][1])) for group in groups.values()]


def _reading(context: Context, streams: Sequence[Stream], parent: Endpoint) -> Reading:
    state = streams[0].states[parent.name]
    state.handled = Handled.common([stream.states[parent.name].handled for stream in streams])
    state.listed = Handled.common([stream.states[parent.name].listed for stream in streams])
    for stream in streams:
        stream.states[parent.name] = state
    children = [stream.endpoint for stream in streams if stream.endpoint.name != parent.name]
    own = next((stream.endpoint for stream in streams if stream.endpoint.name == parent.name), parent)
    endpoint = with_children(own, children)
    outlets = [_outlet(context, stream, parent, endpoint) for stream in streams]
    return _of_kind(context, endpoint, state, outlets, children)


def without_refused(reading: Reading, error: BaseException | None, endpoint_of: Callable[[str], Endpoint]) -> Reading | None:
    """The reading without children that need another permission than their parent, if the key lacks a permission; None if that
    leaves nothing else."""
    if not isinstance(error, StripeError) or not error.is_missing_permission:
        return None
    parent = endpoint_of(reading.endpoint.name)
    kept = [outlet for outlet in reading.outlets if outlet.stream.endpoint.permission == parent.permission]
    if not kept or len(kept) == len(reading.outlets):
        return None
    children = [outlet.stream.endpoint for outlet in kept if outlet.stream.name != parent.name]
    return reading.of(with_children(parent, children), kept)


def with_children(parent: Endpoint, children: Sequence[Endpoint]) -> Endpoint:
    """The parent's endpoint with what its children need besides; where they are walked, with what leads to them alone."""
    if any(child.walk is not None for child in children):
        (child,) = children
        assert child.walk is not None
        return replace(
            parent, expand=(), nested_lists=(), events=(), deleted_by="", announced_by={}, changed_with=child.walk.again
        )
    if not children:
        return parent
    changed_with = {field: list(types) for field, types in parent.changed_with.items()}
    for child in children:
        field = child.parent_field if len(child.parents) == 1 else parent.object
        types = changed_with.setdefault(field, [])
        types += [type_ for type_ in child.events if type_ not in types]
    expand = dict.fromkeys([*parent.expand, *(each for child in children for each in child.expand)])
    nested = {each.field: each for each in (*parent.nested_lists, *(one for child in children for one in child.nested_lists))}
    return replace(parent, expand=list(expand), nested_lists=list(nested.values()), changed_with=changed_with)


def _outlet(context: Context, stream: Stream, parent: Endpoint, endpoint: Endpoint) -> Outlet:
    child = stream.endpoint
    if child.name == parent.name:
        return WholeOutlet(stream, hidden={each.partition(".")[0] for each in endpoint.expand} - _shown(parent))
    if child.walk is not None:
        return WalkOutlet(stream, context.account, context.output)
    return ChildOutlet(stream, child.parents[parent.name], context.output)


def _shown(parent: Endpoint) -> set[str]:
    return {each.partition(".")[0] for each in parent.expand} | set(parent.nested)


def _of_kind(
    context: Context, endpoint: Endpoint, state: StreamState, outlets: Sequence[Outlet], children: Sequence[Endpoint]
) -> Reading:
    known = [
        Children(child.name, child.object, child.walk.previous if child.walk else child.parents[endpoint.name], child.deleted_by)
        for child in children
    ]
    match endpoint.kind:
        case "changing":
            return ChangingReading(context, endpoint, state, outlets, known)
        case "listed":
            return ListedReading(context, endpoint, state, outlets, known)
        case "immutable":
            return ImmutableReading(context, endpoint, state, outlets)
        case "small":
            return SmallReading(context, endpoint, state, outlets)
        case _:
            return SnapshotReading(context, endpoint, state, outlets)
