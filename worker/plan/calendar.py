"""Business hours: when so much working time has passed.

Working time is counted on the local clock of the definition's time zone; a day on which the clocks change has its
usual hours, and the instant found is turned into UTC (of a local time that occurs twice, the first).
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from zoneinfo import ZoneInfo

from worker.definition.model import BusinessHours

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAY_MS = 86_400_000
_SEARCH_DAYS = 366 * 20  # a promise longer than this is one that no one will wait for


def working_days(given: str) -> frozenset[int]:
    """Weekdays (Monday is 0) named by `mon-fri`, `mon,wed,fri` or a mixture. Raises ValueError for anything else."""
    found: set[int] = set()
    for part in given.lower().replace(" ", "").split(","):
        first, _, last = part.partition("-")
        if first not in DAYS or (last or first) not in DAYS:
            raise ValueError(f"{part!r} is no weekday or range of weekdays; write e.g. mon-fri or mon,wed")
        start, end = DAYS.index(first), DAYS.index(last or first)
        found.update(day % 7 for day in range(start, end + 1 if end >= start else end + 8))
    return frozenset(found)


def _minutes(clock: str) -> int:
    hours, minutes = clock.split(":")
    return int(hours) * 60 + int(minutes)


@dataclass(frozen=True)
class Calendar:
    """The working week of a definition."""

    zone: ZoneInfo
    days: frozenset[int]
    opens: int  # minutes after local midnight
    closes: int
    holidays: frozenset[dt.date] = field(default_factory=frozenset)

    @classmethod
    def of(cls, hours: BusinessHours) -> Calendar:
        opens, closes = _minutes(hours.open), _minutes(hours.close)
        if closes <= opens:
            raise ValueError(f"business hours close ({hours.close}) before they open ({hours.open})")
        holidays = frozenset(dt.date.fromisoformat(day) for day in hours.holidays)
        return cls(ZoneInfo(hours.timezone), working_days(hours.days), opens, closes, holidays)

    def add(self, start_ms: int, working_ms: int) -> int:
        """The instant (epoch ms) at which `working_ms` of working time have passed since `start_ms`."""
        local = dt.datetime.fromtimestamp(start_ms / 1000, self.zone)
        day = local.date()
        passed = (local.hour * 60 + local.minute) * 60_000 + local.second * 1000 + start_ms % 1000
        left = working_ms
        for _ in range(_SEARCH_DAYS):
            if day.weekday() in self.days and day not in self.holidays:
                begin = max(passed, self.opens * 60_000)
                room = self.closes * 60_000 - begin
                if room > 0 and left <= room:
                    return self._instant(day, begin + left)
                left -= max(room, 0)
            day += dt.timedelta(days=1)
            passed = 0
        return start_ms + working_ms + _SEARCH_DAYS * _DAY_MS

    def _instant(self, day: dt.date, after_midnight_ms: int) -> int:
        minutes, rest = divmod(after_midnight_ms, 60_000)
        whole_days, minutes = divmod(minutes, 1440)
        at = dt.datetime.combine(
            day + dt.timedelta(days=whole_days), dt.time(minutes // 60, minutes % 60), tzinfo=self.zone
        )
        return int(at.timestamp()) * 1000 + rest
