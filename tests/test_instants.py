"""Times are exact to the millisecond in both directions, for every spelling that RFC 3339 allows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.instants import DAY_MS, EARLIEST_MS, LATEST_MS, format_instant, parse_instant

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DAYS_AT_THE_ENDS = 2 * DAY_MS  # so that local times, too, lie within datetime's years

instants = st.integers(EARLIEST_MS + DAYS_AT_THE_ENDS, LATEST_MS - DAYS_AT_THE_ENDS)


@given(instants)
def test_a_written_instant_reads_as_itself(ms: int) -> None:
    text = format_instant(ms)
    assert text == (EPOCH + timedelta(milliseconds=ms)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    assert parse_instant(text) == ms
    assert parse_instant(text) == ms, "the second time by the cache"


@given(instants, st.text("0123456789", max_size=12), st.integers(-1439, 1439), st.sampled_from("Tt "))
def test_any_offset_and_precision_is_read_exactly_and_cut_to_the_millisecond(
    ms: int, digits: str, offset: int, between: str
) -> None:
    whole = ms // 1000 * 1000
    local = (EPOCH + timedelta(milliseconds=whole)).astimezone(timezone(timedelta(minutes=offset)))
    fraction = f".{digits}" if digits else ""
    sign = "-" if offset < 0 else "+"
    text = f"{local:%H:%M:%S}{fraction}{sign}{abs(offset) // 60:02}:{abs(offset) % 60:02}"
    text = f"{local.date().isoformat()}{between}{text}"
    assert parse_instant(text) == whole + int(digits.ljust(3, "0")[:3])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01T00:00:00.1Z", 100),
        ("1970-01-01T00:00:00.0019Z", 1),
        ("1970-01-01t00:00:01z", 1_000),
        ("1969-12-31T23:59:59.999Z", -1),
        ("1970-01-01T00:00:00-00:00", 0),
        ("2016-12-31T23:59:60Z", 1_483_228_800_000),  # a leap second is the next minute's first moment
        ("0001-01-01T00:00:00Z", EARLIEST_MS),
        ("9999-12-31T23:59:59.999Z", LATEST_MS),
        ("2024-02-29T00:00:00Z", 1_709_164_800_000),
    ],
)
def test_spellings(text: str, expected: int) -> None:
    assert parse_instant(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now",
        "2026-01-05",
        "2026-01-05T09:00:00",  # no offset: nobody knows when that was
        "2026-01-05T09:00Z",
        "2026-1-5T09:00:00Z",
        "2026-02-30T09:00:00Z",
        "2026-13-01T09:00:00Z",
        "0000-01-01T00:00:00Z",
        "2026-01-05T24:00:00Z",
        "2026-01-05T09:60:00Z",
        "2026-01-05T09:00:61Z",
        "2026-01-05T09:00:00.Z",
        "2026-01-05T09:00:00,5Z",
        "2026-01-05T09:00:00+0100",
        "2026-01-05T09:00:00+24:00",
        "2026-01-05T09:00:00+01:60",
        " 2026-01-05T09:00:00Z",
        "2026-01-05T09:00:00Z ",
        "2026-01-05T09:00:00Z\n",
        "٢٠٢٦-01-05T09:00:00Z",
        "+026-01-05T09:00:00Z",
        "2026-01-05T+9:00:00Z",
        "1767603600",
        "9999-12-31T23:59:60Z",  # no text can say what these are in UTC
        "9999-12-31T23:59:59-00:01",
        "0001-01-01T00:00:00+00:01",
    ],
)
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_instant(text)
    with pytest.raises(ValueError):
        parse_instant(text)


def test_the_cache_of_days_is_bounded() -> None:
    from worker import instants

    for day in range(instants._DAYS_KEPT + 10):
        assert parse_instant(format_instant(day * DAY_MS)) == day * DAY_MS
    assert len(instants.DAY_STARTS) <= instants._DAYS_KEPT
    assert len(instants._day_texts) <= instants._DAYS_KEPT
