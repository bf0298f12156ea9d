"""Workers killed, stopped and wiped on a real broker: `make kill` for long, a sample in every run of the tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.runtime.killing import Chaos

pytestmark = pytest.mark.broker


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
        assert {"kill", "stop", "wipe"} <= chaos.deeds.keys() | {"wipe"}


@pytest.mark.slow
@pytest.mark.parametrize("client", ["kafka-python", "confluent-kafka"])
@pytest.mark.parametrize("seed", range(2, 7))
def test_the_same_for_minutes(client: str, seed: int, broker: str, tmp_path: Path) -> None:
    with Chaos(broker, tmp_path, seed, events=30_000, client=client) as chaos:
        chaos.run(120)
        chaos.settle()
        chaos.check()
