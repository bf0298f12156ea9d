"""confluent-kafka against a real broker: the conformance suite, and what librdkafka does otherwise."""

from __future__ import annotations

import pytest

from tests.transports.conformance import Connect, TransportConformance

pytest.importorskip("confluent_kafka", reason="confluent-kafka is an extra: pip install 'lifecycle-worker[confluent]'")

from worker.transports.confluent import ConfluentTransport


@pytest.mark.broker
class TestConfluent(TransportConformance):
    @pytest.fixture
    def connect(self, broker: str) -> Connect:
        return lambda: ConfluentTransport(f"kafka://{broker}")
