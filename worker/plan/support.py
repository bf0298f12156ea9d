"""What compiled guards call. Total functions: an unset or ill-typed value gives false, 0 or nothing, never an error.

A signal's entry is None, or a list `[count, first, last, order, t1, o1, t2, o2, …]`: how often it happened (saturating
at `COUNT_CAP`), when first and last (epoch ms), the fold's running number of the event that last set it off, and for
signals counted in windows the last `keep` occurrences, each as time and order.
"""

from __future__ import annotations

import datetime as dt
import math
from typing import Any

Entry = list[int] | None

COUNT_CAP = 1_000_000
DAY_MS = 86_400_000
TEXT_LIMIT = 1_000  # characters a regular expression may look at: its time must stay bounded


def since(signal: Entry, other: Entry) -> bool:
    """`signal` happened, and after the last `other`. Both in one event: no."""
    return signal is not None and (other is None or signal[3] > other[3])


def count(signal: Entry, now: int, within: float | None, other: Entry, counted: bool) -> int:
    """How often `signal` happened, in the last `within` ms up to `now` (both ends included), after the last `other`."""
    if signal is None:
        return 0
    if not counted:
        return signal[0]
    start = 0 if within is None else now - within
    order = -1 if other is None else other[3]
    return sum(1 for at in range(4, len(signal), 2) if signal[at] >= start and signal[at + 1] > order)


def last(signal: Entry, now: int) -> float:
    """Milliseconds since `signal` last happened; endless where it never did."""
    return math.inf if signal is None else now - signal[2]


def behaviour(value: float, at: int, now: int, half_life: float | None) -> float:
    """The score `value` of the time `at`, as it stands at `now`: halved every `half_life` ms."""
    if not value or half_life is None or now <= at:
        return value
    return value * math.pow(0.5, (now - at) / half_life)


def number(value: Any) -> float:
    kind = value.__class__
    if kind is int or kind is float:
        return value  # type: ignore[no-any-return]  # as was just seen
    return int(value) if kind is bool else 0


def text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def less(left: Any, right: Any) -> bool:
    """`left < right` where both are numbers or both texts (an unset one reads as the other's empty); else false."""
    if left is None:
        left = "" if isinstance(right, str) else 0
    if right is None:
        right = "" if isinstance(left, str) else 0
    if isinstance(left, str) != isinstance(right, str):
        return False
    if not isinstance(left, str | int | float) or not isinstance(right, str | int | float):
        return False
    return left < right  # type: ignore[operator]  # both text or both numbers, as seen above


def less_or_equal(left: Any, right: Any) -> bool:
    return less(left, right) or equal(left, right)


def equal(left: Any, right: Any) -> bool:
    """Equality in which unset equals false, 0 and the empty text."""
    if left is None:
        return right is None or right is False or right == 0 or right == ""
    if right is None:
        return left is False or left == 0 or left == ""
    return bool(left == right)


def divide(left: Any, right: Any) -> float:
    below = number(right)
    return number(left) / below if below else 0


def remainder(left: Any, right: Any) -> float:
    below = number(right)
    return number(left) % below if below else 0


def contains(whole: Any, part: Any) -> bool:
    """`part` is in the text, without regard to case, or in the list."""
    if isinstance(whole, str):
        return isinstance(part, str) and part != "" and part.casefold() in whole.casefold()
    return isinstance(whole, list | dict | tuple) and part in whole


def starts_with(whole: Any, part: Any) -> bool:
    return isinstance(whole, str) and isinstance(part, str) and whole.casefold().startswith(part.casefold())


def within(value: Any, whole: Any) -> bool:
    """`value in whole`; an unset value is in nothing but a list that holds the empty text."""
    if isinstance(whole, str):
        return isinstance(value, str) and value != "" and value in whole
    if isinstance(whole, dict | list | tuple):
        return ("" if value is None else value) in whole
    return False


def size(value: Any) -> int:
    return len(value) if isinstance(value, str | list | dict | tuple) else 0


def after_last(signal: Entry, age: float, past: int) -> int:
    """When the signal's last occurrence is `age` ms old (`past` ms later); 0 where it never happened."""
    return 0 if signal is None or not math.isfinite(age) else signal[2] + math.ceil(age) + past


def leaves_window(signal: Entry, at: int, within: float) -> int:
    """When the next occurrence after `at` falls out of the window; 0 where none does."""
    if signal is None:
        return 0
    ends = [signal[place] + math.floor(within) + 1 for place in range(4, len(signal), 2)]
    return min((end for end in ends if end > at), default=0)


def decays_to(value: float, at: int, bound: float, half_life: float, at_bound: int) -> int:
    """The first instant at which a score of `value` at `at` is below `bound`, or is it (`at_bound`); 0 where it never
    will be or was all the time.

    The logarithm says when to a fraction of a millisecond; the score itself, as guards see it, says on which side.
    """
    if bound <= 0 or value < bound:
        return 0
    instant = at + math.floor(half_life * math.log2(value / bound))
    while (score := behaviour(value, at, instant, half_life)) > bound or (score == bound and not at_bound):
        instant += max(1, math.floor(half_life * 1e-15))  # of a half-life of ages, many milliseconds are one number
    return instant


def hit(signal: Entry, now: int, order: int, keep: int) -> list[int]:
    """The signal's entry after it happened once more; of single occurrences the last `keep` stay."""
    if signal is None:
        return [1, now, now, order, now, order] if keep else [1, now, now, order]
    if signal[0] < COUNT_CAP:
        signal[0] += 1
    signal[2] = now
    signal[3] = order
    if keep:
        signal += (now, order)
        if len(signal) > 4 + 2 * keep:
            del signal[4:6]
    return signal


IDS_KEPT = 200


def add_id(ids: dict[str, Any], identity: Any, amount: Any, currency: Any) -> None:
    """Put an id into the set, with the newest amount said of it. Past `IDS_KEPT` the one added first goes."""
    name = identity if isinstance(identity, str) else ""
    known = ids.get(name) or [None, None]
    ids[name] = [known[0] if amount is None else number(amount), known[1] if currency is None else text(currency)]
    if len(ids) > IDS_KEPT:
        del ids[next(iter(ids))]


def as_boolean(value: Any, before: bool) -> bool:
    return value if isinstance(value, bool) else before


def as_number(value: Any, before: float) -> float:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else before


def as_text(value: Any, before: str) -> str:
    return value if isinstance(value, str) else before


def as_time(value: Any, before: int) -> int:
    """Epoch ms of an ISO 8601 text (UTC where it names no zone) or of a number that is one already."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if not isinstance(value, str):
        return before
    try:
        at = dt.datetime.fromisoformat(value)
    except ValueError:
        return before
    return int((at if at.tzinfo else at.replace(tzinfo=dt.UTC)).timestamp() * 1000)
