"""Points in time: epoch milliseconds within, RFC 3339 text without. Exact both ways, and no clock is read.

Both directions are on the hot path of every event, so both look their parts up: a day in a bounded cache, the minute
of the day, the second and the usual fractions in tables. What isn't in a table takes the long way round.
"""

from __future__ import annotations

import re
from datetime import date
from typing import Final

SECOND_MS: Final = 1_000
MINUTE_MS: Final = 60 * SECOND_MS
HOUR_MS: Final = 60 * MINUTE_MS
DAY_MS: Final = 24 * HOUR_MS

EARLIEST_MS: Final = -62_135_596_800_000  # 0001-01-01T00:00:00.000Z
LATEST_MS: Final = 253_402_300_799_999  # 9999-12-31T23:59:59.999Z

_EPOCH_DAY: Final = date(1970, 1, 1).toordinal()
_DAYS_KEPT: Final = 16_384  # forty years of different days, about 2 MB; then the cache starts anew

_RFC3339: Final = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d+))?(?:[Zz]|([+-])(\d\d):(\d\d))", re.ASCII
)

DAY_STARTS: Final[dict[str, int]] = {}  # "2026-01-05" → ms
_day_texts: Final[dict[int, str]] = {}  # days since the epoch → "2026-01-05"
MINUTES: Final = {f"T{m // 60:02}:{m % 60:02}": m * MINUTE_MS for m in range(1440)}
_MINUTE_TEXTS: Final = tuple(MINUTES)
SECONDS: Final = {f":{s:02}": s * SECOND_MS for s in range(60)}
FRACTIONS: Final = {"Z": 0} | {f".{f:03}Z": f for f in range(1000)}


def parse_instant(text: str) -> int:
    """Epoch milliseconds of an RFC 3339 time with any offset; digits past the millisecond are cut off.

    A leap second (`:60`) is the first moment of the next minute, as POSIX clocks have it.

    Raises: ValueError where the text is no such time, or lies outside what `format_instant` can write.
    """
    try:
        return DAY_STARTS[text[:10]] + MINUTES[text[10:16]] + SECONDS[text[16:19]] + FRACTIONS[text[19:]]
    except KeyError:
        return _parse(text)


def _parse(text: str) -> int:
    match = _RFC3339.fullmatch(text)
    if match is None:
        raise ValueError("not an RFC 3339 time such as 2026-01-05T09:00:00Z")
    day, hour, minute, second, fraction, sign, offset_hours, offset_minutes = match.groups()
    if int(hour) > 23 or int(minute) > 59 or int(second) > 60:
        raise ValueError(f"no such time of day: {hour}:{minute}:{second}")
    start = DAY_STARTS.get(day)
    if start is None:
        start = (date.fromisoformat(day).toordinal() - _EPOCH_DAY) * DAY_MS
        if len(DAY_STARTS) >= _DAYS_KEPT:
            DAY_STARTS.clear()
        DAY_STARTS[day] = start
    offset = 0
    if sign is not None:
        if int(offset_hours) > 23 or int(offset_minutes) > 59:
            raise ValueError(f"no such offset: {sign}{offset_hours}:{offset_minutes}")
        offset = (int(offset_hours) * HOUR_MS + int(offset_minutes) * MINUTE_MS) * (-1 if sign == "-" else 1)
    milliseconds = int((fraction or "0").ljust(3, "0")[:3])
    at = start + int(hour) * HOUR_MS + int(minute) * MINUTE_MS + int(second) * SECOND_MS + milliseconds - offset
    if not EARLIEST_MS <= at <= LATEST_MS:
        raise ValueError("lies outside the years 1 to 9999, in UTC")
    return at


def format_instant(ms: int) -> str:
    """`2026-01-05T09:00:00.000Z`: the one way in which times go over the wire.

    Raises: ValueError outside the years 1 to 9999.
    """
    day, rest = divmod(ms, DAY_MS)
    minute, rest = divmod(rest, MINUTE_MS)
    text = _day_texts.get(day)
    if text is None:
        text = date.fromordinal(_EPOCH_DAY + day).isoformat()
        if len(_day_texts) >= _DAYS_KEPT:
            _day_texts.clear()
        _day_texts[day] = text
    return f"{text}{_MINUTE_TEXTS[minute]}:{rest // SECOND_MS:02}.{rest % SECOND_MS:03}Z"
