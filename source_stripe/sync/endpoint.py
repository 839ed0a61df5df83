"""One stream's endpoint: what to ask for, and what an answer holds."""

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, Protocol

import msgspec
from msgspec import Raw

from source_stripe.api.errors import StripeError
from source_stripe.api.request import Answer, Query, Request, query_of
from source_stripe.sync.page import END_OF_TIME, NO_TIME, Id, PageWriter, Row, fields_of

_HALF_A_PAIR = re.compile(rb"\\(?:(u[dD][89abAB]..)(\\u[dD][c-fC-F]..)?|(u[dD][c-fC-F]..)|.)", re.DOTALL)
"""An escape in JSON: the first half of a surrogate pair, with its second or without, a second half alone, or any other."""

_PAGE = "it is a web page, not JSON; a proxy or a login page may stand in between"


class _List(msgspec.Struct):
    """A list as Stripe answers it, its objects not yet decoded."""

    data: list[Raw]
    has_more: bool


class _Object(msgspec.Struct):
    id: Id
    deleted: bool = False


class _Item(msgspec.Struct):
    id: Id


class _Reference(msgspec.Struct):
    id: str


class _NestedHead(msgspec.Struct):
    """A list inside an object, as far as it tells whether it is whole: not unless it says so."""

    has_more: Raw = Raw(b"")


_LOOKED_AT_CLOSELY = 2000
"""So many objects are looked through for fields that are not declared, and afterwards one in each page."""

_decode_list = msgspec.json.Decoder(_List).decode
_decode_object = msgspec.json.Decoder(_Object).decode
decode_item = msgspec.json.Decoder(_Item).decode
"""An item of a nested list, as far as it is needed; raises a `ValidationError` if it has no id."""
_decode_reference = msgspec.json.Decoder(str | _Reference).decode


@dataclass(frozen=True, slots=True)
class Listed:
    """One page of a list: `raws[i]` is the JSON of `rows[i]`. `mended` are the ids of objects with a text that was broken; `date`
    is when Stripe answered, in epoch seconds, if it told."""

    rows: list[Any]
    raws: list[Raw]
    has_more: bool
    mended: Sequence[str] = ()
    date: int | None = None

    @property
    def pairs(self) -> Iterator[tuple[Any, Raw]]:
        """Each row with its JSON."""
        return zip(self.rows, self.raws, strict=True)


@dataclass(frozen=True)
class NestedList:
    """A list inside an object that Stripe cuts after ten items.

    `path` is where the whole of it is: with `{id}`, or with the parameter `owner` that takes the object's id.
    """

    field: str
    path: str
    owner: str = ""


@dataclass(frozen=True)
class Walk:
    """A list of children, one for each parent: at `path`, with `{id}` or with the parameter `owner` that takes the parent's id.

    `more` are further parameters, each with the parent's field that it takes. Only parents whose field `having` is neither
    null nor false have children. `again` tells after which events the walk is done again, by the field of the event's object
    that holds the parent's id; in `previous` the event tells which children the parent had.
    """

    path: str
    owner: str = ""
    more: Mapping[str, str] = field(default_factory=dict)
    having: str = ""
    again: Mapping[str, Sequence[str]] = field(default_factory=dict)
    previous: str = ""

    def leads_from(self, parent: bytes | Raw) -> bool:
        """Whether the parent, in JSON, may have children."""
        return not self.having or bytes(fields_of(parent).get(self.having, b"null")) not in (b"null", b"false")


class Paging(Protocol):
    """How a list is paged."""

    size: int
    """Objects a page."""

    def query(self, after: str | None, size: int | None = None) -> Query:
        """The parameters of the page after the object `after`, of the first page for None; `size` in place of the usual."""


class Range(Protocol):
    """How a list is bounded by `created`."""

    def query(self, lo: int | None, hi: int | None) -> Query:
        """The parameters for what was created from `lo` to `hi`, both included, in epoch seconds; None for no bound."""


Kind = Literal["changing", "immutable", "listed", "small", "snapshot", "child"]


