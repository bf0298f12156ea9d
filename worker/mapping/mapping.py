"""A mapping at work: a record in, what it comes to out. Nothing here raises for what a record holds."""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from collections.abc import Mapping as Readonly
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import msgspec

from worker.definition.errors import DefinitionError
from worker.fold.outcome import Event, Refusal
from worker.mapping import library
from worker.mapping.bodies import MAX_BYTES, read_body
from worker.mapping.compile import compile_rules
from worker.mapping.expression import RECORD_KEY
from worker.mapping.expression import reads as expression_reads
from worker.mapping.forms import wanted_of
from worker.mapping.items import MAX_ITEMS, Item, Taking, item_of, items_of, take_items
from worker.mapping.machines import Machines, read_machines
from worker.mapping.model import Model
from worker.mapping.outcome import Bad, BodyError, Dropped, Refused, Result
from worker.mapping.reader import read_mapping
from worker.mapping.reading import of_record, reads_of_each, reads_of_rules, shape

Headers = Sequence[tuple[str, bytes | None]]

_encode: Final = msgspec.json.Encoder(enc_hook=str).encode


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
        self._steps = tuple(Taking(step) for step in model.each)
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
        steps = self._steps
        if steps:
            first = steps[0].take(document, document, None, header, own)
            # a mapping that also takes batches: the record may be its own only item
            if len(steps) > 1 or first is not document or document.__class__ is not dict:
                return self._several(document, first, header, own, raw, only)
        try:
            made = self._one(document, document, None, header, own)[1]
        except Bad as bad:
            return [_refused(bad, Item(document), raw)]
        return made if made.__class__ is list else [Dropped(made, "$")]  # type: ignore[return-value, arg-type]

    def _first(self, document: Any, header: Readonly[str, str], key: Any) -> Any:
        """What the first step takes out of the record."""
        return self._steps[0].take(document, document, None, header, key)

    def _several(
        self,
        document: Any,
        first: Any,
        header: Readonly[str, str],
        key: Any,
        raw: bytes | None,
        only: Container[str] | None,
    ) -> list[Result]:
        """What the items of a record come to; `first` is what the first step took, `raw` the bytes it came as."""
        one, whole = self._one, False
        while True:
            bads, taken = take_items(self._steps, document, first, header, key)
            results: list[Result] = [_refused(bad, Item(document), raw) for bad in bads]
            refused = bool(bads)
            for each in taken:
                owner, step, found = each
                several, start = found.__class__ is list, None
                parent = owner.parent if found is owner.value and not several else owner.value
                for place_, value in enumerate(found if several else (found,)):
                    if only is not None and item_of(each, place_).path not in only:
                        continue
                    try:
                        made = one(value, document, parent, header, key)[1]
                    except Bad as bad:
                        results.append(_refused(bad, item_of(each, place_), None))
                        refused = True
                        continue
                    if isinstance(made, list):
                        results += made
                        continue
                    if start is None:
                        start = step.path(owner) if several else item_of(each, place_).path
                    results.append(Dropped(made, f"{start}[{place_}]" if several else start))
            if raw is None or whole or not refused:
                return results or [Dropped(_NO_ITEMS, "$")]
            # What is refused is kept whole, with the fields that nothing reads: those weren't decoded.
            try:
                document, whole = read_body(raw, self.model.reads), True
            except BodyError:  # what is passed over unread may hold what no reader takes, as a number of 400 digits
                return [result._replace(raw=raw) if isinstance(result, Refused) else result for result in results]
            first = self._first(document, header, key)

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

    # ---------------------------------------------------------------------------------------------------- for people
    def explain(self, record: Any, headers: Headers = (), key: bytes | None = None) -> tuple[Any, list[Step]]:
        """The whole document of a record, and item by item what it comes to. Raises: BodyError."""
        document = read_body(record, self.model.reads) if isinstance(record, bytes) else record
        header, own = self._header(headers), _key(key)
        steps: list[Step] = []
        items = [whole := Item(document)]
        if self._steps:
            bads, taken = take_items(self._steps, document, self._first(document, header, own), header, own)
            steps += [Step(whole, None, [_refused(bad, whole, None)]) for bad in bads]
            items = items_of(taken)
        for item in items:
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


__all__ = [
    "MAX_ITEMS", "DefinitionError", "Dropped", "Event", "Item", "Mapping", "Refused", "Result", "Step",
    "default_machines",
]  # fmt: skip
