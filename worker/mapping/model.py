"""A mapping file as values: what `worker.mapping.reader` makes of the YAML and `worker.mapping.compile` of these.

Every part keeps no place of its own: what is wrong with a file is found while it is read, where the places are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from worker.mapping.expression import Expression

Unit = Literal["iso", "seconds", "milliseconds", "microseconds", "days"]
UNITS: Final[Mapping[Unit, float]] = {"seconds": 1_000, "milliseconds": 1, "microseconds": 0.001, "days": 86_400_000}
"""Unit → milliseconds; `iso` is a text."""


@dataclass(frozen=True, slots=True)
class Scanner:
    """Who or what a click or an opening came from, to be compared with the list of machines."""

    act: Literal["open", "click"]
    agent: Expression | None = None
    address: Expression | None = None
    sent: Time | None = None


@dataclass(frozen=True, slots=True)
class Value:
    """Where a field's value comes from and what is done to it, in the order of the fields below.

    Exactly one of `sources` (the first that is there), `constant`, `test`, `any_of` and `scanner` is set.
    """

    sources: tuple[Expression, ...] = ()
    constant: Any = None
    test: Expression | None = None
    any_of: tuple[Value, ...] = ()
    scanner: Scanner | None = None
    email: bool = False
    trim: bool = False
    lower: bool = False
    upper: bool = False
    slug: bool = False
    split: str | None = None
    times: Value | None = None
    divide: Value | None = None
    table: Mapping[str, Any] | None = None
    words: Mapping[str, Any] | None = None
    otherwise: Value | None = None
    prefix: str = ""
    leave_out: bool = False

    @property
    def is_constant(self) -> bool:
        return not (self.sources or self.test or self.any_of or self.scanner)


@dataclass(frozen=True, slots=True)
class Digest:
    """An id made from fields that say which event it was, and nothing of how it was delivered."""

    parts: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class TimeSource:
    unit: Unit
    expression: Expression
    zone: str | None = None
    layout: str | None = None


@dataclass(frozen=True, slots=True)
class Time:
    """The first of these that is there."""

    sources: tuple[TimeSource, ...]


@dataclass(frozen=True, slots=True)
class Identity:
    """A name under which a contact is known; `shared` where several people may use it in turn, as a browser's."""

    value: Value
    shared: bool = False


@dataclass(frozen=True, slots=True)
class Fields:
    """Fields by name, and objects all of whose fields are taken but for those that are named."""

    named: Mapping[str, Value] = field(default_factory=dict)
    rest: tuple[Expression, ...] = ()
    omitted: frozenset[str] = frozenset()


Ident = tuple[Value | Digest, ...]
"""The first of these that gives an id."""


@dataclass(frozen=True, slots=True)
class Making:
    """One event that a rule makes, where `when` holds; `part` tells it from the rule's others in its id."""

    type: Value
    when: Expression | None
    part: str
    id: Ident
    time: Time
    subject: tuple[str, ...]
    data: Fields
    traits: Fields


@dataclass(frozen=True, slots=True)
class Rule:
    """What records of one kind come to: `verdict` is why there is no event, else `makes` says which."""

    label: str
    when: Expression | None
    verdict: Literal["skip", "refuse"] | None = None
    reason: str = ""
    makes: tuple[Making, ...] = ()
    joins: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Version:
    expression: Expression
    known: frozenset[str]
    required: bool


@dataclass(frozen=True, slots=True)
class Model:
    """A whole mapping file; `empty` is why a record without a value is dropped, where it is."""

    name: str
    title: str
    seen: str
    about: str
    reads: Literal["json", "form", "either"]
    empty: str
    takes: Expression | None
    version: Version | None
    each: tuple[Expression, ...]
    source: str
    shows: tuple[Expression, ...]
    identities: Mapping[str, Identity]
    rules: tuple[Rule, ...]
    otherwise: Rule