@dataclass(kw_only=True)
class Endpoint:
    """What sets a stream apart, how its requests are written, and how its answers are taken apart.

    `passes` are parameter sets that together list every object; `changed_with` tells which events of other objects change one
    of this stream, by the field that holds its id; `announced_by` names events after which the objects of this stream that
    belong to the event's object are listed; `created` is the field that holds an object's time.

    Children have no list of their own: `parents` names the streams whose objects hold them, each with the field that does, or,
    with "", those that a `walk` leads from; `parent_field` is the column that tells the parent's id.

    `columns` tells the names that the stream's schema declares; `undeclared` are those of fields that were seen besides.
    """

    name: str
    object: str
    kind: Kind
    permission: str
    path: str
    cursor_field: str | None
    paging: Paging
    range: Range
    created: str = "created"
    expand: Sequence[str] = ()
    nested_lists: Sequence[NestedList] = ()
    passes: Sequence[Mapping[str, str]] = field(default_factory=lambda: [{}])
    events: Sequence[str] = ()
    deleted_by: str = ""
    changed_with: Mapping[str, Sequence[str]] = field(default_factory=dict)
    announced_by: Mapping[str, str] = field(default_factory=dict)
    lists_new: bool = False
    settles: bool = False
    product: str = ""
    parents: Mapping[str, str] = field(default_factory=dict)
    parent_field: str = ""
    walk: Walk | None = None
    columns: Callable[[], Collection[str]] | None = None
    undeclared: set[str] = field(default_factory=set, init=False)
    _looked_at: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self.writer = PageWriter(self.name, self.cursor_field)
        self.nested = {each.field: each for each in self.nested_lists}
        expanded = {"expand": [f"data.{name}" for name in self.expand]}
        self._list_queries = [query_of({**parameters, **expanded}) for parameters in self.passes]

    # ------------------------------------------------------------------ rows

    @cached_property
    def _row_type(self) -> Any:
        extra: list[tuple[str, Any, Any]] = [(name, _NestedHead | None, None) for name in self.nested]
        if self.settles:
            extra += [("status", str, ""), ("available_on", int, 0)]
        if self.created != "created":
            extra.append(("created", int, NO_TIME))
        return msgspec.defstruct("StreamRow", extra, bases=(Row,), rename={"created": self.created})

    @cached_property
    def _declared(self) -> set[str]:
        """The fields that are no surprise: those of the schema, and what is asked for in the name of other streams."""
        expanded = {each.partition(".")[0] for each in self.expand}
        return {"id", self.created, *(self.columns() if self.columns else ()), *expanded, *self.nested}

    @cached_property
    def _decode_row(self) -> Callable[[bytes | Raw], Any]:
        """Raises a `ValidationError` for what is odd."""
        return msgspec.json.Decoder(self._row_type).decode

    @cached_property
    def _decode_closely(self) -> Callable[[bytes | Raw], Any]:
        """The same and, where the columns are known, for an object with any other field: that takes microseconds."""
        looked_at = {each.encode_name for each in msgspec.structs.fields(self._row_type)}
        # Stripe's order: what comes where it is expected is found at once.
        others = sorted(self._declared - looked_at, key=lambda name: (name != "object", name)) if self.columns else []
        names = {f"other_{number}": name for number, name in enumerate(others)}
        whole = msgspec.defstruct(
            "WholeRow",
            [(each, Raw, Raw()) for each in names],
            bases=(self._row_type,),
            rename=names | {"created": self.created},
            forbid_unknown_fields=self.columns is not None,
            gc=False,
        )
        return msgspec.json.Decoder(whole).decode

    def see(self, names: Collection[str]) -> None:
        """An object has the fields of these names: those that are not declared are noted, and are no surprise from now on."""
        if self.columns is not None and (new := set(names) - self._declared):
            self.undeclared |= new
            self._declared |= new
            self.__dict__.pop("_decode_closely", None)

    def _rows(self, raws: Sequence[Raw], answer: Answer) -> list[Any]:
        """The rows of a page. Of very many objects only one in each page is looked at closely."""
        count = len(raws) if self._looked_at < _LOOKED_AT_CLOSELY else 1
        self._looked_at += len(raws)
        decode = self._decode_row
        rows = [self._row(raw, answer, self._decode_closely) for raw in raws[:count]]
        try:
            return rows + [decode(raw) for raw in raws[count:]]
        except msgspec.ValidationError:
            return rows + [self._row(raw, answer, decode) for raw in raws[count:]]

    def _row(self, raw: bytes | Raw, answer: Answer, decode: Callable[[bytes | Raw], Any]) -> Any:
        try:
            return decode(raw)
        except msgspec.ValidationError:
            return self._odd_row(raw, answer)

    def _odd_row(self, raw: bytes | Raw, answer: Answer) -> Any:
        """The row of an object one of whose fields is not what it should be: that counts as missing, save the id."""
        try:
            fields = fields_of(raw)
            id: str = msgspec.json.decode(fields["id"], type=Id)
        except (msgspec.ValidationError, KeyError):
            raise answer.odd(f"{self.path} lists something without an id where a {self.object} should be") from None
        self.see(fields.keys())
        whole = {"id": id} | ({"updated": None} if "updated" in fields else {})
        for known in msgspec.structs.fields(self._row_type):
            if known.name != "id" and known.encode_name in fields:
                try:
                    whole[known.name] = msgspec.json.decode(fields[known.encode_name], type=known.type)
                except msgspec.ValidationError:
                    continue
        return self._row_type(**whole)

    # ------------------------------------------------------------------ lists

    def list_request(
        self, lo: int | None, hi: int | None, after: str | None, pass_index: int = 0, types: Sequence[str] = ()
    ) -> Request:
        """A page of what was created from `lo` to `hi`, both included, None for no bound, after the object `after`."""
        query = self._list_queries[pass_index] + tuple(("types[]", type_) for type_ in types)
        return Request(self.path, query + self.range.query(lo, hi) + self.paging.query(after))

    def probe(self) -> tuple[Request, Callable[[Answer], Listed]]:
        """The smallest request that shows whether the stream may be read, and what reads its answer."""
        if self.kind == "snapshot":
            return self.snapshot_request(), self.snapshot
        return Request(self.path, self._list_queries[0] + self.paging.query(None, size=1)), self.listed

    def owned_request(self, owner: str, id: str, after: str | None) -> Request:
        """A page of those that belong to the object `id` of the kind `owner`."""
        return Request(self.path, (*self._list_queries[0], (owner, id), *self.paging.query(after)))

    def walk_request(self, parent: str, raw: bytes | Raw, after: str | None) -> Request:
        """A page of the children of the object `parent`, whose JSON is `raw`, after the child `after`."""
        assert self.walk is not None
        query: Query = ((self.walk.owner, parent),) if self.walk.owner else ()
        if self.walk.more:
            fields = fields_of(raw)
            query += tuple((name, id) for name, field in self.walk.more.items() if (id := id_in(fields.get(field))))
        return Request(self.walk.path, query + self.paging.query(after), parent)

    def listed(self, answer: Answer) -> Listed:
        """The page that `answer` holds; raises a `StripeError` if it holds none."""
        body, is_mended = _minified(answer)
        raws, has_more = _items(body, answer, self.paging)
        rows = self._rows(raws, answer)
        mended = [row.id for row, raw in zip(rows, raws, strict=True) if _is_mended(raw)] if is_mended else ()
        return Listed(rows, raws, has_more, mended, answer.date)

    def page_after(self, after: str | None, answer: Answer) -> Listed:
        """The same, of the page after the object `after`, None for the first: it must get on."""
        listed = self.listed(answer)
        if listed.has_more and not listed.rows:
            raise answer.unreadable("a page without objects says that there are more")
        if after is not None and any(row.id == after for row in listed.rows):
            raise answer.unreadable("a page came twice")
        return listed

    # ------------------------------------------------------------------ single objects

    def snapshot_request(self) -> Request:
        """The one object that is at the path."""
        return Request(self.path, query_of({"expand": list(self.expand)}))

    def snapshot(self, answer: Answer) -> Listed:
        """The object, which may have no id, as a list of one."""
        body, is_mended = _minified(answer)
        try:
            fields = fields_of(body)
        except msgspec.ValidationError:
            raise answer.odd(f"it is no {self.object}") from None
        if "id" in fields:
            row = self._row(body, answer, self._decode_closely)
        else:
            if "error" in fields and "object" not in fields:
                raise answer.odd(f"it is an error where a {self.object} should be")
            self.see(fields.keys())
            row = self._row_type(id="")
        return Listed([row], [Raw(body)], False, [row.id] if is_mended else ())

    def object_request(self, id: str) -> Request:
        """The object by itself, with the same expansions as in the list."""
        return Request(self.path + "/{id}", query_of({"expand": list(self.expand)}), id)

    def found(self, answer: Answer) -> Listed:
        """The object that `answer` holds as a list of one; of none for the stub of a deleted one."""
        body, is_mended = _minified(answer)
        try:
            if _decode_object(body).deleted:
                return Listed([], [], False)
        except msgspec.ValidationError:
            pass  # Without an id, or with a `deleted` that is no truth value: no stub.
        row = self._row(body, answer, self._decode_closely)
        return Listed([row], [Raw(body)], False, [row.id] if is_mended else ())

    def deletion(self, payload: bytes | Raw, at: int) -> bytes:
        """The record of an object that was deleted at `at`, with what its event knew of it.

        An event shows ids where the stream shows objects: they become objects of which only the id is known. A test clock's
        object may have been created in the future: `updated` lies above what its live rows have.
        """
        fields = fields_of(payload)
        fields.pop("deleted", None)
        for name in self.expand:
            if name in fields:
                fields[name] = Raw(_as_objects(fields[name]))
        of_rows = max((_time(fields[name]) for name in (self.created, "updated") if name in fields), default=0)
        fields |= {"updated": Raw(b"%d" % (at if at >= of_rows else of_rows + 1)), "is_deleted": Raw(b"true")}
        return msgspec.json.encode(fields)

    # ------------------------------------------------------------------ nested lists

    def cut_lists(self, row: Any) -> list[str]:
        """The names of the lists in `row` that Stripe cut short, or that don't tell."""
        return [name for name in self.nested if (head := getattr(row, name)) and bytes(head.has_more) != b"false"]

    def nested_request(self, name: str, id: str, after: str | None) -> Request:
        """A page of the nested list `name` of the object `id`, after the item `after`."""
        nested = self.nested[name]
        owner = ((nested.owner, id),) if nested.owner else ()
        return Request(nested.path, owner + self.paging.query(after), id)

    def nested_page(self, answer: Answer) -> Listed:
        """The items of a nested page; a row holds the id alone."""
        body, is_mended = _minified(answer)
        raws, has_more = _items(body, answer, self.paging)
        try:
            rows = [decode_item(raw) for raw in raws]
        except msgspec.ValidationError:
            raise answer.odd("a nested list holds something without an id") from None
        return Listed(rows, raws, has_more, [row.id for row in rows] if is_mended else ())


