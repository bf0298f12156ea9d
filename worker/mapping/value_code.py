"""Code for what a field, an id and a time of an event are made of: from a record's values to ours, or `Bad`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from zoneinfo import ZoneInfo

from schemas.fields import Kind
from worker.events import EARLIEST_MS
from worker.mapping import times, values
from worker.mapping.code import Code, place
from worker.mapping.model import UNITS, Digest, Ident, Time, TimeSource, Value

_CLASSES: Final[Mapping[Kind | None, str]] = {"text": "str", "id": "str", "boolean": "bool", None: "str"}
_WRITTEN_MAX: Final = 50  # words of a table; Python has a limit to how deep a line may be nested


class ValueCode:
    """Writes values into a function under way; the names that they stand under are of its code."""

    def __init__(self, code: Code) -> None:
        self.code = code

    def value(self, value: Value, kind: Kind | None, time: str | None = None) -> tuple[str, str, str]:
        """A name of its own for the value, with the scope and path that a complaint about it names."""
        code = self.code
        scope, path = place(value.sources[0].ast, value.sources[0].text) if value.sources else ("record", "")
        name = code.name()
        if value.test is not None:
            code.emit(f"{name} = True if {code.truth(value.test.ast)} else False")
        elif value.any_of:
            code.emit(f"{name} = False")
            for part in code.one_after_another(f"not {name}", value.any_of):
                code.emit(f"{name} = {self.value(part, 'boolean', time)[0]} is True")
        elif value.scanner is not None:
            self.scanner(name, value, time)
        elif value.is_constant:
            code.emit(f"{name} = {code.constant(self.settled(value, kind, value.constant))}")
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
        first, *others = value.sources
        scope, path = place(first.ast, first.text)
        found = code.value(first.ast)
        if value.email:
            found = code.known(("email", found), self.email(found, scope, path))
        code.emit(f"{name} = {found}")
        for source in code.one_after_another(f"{name} is None or {name} == ''", others):
            found = code.value(source.ast)
            code.emit(f"{name} = {self.email(found, *place(source.ast, source.text)) if value.email else found}")
        return scope, path

    @staticmethod
    def email(found: str, scope: str, path: str) -> str:
        return f"None if {found} is None else email({found}, {scope!r}, {path!r})"

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
        code.emit(f"{name} = is_machine({scanner.act!r}, {agent}, {address}, {after})")

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
            table = code.constant({key: self.settled(value, kind, given) for key, given in value.table.items()})
            code.emit(f"{name} = {table}.get({name} if {name}.__class__ is str else as_key({name}))")
        if value.words is not None:
            self.words(name, [(word, self.settled(value, kind, given)) for word, given in value.words.items()])
        if value.prefix:
            with code.block(f"if {name} is not None and {name} != '':"):
                other = f"str({name}) if {name}.__class__ is int else text({name}, {scope!r}, {path!r})"
                code.emit(f"{name} = {value.prefix!r} + ({name} if {name}.__class__ is str else {other})")
        if value.test is None and value.scanner is None and not value.any_of:
            self.convert(name, value, kind, scope, path)

    def words(self, name: str, meanings: list[tuple[str, Any]]) -> None:
        """What belongs to the first of the words that the text holds, in any case."""
        code = self.code
        with code.block(f"if {name}.__class__ is str:"):
            lower = code.assign(f"{name}.lower()")
            written = [f"{code.constant(given)} if {word.lower()!r} in {lower} else " for word, given in meanings]
            if len(written) <= _WRITTEN_MAX:
                code.emit(f"{name} = {''.join(written)}None")
            else:
                table = code.constant(tuple((word.lower(), given) for word, given in meanings))
                code.emit(f"{name} = next((given for word, given in {table} if word in {lower}), None)")
        with code.block("else:"):
            code.emit(f"{name} = None")

    @staticmethod
    def is_settled(value: Value, kind: Kind | None) -> bool:
        """Whether the value comes from the file: then it is converted here, and not for each record."""
        given = value.table or value.words or (value.constant is not None and value == Value(constant=value.constant))
        return bool(given) and kind != "texts" and not value.prefix

    def settled(self, value: Value, kind: Kind | None, given: Any) -> Any:
        """What the file gives, converted where that is done once; a list would be shared by events."""
        return values.CONVERTERS[kind](given, "record", "") if self.is_settled(value, kind) else given

    def convert(self, name: str, value: Value, kind: Kind | None, scope: str, path: str) -> None:
        code = self.code
        if value.prefix or value.email or self.is_settled(value, kind):
            return  # text already, or converted before
        called = f"CONVERTERS[{kind!r}]" if kind is None else {"id": "text", "boolean": "flag"}.get(kind, kind)
        test = f"{name} is not None"
        if kind in _CLASSES:
            test = f"{name}.__class__ is not {_CLASSES[kind]} and {test}"
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
        scope, path = "record", ""
        name = code.name()
        expressions = ident[0].parts if isinstance(ident[0], Digest) else ident[0].sources
        if expressions:
            scope, path = place(expressions[0].ast, expressions[0].text)
        self.ident_part(name, ident[0])
        for part in code.one_after_another(f"{name} is None", ident[1:]):
            self.ident_part(name, part)
        with code.block(f"if {name} is None:"):
            code.emit(f"raise wrong({scope!r}, {path!r}, 'an id', None)")
        return name

    def ident_part(self, name: str, part: Digest | Value) -> None:
        code = self.code
        if isinstance(part, Digest):
            atoms = ", ".join(code.value(expression.ast) for expression in part.parts)
            scope, path = place(part.parts[0].ast, part.parts[0].text)
            code.emit(f"{name} = digest(({atoms},), {scope!r}, {path!r})")
        else:
            found, scope, path = self.value(part, "id")
            code.emit(f"{name} = identifier({found}, {scope!r}, {path!r})")

    def time(self, time: Time, required: bool = True) -> str:
        code = self.code
        first, *others = time.sources
        scope, path = place(first.expression.ast, first.expression.text)
        name = code.assign(self.time_source(first))
        for source in code.one_after_another(f"{name} is None", others):
            code.emit(f"{name} = {self.time_source(source)}")
        if required:
            with code.block(f"if {name} is None:"):
                code.emit(f"raise Bad('no-time', {scope!r}, {path!r}, 'expected when it happened, got nothing')")
            if any(source.unit == "iso" for source in time.sources):
                with code.block(f"if not {EARLIEST_MS} <= {name} < {times.YEAR_9999}:"):
                    code.emit(f"in_time({name}, {scope!r}, {path!r})")
        return name

    def time_source(self, source: TimeSource) -> str:
        code = self.code
        scope, path = place(source.expression.ast, source.expression.text)
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
