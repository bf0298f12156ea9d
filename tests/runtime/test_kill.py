"""Workers killed, stopped and wiped on a real broker: `make kill` for long, a sample in every run of the tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.broker.kafka import Broker
from tests.runtime.killing import Chaos

pytestmark = pytest.mark.broker


@pytest.mark.timeout(400)
@pytest.mark.parametrize(("client", "seconds", "events"), [("kafka-python", 30, 5_000), ("confluent-kafka", 15, 4_000)])
def test_a_reader_sees_what_replay_says_whatever_happens_to_the_workers(
    client: str, seconds: float, events: int, broker: str, tmp_path: Path
) -> None:
    if client == "confluent-kafka":
        pytest.importorskip("confluent_kafka", reason="the extra `confluent` is not installed")
    with Chaos(broker, tmp_path, seed=1, events=events, client=client) as chaos:
        chaos.run(seconds)
        chaos.settle()
        chaos.check()
        assert chaos.deeds.keys() & {"kill", "stop", "wipe"}, "something has to have happened"


@pytest.mark.timeout(400)
def test_a_broker_that_hangs_and_dies_is_waited_for_and_nothing_is_lost(own_broker: Broker, tmp_path: Path) -> None:
    with Chaos(own_broker.address, tmp_path, seed=1, events=2_000, broker=own_broker) as chaos:
        chaos.run(15)
        chaos.settle()
        chaos.check()
        told = "".join(place.log.read_text(encoding="utf-8") for place in chaos.places)
    assert '"event": "waiting"' in told or '"event": "fenced"' in told
    assert '"event": "resumed"' in told


@pytest.mark.slow
@pytest.mark.timeout(410)  # the test run itself ends at 420 s of one test
@pytest.mark.parametrize("client", ["kafka-python", "confluent-kafka"])
@pytest.mark.parametrize("seed", range(2, 5))
def test_a_broker_that_hangs_and_dies_for_minutes(client: str, seed: int, own_broker: Broker, tmp_path: Path) -> None:
    mixed = seed % 2 == 0
    with Chaos(
        own_broker.address, tmp_path, seed, events=10_000, client=client, broker=own_broker, mixed=mixed
    ) as chaos:
        chaos.run(120)
        chaos.settle()
        chaos.check()


@pytest.mark.slow
@pytest.mark.timeout(410)  # the test run itself ends at 420 s of one test
@pytest.mark.parametrize("client", ["kafka-python", "confluent-kafka"])
@pytest.mark.parametrize("seed", range(2, 7))
def test_the_same_for_minutes(client: str, seed: int, broker: str, tmp_path: Path) -> None:
    with Chaos(broker, tmp_path, seed, events=30_000, client=client) as chaos:
        chaos.run(120)
        chaos.settle()
        chaos.check()


@pytest.mark.timeout(400)
def test_events_of_other_topics_and_under_wrong_keys_count_once_whatever_happens_to_the_workers(
    broker: str, tmp_path: Path
) -> None:
    pytest.importorskip("confluent_kafka", reason="the extra `confluent` is not installed")
    with Chaos(broker, tmp_path, seed=1, events=1_200, client="confluent-kafka", mixed=True) as chaos:
        chaos.run(6)
        chaos.settle()
        chaos.check()
        assert chaos.deeds.keys() & {"kill", "stop", "wipe"}, "something has to have happened"


@pytest.mark.slow
@pytest.mark.timeout(410)  # the test run itself ends at 420 s of one test
@pytest.mark.parametrize("client", ["kafka-python", "confluent-kafka"])
@pytest.mark.parametrize("seed", range(2, 5))
def test_they_count_once_for_minutes(client: str, seed: int, broker: str, tmp_path: Path) -> None:
    with Chaos(broker, tmp_path, seed, events=12_000, client=client, mixed=True) as chaos:
        chaos.run(120)
        chaos.settle()
        chaos.check()