def is_empty_list(answer: Answer) -> bool:
    """Whether the answer is a list that says that it has nothing."""
    try:
        whole = _decode_list(answer.body)
    except (msgspec.MsgspecError, StripeError, RecursionError):
        return False
    return not whole.data and not whole.has_more


def is_time(created: int) -> bool:
    """Whether a number can be a time in epoch seconds; 0 stands for none."""
    return 0 < created < END_OF_TIME


def _minified(answer: Answer) -> tuple[bytes, bool]:
    """The body without blanks, a third smaller, in which records are lines; and whether a text in it had to be mended.

    Half a surrogate pair and a byte that is no UTF-8 become U+FFFD. Raises a `StripeError` to be tried again if it is no JSON.
    """
    body, is_mended = answer.body, False
    if not body.isascii():
        try:
            body.decode()
        except UnicodeDecodeError:
            body, is_mended = body.decode(errors="replace").encode(), True
    try:
        return msgspec.json.format(body, indent=-1), is_mended
    except RecursionError:
        raise answer.odd("it is nested too deeply") from None
    except msgspec.DecodeError as error:
        mended = _HALF_A_PAIR.sub(_mended, body)
        if mended == body:
            is_page = body.lstrip().startswith(b"<")
            raise answer.unreadable(_PAGE if is_page else str(error)) from error
    try:
        return msgspec.json.format(mended, indent=-1), True
    except msgspec.DecodeError as error:
        raise answer.unreadable(str(error)) from error


