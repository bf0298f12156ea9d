"""The broker that tests and benchmarks run against: the one named by KAFKA_BOOTSTRAP_SERVERS, else one of our own."""

from __future__ import annotations

from tests.broker.kafka import Broker, NoBroker

__all__ = ["Broker", "NoBroker"]
