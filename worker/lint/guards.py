"""Guards that ask for nothing or for what can't be: segments, rules, conditions, comparisons, signals and facts."""

from __future__ import annotations

import ast
import math
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from worker.definition.places import Place
from worker.lint.findings import Remark
from worker.lint.formula import Atom, Formula, negation
from worker.lint.machine import Look
from worker.lint.terms import Reading
from worker.plan.generate import in_words

_COUNTED = ("count", "size", "last", "days_in_stage")


def guards(look: Look) -> Iterator[Remark]:
    """Every finding about what guards ask."""
    yield from _never_set(look)
    yield from _comparisons(look)
    yield from _flags(look)
    yield from _conditions(look)
    yield from _empty(look)


def _never_set(look: Look) -> Iterator[Remark]:
    world, lifecycle = look.prover.world, look.lifecycle
    for name in lifecycle.signals:
        if name not in world.signals and (lifecycle.signals[name].publish or _is_read(look, name)):
            yield Remark(
                ("signals", name), "never-happens",
                f"no event can set '{name}' off: its patterns can't hold; mend them, or take out what reads it",
                on_key=True,
            )  # fmt: skip
    for name, fact in lifecycle.facts.items():
        if name not in world.facts and _is_read(look, name):
            yield Remark(
                ("facts", name), "never-set",
                f"no event can set '{name}': its patterns can't hold; mend them, or take out what reads it",
                on_key=True, assumed=fact.assumed,
            )  # fmt: skip


def _is_read(look: Look, name: str) -> bool:
    return any(
        isinstance(node, ast.Name) and node.id == name
        for place in look.subject.places
        if place.path[:2] not in (("signals", name), ("facts", name))
        for tree in _trees(look, place)
        for node in ast.walk(tree)
    ) or any(
        look.subject.pattern(place.text).name == name
        for place in look.subject.places
        if place.form == "pattern" and place.path[:2] != ("signals", name)
    )


def _trees(look: Look, place: Place) -> list[ast.expr]:
    """The expression of a text as it stands there, or a pattern's guard."""
    if place.form in ("pattern", "type"):
        guard = look.subject.pattern(place.text).guard
        return [] if guard is None else [guard]
    return [look.subject.meaning.parse(place.text)]


def _comparisons(look: Look) -> Iterator[Remark]:
    """Comparisons of scores, counts and sizes that always come out the same."""
    for place in look.subject.places:
        for tree in _trees(look, place):
            for node in ast.walk(tree):
                if isinstance(node, ast.Compare) and len(node.ops) == 1 and _figure(node) is not None:
                    yield from _comparison(look, place, node)


def _figure(node: ast.Compare) -> ast.expr | None:
    """The score, count or size that is compared with a figure."""
    sides = [node.left, node.comparators[0]]
    for side, other in (sides, sides[::-1]):
        match side:
            case ast.Name(id="score") | ast.Attribute(value=ast.Name(id="score")):
                pass
            case ast.Call(func=ast.Name(id=name)) if name in _COUNTED:
                pass
            case _:
                continue
        if isinstance(other, ast.Constant | ast.Name):
            return side
    return None


def _comparison(look: Look, place: Place, node: ast.Compare) -> Iterator[Remark]:
    side = _figure(node)
    if isinstance(side, ast.Call) and side.args and isinstance(side.args[0], ast.Name):
        name = side.args[0].id
        if name not in look.prover.world.signals and name not in look.prover.world.facts:
            return  # that nothing sets it is told
    reading = Reading(look.subject, look.prover.world, None, None)
    formula = reading.guard(look.subject.meaning.names.expand(node))
    if not isinstance(formula, Atom):
        return
    domain = reading.ranges[formula.term].domain()
    passing = [value for value in domain if formula.passes(value)]
    if passing and len(passing) < len(domain):
        return
    assert side is not None
    words = in_words(side)
    offset, length = node.col_offset, (node.end_col_offset or node.col_offset + 1) - node.col_offset
    least, most = reading.ranges[formula.term].least, reading.ranges[formula.term].most
    if passing:
        bounds = f"never less than {_told(least)}" if math.isinf(most) else ""
        bounds = bounds or f"never less than {_told(least)} nor more than {_told(most)}"
        bounds = bounds if least < most else f"always {_told(least)}"
        yield Remark(
            place.path, "always-holds",
            f"`{in_words(node)}` holds for every contact: {words} is {bounds}; mend it, or take it out",
            on_key=place.on_key, offset=offset, length=length,
        )  # fmt: skip
    else:
        bounds = f"at least {_told(least)} and at most {_told(most)}" if least < most else f"always {_told(least)}"
        yield Remark(
            place.path, "out-of-reach",
            f"`{in_words(node)}` can't hold: {words} is {bounds}; change the threshold, or what limits it",
            on_key=place.on_key, offset=offset, length=length,
        )  # fmt: skip