def _mended(escape: re.Match[bytes]) -> bytes:
    is_half = (escape[1] and not escape[2]) or escape[3]
    return rb"\ufffd" if is_half else escape[0]


def _is_mended(raw: Raw) -> bool:
    text = bytes(raw)
    return rb"\ufffd" in text or "\ufffd".encode() in text


def _items(body: bytes, answer: Answer, paging: Paging) -> tuple[list[Raw], bool]:
    """What a list holds, and whether it goes on; where it doesn't tell, it does until a page is empty."""
    try:
        whole = _decode_list(body)
        return whole.data, whole.has_more
    except msgspec.ValidationError:
        pass
    try:
        data: list[Raw] = msgspec.json.decode(fields_of(body)["data"], type=list[Raw])
    except (msgspec.ValidationError, KeyError):
        raise answer.odd("it is no list of objects") from None
    is_paged = bool(paging.query(None))
    return data, is_paged and bool(data)


def _as_objects(values: Raw) -> bytes:
    """A list with objects of only an id in place of ids; anything else as it is."""
    try:
        items = msgspec.json.decode(values, type=list[Raw])
    except msgspec.ValidationError:
        return bytes(values)
    return msgspec.json.encode([{"id": item} if bytes(item).startswith(b'"') else item for item in items])


def id_in(value: bytes | Raw | None) -> str:
    """The id in JSON that is an id or an object, "" if there is none."""
    try:
        known = _decode_reference(value or b"null")
    except msgspec.ValidationError:
        return ""
    return known if isinstance(known, str) else known.id


def _time(value: Raw) -> int:
    """The time that is written in `value`, 0 if none is."""
    try:
        time = msgspec.json.decode(value, type=int)
    except msgspec.ValidationError:
        return 0
    return time if is_time(time) else 0
