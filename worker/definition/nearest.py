"""The valid name that somebody most likely meant."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

_LONGEST = 64  # names are shorter; comparing longer ones would only cost time


def distance(left: str, right: str) -> int:
    """How many letters must be put in, taken out, changed or swapped with their neighbour to get from one to other."""
    before: list[int] = []
    above = list(range(len(right) + 1))
    for row, letter in enumerate(left, start=1):
        here = [row]
        for column, other in enumerate(right, start=1):
            least = min(above[column] + 1, here[-1] + 1, above[column - 1] + (letter != other))
            if row > 1 and column > 1 and letter == right[column - 2] and left[row - 2] == other:
                least = min(least, before[column - 2] + 1)
            here.append(least)
        before, above = above, here
    return above[-1]


def near_miss(name: str, among: Iterable[str]) -> str | None:
    """The name of `among` that `name` misses by a slip of the keyboard: one letter, two in names of eight or more.

    Names of three letters or fewer are never a near miss: too many of them lie next to each other.
    """
    if len(name) <= 3 or len(name) > _LONGEST:
        return None
    limit = 1 if len(name) < 8 else 2
    found = [(distance(name, other), other) for other in sorted(among) if abs(len(other) - len(name)) <= limit]
    best = min(found, default=None)
    return best[1] if best is not None and 0 < best[0] <= limit and len(best[1]) > 3 else None


def nearest(name: str, among: Iterable[str]) -> str | None:
    """The name of `among` to suggest in place of `name`, or None where nothing is alike."""
    names = sorted(set(among) - {name})
    folded = {other.lower().replace("-", "_").replace(" ", "_"): other for other in names}
    wanted = name[:_LONGEST].lower().replace("-", "_").replace(" ", "_")
    if wanted in folded:
        return folded[wanted]
    close = get_close_matches(wanted, folded, n=1, cutoff=0.6)
    if close:
        return folded[close[0]]
    # `behaviour` for `behaviour_score`: a whole word left out is further off than any slip, and as likely meant
    inside = [other for other in names if len(wanted) > 3 and (wanted in other or other in wanted) and len(other) > 3]
    return min(inside, key=len, default=None)


def suggestion(found: str | None) -> str:
    """The end of a message: `; did you mean 'score'?`, or nothing."""
    return f"; did you mean '{found}'?" if found else ""
