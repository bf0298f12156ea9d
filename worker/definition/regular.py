"""Which regular expressions a guard may hold: those whose worst case is short on any text.

Python's engine tries one way after the other, so `(a+)+` may take for ever on forty letters. Here the number of ways
that it could try is bounded from the pattern: alternatives add up, what follows one another multiplies, a repetition
without end counts as `TEXT_LIMIT` ways of what it repeats (a guard looks at no more characters of a text).
"""

from __future__ import annotations

import importlib
import re
from typing import Any

TEXT_LIMIT = 1000
WAYS_MAX = 20_000_000  # tried in well under a second
PATTERN_MAX = 200

_parser: Any = importlib.import_module("re._parser")  # the standard library's own; it has no public name since 3.11


def check_regular_expression(pattern: str) -> None:
    """Return if the pattern is a regular expression that ends in time on every text. Raises: ValueError."""
    if len(pattern) > PATTERN_MAX:
        raise ValueError(f"the regular expression has {len(pattern)} characters; {PATTERN_MAX} are allowed")
    try:
        parsed = _parser.parse(pattern)
        re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"no regular expression: {error}") from None
    if _ways(parsed) > WAYS_MAX:
        raise ValueError(
            "the regular expression could take too long: repetitions within or after each other; `.*` twice is the most"
        )


def _ways(sequence: Any) -> int:
    """At most how many ways there are to match the sequence, up to a little over the limit."""
    total = 1
    for operation, value in sequence:
        total *= _ways_of(str(operation), value)
        if total > WAYS_MAX:
            return total
    return total


def _ways_of(operation: str, value: Any) -> int:
    match operation:
        case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT":
            least, most, inner = int(value[0]), int(value[1]), _ways(value[2])
            spread = min(most, TEXT_LIMIT) - min(least, TEXT_LIMIT) + 1
            times = min(most, TEXT_LIMIT)
            if inner == 1:
                return spread  # only how often is open
            # what is repeated may itself be cut in many ways, each time anew
            return int(min(WAYS_MAX + 1, spread * max(2, inner) ** min(times, 64)))
        case "SUBPATTERN":
            return _ways(value[-1])
        case "ATOMIC_GROUP":
            return _ways(value)
        case "BRANCH":
            return sum(_ways(part) for part in value[1])
        case "ASSERT" | "ASSERT_NOT":
            return _ways(value[1])
        case "GROUPREF" | "GROUPREF_EXISTS" | "GROUPREF_IGNORE":
            raise ValueError("references to groups are not allowed in a regular expression here")
    return 1
