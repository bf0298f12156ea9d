"""What people write who know other languages, and what it is called here: for the messages that refuse it."""

from __future__ import annotations

import re
from typing import Final

OPERATORS: Final = {
    "&&": "and", "||": "or", "!": "not", "=>": ">=", "=<": "<=", "<>": "!=", "===": "==", "&": "and", "|": "or",
}  # fmt: skip
BETWEEN_VALUES: Final = {
    "contains": "contains(text, part)", "includes": "contains(text, part)", "like": "contains(text, part)",
    "matches": 'matches(text, "pattern")', "starts_with": "starts_with(text, part)", "between": "1 <= value <= 5",
}  # fmt: skip
FUNCTIONS: Final = {
    "len": "size", "length": "size", "includes": "contains", "has": "contains", "happened": "seen", "exists": "seen",
    "regex": "matches", "days": "days_in_stage", "age": "last",
}  # fmt: skip
NOTHING: Final = frozenset({"null", "nil", "nothing", "undefined", "empty"})  # here: `none`

_UNITS: Final[dict[str, tuple[int, str]]] = {
    "s": (1, "s"), "sec": (1, "s"), "second": (1, "s"), "m": (1, "m"), "min": (1, "m"), "minute": (1, "m"),
    "h": (1, "h"), "hr": (1, "h"), "hour": (1, "h"), "d": (1, "d"), "day": (1, "d"), "w": (1, "w"), "week": (1, "w"),
    "mo": (30, "d"), "month": (30, "d"), "y": (365, "d"), "yr": (365, "d"), "year": (365, "d"),
}  # fmt: skip
_NUMBER_AND_UNIT = re.compile(r"(\d{1,6})(\s*)([A-Za-z]+)")


def duration_meant(text: str) -> str | None:
    """The duration that somebody means who writes `21 days`, `21D` or `2mo`; None where it is one, or not meant so."""
    match = _NUMBER_AND_UNIT.fullmatch(text.strip())
    if match is None or (not match[2] and match[3] in ("ms", *"smhdw")):
        return None
    word = match[3].lower()
    times, unit = _UNITS.get(word) or _UNITS.get(word.removesuffix("s"), (0, ""))
    return f"{int(match[1]) * times}{unit}" if times else None
