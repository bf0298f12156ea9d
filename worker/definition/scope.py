"""What an expression may name where it stands: the functions, the words with a meaning of their own, and a `Scope`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, get_args

SETBACK = "setback"  # the signal that every lifecycle has
ENVELOPE = {"type": "text", "ce_source": "text", "time": "time"}  # of `event.X`: not fields of data
FUNCTIONS = {
    "seen": "seen(signal)",
    "count": "count(signal, within, since=signal)",
    "since": "since(signal, signal)",
    "last": "last(signal)",
    "size": "size(fact of type ids)",
    "min": "min(number, number, ...)",
    "max": "max(number, number, ...)",
    "contains": "contains(text or fact of type ids, part)",
    "starts_with": "starts_with(text, part)",
    "matches": 'matches(text, "regular expression")',
    "days_in_stage": "days_in_stage()",
    "at_least": 'at_least("stage")',
}
RESERVED = frozenset({"event", "traits", "score", "stage", "status", "and", "or", "not", "in", "if", "else", "when",
                      "any", "entering", "leaving", "is", "true", "false", "none", *FUNCTIONS})  # fmt: skip

# `signals`: what is known of them; `happening`: that one happens with this very event, so its bare name, as in patterns
Ability = Literal[
    "event", "traits", "facts", "signals", "happening", "conditions", "score", "stage", "status", "moves"
]  # fmt: skip
EVERYTHING: frozenset[Ability] = frozenset(get_args(Ability))


@dataclass(frozen=True)
class Scope:
    """The names an expression may use, and which kinds of them make sense where it stands (`allowed`, `where`)."""

    parameters: Mapping[str, bool | int | float | str] = field(default_factory=dict)
    signals: Collection[str] = frozenset()
    facts: Mapping[str, str] = field(default_factory=dict)  # name → boolean, number, text, time or ids
    conditions: Collection[str] = frozenset()
    stages: Collection[str] = ()
    statuses: Collection[str] = ()
    event_types: Collection[str] = frozenset()  # those with a known meaning; others pass, near misses don't
    event_fields: Mapping[str, str] = field(default_factory=dict)  # name → type, `any` where it has several
    traits: Mapping[str, str] = field(default_factory=dict)
    field_values: Mapping[str, Collection[str]] = field(default_factory=dict)  # of fields that have a fixed few
    allowed: frozenset[Ability] = EVERYTHING
    where: str = "here"

    def only(self, *allowed: Ability, where: str) -> Scope:
        """The same names, of which only those kinds may be used; `where` says so in messages (`in a fact`)."""
        return replace(self, allowed=frozenset(allowed), where=where)

    @property
    def every_signal(self) -> frozenset[str]:
        return frozenset(self.signals) | {SETBACK}
