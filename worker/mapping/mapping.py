"""A mapping at work: a record in, what it comes to out. Nothing here raises for what a record holds."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Sequence
from collections.abc import Mapping as Readonly
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import msgspec

from worker.definition.errors import DefinitionError
from worker.fold.outcome import Event, Refusal
from worker.mapping import library
from worker.mapping.bodies import MAX_BYTES, BodyError, read_body, wanted_of
from worker.mapping.code import is_false, place
from worker.mapping.compile import compile_items, compile_rules
from worker.mapping.expression import RECORD_KEY, ROOT, Expression, searcher
from worker.mapping.expression import reads as expression_reads
from worker.mapping.machines import Machines, read_machines
from worker.mapping.model import Model
from worker.mapping.outcome import Bad, Dropped, Refused, Result, kind
from worker.mapping.reader import read_mapping
from worker.mapping.reading import of_record, reads_of_each, reads_of_rules, shape

MAX_ITEMS: Final = 10_000  # of one record; vendors send a thousand at most

Headers = Sequence[tuple[str, bytes | None]]

_encode: Final = msgspec.json.Encoder(enc_hook=str).encode


class Item(msgspec.Struct, frozen=True, gc=False):
    """One thing of a record that the rules look at; the record itself has no `owner`.

    Where it stands is worked out when somebody asks: it is `number` in the list that `step` takes out of its owner.
    """

    value: Any
    parent: Any = None
    owner: Item | None = None
    step: Expression | None = None
    number: int | None = None

    @property
    def path(self) -> str:
        """`$` for the record itself, `$.events[3]` for an item."""
        if self.owner is None or self.step is None:
            return "$"
        ast = self.step.ast
        while passed_over := _PASSED_OVER.get((ast["type"], ast.get("value"))):
            *ways, last = ast["children"]
            ast = next((way for way in ways if not passed_over(searcher(way)(self.owner.value))), last)
        scope, path = place(ast, self.step.text)
        base = self.owner.path if scope == ROOT else "$"
        return base + path + ("" if self.number is None else f"[{self.number}]")

    @property
    def parent_path(self) -> str:
        return "$" if self.owner is None else self.owner.path


_PASSED_OVER: Final[dict[tuple[str, str | None], Callable[[Any], bool]]] = {
    ("or_expression", None): is_false,
    ("function_expression", "not_null"): lambda value: value is None,
}
"""Of the ways that items may be taken, the first is gone that isn't so."""


@dataclass(frozen=True, slots=True)
class Step:
    """What one item of a record came to, and by which rule; for people who look on."""

    item: Item
    rule: int | None
    results: list[Result]


