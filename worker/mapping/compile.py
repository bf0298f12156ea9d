"""A mapping's model into one Python function: (record, envelope, parent, header, record_key) → (place of the rule,
what it makes).

What it makes is a list of events, or a text: why there is none. The function raises `Bad` for a record that can't be
read. It is written out field by field because it runs for every record: what the file says is looked at once, here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from schemas.fields import EVENT_FIELDS, FIELDS, TRAITS, Kind
from worker.fold.outcome import Event
from worker.mapping import times, values
from worker.mapping.code import Code, place
from worker.mapping.expression import Expression, demands
from worker.mapping.machines import Machines
from worker.mapping.model import Fields, Making, Model, Rule, Value
from worker.mapping.outcome import Bad, wrong
from worker.mapping.reading import reads_of_rules
from worker.mapping.value_code import ValueCode

One = Callable[[Any, Any, Any, Mapping[str, str], Any], tuple[int, list[Event] | str]]
Items = Callable[[Any, Any, Any, Mapping[str, str], Any], Any]

_HEAD: Final = "(record, envelope, parent, header, record_key):"


def compile_rules(model: Model, machines: Machines) -> One:
    """The function of a model; equal for equal models."""
    return _Compiler(model, machines).rules()


def compile_items(expression: Expression) -> Items:
    """The function that takes the items out of a record."""
    code = Code(root_is_object=False)
    with code.function(f"def items{_HEAD}"):
        code.emit(f"return {code.value(expression.ast)}")
    return _load(code, "items")  # type: ignore[no-any-return]  # a function of generated code


def _load(code: Code, name: str) -> Any:
    space: dict[str, Any] = dict(code.constants)
    exec(compile("\n".join(code.lines), "<mapping>", "exec"), space)
    return space[name]


class _Compiler(ValueCode):
    def __init__(self, model: Model, machines: Machines) -> None:
        super().__init__(Code(root_is_object=True))
        self.model = model
        self.code.constants |= {
            "Bad": Bad,
            "Event": Event,
            "new": tuple.__new__,
            "is_machine": machines.is_machine,
            **{name: getattr(values, name) for name in _CALLED},
            **{name: getattr(times, name) for name in ("epoch", "in_time", "iso", "layout")},
            "wrong": wrong,
        }

    def rules(self) -> One:
        code = self.code
        with code.function(f"def one{_HEAD}"):
            with code.block("if record.__class__ is not dict:"):
                # an item may be a text of its own (a record id in a list of them): then no path is read from it
                if self.reads_record():
                    code.emit("raise wrong('record', '', 'an object', record)")
                else:
                    code.emit("pass")
            self.admission()
            for index, rule in enumerate((*self.model.rules, self.model.otherwise)):
                if rule.when is None:
                    self.rule(index, rule)
                    break
                with code.where(rule.when.ast):
                    self.rule(index, rule)
        return _load(code, "one")  # type: ignore[no-any-return]  # a function of generated code

    def reads_record(self) -> bool:
        return any(len(path) > 1 and path[0] == "record" for path in reads_of_rules(self.model))

    def admission(self) -> None:
        """What isn't of this format, or of a version of it that isn't known, goes no further."""
        code, model = self.code, self.model
        if model.takes is not None:
            with code.block(f"if not {code.truth(model.takes.ast)}:"):
                message = f"expected a record of {model.name} (`{model.takes.text}`), got another"
                asked = list(demands(model.takes.ast))
                pairs = ", ".join(f"({code.truth(ast)}, {name!r})" for ast, name in asked)
                code.emit(f"raise Bad('not-taken', 'record', '', {message!r} + lacking([{pairs}]))")
            code.assume(model.takes.ast)
        if model.version is not None:
            found = code.assign(f"as_key({code.value(model.version.expression.ast)})")
            scope, path = place(model.version.expression.ast, model.version.expression.text)
            known = code.constant(model.version.known)
            told = f"expected one of {', '.join(sorted(model.version.known))}"
            missing = f"{found} is None or " if model.version.required else f"{found} is not None and "
            with code.block(f"if {missing}{found} not in {known}:"):
                code.emit(
                    f"raise Bad('unknown-version', {scope!r}, {path!r}, "
                    f"{told + ', a version that this mapping knows; got '!r} + brief({found}))"
                )

    # --------------------------------------------------------------------------------------------------------- rules
    def rule(self, index: int, rule: Rule) -> None:
        code = self.code
        if rule.verdict is not None:
            shown = ", ".join(expression.text for expression in self.model.shows)
            atoms = ", ".join(code.value(expression.ast) for expression in self.model.shows)
            reason = repr(rule.reason)
            if atoms and rule is self.model.otherwise:
                reason = f"{rule.reason + f' ({shown}: '!r} + brief({atoms}) + ')'"
            if rule.verdict == "refuse":
                code.emit(f"raise Bad('not-mapped', 'record', '', {reason})")
            else:
                code.emit(f"return {index}, {reason}")
            return
        seen: dict[tuple[str, int], str] = {}
        names = self.identities(rule)
        single = len(rule.makes) == 1 and rule.makes[0].when is None and not rule.joins
        if not single:
            code.emit("made = []")
        certain = [making for making in rule.makes if making.when is None]
        if rule.joins:
            first = (certain or rule.makes)[0]
            self.joins(rule, names, self.envelope(first, names, seen))
        for making in certain:
            self.envelope(making, names, seen)
        for making in rule.makes:
            if making.when is None:
                self.making(index, making, self.envelope(making, names, seen), single)
            else:
                with code.block(f"if {code.truth(making.when.ast)}:"):
                    # what is looked up here may not be there for the other events of the rule
                    self.making(index, making, self.envelope(making, names, dict(seen)), single)
        if not single:
            code.emit(f"return {index}, made or {'none of the events of this rule holds'!r}")

    def identities(self, rule: Rule) -> dict[str, str]:
        """Names under which all identities stand that joins may need; empty where there are none to join."""
        if not rule.joins:
            return {}
        wanted = dict.fromkeys((*(name for making in rule.makes for name in making.subject), *rule.joins))
        return {name: self.identity(name) for name in wanted}

    def identity(self, name: str) -> str:
        value = self.model.identities[name].value
        found, scope, path = self.value(value, None)
        if value.email:
            return found
        return self.code.assign(f"{found} if {found} is None else identifier({found}, {scope!r}, {path!r})")

    def envelope(
        self, making: Making, names: Mapping[str, str], seen: dict[tuple[str, int], str]
    ) -> tuple[str, str, str]:
        """Names of the subject, the time and the id, each worked out once for events that share them."""
        for kind, spec in (("subject", making.subject), ("time", making.time), ("id", making.id)):
            if (kind, id(spec)) not in seen:
                seen[kind, id(spec)] = self.looked_up(kind, making, names)
        return seen["subject", id(making.subject)], seen["time", id(making.time)], seen["id", id(making.id)]

    def looked_up(self, kind: str, making: Making, names: Mapping[str, str]) -> str:
        match kind:
            case "subject":
                return self.subject(making.subject, names)
            case "time":
                return self.time(making.time)
            case _:
                return self.ident(making.id)

    def subject(self, order: tuple[str, ...], names: Mapping[str, str]) -> str:
        code = self.code
        first, *others = order
        subject = code.assign(names.get(first) or self.identity(first))
        for name in code.one_after_another(f"{subject} is None", others):
            code.emit(f"{subject} = {names.get(name) or self.identity(name)}")
        with code.block(f"if {subject} is None:"):
            tried = ", ".join(f"`{self.written(self.model.identities[name].value)}`" for name in order)
            message = f"expected a contact, got nothing usable from {tried}"
            code.emit(f"raise Bad('no-subject', 'record', '', {message!r})")
        return subject

    @staticmethod
    def written(value: Value) -> str:
        return "`, `".join(source.text for source in value.sources) or "a constant"

    def joins(self, rule: Rule, names: Mapping[str, str], envelope: tuple[str, str, str]) -> None:
        """Before the event itself: the history that another name has belongs to the contact as of now."""
        code = self.code
        subject, time, ident = envelope
        for name in rule.joins:
            other = names[name]
            record = ident if self.model.identities[name].shared else "''"
            with code.block(f"if {other} is not None and {other} != {subject}:"):
                code.emit(
                    f"made.append(new(Event, ({time}, 'contact.identified', joined_id({other}, {record}), "
                    f"{self.model.source!r}, {subject}, {{'anonymous_id': {other}}}, None)))"
                )

    # -------------------------------------------------------------------------------------------------------- events
    def making(self, index: int, making: Making, envelope: tuple[str, str, str], single: bool) -> None:
        code = self.code
        subject, time, ident = envelope
        constant = making.type.constant if making.type.is_constant else None
        if constant is not None:
            event_type = repr(constant)
        else:
            found, scope, path = self.value(making.type, "id")
            event_type = code.assign(f"identifier({found}, {scope!r}, {path!r})")
            if single:
                with code.block(f"if {event_type} is None:"):
                    source = self.first_value(making.type)
                    code.emit(f"return {index}, {f'no type for {self.written(making.type)} '!r} + brief({source})")
        guarded = constant is None and not single
        if guarded:
            with code.block(f"if {event_type} is not None:"):
                self.event(index, making, (subject, time, ident, event_type), constant, single)
        else:
            self.event(index, making, (subject, time, ident, event_type), constant, single)

    def first_value(self, value: Value) -> str:
        return self.code.value(value.sources[0].ast) if value.sources else "None"

    def event(
        self, index: int, making: Making, envelope: tuple[str, str, str, str], constant: str | None, single: bool
    ) -> None:
        code = self.code
        subject, time, ident, event_type = envelope
        kinds: Mapping[str, Kind] = {**EVENT_FIELDS, **FIELDS.get(constant or "", {})}
        data = self.fields("data", making.data, kinds, time)
        traits = self.fields("traits", making.traits, TRAITS, time)
        if constant is None:
            with code.block(f"if {event_type} in MEANING:"):
                code.emit(f"MEANING[{event_type}]({event_type}, {subject}, {data}, 'record')")
        elif constant in values.MEANING:
            code.emit(f"MEANING[{event_type}]({event_type}, {subject}, {data}, 'record')")
        if making.part:
            ident = f"part_id({ident}, {making.part!r})"
        event = (
            f"new(Event, ({time}, {event_type}, {ident}, {self.model.source!r}, {subject}, {data}, "
            f"{'None' if traits == '{}' else f'{traits} or None'}))"
        )
        code.emit(f"return {index}, [{event}]" if single else f"made.append({event})")

    def fields(self, what: str, fields: Fields, kinds: Mapping[str, Kind], time: str) -> str:
        """A name that holds the object of the fields; `{}` where there are none."""
        code = self.code
        if not fields.named and not fields.rest:
            return "{}"
        start: dict[str, Any] = {}
        for name, value in fields.named.items():
            if value.is_constant:
                start[name] = values.CONVERTERS[kinds.get(name)](value.constant, what, name)
        literal = "{" + ", ".join(f"{name!r}: {code.constant(value)}" for name, value in start.items()) + "}"
        target = code.assign(literal)
        for name, value in fields.named.items():
            if name in start:
                continue
            kind = kinds.get(name)
            found, scope, path = self.value(value, kind, time)
            with code.block(f"if {found} is not None:"):
                if kind == "id":
                    check = "fits" if what == "traits" else "identifier"
                    code.emit(f"{found} = {check}({found}, {scope!r}, {path!r})")
                    if what == "data":
                        with code.block(f"if {found} is not None:"):
                            code.emit(f"{target}[{name!r}] = {found}")
                        continue
                code.emit(f"{target}[{name!r}] = {found}")
        for expression in fields.rest:
            scope, path = place(expression.ast, expression.text)
            known, omitted = code.constant(kinds), code.constant(fields.omitted | {"traits"})
            code.emit(f"rest({target}, {code.value(expression.ast)}, {known}, {omitted}, {scope!r}, {path!r})")
        return target


_CALLED: Final = (
    "CONVERTERS",
    "MEANING",
    "as_key",
    "brief",
    "digest",
    "email",
    "fits",
    "flag",
    "free",
    "identifier",
    "joined_id",
    "lacking",
    "number",
    "part_id",
    "parts",
    "product",
    "quotient",
    "rest",
    "slug",
    "text",
    "texts",
)
