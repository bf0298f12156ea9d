"""The measurements run, on a few events: what they come to is not looked at, only that none is void."""

from __future__ import annotations

import pytest

from benchmarks import comparing, hot_contact, lifecycles, replaying, reporting, state
from benchmarks.cluster import Cluster
from benchmarks.runs import run
from benchmarks.systems import worker
from benchmarks.tables import Table, verdict
from benchmarks.traffic import events, expected_changes, mixed, round_robin

EVENTS, CONTACTS = 2_000, 100


def test_the_traffic_of_the_side_by_side_runs_comes_to_what_it_always_did() -> None:
    assert expected_changes(events(400_000, 50_000)) == 32_764


def test_the_same_seed_draws_the_same_events_and_another_one_others() -> None:
    for traffic in (events, mixed, round_robin):
        assert list(traffic(200, 20, 3)) == list(traffic(200, 20, 3))
        assert list(traffic(200, 20, 3)) != list(traffic(200, 20, 4))


def test_a_hot_contact_has_its_share_of_all_events() -> None:
    keys = [key for key, _ in events(1_000, 50, hot=10)]
    assert keys.count(b"c-hot") == 100


def test_a_table_says_whether_the_aim_is_met() -> None:
    table = Table("Title", "Says.", ["a", "b"], [["1", "2"]], [verdict("speed", 1_500.0, 1_000.0, "/s")])
    assert "| 1 | 2 |" in table.markdown()
    assert "**1,500/s** (at least 1,000/s: met)" in table.markdown()
    assert "missed" in verdict("memory", 501.0, 500.0, " MB", at_most=True)


def test_replays_are_measured() -> None:
    assert "one process" in replaying.measure(EVENTS, CONTACTS, 1).markdown()


def test_comparisons_are_measured() -> None:
    assert "another lifecycle" in comparing.measure(EVENTS, CONTACTS, 1).markdown()


def test_reports_are_measured_over_a_history_that_is_drawn_alike_each_time() -> None:
    once, again = reporting.walk(2_000, 1), reporting.walk(2_000, 1)
    assert all((once[name] == again[name]).all() for name in once)
    assert len(once["who"]) == 2_000
    told = reporting.measure(2_000, 1).markdown()
    assert "2,000 stage changes" in told and "peak memory" in told


@pytest.mark.broker
@pytest.mark.parametrize("client", ["kafka-python", "confluent-kafka"])
def test_the_worker_publishes_every_change_of_the_side_by_side_job(broker: str, client: str) -> None:
    cluster = Cluster(broker)
    topic = f"bench-smoke-{client}"
    cluster.load(topic, events(EVENTS, CONTACTS))
    try:
        found = run(worker(client), cluster, topic, EVENTS, expected_changes(events(EVENTS, CONTACTS)))
    finally:
        cluster.delete(topic)
    assert found.events == EVENTS and found.seconds > 0


@pytest.mark.broker
def test_state_and_a_hot_contact_and_the_lifecycles_are_measured(broker: str, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Cluster(broker)
    monkeypatch.setattr(lifecycles, "LIFECYCLES", ("10ex",))
    assert "restore" in state.measure(cluster, CONTACTS).markdown()
    assert "even" in hot_contact.measure(cluster, EVENTS, CONTACTS, 1).markdown()
    assert "10ex" in lifecycles.measure(cluster, EVENTS, CONTACTS).markdown()
