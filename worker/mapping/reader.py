"""From a mapping file to its model; every fault is a finding with its line and column.

A rule that makes one event may say so without a list; what the whole mapping says, a rule need not repeat.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final, Literal, cast

from schemas.fields import EVENT_FIELDS, FIELDS, TRAITS, Kind
from worker.definition.document import Document, Node, read_document
from worker.definition.errors import DefinitionError
from worker.definition.nearest import near_miss, nearest, suggestion
from worker.mapping.expression import SCOPES
from worker.mapping.fields import FieldReading
from worker.mapping.model import Fields, Identity, Making, Model, Rule, Time, Value, Version

_EVENT_KEYS: Final = frozenset({"when", "type", "part", "id", "time", "subject", "data", "traits"})
_RULE_KEYS: Final = _EVENT_KEYS | {"label", "skip", "refuse", "events", "joins"}
_ABOUT: Final = frozenset({"mapping", "title", "seen", "about"})
_RECORD: Final = frozenset({"reads", "empty", "takes", "version", "each", "let", "tables", "shows"})
_ENVELOPE: Final = frozenset({"source", "id", "time", "ids", "subject", "joins"})
_TOP_KEYS: Final = _ABOUT | _RECORD | _ENVELOPE | {"data", "traits", "rules", "otherwise"}
_VERDICTS: Final[tuple[Literal["skip", "refuse"], ...]] = ("skip", "refuse")
_NAME: Final = re.compile(r"[a-z][a-z0-9_-]*")
_WORD: Final = re.compile(r"[a-z][a-z0-9_]*")
_TYPE: Final = re.compile(r"[a-z][a-z0-9_]*(\.[a-z0-9_]+)+")


def read_mapping(given: Path | str | bytes, source: str | None = None) -> Model:
    """The mapping of a file (a `Path`) or a text. Raises: DefinitionError with all its faults."""
    document = read_document(given, source)
    reader = _Reader(document)
    model = reader.model()
    if reader.findings or model is None:
        raise DefinitionError(reader.findings)
    return model


class _Reader(FieldReading):
    def __init__(self, document: Document) -> None:
        super().__init__(document)
        self.identities: dict[str, Identity] = {}

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
