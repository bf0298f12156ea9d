"""What is true of every contact between the terms of its guards: it follows from what they mean.

What happened since was seen, what was never seen was never counted, what sets off a narrow signal sets off a wider one,
a score is at least each of its halves.
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final

from worker.lint.formula import Atom, Formula, conjunction, implies, negation
from worker.lint.subject import SETBACK
from worker.lint.terms import BEFORE, ORDERS, Range, Reading
from worker.plan.support import contains, starts_with


def axioms(reading: Reading) -> Iterator[Formula]:
    """Formulas over the terms that the reading has met so far, and over a few of their own."""
    for term, (call, moment) in sorted(reading.calls.items()):
        names = [part.id for part in call.args if isinstance(part, ast.Name)]
        match call:
            case ast.Call(func=ast.Name(id="seen")):
                yield from _wider(reading, term, names[0], "seen({})" + moment)
            case ast.Call(func=ast.Name(id="since")):
                yield from _wider(reading, term, names[0], f"since({{}}, {names[1]}){moment}")
                yield from _since(reading, term, names[0], names[1], moment)
            case ast.Call(func=ast.Name(id="count")):
                none = Atom(term, "is 0", partial(_is, 0))
                yield implies(negation(_seen(reading, names[0], moment)), none)
            case ast.Call(func=ast.Name(id="last")):
                endless = Atom(term, "is endless", partial(_is, math.inf))
                yield implies(negation(_seen(reading, names[0], moment)), endless)
            case ast.Call(func=ast.Name(id="contains")) if names:
                size = f"size({names[0]}){moment}"
                if size in reading.calls:
                    yield implies(_holds(term), Atom(size, "is some", partial(_passes, ORDERS[ast.Gt], 0)))
    for name, formula in sorted(reading.happened.items()):
        if f"seen({name})" in reading.ranges:
            yield implies(formula, _seen(reading, name, ""))
        if name != SETBACK:
            yield from _now(reading, name, formula)
    yield from _texts(reading)
    yield from _counts(reading)
    yield from _scores(reading)


def _holds(term: str) -> Atom:
    return Atom(term, "holds", bool)


def _seen(reading: Reading, name: str, moment: str) -> Atom:
    term = f"seen({name}){moment}"
    possible = name in reading.world.signals
    return reading.atom(term, "holds", bool, Range("boolean", only=None if possible else (False,)))


def _since(reading: Reading, term: str, one: str, other: str, moment: str) -> Iterator[Formula]:
    seen, seen_other = _seen(reading, one, moment), _seen(reading, other, moment)
    yield implies(_holds(term), seen)
    yield implies(conjunction([seen, negation(seen_other)]), _holds(term))
    turned = f"since({other}, {one}){moment}"
    if turned in reading.calls:
        yield negation(conjunction([_holds(term), _holds(turned)]))
    if not moment and reading.kind is not None and one in reading.happened and other in reading.happened:
        alone = conjunction([reading.happened[one], negation(reading.happened[other])])
        yield implies(alone, _holds(term))


def _wider(reading: Reading, term: str, name: str, form: str) -> Iterator[Formula]:
    """What is true of a narrow signal is true of every wider one that is asked the same."""
    for other in sorted(reading.world.signals - {name}):
        wider = form.format(other)
        if wider in reading.calls and reading.world.narrower(name, other):
            yield implies(_holds(term), _holds(wider))


def _now(reading: Reading, name: str, happens: Formula) -> Iterator[Formula]:
    """What was set off by the event at hand happened no time ago, and once at least."""
    for term, (call, moment) in sorted(reading.calls.items()):
        match call:
            case ast.Call(func=ast.Name(id="last"), args=[ast.Name(id=of)]) if of == name and not moment:
                yield implies(happens, Atom(term, "is 0", partial(_is, 0)))
            case ast.Call(func=ast.Name(id="count"), args=[ast.Name(id=of)]) if of == name and not moment:
                if all(keyword.arg != "since" for keyword in call.keywords):
                    yield implies(happens, Atom(term, "is some", partial(_passes, ORDERS[ast.Gt], 0)))


_OF_TEXTS: Final[dict[str, Callable[[str, str], Any]]] = {
    "contains": contains, "starts_with": starts_with, "matches": lambda text, pattern: re.fullmatch(pattern, text),
}  # fmt: skip


def _texts(reading: Reading) -> Iterator[Formula]:
    """Of a text that is known, it is known what it contains, begins with and matches."""
    for term, (call, _) in sorted(reading.calls.items()):
        match call:
            case ast.Call(func=ast.Name(id=name), args=[ast.Attribute() as field, ast.Constant(value=str(part))]) if (
                name in _OF_TEXTS
            ):
                of = ast.unparse(field)
                values = reading.ranges.get(of)
                for known in sorted({value for value in values.constants if isinstance(value, str)} if values else ()):
                    told = Atom(of, f"Eq {known!r}", partial(_passes, ORDERS[ast.Eq], known))
                    yield implies(told, _holds(term) if _OF_TEXTS[name](known, part) else negation(_holds(term)))


def _counts(reading: Reading) -> Iterator[Formula]:
    """What happened within a time, or since something, happened at all, and within any longer time."""
    counts: list[tuple[str, str, float, str | None]] = []  # term; signal and moment; within; since
    for term, (call, moment) in sorted(reading.calls.items()):
        match call:
            case ast.Call(func=ast.Name(id="count"), args=[ast.Name(id=signal)]):
                given = {keyword.arg: keyword.value for keyword in call.keywords}
                within = getattr(given.get("within"), "value", math.inf)
                since = given.get("since")
                if isinstance(within, int | float):
                    named = since.id if isinstance(since, ast.Name) else None
                    counts.append((term, signal + moment, within, named))
    for fewer, of, window, after in counts:
        for more, also, longer, start in counts:
            if fewer != more and of == also and window <= longer and start in (None, after):
                yield from _at_least(reading, more, fewer)


def _scores(reading: Reading) -> Iterator[Formula]:
    """A score is at least each of its halves."""
    for moment in ("", f"{BEFORE} all"):
        for part in ("score.behaviour", "score.fit"):
            ranges = [reading.ranges.get(f"{name}{moment}") for name in ("score", part)]
            if all(values is not None and values.least >= 0 for values in ranges):
                yield from _at_least(reading, f"score{moment}", f"{part}{moment}")


def _at_least(reading: Reading, greater: str, lesser: str) -> Iterator[Formula]:
    """The one figure is at least the other: at each bound that either is compared with."""
    one, other = reading.ranges[greater], reading.ranges[lesser]
    for bound in sorted({value for value in (*one.constants, *other.constants) if isinstance(value, int | float)}):
        one.constants.append(bound)
        other.constants.append(bound)
        for test in (ast.GtE, ast.Gt):
            named, passes = f"{test.__name__} {bound!r}", partial(_passes, ORDERS[test], bound)
            yield implies(Atom(lesser, named, passes), Atom(greater, named, passes))


def _passes(test: Callable[[Any, Any], bool], bound: Any, value: Any) -> bool:
    return test(value, bound)


def _is(wanted: float, value: Any) -> bool:
    return bool(value == wanted)
