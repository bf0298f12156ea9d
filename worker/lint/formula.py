"""Guards as formulas over terms of few values, and whether any values make one hold.

A term is whatever a guard doesn't take apart: a field, a fact, a count, a call. It has a finite `Domain`: the values
at which the guards that read it change, those between them and those beyond. The search is exact over the domains and
bounded in steps: where the bound is reached the answer is that nobody knows (None).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

STEPS_MAX: Final = 300_000  # parts read for one question

Domain = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Atom:
    """That the value of `term` passes a test; `test` names it, so that equal atoms are equal."""

    term: str
    test: str
    passes: Callable[[Any], bool]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Atom) and (self.term, self.test) == (other.term, other.test)

    def __hash__(self) -> int:
        return hash((self.term, self.test))


@dataclass(frozen=True, slots=True)
class Not:
    part: Formula


@dataclass(frozen=True, slots=True)
class And:
    parts: tuple[Formula, ...]


@dataclass(frozen=True, slots=True)
class Or:
    parts: tuple[Formula, ...]


Formula = bool | Atom | Not | And | Or


def conjunction(parts: Iterable[Formula]) -> Formula:
    kept: list[Formula] = []
    for part in parts:
        if part is False:
            return False
        if part is not True:
            kept.append(part)
    return True if not kept else kept[0] if len(kept) == 1 else And(tuple(kept))


def disjunction(parts: Iterable[Formula]) -> Formula:
    kept: list[Formula] = []
    for part in parts:
        if part is True:
            return True
        if part is not False:
            kept.append(part)
    return False if not kept else kept[0] if len(kept) == 1 else Or(tuple(kept))


def negation(part: Formula) -> Formula:
    if isinstance(part, bool):
        return not part
    return part.part if isinstance(part, Not) else Not(part)


def implies(one: Formula, other: Formula) -> Formula:
    return disjunction([negation(one), other])


def atoms(formula: Formula) -> Iterable[Atom]:
    """Every atom of a formula, in its order."""
    pending: list[Formula] = [formula]
    while pending:
        part = pending.pop()
        match part:
            case Atom():
                yield part
            case Not(part=inner):
                pending.append(inner)
            case And(parts=parts) | Or(parts=parts):
                pending.extend(reversed(parts))
            case _:
                pass


class Solver:
    """One question: can the formula hold, each term having one value of its domain?"""

    def __init__(self, formula: Formula, domains: Mapping[str, Domain]) -> None:
        self.formula = formula
        self.masks: dict[tuple[str, str], int] = {}
        self.open: dict[str, int] = {}
        for atom in atoms(formula):
            domain = domains[atom.term]
            self.open.setdefault(atom.term, (1 << len(domain)) - 1)
            key = (atom.term, atom.test)
            if key not in self.masks:
                self.masks[key] = sum(1 << place for place, value in enumerate(domain) if atom.passes(value))
        self.steps = 0
        self.undecided: Atom | None = None

    def satisfiable(self) -> bool | None:
        """Whether some values make it hold; None where STEPS_MAX did not suffice to say."""
        pending = [self.open]
        while pending:
            if self.steps > STEPS_MAX:
                return None
            values = pending.pop()
            truth, atom = self.decided(values)
            if truth is True:
                return True
            if truth is False or atom is None:
                continue
            mask, now = self.masks[atom.term, atom.test], values[atom.term]
            pending.append({**values, atom.term: now & ~mask})
            pending.append({**values, atom.term: now & mask})
        return False

    def decided(self, values: Mapping[str, int]) -> tuple[bool | None, Atom | None]:
        """The formula's truth under what is known; where it is open, an atom that is."""
        self.undecided = None
        return self.truth(self.formula, values), self.undecided

    def truth(self, formula: Formula, values: Mapping[str, int]) -> bool | None:
        self.steps += 1
        match formula:
            case bool():
                return formula
            case Atom():
                mask, now = self.masks[formula.term, formula.test], values[formula.term]
                if not now & mask:
                    return False
                if not now & ~mask:
                    return True
                if self.undecided is None:
                    self.undecided = formula
                return None
            case Not(part=part):
                truth = self.truth(part, values)
                return None if truth is None else not truth
            case And(parts=parts) | Or(parts=parts):
                return self.joined(parts, values, isinstance(formula, Or))

    def joined(self, parts: Sequence[Formula], values: Mapping[str, int], settles: bool) -> bool | None:
        result: bool | None = not settles
        for part in parts:
            truth = self.truth(part, values)
            if truth is settles:
                return settles
            if truth is None:
                result = None
        return result