def _told(figure: float) -> str:
    """A bound as people write it."""
    return "endless" if math.isinf(figure) else f"{figure:,.10g}"


def _holds_somewhere(look: Look, text: str, negated: bool = False) -> bool:
    """Whether a guard, or its contrary, can hold in some stage, with only time passing."""
    ask = partial(_contrary if negated else _guard, look.subject.expanded(text))
    return any(look.prover.holds(stage, None, ask) is not False for stage in sorted(look.prover.world.stages))


def _guard(tree: ast.expr, reading: Reading) -> Formula:
    return reading.guard(tree)


def _contrary(tree: ast.expr, reading: Reading) -> Formula:
    return negation(reading.guard(tree))


def _flags(look: Look) -> Iterator[Remark]:
    """Segments and rules that hold for nobody or for all."""
    lifecycle = look.lifecycle
    flags = [("segments", name, part.when, part.assumed) for name, part in lifecycle.segments.items()]
    flags += [("hygiene", name, rule.when, rule.assumed) for name, rule in lifecycle.hygiene.items()]
    for number, (section, name, text, assumed) in enumerate(flags):
        what = "segment" if section == "segments" else "rule"
        path = (section, name)
        if (number, True) not in look.found.marked and not _holds_somewhere(look, text):
            switch = _switch(look, text)
            if switch is not None:
                value = str(lifecycle.parameters[switch].value).lower()
                yield Remark(path, "switched-off", f"the {what} is empty while '{switch}' is {value}", on_key=True)
            else:
                yield Remark(
                    path, "never-holds",
                    f"no contact can ever be in the {what} '{name}': its guard can't hold; mend it, or take it out",
                    on_key=True, assumed=assumed,
                )  # fmt: skip
        elif (number, False) not in look.found.marked and not _holds_somewhere(look, text, negated=True):
            yield Remark(
                path, "always-holds",
                f"the {what} '{name}' holds for every contact: its guard asks for nothing; mend it, or take it out",
                on_key=True, assumed=assumed,
            )  # fmt: skip


def _switch(look: Look, text: str) -> str | None:
    """The truth value among the parameters that, turned, would let the guard hold."""
    prover = look.prover
    for name, value in look.subject.meaning.parameters.items():
        if isinstance(value, bool):
            world = replace(prover.world, open_parameters=frozenset({name}))
            for stage in sorted(world.stages):
                if prover.holds(stage, None, lambda reading: reading.guard(reading.expanded(text)), world):
                    return name
    return None


def _conditions(look: Look) -> Iterator[Remark]:
    """Conditions that no contact meets, whatever the event."""
    for name, text in look.lifecycle.conditions.items():
        tree = look.subject.expanded(text)
        code = look.explorer.probe.codes.get(f"bool({look.subject.source(tree)})")
        if code is not None and (code, True) in look.found.answers:
            continue
        if look.prover.holds(None, None, partial(_guard, tree)) is not False:
            continue
        if _switch(look, text) is None:
            yield Remark(
                ("conditions", name), "never-holds",
                f"'{name}' can't hold for any contact: it contradicts itself, or asks for what never is; mend it, or"
                " take it out",
                on_key=True,
            )  # fmt: skip


def _empty(look: Look) -> Iterator[Remark]:
    """Guards of transitions that hold whenever they are asked."""
    prover = look.prover
    for number, transition in enumerate(look.lifecycle.transitions):
        origins = prover.origins(number)
        if transition.when is None or not origins:
            continue
        tree = look.subject.expanded(transition.when)
        if all(
            prover.holds(origin, kind, partial(_contrary, tree)) is False
            for origin in origins
            for kind in prover.kinds(number)
        ):
            yield Remark(
                ("transitions", number, "when"), "always-holds",
                f"`{transition.when}` holds for every contact where it is asked, so it asks for nothing; mend it, or"
                " take it out",
                assumed=transition.assumed,
            )  # fmt: skip
