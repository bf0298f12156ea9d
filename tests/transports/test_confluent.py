"""confluent-kafka against a real broker: the conformance suite, and what librdkafka does otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import pytest

from tests.transports.conformance import Connect, TransportConformance
from tests.transports.faults import BrokerFaults, NoBrokerThere
from worker.transports.base import Transport

pytest.importorskip("confluent_kafka", reason="confluent-kafka is an extra: pip install 'lifecycle-worker[confluent]'")

from worker.transports.confluent import ConfluentTransport


@pytest.mark.broker
class TestConfluent(TransportConformance):
    @pytest.fixture
    def connect(self, broker: str) -> Connect:
        return lambda: ConfluentTransport(f"kafka://{broker}")


@pytest.mark.broker
class TestFaults(BrokerFaults):
    quick: ClassVar[Mapping[str, Any]] = {"message.timeout.ms": 1_500, "socket.timeout.ms": 1_200}
    short_transaction: ClassVar[Mapping[str, Any]] = {"transaction.timeout.ms": 3_000}

    def open(self, address: str, options: Mapping[str, Any] | None = None) -> Transport:
        return ConfluentTransport(f"kafka://{address}", options)


class TestNobodyThere(NoBrokerThere):
    def open(self, address: str, options: Mapping[str, Any] | None = None) -> Transport:
        return ConfluentTransport(f"kafka://{address}", options, connect_seconds=0.5)

    def open_url(self, url: str) -> Transport:
        return ConfluentTransport(url)
