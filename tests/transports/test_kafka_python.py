"""kafka-python against a real broker: the conformance suite, and the design's facts about the library."""

from __future__ import annotations

import pytest

from tests.transports.conformance import Connect, TransportConformance
from worker.transports.kafka_python import KafkaPythonTransport


@pytest.mark.broker
class TestKafkaPython(TransportConformance):
    @pytest.fixture
    def connect(self, broker: str) -> Connect:
        return lambda: KafkaPythonTransport(f"kafka://{broker}")
