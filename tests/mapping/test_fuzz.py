"""Whatever a record holds, a mapping answers: an event, a reason, or a refusal that says where."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.mapping.records import NAMES, scenarios, shipped
from worker.events import REASONS, decode, encode
from worker.fold.outcome import Event
from worker.mapping.outcome import Dropped, Refused, Result

OWN_REASONS = {"not-taken", "not-mapped", "unknown-version", "not-form"}
WRONG: list[Any] = [
    None, True, False, 0, -1, 1, 12.5, 2**53, 10**18, "", " ", "x", "true", "12", "2026-01-05", "a@b.example",
    "é\u2028", "a" * 300, [], [None], [[1]], ["x"], {}, {"a": None}, {"id": {"id": 1}}, "9" * 40, "1e400", "-",
    "99999999999999",
]  # fmt: skip


def places(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    yield path
    if isinstance(value, dict):
        for name, part in value.items():
            yield from places(part, (*path, name))
    elif isinstance(value, list):
        for number, part in enumerate(value):
            yield from places(part, (*path, number))


def changed(document: Any, path: tuple[str | int, ...], value: Any) -> Any:
    if not path:
        return value
    document = copy.deepcopy(document)
    place = document
    for step in path[:-1]:
        place = place[step]
    if value is ...:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return document


def check(results: list[Result]) -> None:
    assert results
    for result in results:
        match result:
            case Event():
                assert decode(None, encode(result)) == result
            case Dropped():
                assert result.reason
            case Refused():
                assert result.path.startswith("$")
                assert result.refusal.message.startswith(result.path) or result.path == "$"
                assert result.refusal.reason in REASONS.keys() | OWN_REASONS
                assert isinstance(result.raw, bytes)


@pytest.mark.parametrize("name", NAMES)
def test_no_single_wrong_value_gets_through_or_raises(name: str) -> None:
    """Every field of every sample, in turn: gone, null, and of another kind."""
    mapping = shipped(name)
    for number, scenario in enumerate(scenarios(name)):
        if scenario.document is None:
            continue
        for place, path in enumerate(places(scenario.document)):
            for wrong in (..., None, WRONG[(number + place) % len(WRONG)]):
                if path or wrong is not ...:
                    record = changed(scenario.document, path, wrong)
                    check(mapping.apply(msgspec.json.encode(record)))


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_mutilated_records_are_answered(name: str, data: st.DataObject) -> None:
    mapping = shipped(name)
    scenario = data.draw(st.sampled_from(scenarios(name)))
    document = scenario.document
    if document is None:
        cut = data.draw(st.integers(0, len(scenario.record)))
        check(mapping.apply(scenario.record[:cut]))
        return
    for _ in range(data.draw(st.integers(1, 3))):
        path = data.draw(st.sampled_from(list(places(document))))
        document = changed(document, path, data.draw(st.sampled_from(WRONG)))
    body = msgspec.json.encode(document)
    results = mapping.apply(body)
    check(results)
    if mapping.model.reads == "json" and document is not None:
        assert _without_raw(results) == _without_raw(mapping.apply(document))
    cut = data.draw(st.integers(0, len(body)))
    check(mapping.apply(body[:cut]))


def _without_raw(results: list[Result]) -> list[Result]:
    return [result._replace(raw=b"") if isinstance(result, Refused) else result for result in results]


@pytest.mark.parametrize(
    "body",
    [b"", b"null", b"1", b'"x"', b"[]", b"{}", b"\xff\xfe", b"[" * 100_000, b'{"a":' * 5_000, b"\x00", b"a=b&c"],
    ids=lambda body: repr(body[:8]),
)
def test_bodies_that_are_no_record_of_anybody(body: bytes) -> None:
    for name in NAMES:
        check(shipped(name).apply(body))


def test_a_thousand_records_with_one_bad_among_them() -> None:
    mapping = shipped("sendgrid")
    one = {"email": "a@b.example", "event": "open", "timestamp": 1767603600}
    batch = [{**one, "sg_event_id": str(number)} for number in range(1_000)]
    batch[500] = {**one, "timestamp": "noon"}
    results = mapping.apply(msgspec.json.encode(batch))
    assert sum(isinstance(result, Event) for result in results) == 999
    (bad,) = [result for result in results if isinstance(result, Refused)]
    assert bad.path == "$[500].timestamp"
    assert msgspec.json.decode(bad.raw) == batch[500]


def test_a_body_of_ten_megabytes_is_read_and_one_past_the_limit_refused() -> None:
    mapping = shipped("sendgrid")
    one = {"email": "a@b.example", "event": "open", "timestamp": 1767603600, "sg_event_id": "1"}
    (result,) = mapping.apply(msgspec.json.encode([{**one, "useragent": "x" * 10_000_000}]))
    assert isinstance(result, Event)
    (refused,) = mapping.apply(msgspec.json.encode([{**one, "useragent": "x" * 17_000_000}]))
    assert isinstance(refused, Refused)
    assert refused.refusal.reason == "too-large"
