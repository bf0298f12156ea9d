"""Times as other systems write them, into epoch milliseconds, or `Bad` with a hint at what may be meant."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from math import isfinite
from typing import Any, Final
from zoneinfo import ZoneInfo

from worker.events import EARLIEST_MS
from worker.instants import DAY_STARTS, FRACTIONS, MINUTES, SECONDS, format_instant, parse_instant
from worker.mapping.outcome import Bad, kind

# What RFC 3339 doesn't have and systems send all the same: no zone, a zone without its colon, hours alone, a day
# alone. Which zone is meant where none is written, the mapping says.
_LOOSE: Final = re.compile(
    r"(\d{4}-\d\d-\d\d)(?:[Tt ]+(\d\d):(\d\d)(?::(\d\d)(?:[.,](\d+))?)?)?\s*(?:([Zz]|UTC|GMT)|([+-]\d\d):?(\d\d)?)?",
    re.ASCII,
)


# What most times look like, for a look into tables: a day and a minute with `T` or a space between them, seconds, and
# an offset or a fraction; or nothing, where UTC is meant.
_UTC: Final = ZoneInfo("UTC")
_MINUTES: Final = MINUTES | {" " + minute[1:]: at for minute, at in MINUTES.items()}
_OFFSETS: Final = {
    f"{sign}{minutes // 60:02}{colon}{minutes % 60:02}": minutes * (60_000 if sign == "+" else -60_000)
    for minutes in range(0, 15 * 60, 15)
    for sign in "+-"
    for colon in (":", "")
} | {"Z": 0}
_ENDS: Final = {end: -offset for end, offset in _OFFSETS.items()} | FRACTIONS


def moment(value: datetime, zone: ZoneInfo | None) -> int:
    if value.tzinfo is None:
        value = value.replace(tzinfo=zone or UTC)
    return int(value.timestamp() * 1000)


def iso(value: Any, scope: str, path: str, zone: ZoneInfo | None) -> int | None:
    """Epoch milliseconds of an ISO 8601 time; `zone` is meant where none is written."""
    if value is None or value == "":
        return None
    if value.__class__ is not str:
        if isinstance(value, datetime) and (value.tzinfo is not None or zone is not None):
            return moment(value, zone)
        raise Bad("bad-time", scope, path, f"expected a time such as 2026-01-05T09:00:00Z, got {kind(value)}")
    end = _ENDS.get(value[19:])
    if end is None:
        end = 0 if zone is _UTC and len(value) == 19 else _microseconds(value)
    if end is not None:
        try:
            return DAY_STARTS[value[:10]] + _MINUTES[value[10:16]] + SECONDS[value[16:19]] + end
        except KeyError:
            _learn(value[:10])  # another form, or a day that is seen for the first time
    try:
        return parse_instant(value)
    except ValueError as error:
        found = _loose(value.strip(), zone)
        if found is None:
            raise Bad("bad-time", scope, path, _complaint(value, error, zone)) from None
        return found


def _microseconds(value: str) -> int | None:
    """What a fraction of six digits and an offset add, in whole milliseconds; None of any other end."""
    found = FRACTIONS.get(value[19:23] + "Z")
    offset = _OFFSETS.get(value[26:])
    if found is None or offset is None or not (value.isascii() and value[23:26].isdigit()):
        return None
    return found - offset


def _learn(day: str) -> None:
    """The day is in the table at the next time."""
    with suppress(ValueError):
        parse_instant(f"{day}T00:00:00+00:00")


def _loose(value: str, zone: ZoneInfo | None) -> int | None:
    match = _LOOSE.fullmatch(value[:64])
    if match is None:
        return None
    day, hour, minute, second, fraction, utc, offset, minutes = match.groups()
    if not (utc or offset or zone):
        return None
    plain = f"{day}T{hour or '00'}:{minute or '00'}:{second or '00'}.{(fraction or '0')[:3].ljust(3, '0')}"
    try:
        if utc or offset:
            return parse_instant(plain + (f"{offset}:{minutes or '00'}" if offset else "Z"))
        return moment(datetime.fromisoformat(plain), zone)
    except (ValueError, OverflowError, OSError):
        return None


def _complaint(value: str, error: ValueError, zone: ZoneInfo | None) -> str:
    if zone is None and _loose(value.strip(), ZoneInfo("UTC")) is not None:
        return "expected a time with its zone; where the system never writes one, the mapping says which: `zone: UTC`"
    if value.strip().isdigit():
        return "expected a time such as 2026-01-05T09:00:00Z, got digits; is it an epoch in seconds or milliseconds?"
    return f"expected a time such as 2026-01-05T09:00:00Z, got other text ({error})"


def layout(value: Any, scope: str, path: str, zone: ZoneInfo | None, pattern: str) -> int | None:
    """Epoch milliseconds of a time in another notation; `pattern` is that of `strptime`."""
    if value is None or value == "":
        return None
    if value.__class__ is not str:
        raise Bad("bad-time", scope, path, f"expected a time such as {pattern}, got {kind(value)}")
    try:
        found = datetime.strptime(value.strip(), pattern)  # noqa: DTZ007  # the zone is looked at below
        if found.tzinfo is None and zone is None:
            raise Bad("bad-time", scope, path, "expected a time with its zone, or `zone` in the mapping")
        return moment(found, zone)
    except (ValueError, OverflowError, OSError):
        raise Bad("bad-time", scope, path, f"expected a time such as {pattern}, got other text") from None


def epoch(value: Any, scope: str, path: str, unit: float, name: str) -> int | None:
    """Epoch milliseconds of a number of `unit`s (in ms), also where the number is written as text."""
    if value is None or value == "":
        return None
    count: Any = value
    if value.__class__ is str:
        try:
            count = int(value) if len(value) <= 32 else None
        except ValueError:
            try:
                count = float(value)
            except ValueError:
                count = None
    if count.__class__ is float and not isfinite(count):
        count = None
    if count.__class__ is not int and count.__class__ is not float:
        raise Bad("bad-time", scope, path, f"expected {name} since 1970, got {kind(value)}")
    if count.__class__ is int:
        at = count * int(unit) if unit >= 1 else count // round(1 / unit)
    else:
        at = int(Decimal(repr(count)) * Decimal(str(unit)))
    if not EARLIEST_MS <= at < YEAR_9999:
        hint = next(
            (f"; as {other} it would lie in {_year(int(count * scale))}" for other, scale in _OTHER_UNITS
             if other != name and EARLIEST_MS <= count * scale < _YEAR_2100),
            "",
        )  # fmt: skip
        raise Bad(
            "time-before-2000" if at < EARLIEST_MS else "bad-time",
            scope,
            path,
            f"expected {name} since 1970, got what lies {'before 2000' if at < EARLIEST_MS else 'after 9999'}{hint}",
        )
    return at


YEAR_9999: Final = parse_instant("9999-01-01T00:00:00Z")
_YEAR_2100: Final = parse_instant("2100-01-01T00:00:00Z")
_OTHER_UNITS: Final = (("seconds", 1_000), ("milliseconds", 1), ("microseconds", 0.001))


def _year(at: int) -> str:
    return format_instant(at)[:4]


def in_time(at: int, scope: str, path: str) -> int:
    """The time, if any event may have it."""
    if at < EARLIEST_MS:
        raise Bad("time-before-2000", scope, path, "expected a time from 2000-01-01 on, got an earlier one")
    if at >= YEAR_9999:
        raise Bad("bad-time", scope, path, "expected a time before the year 9999")
    return at
