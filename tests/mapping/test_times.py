"""Times as systems write them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.mapping.records import event, mapping, refused
from worker.events import EARLIEST_MS
from worker.mapping.mapping import Mapping
from worker.mapping.times import epoch, iso

BASE = """\
mapping: test
source: /test
id: id
time: TIME
ids: {user: user}
subject: [user]
"""


def made(time: str) -> Mapping:
    return mapping("type: cta.clicked", base=BASE.replace("TIME", time))


def record(at: Any) -> dict[str, Any]:
    return {"id": "e1", "user": "u1", "at": at}


NINE = 1_767_603_600_000  # 2026-01-05T09:00:00Z


@pytest.mark.parametrize(
    ("time", "at", "expected"),
    [
        ("{iso: at}", "2026-01-05T09:00:00Z", NINE),
        ("{iso: at}", "2026-01-05T10:00:00.250+01:00", NINE + 250),
        ("{iso: at}", "2026-01-05T09:00:00.000+0000", NINE),
        ("{iso: at}", "2026-01-05 09:00:00 UTC", NINE),
        ("{iso: at}", "2026-01-05T10:00:00+01", NINE),
        ("{iso: at}", "2026-01-05T09:00:00.1234567Z", NINE + 123),
        ("{iso: at}", "2026-01-05T10:30:00.123456+0130", NINE + 123),
        ("{iso: at, zone: UTC}", "2026-01-05 09:00:00", NINE),
        ("{iso: at, zone: Europe/Berlin}", "2026-01-05T10:00", NINE),
        ("{iso: at, zone: Europe/Berlin}", "2026-01-05T09:00:00Z", NINE),
        ("{iso: at, zone: America/New_York}", "2026-07-05 05:00:00", 1_783_242_000_000),
        ("{iso: at, zone: UTC}", "2026-01-05", NINE - 9 * 3_600_000),
        ("{iso: at, layout: '%d/%m/%Y %H:%M', zone: UTC}", "05/01/2026 09:00", NINE),
        ("{iso: at, layout: '%a, %d %b %Y %H:%M:%S %z'}", "Mon, 05 Jan 2026 10:00:00 +0100", NINE),
        ("{seconds: at}", 1_767_603_600, NINE),
        ("{seconds: at}", "1767603600", NINE),
        ("{seconds: at}", 1_767_603_600.25, NINE + 250),
        ("{seconds: at}", "1767603600.25", NINE + 250),
        ("{milliseconds: at}", 1_767_603_600_123, NINE + 123),
        ("{milliseconds: at}", "1767603600123", NINE + 123),
        ("{microseconds: at}", 1_767_603_600_123_456, NINE + 123),
        ("{microseconds: at}", "1767603600123456", NINE + 123),
        ("{days: at}", 20_458, NINE - 9 * 3_600_000),
        ("[{iso: gone}, {milliseconds: at}]", 1_767_603_600_000, NINE),
        ("{iso: at}", datetime(2026, 1, 5, 9, tzinfo=UTC), NINE),
    ],
)
def test_a_time_is_read_as_it_is_stated(time: str, at: Any, expected: int) -> None:
    assert event(made(time).apply(record(at))).time == expected


@pytest.mark.parametrize(
    ("time", "at", "reason", "told"),
    [
        ("{iso: at}", "2026-01-05T09:00:00", "bad-time", "zone: UTC"),
        ("{iso: at}", "1767603600", "bad-time", "is it an epoch"),
        ("{iso: at}", "noon", "bad-time", "got other text"),
        ("{iso: at}", 1_767_603_600, "bad-time", "got a number"),
        ("{iso: at}", "1999-12-31T23:59:59Z", "time-before-2000", "2000-01-01"),
        ("{iso: at}", "2026-02-30T00:00:00Z", "bad-time", "got other text"),
        ("{iso: at}", None, "no-time", "got nothing"),
        ("{iso: at}", "", "no-time", "got nothing"),
        ("{seconds: at}", 1_767_603_600_000, "bad-time", "as milliseconds it would lie in 2026"),
        ("{milliseconds: at}", 1_767_603_600, "time-before-2000", "as seconds it would lie in 2026"),
        ("{milliseconds: at}", "soon", "bad-time", "expected milliseconds since 1970"),
        ("{milliseconds: at}", True, "bad-time", "got true or false"),
        ("{milliseconds: at}", "1e400", "bad-time", "expected milliseconds"),
        ("{milliseconds: at}", "9" * 30, "bad-time", "after 9999"),
        ("{milliseconds: at}", -1, "time-before-2000", "before 2000"),
        ("{iso: at, layout: '%d/%m/%Y', zone: UTC}", "2026-01-05", "bad-time", "%d/%m/%Y"),
    ],
)
def test_what_is_no_time_is_refused_with_a_hint(time: str, at: Any, reason: str, told: str) -> None:
    bad = refused(made(time).apply(record(at)))
    assert (bad.refusal.reason, bad.path) == (reason, "$.at")
    assert told in bad.refusal.message


@given(st.integers(EARLIEST_MS, 4_000_000_000_000))
def test_all_notations_of_a_moment_are_the_same_moment(at: int) -> None:
    plain = datetime.fromtimestamp(at / 1000, UTC).replace(microsecond=at % 1000 * 1000)
    assert epoch(at, "", "", 1, "milliseconds") == at
    assert epoch(at * 1000 + 999, "", "", 0.001, "microseconds") == at
    assert epoch(str(at), "", "", 1, "milliseconds") == at
    assert epoch(at // 1000, "", "", 1000, "seconds") == at // 1000 * 1000
    assert epoch(f"{at // 1000}.{at % 1000:03}", "", "", 1000, "seconds") == at
    assert iso(plain.isoformat(timespec="milliseconds"), "", "", None) == at
    for end in ("789Z", "789+00:00", "789-0000"):
        assert iso(plain.isoformat(timespec="milliseconds").removesuffix("+00:00") + end, "", "", None) == at
        assert iso(plain.isoformat(sep=" ", timespec="milliseconds").removesuffix("+00:00") + end, "", "", None) == at
