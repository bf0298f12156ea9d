"""From a mapping file to its model; every fault is a finding with its line and column.

Short forms are widened here: a plain text is a path, several are a list of which the first that is there counts, a
number or a truth value is itself, and a rule that makes one event may say so without a list.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, Literal, cast
from zoneinfo import ZoneInfo

from schemas.fields import EVENT_FIELDS, FIELDS, TRAITS, Kind
from worker.definition.document import Document, Node, read_document
from worker.definition.errors import DefinitionError, ExpressionError, Finding
from worker.definition.nearest import near_miss, nearest, suggestion
from worker.mapping.expression import SCOPES, Ast, Expression, parse, reads
from worker.mapping.model import (
    Digest,
    Fields,
    Ident,
    Identity,
    Making,
    Model,
    Rule,
    Scanner,
    Time,
    TimeSource,
    Unit,
    Value,
    Version,
)
from worker.mapping.outcome import Bad
from worker.mapping.values import CONVERTERS

_EVENT_KEYS: Final = frozenset({"when", "type", "part", "id", "time", "subject", "data", "traits"})
_RULE_KEYS: Final = _EVENT_KEYS | {"label", "skip", "refuse", "events", "joins"}
_TOP_KEYS: Final = frozenset(
    {
        "mapping",
        "title",
        "seen",
        "about",
        "reads",
        "empty",
        "takes",
        "version",
        "each",
        "let",
        "tables",
        "source",
        "shows",
        "id",
        "time",
    }
    | {"ids", "subject", "joins", "data", "traits", "rules", "otherwise"}
)
_VALUE_KEYS: Final = frozenset(
    {"from", "always", "is", "any", "scanner", "email", "trim", "lower", "upper", "slug", "split", "divide", "table"}
    | {"words", "otherwise", "prefix", "if_wrong"}
)
_KINDS_OF_VALUE: Final = ("from", "always", "is", "any", "scanner", "email")
_UNITS: Final[tuple[Unit, ...]] = ("iso", "seconds", "milliseconds", "microseconds", "days")
_VERDICTS: Final[tuple[Literal["skip", "refuse"], ...]] = ("skip", "refuse")
_REST: Final = "*"
_NAME: Final = re.compile(r"[a-z][a-z0-9_-]*")
_WORD: Final = re.compile(r"[a-z][a-z0-9_]*")
_TYPE: Final = re.compile(r"[a-z][a-z0-9_]*(\.[a-z0-9_]+)+")

# An id with one of these in it is another id each time the same event is sent again.
_OF_DELIVERY: Final = re.compile(
    r"(^|_)(attempts?|retry|retries|retried|delivery_(id|at|number|time)|delivered_at|sent_at|received_at"
    r"|batch_(id|index|position|size))($|_)"
)
_HUMP: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def read_mapping(given: Path | str | bytes, source: str | None = None) -> Model:
    """The mapping of a file (a `Path`) or a text. Raises: DefinitionError with all its faults."""
    document = read_document(given, source)
    reader = _Reader(document)
    model = reader.model()
    if reader.findings or model is None:
        raise DefinitionError(reader.findings)
    return model


class _Reader:
    def __init__(self, document: Document) -> None:
        self.document = document
        self.findings: list[Finding] = []
        self.names: dict[str, Ast] = {}
        self.tables: dict[str, dict[str, Any]] = {}
        self.identities: dict[str, Identity] = {}

    # ------------------------------------------------------------------------------------------------------ findings
    def fail(self, offset: int, code: str, message: str) -> None:
        self.findings.append(self.document.finding(offset, code, message))

    def mapping(self, node: Node, keys: Iterable[str] | None, what: str) -> dict[str, Node]:
        """The items of a mapping; an unknown key and another kind of node are findings."""
        if node.items is None or node.is_list:
            self.fail(node.start, "wrong-type", f"{what}: expected `key: value` lines, got {_kind(node)}")
            return {}
        items = cast(dict[str, Node], node.items)
        if keys is not None:
            allowed = sorted(keys)
            for key, item in items.items():
                if key not in allowed:
                    near = nearest(key, allowed)
                    hint = suggestion(near) or f"; there are: {', '.join(allowed)}"
                    self.fail(item.key or item.start, "unknown-key", f"{what} has no '{key}'{hint}")
        return items

    def several(self, node: Node) -> list[Node]:
        """The items of a list; anything else counts as a list of one."""
        if node.items is not None and node.is_list:
            if not node.items:
                self.fail(node.start, "empty", "an empty list")
            return list(node.items.values())
        return [node]

    def text(self, node: Node, what: str) -> str:
        if isinstance(node.value, str) and node.value.strip():
            return node.value.strip()
        self.fail(node.start, "wrong-type", f"{what}: expected a text, got {_kind(node)}")
        return ""

    def one_of(self, node: Node, choices: Iterable[str], what: str) -> str:
        text = self.text(node, what)
        known = list(choices)
        if text and text not in known:
            self.fail(node.start, "unknown-value", f"{what}: '{text}' is none of {', '.join(known)}")
        return text

    # --------------------------------------------------------------------------------------------------- expressions
    def expression(self, node: Node, what: str) -> Expression | None:
        if not isinstance(node.value, str):
            self.fail(node.start, "wrong-type", f"{what}: expected a path, got {_kind(node)}")
            return None
        try:
            return parse(node.value, self.names)
        except ExpressionError as error:
            self.fail(self.document.within(node, error.offset), error.code, f"{what}: {error.message}")
            return None

    def expressions(self, node: Node, what: str) -> tuple[Expression, ...]:
        found = [self.expression(item, what) for item in self.several(node)]
        return tuple(item for item in found if item is not None)

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

    def flag(self, items: Mapping[str, Node], key: str) -> bool:
        if key not in items:
            return False
        if not isinstance(items[key].value, bool):
            self.fail(items[key].start, "wrong-type", f"{key}: expected true or false, got {_kind(items[key])}")
        return items[key].value is True

    def separator(self, node: Node | None) -> str | None:
        if node is None:
            return None
        if isinstance(node.value, str) and node.value:
            return node.value
        self.fail(node.start, "wrong-type", f"split: expected what separates the parts, got {_kind(node)}")
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
                step = next((step for step in path[1:] if _OF_DELIVERY.search(_HUMP.sub("_", step).lower())), None)
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

    # --------------------------------------------------------------------------------------------------------- rules
    def id_names(self, node: Node, what: str) -> tuple[str, ...]:
        names = []
        if node.items is not None and node.is_list and not node.items:
            return ()
        for item in self.several(node):
            name = self.text(item, what)
            if name and name not in self.identities:
                hint = suggestion(nearest(name, self.identities)) or f"; `ids` has: {', '.join(self.identities)}"
                self.fail(item.start, "unknown-id", f"{what}: '{name}' is not among `ids`{hint}")
            names.append(name)
        return tuple(names)

    def making(
        self, items: Mapping[str, Node], place: int, common: Making, several: bool, complete: bool = True
    ) -> Making:
        type_ = common.type
        if "type" in items:
            type_ = self.event_type(items["type"])
        elif common.type.is_constant and common.type.constant is None:
            self.fail(place, "missing-key", "an event needs a `type`; a rule without one says `skip: why`")
        constant = type_.constant if type_.is_constant else None
        own = FIELDS.get(constant, {}) if isinstance(constant, str) else {}
        known: Mapping[str, Kind] = {**EVENT_FIELDS, **own}
        part = self.text(items["part"], "part") if "part" in items else ""
        if several and not part:
            if isinstance(constant, str):
                part = constant
            else:
                self.fail(
                    place, "missing-key", "one of several events whose type is looked up needs `part`, a name for ids"
                )
        making = replace(
            common,
            type=type_,
            when=self.expression(items["when"], "when") if several and "when" in items else None,
            part=part,
            id=self.ident(items["id"]) if "id" in items else common.id,
            time=self.time(items["time"]) if "time" in items else common.time,
            subject=self.id_names(items["subject"], "subject") if "subject" in items else common.subject,
            data=self.fields(items.get("data"), common.data, "data", known),
            traits=self.fields(items.get("traits"), common.traits, "traits", TRAITS),
        )
        if not complete:
            return making
        for name, missing in (("id", making.id), ("time", making.time.sources), ("subject", making.subject)):
            if not missing and not self.findings:
                self.fail(place, "missing-key", f"an event needs `{name}`, here or for the whole mapping")
        return making

    def event_type(self, node: Node) -> Value:
        """Plain, the type itself; with keys, where it is looked up."""
        if node.items is None:
            text = self.text(node, "type")
            self.type_name(node, text)
            return Value(constant=text)
        value = self.value(node, "type")
        places = node.items.get("table") or node.items.get("words")
        if places is not None and places.items is not None:
            for item in places.items.values():
                if isinstance(item.value, str):
                    self.type_name(item, item.value)
        return value

    def type_name(self, node: Node, text: str) -> None:
        if text and not _TYPE.fullmatch(text):
            self.fail(node.start, "bad-type", f"type: '{text}' is no type such as meeting.booked")
        elif text not in FIELDS and (near := near_miss(text, FIELDS)) is not None:
            self.fail(node.start, "unknown-type", f"type: there is no '{text}'; did you mean '{near}'?")

    def rule(self, node: Node, common: Making, joins: tuple[str, ...], place: int) -> Rule:
        items = self.mapping(node, _RULE_KEYS, "a rule")
        when = self.expression(items["when"], "when") if "when" in items else None
        label = self.text(items["label"], "label") if "label" in items else (when.text if when else f"rule {place}")
        for verdict in _VERDICTS:
            if verdict in items:
                extra = sorted(items.keys() - {"when", "label", verdict})
                if extra:
                    self.fail(
                        items[extra[0]].start, "ambiguous", f"a rule with `{verdict}` makes no event: no `{extra[0]}`"
                    )
                reason = self.text(items[verdict], verdict)
                return Rule(label, when, verdict, reason)
        if "joins" in items:
            joins = self.id_names(items["joins"], "joins")
        if "events" not in items:
            return Rule(label, when, makes=(self.making(items, node.start, common, False),), joins=joins)
        extra = sorted(items.keys() & {"type", "part"})
        if extra:
            self.fail(items[extra[0]].start, "ambiguous", f"`{extra[0]}` belongs to each of `events`")
        shared = {key: item for key, item in items.items() if key in _EVENT_KEYS - {"type", "part", "when"}}
        untyped = replace(common, type=Value(constant="any"))
        base = replace(self.making(shared, node.start, untyped, False, complete=False), type=common.type)
        makes = []
        for item in self.several(items["events"]):
            makes.append(self.making(self.mapping(item, _EVENT_KEYS, "an event"), item.start, base, True))
        parts = [making.part for making in makes]
        for making, item in zip(makes, self.several(items["events"]), strict=True):
            if making.part and parts.count(making.part) > 1:
                self.fail(item.start, "duplicate-part", f"two events of a rule are '{making.part}': give each a `part`")
                break
        return Rule(label, when, makes=tuple(makes), joins=joins)

    # ------------------------------------------------------------------------------------------------------ the file
    def model(self) -> Model | None:
        top = self.mapping(self.document.root, _TOP_KEYS, "a mapping")
        for key in ("mapping", "source", "rules"):
            if key not in top and not self.findings:
                self.fail(0, "missing-key", f"a mapping needs `{key}`")
        if self.findings and "rules" not in top:
            return None
        name = self.checked(top.get("mapping"), _NAME, "mapping", "stripe")
        if "let" in top:
            self.let(top["let"])
        if "tables" in top:
            for table, item in self.mapping(top["tables"], None, "tables").items():
                self.tables[table] = self.table(item, f"tables.{table}") or {}
        version = self.version(top["version"]) if "version" in top else None
        if "ids" in top:
            self.ids(top["ids"])
        every_id = self.ident(top["id"]) if "id" in top else ()
        every_time = self.time(top["time"]) if "time" in top else Time(())
        subject = self.id_names(top["subject"], "subject") if "subject" in top else ()
        joins = self.id_names(top["joins"], "joins") if "joins" in top else ()
        data = self.fields(top.get("data"), Fields(), "data", EVENT_FIELDS)
        traits = self.fields(top.get("traits"), Fields(), "traits", TRAITS)
        common = Making(Value(), None, "", every_id, every_time, subject, data, traits)
        rules = [
            self.rule(item, common, joins, place) for place, item in enumerate(self.several(top["rules"]), start=1)
        ]
        for node in self.several(top["rules"])[:-1]:
            if node.items is not None and "when" not in node.items:
                self.fail(node.start, "unreachable", "a rule without `when` takes every record: it must be the last")
        otherwise = Rule("otherwise", None, "skip", "no rule takes it")
        if "otherwise" in top:
            items = self.mapping(top["otherwise"], {"skip", "refuse"}, "otherwise")
            for verdict in _VERDICTS:
                if verdict in items:
                    reason = self.text(items[verdict], verdict)
                    otherwise = Rule("otherwise", None, verdict, reason)
        return Model(
            name=name,
            title=self.optional(top, "title"),
            seen=self.optional(top, "seen"),
            about=self.optional(top, "about"),
            reads=cast(
                Literal["json", "form", "either"],
                self.one_of(top["reads"], ("json", "form", "either"), "reads") if "reads" in top else "json",
            ),
            empty=self.optional(top, "empty"),
            takes=self.expression(top["takes"], "takes") if "takes" in top else None,
            version=version,
            each=self.expressions(top["each"], "each") if "each" in top else (),
            source=self.text(top["source"], "source") if "source" in top else "",
            shows=self.expressions(top["shows"], "shows") if "shows" in top else (),
            identities=self.identities,
            rules=tuple(rules),
            otherwise=otherwise,
        )

    def optional(self, items: Mapping[str, Node], key: str) -> str:
        return self.text(items[key], key) if key in items else ""

    def checked(self, node: Node | None, pattern: re.Pattern[str], what: str, example: str) -> str:
        if node is None:
            return ""
        text = self.text(node, what)
        if text and not pattern.fullmatch(text):
            self.fail(node.start, "bad-name", f"{what}: '{text}' is no name such as {example}")
        return text

    def let(self, node: Node) -> None:
        for name, item in self.mapping(node, None, "let").items():
            if name in SCOPES or not _WORD.fullmatch(name):
                self.fail(item.key or item.start, "bad-name", f"let: '{name}' can't be a name here; take another")
                continue
            expression = self.expression(item, f"let, {name}")
            if expression is not None:
                self.names[name] = expression.ast

    def version(self, node: Node) -> Version | None:
        items = self.mapping(node, {"from", "known", "required"}, "version")
        if "from" not in items or "known" not in items:
            self.fail(node.start, "missing-key", "version: needs `from` and `known`")
            return None
        expression = self.expression(items["from"], "version")
        known = frozenset(str(item.value) for item in self.several(items["known"]))
        required = self.flag(items, "required")
        return None if expression is None else Version(expression, known, required)

    def ids(self, node: Node) -> None:
        for name, item in self.mapping(node, None, "ids").items():
            if not _WORD.fullmatch(name):
                self.fail(item.key or item.start, "bad-name", f"ids: '{name}' is no name such as email")
            shared, given = False, item
            if item.items is not None and not item.is_list and "shared" in item.items:
                shared = self.flag(cast(dict[str, Node], item.items), "shared")
                kept: dict[str | int, Node] = {key: part for key, part in item.items.items() if key != "shared"}
                given = replace(item, items=kept)
            self.identities[name] = Identity(self.value(given, f"ids.{name}"), shared)


_WORDS_FOR: Final[tuple[tuple[Callable[[Node], bool], str], ...]] = (
    (lambda node: node.items is not None and node.is_list, "a list"),
    (lambda node: node.items is not None, "`key: value` lines"),
    (lambda node: node.value is None, "nothing"),
    (lambda node: isinstance(node.value, bool), "true or false"),
    (lambda node: isinstance(node.value, int | float), "a number"),
)


def _kind(node: Node) -> str:
    return next((words for fits, words in _WORDS_FOR if fits(node)), "a text")
