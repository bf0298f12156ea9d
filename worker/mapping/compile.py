"""A mapping's model into one Python function: (record, envelope, parent, header, record_key) → (place of the rule,
what it makes).

What it makes is a list of events, or a text: why there is none. The function raises `Bad` for a record that can't be
read. It is written out field by field because it runs for every record: what the file says is looked at once, here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final
from zoneinfo import ZoneInfo

from schemas.fields import EVENT_FIELDS, FIELDS, TRAITS, Kind
from worker.events import EARLIEST_MS
from worker.fold.outcome import Event
from worker.mapping import times, values
from worker.mapping.code import Code, place
from worker.mapping.expression import Expression, demands
from worker.mapping.machines import Machines
from worker.mapping.model import (
    UNITS,
    Digest,
    Fields,
    Ident,
    Making,
    Model,
    Rule,
    Time,
    TimeSource,
    Value,
)
from worker.mapping.outcome import Bad, wrong
from worker.mapping.reading import reads_of_rules

One = Callable[[Any, Any, Any, Mapping[str, str], Any], tuple[int, list[Event] | str]]
Items = Callable[[Any, Any, Any, Mapping[str, str], Any], Any]

_CLASSES: Final[Mapping[Kind | None, str]] = {"text": "str", "id": "str", "boolean": "bool"}
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


class _Compiler:
    def __init__(self, model: Model, machines: Machines) -> None:
        self.model = model
        self.code = Code(root_is_object=True)
        self.code.constants |= {
            "Bad": Bad,
            "Event": Event,
            "new": tuple.__new__,
            "machines": machines,
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
                with code.block(f"if {code.truth(rule.when.ast)}:"):
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
        return self.code.assign(f"identifier({found}, {scope!r}, {path!r})") if not value.email else found

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
        subject = code.name()
        for place_, name in enumerate(order):
            if place_ == 0:
                code.emit(f"{subject} = {names.get(name) or self.identity(name)}")
            else:
                with code.block(f"if {subject} is None:"):
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

    # -------------------------------------------------------------------------------------------------------- values
    def value(self, value: Value, kind: Kind | None, time: str | None = None) -> tuple[str, str, str]:
        """A name of its own for the value, with the scope and path that a complaint about it names."""
        code = self.code
        scope, path = place(value.sources[0].ast, value.sources[0].text) if value.sources else ("record", "")
        name = code.name()
        if value.test is not None:
            code.emit(f"{name} = {code.truth(value.test.ast)}")
        elif value.any_of:
            code.emit(f"{name} = False")
            for part in value.any_of:
                with code.block(f"if not {name}:"):
                    code.emit(f"{name} = {self.value(part, 'boolean', time)[0]} is True")
        elif value.scanner is not None:
            self.scanner(name, value, time)
        elif value.is_constant:
            code.emit(f"{name} = {code.constant(value.constant)}")
        else:
            scope, path = self.sources(name, value)
        self.changes(name, value, kind, scope, path)
        if value.otherwise is not None:
            with code.block(f"if {name} is None:"):
                other, _, _ = self.value(value.otherwise, kind, time)
                code.emit(f"{name} = {other}")
        return name, scope, path

    def sources(self, name: str, value: Value) -> tuple[str, str]:
        code = self.code
        first = place(value.sources[0].ast, value.sources[0].text)
        for number, source in enumerate(value.sources):
            scope, path = place(source.ast, source.text)
            if number == 0:
                found = code.value(source.ast)
                if value.email:
                    found = code.known(("email", found), f"email({found}, {scope!r}, {path!r})")
                code.emit(f"{name} = {found}")
            else:
                with code.block(f"if {name} is None or {name} == '':"):
                    found = code.value(source.ast)
                    code.emit(f"{name} = email({found}, {scope!r}, {path!r})" if value.email else f"{name} = {found}")
        return first

    def scanner(self, name: str, value: Value, time: str | None) -> None:
        code, scanner = self.code, value.scanner
        if scanner is None:
            raise TypeError("only a value with a scanner is compiled as one")
        agent = code.value(scanner.agent.ast) if scanner.agent is not None else "None"
        address = code.value(scanner.address.ast) if scanner.address is not None else "None"
        after = "None"
        if scanner.sent is not None and time is not None:
            after = code.name()
            sent = self.time(scanner.sent, required=False)
            code.emit(f"{after} = None if {sent} is None else {time} - {sent}")
        code.emit(f"{name} = machines.is_machine({scanner.act!r}, {agent}, {address}, {after})")

    def changes(self, name: str, value: Value, kind: Kind | None, scope: str, path: str) -> None:
        """What is done to a value on its way, in the order that the documentation gives."""
        code = self.code
        methods = ".strip()" if value.trim or value.lower or value.upper else ""
        methods += ".lower()" if value.lower else ".upper()" if value.upper else ""
        if methods or value.slug:
            with code.block(f"if {name}.__class__ is str:"):
                code.emit(f"{name} = slug({name})" if value.slug else f"{name} = {name}{methods}")
        if value.split is not None:
            code.emit(f"{name} = parts({name}, {value.split!r})")
        if value.times is not None:
            factor, _, _ = self.value(value.times, "number")
            code.emit(f"{name} = product({name}, {factor}, {scope!r}, {path!r})")
        if value.divide is not None:
            divisor, _, _ = self.value(value.divide, "number")
            code.emit(f"{name} = quotient({name}, {divisor}, {scope!r}, {path!r})")
        if value.table is not None:
            code.emit(f"{name} = {code.constant(dict(value.table))}.get(as_key({name}))")
        if value.words is not None:
            table = code.constant(tuple((word.lower(), meaning) for word, meaning in value.words.items()))
            code.emit(f"{name} = words({name}, {table}, None) if {name}.__class__ is str else None")
        if value.prefix:
            with code.block(f"if {name} is not None and {name} != '':"):
                code.emit(f"{name} = {value.prefix!r} + text({name}, {scope!r}, {path!r})")
        if value.test is None and value.scanner is None and not value.any_of:
            self.convert(name, value, kind, scope, path)

    def convert(self, name: str, value: Value, kind: Kind | None, scope: str, path: str) -> None:
        code = self.code
        if value.prefix or value.email:
            return  # text already
        called = f"CONVERTERS[{kind!r}]" if kind is None else {"id": "text", "boolean": "flag"}.get(kind, kind)
        test = f"{name}.__class__ is not {_CLASSES[kind]}" if kind in _CLASSES else f"{name} is not None"
        call = f"{name} = {'free' if kind is None else called}({name}, {scope!r}, {path!r})"
        with code.block(f"if {test}:"):
            if value.leave_out:
                with code.block("try:"):
                    code.emit(call)
                with code.block("except Bad:"):
                    code.emit(f"{name} = None")
            else:
                code.emit(call)

    # ----------------------------------------------------------------------------------------------------- id, time
    def ident(self, ident: Ident) -> str:
        code = self.code
        name, first = code.name(), ("record", "")
        code.emit(f"{name} = None")
        for number, part in enumerate(ident):
            expressions = part.parts if isinstance(part, Digest) else part.sources
            if number == 0 and expressions:
                first = place(expressions[0].ast, expressions[0].text)
            with code.block(f"if {name} is None:"):
                if isinstance(part, Digest):
                    atoms = ", ".join(code.value(expression.ast) for expression in part.parts)
                    scope, path = place(part.parts[0].ast, part.parts[0].text)
                    code.emit(f"{name} = digest(({atoms},), {scope!r}, {path!r})")
                else:
                    found, scope, path = self.value(part, "id")
                    code.emit(f"{name} = identifier({found}, {scope!r}, {path!r})")
        with code.block(f"if {name} is None:"):
            code.emit(f"raise wrong({first[0]!r}, {first[1]!r}, 'an id', None)")
        return name

    def time(self, time: Time, required: bool = True) -> str:
        code = self.code
        name, first = code.name(), ("record", "")
        code.emit(f"{name} = None")
        for number, source in enumerate(time.sources):
            scope, path = place(source.expression.ast, source.expression.text)
            if number == 0:
                first = scope, path
            with code.block(f"if {name} is None:"):
                code.emit(f"{name} = {self.time_source(source, scope, path)}")
        if required:
            with code.block(f"if {name} is None:"):
                code.emit(f"raise Bad('no-time', {first[0]!r}, {first[1]!r}, 'expected when it happened, got nothing')")
            if any(source.unit == "iso" for source in time.sources):
                with code.block(f"if not {EARLIEST_MS} <= {name} < {times.YEAR_9999}:"):
                    code.emit(f"in_time({name}, {first[0]!r}, {first[1]!r})")
        return name

    def time_source(self, source: TimeSource, scope: str, path: str) -> str:
        code = self.code
        found = code.value(source.expression.ast)
        if source.unit != "iso":
            scale = UNITS[source.unit]
            slow = f"epoch({found}, {scope!r}, {path!r}, {scale!r}, {source.unit!r})"
            if scale < 1:
                return slow
            earliest, latest = EARLIEST_MS // int(scale) + 1, times.YEAR_9999 // int(scale)
            usual = found if scale == 1 else f"{found} * {int(scale)}"
            return f"{usual} if {found}.__class__ is int and {earliest} < {found} < {latest} else {slow}"
        zone = code.constant(ZoneInfo(source.zone)) if source.zone else "None"
        if source.layout is not None:
            return f"layout({found}, {scope!r}, {path!r}, {zone}, {source.layout!r})"
        return f"iso({found}, {scope!r}, {path!r}, {zone})"


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
    "words",
)