class Mapping:
    """A compiled mapping file. It keeps nothing between records: the same record, the same events."""

    def __init__(self, model: Model, machines: Machines | None = None) -> None:
        self.model = model
        self._one = compile_rules(model, machines or default_machines())
        self._steps = tuple((compile_items(step), step) for step in model.each)
        paths = reads_of_rules(model)
        reads = paths | {path for step in model.each for path in expression_reads(step.ast)}
        self._reads_headers = any(path[0] == "header" for path in reads)
        self._reads_key = any(path[0] == RECORD_KEY for path in reads)
        self._decode: Callable[[bytes], Any] | None = None
        kept = of_record(model, paths) | reads_of_each(model)
        self._wanted = None if model.reads == "json" else wanted_of(kept)
        if model.reads == "json":
            self._decode = msgspec.json.Decoder(shape(kept)).decode

    @classmethod
    def load(cls, name_or_path: str | Path, machines: Machines | None = None) -> Mapping:
        """A shipped mapping by its name, or any by its path. Raises: DefinitionError with every fault."""
        path = library.find(name_or_path)
        return cls(read_mapping(path), machines)

    @property
    def name(self) -> str:
        return self.model.name

    # ---------------------------------------------------------------------------------------------------- for running
    def apply(
        self, record: Any, headers: Headers = (), key: bytes | None = None, only: Container[str] | None = None
    ) -> list[Result]:
        """What a record (bytes as they came, or a document) comes to: events, and why the rest of it is none.

        Items of one record stand for themselves: one that can't be read is refused, the others pass. `key` is the
        record's on its topic. With `only`, of several items those at these paths are looked at, and no others.
        """
        document = record
        raw: bytes | None = None
        if record.__class__ is bytes:
            raw = record
            try:
                document = self._document(record)
            except BodyError as error:
                return [Refused(error.refusal, "$", record)]
        elif record is None:
            if self.model.empty:
                return [Dropped(self.model.empty, "$")]
            return [Refused(Refusal("null-value", "the record has no value"), "$", b"")]
        header = self._header(headers) if self._reads_headers else _NO_HEADERS
        own = _key(key) if self._reads_key else None
        if not self._steps or self._is_itself(document, header, own):
            try:
                _, made = self._one(document, document, None, header, own)
            except Bad as bad:
                return [_refused(bad, Item(document), raw)]
            return made if made.__class__ is list else [Dropped(made, "$")]  # type: ignore[return-value, arg-type]
        results = self._items_of(document, header, own, raw, only)
        if raw is not None and any(result.__class__ is Refused for result in results):
            # What is refused is kept whole, with the fields that nothing reads: those weren't decoded.
            try:
                return self._items_of(read_body(raw, self.model.reads), header, own, raw, only)
            except BodyError:  # what is passed over unread may hold what no reader takes, as a number of 400 digits
                return [result._replace(raw=raw) if isinstance(result, Refused) else result for result in results]
        return results

    def _items_of(
        self, document: Any, header: Readonly[str, str], key: Any, raw: bytes | None, only: Container[str] | None
    ) -> list[Result]:
        """What each item of a record comes to; `raw` is the record's bytes, where it came as bytes."""
        results: list[Result] = []
        for item in self._items(document, header, key):
            if isinstance(item, Bad):
                results.append(_refused(item, Item(document), raw))
                continue
            if only is not None and item.path not in only:
                continue
            try:
                _, made = self._one(item.value, document, item.parent, header, key)
            except Bad as bad:
                results.append(_refused(bad, item, None))
                continue
            if isinstance(made, str):
                results.append(Dropped(made, item.path))
            else:
                results += made
        return results or [Dropped(_NO_ITEMS, "$")]

    def _is_itself(self, document: Any, header: Readonly[str, str], key: Any) -> bool:
        """Whether the record is its own only item, as with a mapping that also takes batches."""
        take = self._steps[0][0]
        return (
            len(self._steps) == 1
            and document.__class__ is dict
            and take(document, document, None, header, key) is document
        )

    def _document(self, body: bytes) -> Any:
        if self._decode is not None and len(body) <= MAX_BYTES:
            try:
                if body.isascii() or body.decode():
                    return self._decode(body)
            except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
                pass  # another shape than expected, or no JSON: read whole, which says what is wrong
        return read_body(body, self.model.reads, self._wanted)

    @staticmethod
    def _header(headers: Headers) -> dict[str, str]:
        return {name.lower(): value.decode(errors="replace") for name, value in headers if isinstance(value, bytes)}

    def _items(self, document: Any, header: Readonly[str, str], key: Any) -> Iterator[Item | Bad]:
        items = [Item(document)]
        for take, step in self._steps:
            taken: list[Item] = []
            for item in items:
                found = take(item.value, document, item.parent, header, key)
                if found.__class__ is list:
                    taken += [Item(value, item.value, item, step, number) for number, value in enumerate(found)]
                elif found.__class__ is dict:
                    taken.append(item if found is item.value else Item(found, item.value, item, step))
                else:
                    at = Item(found, item.value, item, step).path[1:]
                    yield Bad("wrong-type", "envelope", at, f"expected a list of items, got {kind(found)}")
                if len(taken) > MAX_ITEMS:
                    at = Item(found, item.value, item, step).path[1:]
                    yield Bad("too-large", "envelope", at, f"expected at most {MAX_ITEMS} items, got more")
                    return
            items = taken
        yield from items

    # ---------------------------------------------------------------------------------------------------- for people
    def explain(self, record: Any, headers: Headers = (), key: bytes | None = None) -> tuple[Any, list[Step]]:
        """The whole document of a record, and item by item what it comes to. Raises: BodyError."""
        document = read_body(record, self.model.reads) if isinstance(record, bytes) else record
        header, own = self._header(headers), _key(key)
        steps: list[Step] = []
        items: Iterator[Item | Bad] = iter([Item(document)])
        if self._steps:
            items = self._items(document, header, own)
        for item in items:
            if isinstance(item, Bad):
                whole = Item(document)
                steps.append(Step(whole, None, [_refused(item, whole, None)]))
                continue
            try:
                rule, made = self._one(item.value, document, item.parent, header, own)
            except Bad as bad:
                steps.append(Step(item, None, [_refused(bad, item, None)]))
                continue
            steps.append(Step(item, rule, [Dropped(made, item.path)] if isinstance(made, str) else list(made)))
        return document, steps or [Step(Item(document), None, [Dropped(_NO_ITEMS, "$")])]


_NO_HEADERS: Final[dict[str, str]] = {}
_NO_ITEMS: Final = "the record holds no items"


def _refused(bad: Bad, item: Item, raw: bytes | None) -> Refused:
    starts = {"record": item.path, "parent": item.parent_path, "envelope": "$", "header": "header", RECORD_KEY: "key"}
    path = starts.get(bad.scope, "$") + bad.path
    if raw is None:
        raw = _encode(item.value)
    return Refused(Refusal(bad.reason, f"{path}: {bad.message}"), path, raw, item.path)


def _key(key: bytes | None) -> Any:
    """A record's key as a mapping reads it: a JSON object or list as such, all else as the text that it is."""
    if key is None:
        return None
    if key[:1] in (b"{", b"["):
        try:
            return read_body(key)
        except BodyError:
            pass  # a text that begins like one
    return key.decode(errors="replace")


@cache
def default_machines() -> Machines:
    """The shipped list of machines."""
    return read_machines(library.folder() / library.MACHINES)


__all__ = ["DefinitionError", "Dropped", "Event", "Item", "Mapping", "Refused", "Result", "Step", "default_machines"]
