"""The fields of a mapping file: where a value comes from, how a time is written, what an id is made of.

Short forms are widened here: a plain text is a path, several are a list of which the first that is there counts, a
number or a truth value is itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Final, Literal, cast
from zoneinfo import ZoneInfo

from schemas.fields import EVENT_FIELDS, Kind
from worker.definition.document import Document, Node
from worker.definition.nearest import near_miss, nearest, suggestion
from worker.mapping.expression import Expression, reads
from worker.mapping.model import Digest, Fields, Ident, Scanner, Time, TimeSource, Unit, Value
from worker.mapping.nodes import Reading, kind_of
from worker.mapping.outcome import Bad
from worker.mapping.values import CONVERTERS

_VALUE_KEYS: Final = frozenset(
    {"from", "always", "is", "any", "scanner", "email", "trim", "lower", "upper", "slug", "split", "times", "divide"}
    | {"table", "words", "otherwise", "prefix", "if_wrong"}
)
_KINDS_OF_VALUE: Final = ("from", "always", "is", "any", "scanner", "email")
_UNITS: Final[tuple[Unit, ...]] = ("iso", "seconds", "milliseconds", "microseconds", "days")
_REST: Final = "*"

# An id with one of these in it is another id each time the same event is sent again.
_OF_DELIVERY: Final = re.compile(
    r"(^|_)(attempts?|retry|retries|retried|delivery_(id|at|number|time)|delivered_at|sent_at|received_at"
    r"|batch_(id|index|position|size))($|_)"
)
_HUMP: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def tells_of_delivery(name: str) -> bool:
    """Whether a field of this name is another one when the same event is sent again."""
    return _OF_DELIVERY.search(_HUMP.sub("_", name).lower()) is not None


class FieldReading(Reading):
    """As `Reading`, with the tables that the file gives names."""

    def __init__(self, document: Document) -> None:
        super().__init__(document)
        self.tables: dict[str, dict[str, Any]] = {}

    # -------------------------------------------------------------------------------------------------------- values
    def value(self, node: Node, what: str) -> Value:
        if node.items is None:
            if isinstance(node.value, bool | int | float):
                return Value(constant=node.value)
            return Value(sources=self.expressions(node, what))
        if node.is_list:
            return Value(sources=self.expressions(node, what))
        items = self.mapping(node, _VALUE_KEYS, what)
        kinds = [key for key in _KINDS_OF_VALUE if key in items]
        if len(kinds) != 1:
            self.fail(node.start, "ambiguous", f"{what}: one of {', '.join(_KINDS_OF_VALUE)} says where it comes from")
            return Value()
        value = Value(
            trim=self.flag(items, "trim"),
            lower=self.flag(items, "lower"),
            upper=self.flag(items, "upper"),
            slug=self.flag(items, "slug"),
            split=self.separator(items.get("split")),
            times=self.value(items["times"], f"{what}, times") if "times" in items else None,
            divide=self.value(items["divide"], f"{what}, divide") if "divide" in items else None,
            table=self.table(items.get("table"), f"{what}, table"),
            words=self.table(items.get("words"), f"{what}, words"),
            otherwise=self.constant_or_value(items["otherwise"], what) if "otherwise" in items else None,
            prefix=self.text(items["prefix"], f"{what}, prefix") if "prefix" in items else "",
            leave_out="if_wrong" in items and bool(self.one_of(items["if_wrong"], ("leave out",), f"{what}, if_wrong")),
        )
        kind = kinds[0]
        source = items[kind]
        match kind:
            case "always":
                if source.items is not None or source.value is None:
                    self.fail(source.start, "wrong-type", f"{what}, always: expected a text, number, true or false")
                return replace(value, constant=source.value)
            case "is":
                test = self.expression(source, f"{what}, is")
                return replace(value, test=test)
            case "any":
                return replace(value, any_of=tuple(self.value(item, f"{what}, any") for item in self.several(source)))
            case "scanner":
                return replace(value, scanner=self.scanner(source, what))
            case _:
                return replace(value, sources=self.expressions(source, what), email=kind == "email")

    def constant_or_value(self, node: Node, what: str) -> Value:
        """What stands behind `otherwise`: plain, it is the value itself; with keys, where the value comes from."""
        if node.items is None:
            if node.value is None:
                self.fail(node.start, "empty", f"{what}, otherwise: nothing stands here")
            return Value(constant=node.value)
        return self.value(node, f"{what}, otherwise")

    def separator(self, node: Node | None) -> str | None:
        if node is None:
            return None
        if isinstance(node.value, str) and node.value:
            return node.value
        self.fail(node.start, "wrong-type", f"split: expected what separates the parts, got {kind_of(node)}")
        return None

    def table(self, node: Node | None, what: str) -> dict[str, Any] | None:
        if node is None:
            return None
        if isinstance(node.value, str):
            if node.value not in self.tables:
                hint = suggestion(nearest(node.value, self.tables)) or f"; `tables` has: {', '.join(self.tables)}"
                self.fail(node.start, "unknown-table", f"{what}: no table is called '{node.value}'{hint}")
            return self.tables.get(node.value)
        table: dict[str, Any] = {}
        for key, item in self.mapping(node, None, what).items():
            if item.items is not None:
                self.fail(item.start, "wrong-type", f"{what}, {key}: expected a text, number, true or false")
            table[key] = item.value
        if not table:
            self.fail(node.start, "empty", f"{what}: an empty table")
        return table

    def scanner(self, node: Node, what: str) -> Scanner:
        items = self.mapping(node, {"act", "agent", "address", "sent"}, f"{what}, scanner")
        if "act" not in items or len(items) < 2:
            self.fail(
                node.start,
                "missing-key",
                f"{what}, scanner: needs `act` (open or click) and what tells the machine: agent, address or sent",
            )
        act = self.one_of(items["act"], ("open", "click"), f"{what}, act") if "act" in items else "click"
        return Scanner(
            act=cast(Literal["open", "click"], act),
            agent=self.expression(items["agent"], f"{what}, agent") if "agent" in items else None,
            address=self.expression(items["address"], f"{what}, address") if "address" in items else None,
            sent=self.time(items["sent"]) if "sent" in items else None,
        )

    # ---------------------------------------------------------------------------------------------- id, time, fields
    def ident(self, node: Node) -> Ident:
        parts: list[Value | Digest] = []
        for item in self.several(node):
            if item.items is not None and not item.is_list and "digest" in item.items:
                made = self.mapping(item, {"digest"}, "id")["digest"]
                digest = Digest(self.expressions(made, "id, digest"))
                if not digest.parts:
                    self.fail(made.start, "empty", "id, digest: name the fields that say which event it was")
                parts.append(digest)
                self.no_delivery(made, digest.parts)
            else:
                value = self.value(item, "id")
                parts.append(value)
                self.no_delivery(item, value.sources)
        return tuple(parts)

    def no_delivery(self, node: Node, expressions: Iterable[Expression]) -> None:
        for expression in expressions:
            for path in reads(expression.ast):
                step = next((step for step in path[1:] if tells_of_delivery(step)), None)
                if step is not None:
                    self.fail(
                        node.start,
                        "id-of-delivery",
                        f"id: '{step}' tells of the delivery, not of the event: sent again, it would be another id; "
                        "use what names the event, or `digest` of the fields that make it what it is",
                    )

    def time(self, node: Node) -> Time:
        return Time(tuple(source for item in self.several(node) if (source := self.time_source(item)) is not None))

    def time_source(self, node: Node) -> TimeSource | None:
        what = "time"
        if node.items is None:
            self.fail(node.start, "wrong-type", "time: say how it is written, as in `{iso: createdAt}`")
            return None
        items = self.mapping(node, {*_UNITS, "zone", "layout"}, what)
        units = [unit for unit in _UNITS if unit in items]
        if len(units) != 1:
            self.fail(node.start, "ambiguous", f"time: one of {', '.join(_UNITS)} says how it is written")
            return None
        unit = units[0]
        zone = self.zone(items["zone"]) if "zone" in items else None
        layout = self.text(items["layout"], "layout") if "layout" in items else None
        if unit != "iso" and (zone or layout):
            self.fail(node.start, "ambiguous", "time: `zone` and `layout` belong to `iso`; an epoch has no zone")
        expression = self.expression(items[unit], f"time, {unit}")
        return None if expression is None else TimeSource(unit, expression, zone, layout)

    def zone(self, node: Node) -> str | None:
        name = self.text(node, "zone")
        try:
            ZoneInfo(name)
        except (KeyError, ValueError, OSError):
            self.fail(node.start, "unknown-zone", f"zone: '{name}' is no time zone such as UTC or Europe/Berlin")
            return None
        return name

    def fields(self, node: Node | None, inherited: Fields, what: str, known: Mapping[str, Kind] | None) -> Fields:
        """The fields of `data` or `traits`, over those that the whole mapping gives; `field: null` takes one out."""
        if node is None:
            return inherited
        named = dict(inherited.named)
        rest, omitted = inherited.rest, inherited.omitted
        for name, item in self.mapping(node, None, what).items():
            if name == _REST:
                rest, omitted = self.rest(item, what)
            elif item.items is None and item.value is None:
                named.pop(name, None)
                omitted |= {name}
            else:
                near = near_miss(name, known) if known is not None and name not in known else None
                if near is not None and name not in EVENT_FIELDS:
                    message = f"{what}: there is no '{name}'; did you mean '{near}'?"
                    self.fail(item.key or item.start, "unknown-field", message)
                if name == "traits":
                    self.fail(item.key or item.start, "unknown-field", f"{what}: traits stand beside data, not in it")
                named[name] = self.value(item, f"{what}.{name}")
                self.fits(item, f"{what}.{name}", named[name], (known or {}).get(name))
        return Fields(named, rest, omitted)

    def fits(self, node: Node, what: str, value: Value, kind: Kind | None) -> None:
        """What stands in the file itself as a value has the field's kind."""
        given = [] if value.constant is None else [value.constant]
        given += [meaning for table in (value.table, value.words) if table for meaning in table.values()]
        for constant in given:
            try:
                CONVERTERS[kind](constant, "", "")
            except Bad as bad:
                self.fail(node.start, "wrong-type", f"{what}: {bad.message}")
                return
        if value.otherwise is not None:
            self.fits(node, f"{what}, otherwise", value.otherwise, kind)

    def rest(self, node: Node, what: str) -> tuple[tuple[Expression, ...], frozenset[str]]:
        if node.items is None or node.is_list:
            return self.expressions(node, f"{what}, *"), frozenset()
        items = self.mapping(node, {"from", "except"}, f"{what}, *")
        if "from" not in items:
            self.fail(node.start, "missing-key", f"{what}, *: needs `from`")
            return (), frozenset()
        names = self.several(items["except"]) if "except" in items else []
        return (
            self.expressions(items["from"], f"{what}, *"),
            frozenset(self.text(name, f"{what}, except") for name in names),
        )
