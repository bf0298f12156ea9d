"""kafka-python against a real broker: the conformance suite, and the design's facts about the library."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import pytest

from tests.transports.conformance import Connect, TransportConformance
from tests.transports.faults import BrokerFaults, NoBrokerThere
from worker.transports.base import Transport
from worker.transports.kafka_python import KafkaPythonTransport


@pytest.mark.broker
class TestKafkaPython(TransportConformance):
    @pytest.fixture
    def connect(self, broker: str) -> Connect:
        return lambda: KafkaPythonTransport(f"kafka://{broker}")


@pytest.mark.broker
class TestFaults(BrokerFaults):
    quick: ClassVar[Mapping[str, Any]] = {"delivery_timeout_ms": 1_500, "request_timeout_ms": 1_200}
    short_transaction: ClassVar[Mapping[str, Any]] = {"transaction_timeout_ms": 3_000}

    def open(self, address: str, options: Mapping[str, Any] | None = None) -> Transport:
        return KafkaPythonTransport(f"kafka://{address}", options)


class TestNobodyThere(NoBrokerThere):
    impatient: ClassVar[Mapping[str, Any]] = {"bootstrap_timeout_ms": 500}

    def open(self, address: str, options: Mapping[str, Any] | None = None) -> Transport:
        return KafkaPythonTransport(f"kafka://{address}", options)

    def open_url(self, url: str) -> Transport:
        return KafkaPythonTransport(url)
