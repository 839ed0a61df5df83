"""One stream's endpoint: what to ask for, and what an answer holds."""

from collections.abc import Mapping, Sequence
from dataclasses import InitVar, dataclass, field
from typing import Any

import msgspec

from source_stripe.page import ListBody, PageWriter, Row
from source_stripe.requester import Answer, Request, StripeRequester, query_of


class _Item(msgspec.Struct):
    id: str


class NestedHead(msgspec.Struct):
    """A list inside an object, as far as it tells whether it is whole."""

    has_more: bool = False


class _Items(msgspec.Struct):
    data: list[_Item]


_decode_item = msgspec.json.Decoder(_Item).decode


class _Reread(msgspec.Struct):
    id: str
    created: int | None = None
    deleted: bool = False


@dataclass(frozen=True, slots=True)
class Listed:
    """One page of a list: `raws[i]` is the JSON of `rows[i]`, newest first."""

    rows: list[Any]
    raws: list[msgspec.Raw]
    has_more: bool
    date: int | None


@dataclass(repr=False)
class StripeRetriever:
    """What the manifest declares of a stream, and how its requests are written and its answers taken apart.

    `nested_lists` names the lists inside an object that Stripe cuts after ten, each with the endpoint of the whole;
    `passes` are parameter sets that together list every object; `changed_with` tells which events of other objects
    change one of this stream, by the field that holds its id; `announced_by` names events after which the objects of
    this stream that belong to the event's object are listed.
    """

    config: Mapping[str, Any]
    name: str
    object: str
    permission: str
    requester: StripeRequester
    page_size: int
    cursor_parameter: str
    primary_key: str = "id"
    path: str = ""
    expand: Sequence[str] = ()
    nested_lists: Mapping[str, str] = field(default_factory=dict)
    passes: Sequence[Mapping[str, str]] = field(default_factory=lambda: [{}])
    events: Sequence[str] = ()
    deleted_by: str = ""
    changed_with: Mapping[str, Sequence[str]] = field(default_factory=dict)
    announced_by: Mapping[str, str] = field(default_factory=dict)
    settles: bool = False
    cursor_field: str = "created"
    parameters: InitVar[Mapping[str, Any] | None] = None

    def __post_init__(self, parameters: Mapping[str, Any] | None) -> None:
        self.path = self.path or f"/v1/{self.name}"
        self.writer = PageWriter(self.name, self.cursor_field)
        fields: list[tuple[str, type, Any]] = [(name, NestedHead | None, None) for name in self.nested_lists]  # type: ignore[misc]
        if self.settles:
            fields += [("status", str, ""), ("available_on", int, 0)]
        self._row_type = msgspec.defstruct("StreamRow", fields, bases=(Row,))
        self._row = msgspec.json.Decoder(self._row_type)
        self._nested = msgspec.json.Decoder(
            msgspec.defstruct("Nested", [(name, _Items | None, None) for name in self.nested_lists])
        )
        self._list = msgspec.json.Decoder(ListBody)
        self._list_query = [
            query_of({**parameters_, "expand": [f"data.{name}" for name in self.expand], "limit": self.page_size})
            for parameters_ in self.passes
        ]

    # ------------------------------------------------------------------ lists

    def list_request(
        self, lo: int | None, hi: int | None, after: str | None, turn: int = 0, types: Sequence[str] = ()
    ) -> Request:
        """A page of what was created from `lo` to `hi`, both included, None for no bound, after the object `after`."""
        query = self._list_query[turn] + tuple(("types[]", type_) for type_ in types)
        if lo is not None and lo > 0:
            query += (("created[gte]", str(lo)),)
        if hi is not None:
            query += (("created[lte]", str(hi)),)
        if after is not None:
            query += ((self.cursor_parameter, after),)
        return Request(self.path, query)

    def probe_request(self) -> Request:
        """The smallest request that shows whether the stream may be read."""
        query = tuple((name, "1" if name == "limit" else value) for name, value in self._list_query[0])
        return Request(self.path, query)

    def listed(self, answer: Answer) -> Listed:
        """The page that `answer` holds; raises a `StripeError` to be tried again if it holds none."""
        try:
            # Stripe's bodies are indented; without the blanks they are a third smaller, and records are lines.
            body = self._list.decode(msgspec.json.format(answer.body, indent=-1))
            decode = self._row.decode
            return Listed([decode(raw) for raw in body.data], body.data, body.has_more, answer.date)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise answer.unreadable(str(error)) from error

    # ------------------------------------------------------------------ single objects

    def object_request(self, id: str) -> Request:
        return Request(self.path + "/{id}", query_of({"expand": list(self.expand)}), id)

    def reread(self, answer: Answer) -> tuple[Any, bytes] | None:
        """The object that `answer` holds, taken apart and as JSON; None for the stub of a deleted one."""
        try:
            raw = msgspec.json.format(answer.body, indent=-1)
            if msgspec.json.decode(raw, type=_Reread).deleted:
                return None
            return self._row.decode(raw), raw
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise answer.unreadable(str(error)) from error

    def owned_request(self, owner: str, id: str, after: str | None) -> Request:
        """A page of those that belong to the object `id` of the kind `owner`."""
        query = (*self._list_query[0], (owner, id))
        return Request(self.path, query if after is None else (*query, (self.cursor_parameter, after)))

    def deletion(self, payload: bytes | msgspec.Raw, at: int) -> bytes:
        """The record of an object that was deleted at `at`, with what its event knew of it.

        An event shows ids where the stream shows objects: they become objects of which only the id is known.
        """
        known = {name: value for name, value in msgspec.json.decode(payload).items() if name != "deleted"}
        for name in self.expand:
            if isinstance(values := known.get(name), list):
                known[name] = [{"id": value} if isinstance(value, str) else value for value in values]
        return msgspec.json.encode(known | {"updated": at, "is_deleted": True})

    # ------------------------------------------------------------------ nested lists

    def cut_lists(self, row: Any) -> list[str]:
        """The names of the lists in `row` that Stripe cut short."""
        return [name for name in self.nested_lists if (head := getattr(row, name)) is not None and head.has_more]

    def shown_ids(self, raw: bytes) -> dict[str, list[str]]:
        """By the names of the lists in the object `raw`, the ids of the items that it shows."""
        shown = self._nested.decode(raw)
        lists = {name: getattr(shown, name) for name in self.nested_lists}
        return {name: [item.id for item in items.data] for name, items in lists.items() if items is not None}

    def nested_request(self, name: str, id: str, after: str | None) -> Request:
        """A page of the nested list `name` of the object `id`, after the item `after`."""
        query: tuple[tuple[str, str], ...] = (("limit", str(self.page_size)),)
        if after is not None:
            query += ((self.cursor_parameter, after),)
        endpoint, _, owner = self.nested_lists[name].partition("?")
        if owner:
            query = ((owner.partition("=")[0], id), *query)
        return Request(endpoint, query, id)

    def nested(self, answer: Answer) -> tuple[list[str], list[msgspec.Raw], bool]:
        """The ids and the items of a nested page, and whether there are more."""
        try:
            body = self._list.decode(msgspec.json.format(answer.body, indent=-1))
            return [_decode_item(raw).id for raw in body.data], body.data, body.has_more
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise answer.unreadable(str(error)) from error
