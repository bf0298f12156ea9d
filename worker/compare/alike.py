"""Definitions that differ in guards and figures only: folded as one, as long as none of them would decide otherwise.

A contact's history follows from the answers that the plan's functions give, step by step. Where two plans keep the same
of a contact (stages, signals, facts, traits, and how events change them), one fold serves both: every function that
differs is asked in both plans on the same state, and as long as the answers agree, so do the states. A contact for
which they once don't is folded again under the other.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from typing import Any, Final

from worker.plan.plan import Move, Plan

# What no brief history depends on: whatever is only told with it, and companies.
UNHEARD: Final = frozenset(
    "lifecycle fingerprint parameters published flags marks qualified owners value_fact company parent company_statuses"
    " disqualified suppressed fits fit behaviour source moves".split()
)
# Questions to the state that change nothing, and what stands for a function that a plan has not. None: both must.
ASKED: Final[Mapping[str, Any]] = {
    "statuses_for": -1, "moves_for": -1, "meets": False, "onward": None, "due": None, "within": None, "warns": None,
    "unless": None, "entering": -1, "leaving": -1, "spared": None,
}  # fmt: skip
NUMBERED: Final = frozenset({"moves_for", "onward"})  # which answer with a transition's place

ENDLESS: Final = 1 << 62
_DEFINED: Final = re.compile(r"^(?:def (\w+)(\(.*(?:\n(?: .*)?)*)|(\w+) = (.*))", re.MULTILINE)
_NAME: Final = re.compile(r"[A-Za-z_]\w*")
_PATTERN: Final = re.compile(r"\bR\[(\d+)\]")


class Parting:
    """Which of the plans that are asked besides the first have decided otherwise (a bit each).

    `until` (epoch ms): what falls due then or later is of no account yet; it is asked for again.
    """

    def __init__(self) -> None:
        self.bits = 0
        self.until = ENDLESS


def watched(first: Plan, others: Sequence[tuple[int, Plan]], parting: Parting) -> Plan:
    """The first plan, asking the others too: each has a bit, by which `parting` tells that it decided otherwise."""
    watch = _Watch(first, others, parting)
    changed: dict[str, Any] = {}
    for name, neutral in ASKED.items():
        mine = getattr(first, name)
        if not isinstance(mine, Mapping):
            changed[name] = watch.over(name, mine, [getattr(plan, name) for _, plan in others], neutral)
            continue
        theirs = [getattr(plan, name) for _, plan in others]
        kinds = dict.fromkeys([*mine, *(kind for each in theirs for kind in each)])
        changed[name] = {
            kind: watch.over(name, mine.get(kind), [each.get(kind) for each in theirs], neutral) for kind in kinds
        }
    return replace(first, **changed)


def unheard(plan: Plan) -> Plan:
    """The plan without what is only told: no segments, no hygiene, no signals that go out."""
    return replace(plan, flags=(), published=0)


def alike(first: Plan, other: Plan) -> bool:
    """Whether both keep the same of a contact and change it alike, so that only questions to it may differ."""
    own, its = _Texts(first), _Texts(other)
    for field in fields(Plan):
        one, two = getattr(first, field.name), getattr(other, field.name)
        if field.name in UNHEARD:
            continue
        if field.name in ASKED:
            if isinstance(one, Mapping) and ASKED[field.name] is None and one.keys() != two.keys():
                return False
        elif own.of(one) != its.of(two):
            return False
    return True


Guarded = Callable[..., Any]


class _Watch:
    def __init__(self, first: Plan, others: Sequence[tuple[int, Plan]], parting: Parting) -> None:
        self._parting = parting
        self._bits = [bit for bit, _ in others]
        self._own, self._texts = _Texts(first), [_Texts(plan) for _, plan in others]
        numbers: dict[Any, int] = {}
        # What a transition does once it is taken, apart from what is told of it, as a number; -1 stands for none.
        self._moves, *self._others = (
            [*(numbers.setdefault(texts.of(move), len(numbers)) for move in plan.moves), -1]
            for plan, texts in zip((first, *(plan for _, plan in others)), (self._own, *self._texts), strict=True)
        )

    def over(self, name: str, mine: Guarded | None, theirs: Sequence[Guarded | None], neutral: Any) -> Guarded:
        """The first plan's function, or one that asks the others' as well where they are not the same."""

        def nothing(*given: Any) -> Any:
            return neutral

        here, said = mine or nothing, self._own.of(mine)
        asked: list[tuple[int, Guarded, list[int]]] = []
        for bit, texts, moves, function in zip(self._bits, self._texts, self._others, theirs, strict=True):
            same = moves == self._moves if name in NUMBERED else True
            if not same or said != texts.of(function):
                asked.append((bit, function or nothing, moves))
        if not asked:
            return here
        if name in NUMBERED:
            return self._move(here, asked)
        return self._due(here, asked) if name == "due" else self._question(here, asked)

    def _question(self, here: Guarded, asked: Sequence[tuple[int, Guarded, list[int]]]) -> Guarded:
        parting = self._parting

        def question(*given: Any) -> Any:
            answer = here(*given)
            for bit, theirs, _ in asked:
                if theirs(*given) != answer:
                    parting.bits |= bit
            return answer

        return question

    def _move(self, here: Guarded, asked: Sequence[tuple[int, Guarded, list[int]]]) -> Guarded:
        parting, own = self._parting, self._moves

        def move(*given: Any) -> int:
            number: int = here(*given)
            for bit, theirs, moves in asked:
                if moves[theirs(*given)] != own[number]:
                    parting.bits |= bit
            return number

        return move

    def _due(self, here: Guarded, asked: Sequence[tuple[int, Guarded, list[int]]]) -> Guarded:
        parting = self._parting

        def due(state: Any) -> int:
            answer: int = here(state)
            until = parting.until
            for bit, theirs, _ in asked:
                other = theirs(state)
                if other != answer and (0 < other < until or 0 < answer < until):
                    parting.bits |= bit
            return answer

        return due


class _Texts:
    """What a plan's functions say, with what they call in place of its name: by it functions of two plans compare."""

    def __init__(self, plan: Plan) -> None:
        self._bodies = {
            match[1] or match[3]: (match[2] or match[4]).strip() for match in _DEFINED.finditer(plan.source)
        }
        self._known: dict[str, Any] = {}

    def of(self, part: Any) -> Any:
        """The part, functions by what they say: equal for parts of two plans that come to the same."""
        if isinstance(part, Move):
            return part.to, part.status, self.of(part.reason)
        if isinstance(part, Mapping):
            return {name: self.of(value) for name, value in part.items()}
        if callable(part):
            return self._function(part.__name__, part.__globals__)
        return part

    def _function(self, name: str, space: Mapping[str, Any]) -> Any:
        if name not in self._bodies:
            return object()  # unknown, so like no other
        if name not in self._known:
            body = _PATTERN.sub(lambda match: repr(space["R"][int(match[1])].__self__.pattern), self._bodies[name])
            called = [word for word in dict.fromkeys(_NAME.findall(body)) if word in self._bodies and word != name]
            for place, word in enumerate(called):
                body = re.sub(rf"\b{word}\b", f"@{place}", body)
            self._known[name] = body, tuple(self._function(word, space) for word in called)
        return self._known[name]
