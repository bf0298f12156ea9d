"""Figures and names as people read them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from worker.definition.model import Lifecycle, Transition

UNITS: Final = {"ms": "millisecond", "s": "second", "m": "minute", "h": "hour", "d": "day", "w": "week"}
_WORD: Final = re.compile(r"\d+(?:\.\d+)?(?:ms|s|m|h|d|w)\b|[a-z_][a-z0-9_]*")
_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d|w)")


def figure(lifecycle: Lifecycle, given: str) -> str:
    """A figure with the values of its parameters, durations spelled out: `2 hours if hot else 24 hours`."""

    def value(match: re.Match[str]) -> str:
        parameter = lifecycle.parameters.get(match[0])
        return figure_words(match[0] if parameter is None else parameter.value)

    return _WORD.sub(value, given)


def figure_words(value: bool | int | float | str) -> str:
    """`24h` as 24 hours, true as yes."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    match = _DURATION.fullmatch(str(value))
    if match is None:
        return str(value)
    number, unit = match.groups()
    return f"{number} {UNITS[unit]}{'' if number == '1' else 's'}"


def spoken(name: str) -> str:
    """An id as words: `not_interested` as Not interested."""
    words = name.replace("_", " ")
    return words[:1].upper() + words[1:]


def origins_in_words(origins: Sequence[str], names: Mapping[str, str], transition: Transition) -> str:
    """Where a transition comes from: `from any below Customer` where it is written so, else the stages' names."""
    given = transition.from_
    if isinstance(given, str) and given.startswith("any"):
        words = given.split()
        return "from any stage" + (f" {words[1]} {names[words[2]]}" if len(words) == 3 else "")
    return "from " + ", ".join(origins)
