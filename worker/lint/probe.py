"""The plan with its eyes open: where the fold asks which transition to take, all that hold are told, not the first.

Nothing else differs: the first is still the one taken. With it come the definition's questions about a contact
(`features`, true or false) and the figures they compare (`measures`), as two functions over a state.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from worker.fold.state import State
from worker.lint.subject import Subject, conjuncts, leaves, reads_event
from worker.plan import Plan

_ARGUMENTS = "s, e, t, h, y, z"
_LOCALS = "    S = s.signals; F = s.facts; x = s.traits; a = s.stage"
_STILL = "    e = {}; h = 0; y = z = ''"
_GROWING = ("count", "size")


class Probe:
    """`plan` tells `asked` whenever transitions are looked for: (stage, those that hold, with an event or without)."""

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self.asked: list[tuple[int, tuple[int, ...], bool]] = []
        self.space = subject.space()
        self.lines: list[str] = []
        kinds = ["", *subject.meaning.types]
        for number, kind in enumerate(kinds):
            self._every(f"every_{number}", kind)
        self._every("every_onward", None)
        self.names: list[str] = []  # the questions, in words
        self.codes: dict[str, int] = {}  # source of a question → its place
        self._ask("features", self._features())
        self.bounds: list[tuple[float, float]] = []  # of each figure: the least and the most it is compared with
        self._ask("measures", self._measures())
        exec(compile("\n".join(self.lines), "<what holds of a contact>", "exec"), self.space)
        self.features: Callable[[State, int], tuple[bool, ...]] = self.space["features"]
        self.measures: Callable[[State, int], tuple[float, ...]] = self.space["measures"]
        plan = subject.plan
        self.plan: Plan = replace(
            plan,
            moves_for={kind: self._telling(self.space[f"every_{number}"], True) for number, kind in enumerate(kinds)},
            onward=self._telling(self.space["every_onward"], False),
        )

    def _telling(self, every: Callable[..., tuple[int, ...]], event: bool) -> Callable[..., int]:
        asked = self.asked

        def first(s: State, e: Any, t: int, h: int, y: str, z: str) -> int:
            found = every(s, e, t, h, y, z)
            if not found:
                return -1
            asked.append((s.stage, found, event))
            return found[0]

        return first

    def _every(self, name: str, kind: str | None) -> None:
        """All transitions that hold, in the order in which they are tried: by an event of a type, or without."""
        meaning = self.subject.meaning
        lines = [f"def {name}({_ARGUMENTS}):", _LOCALS]
        for origin in range(len(meaning.stages)):
            tests = []
            for edge in meaning.ways_out(origin):
                transition = meaning.lifecycle.transitions[edge.transition]
                if (transition.event is None) is not (kind is None):
                    continue
                happens = None
                if kind is not None and transition.event is not None:
                    happens = meaning.any_of(meaning.patterns(transition.event), kind)
                    if happens is None:
                        continue
                parts = [part for part in (happens and f"({happens})", meaning.rest(edge.transition)) if part]
                tests.append(f"        if {' and '.join(parts)}: f.append({edge.transition})")
            if tests:
                lines += [f"    if a == {origin}:", "        f = []", *dict.fromkeys(tests), "        return tuple(f)"]
        self.lines += [*lines, "    return ()", ""]

    def _ask(self, name: str, codes: list[str]) -> None:
        self.lines += [f"def {name}(s, t):", _STILL, _LOCALS, f"    return ({''.join(code + ', ' for code in codes)})"]

    def _state_leaves(self) -> Iterator[ast.expr]:
        signals = self.subject.meaning.scope.every_signal
        for text in self.subject.texts():
            if text.place.form in ("guard", "pattern", "value", "number", "duration"):
                for leaf in leaves(text.tree):
                    if not reads_event(leaf, signals):
                        yield leaf

    def _features(self) -> list[str]:
        """The questions about a contact that its guards are made of."""
        for leaf in self._state_leaves():
            if isinstance(leaf, ast.Compare | ast.Call | ast.Name | ast.Attribute):
                code = f"bool({self.subject.source(leaf)})"
                if "s.stage" not in code.replace("s.stage_", "") or "s.entered" in code:
                    self.feature(code, ast.unparse(leaf))
        for name, place in self.subject.meaning.place.items():
            self.feature(f"(S[{place}] is not None)", f"seen({name})")
        for name, (place, kind) in self.subject.meaning.names.facts.items():
            self.feature(f"bool(F[{place}])", name)
            if kind == "ids":
                self.feature(f"(len(F[{place}]) > 1)", f"size({name}) > 1")
        return list(self.codes)

    def feature(self, code: str, name: str) -> None:
        if code not in self.codes and code not in ("bool(True)", "bool(False)"):
            self.codes[code] = len(self.codes)
            self.names.append(name)

    def _measures(self) -> list[str]:
        """The figures that grow by and by: scores, counts, sizes, and numbers that are compared."""
        found: dict[str, list[float]] = {}
        for leaf in self._state_leaves():
            if not isinstance(leaf, ast.Compare):
                continue
            sides = [leaf.left, *leaf.comparators]
            bounds = [
                float(side.value)
                for side in sides
                if isinstance(side, ast.Constant) and isinstance(side.value, int | float)
            ]
            for side in sides:
                if bounds and _grows(side):
                    found.setdefault(f"({self.subject.source(side)})", []).extend(bounds)
        self.bounds = [(min(bounds), max(bounds)) for bounds in found.values()]
        return list(found)

    def wanted(self, number: int) -> list[int]:
        """The questions that must be answered yes, as far as they are about the contact alone, for a transition's
        guard; a negative one is given as `-1 - place`."""
        when = self.subject.lifecycle.transitions[number].when
        if when is None:
            return []
        found = []
        for part in conjuncts(self.subject.expanded(when)):
            negative = isinstance(part, ast.UnaryOp)
            inner = part.operand if isinstance(part, ast.UnaryOp) else part
            if isinstance(inner, ast.Compare | ast.Call | ast.Name | ast.Attribute):
                place = self.codes.get(f"bool({self.subject.source(inner)})")
                if place is not None:
                    found.append(-1 - place if negative else place)
        return found


def _grows(node: ast.expr) -> bool:
    match node:
        case ast.Name(id="score") | ast.Attribute(value=ast.Name(id="score")):
            return True
        case ast.Call(func=ast.Name(id=name)):
            return name in _GROWING
    return False
