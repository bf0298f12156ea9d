"""What is true of every contact between the terms of its guards: it follows from what they mean.

What happened since was seen, what was never seen was never counted, what sets off a narrow signal sets off a wider one,
a score is at least each of its halves.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from worker.lint.formula import Atom, Formula, conjunction, implies, negation
from worker.lint.terms import BEFORE, ORDERS, Range, Reading


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


def _scores(reading: Reading) -> Iterator[Formula]:
    """A score is at least each of its halves."""
    for moment in ("", f"{BEFORE} all"):
        whole = reading.ranges.get(f"score{moment}")
        for part in ("score.behaviour", "score.fit"):
            half = reading.ranges.get(f"{part}{moment}")
            if whole is None or half is None or min(whole.least, half.least) < 0:
                continue
            constants = [*whole.constants, *half.constants]
            for bound in sorted({value for value in constants if isinstance(value, int | float)}):
                half.constants.append(bound)
                whole.constants.append(bound)
                for test in (ast.GtE, ast.Gt):
                    named, passes = f"{test.__name__} {bound!r}", partial(_passes, ORDERS[test], bound)
                    yield implies(Atom(f"{part}{moment}", named, passes), Atom(f"score{moment}", named, passes))


def _passes(test: Callable[[Any, Any], bool], bound: float, value: Any) -> bool:
    return test(value, bound)


def _is(wanted: float, value: Any) -> bool:
    return bool(value == wanted)
