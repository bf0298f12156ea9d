"""The simulated cluster: the suite of all transports, and what only a simulation can be asked for."""

from __future__ import annotations

import itertools

import pytest

from tests.transports.conformance import Connect, TransportConformance
from worker.transports.simulator import SimulatedCluster


class TestSimulator(TransportConformance):
    limit_seconds = 5.0

    @pytest.fixture
    def connect(self) -> Connect:
        cluster = SimulatedCluster()
        names = itertools.count()
        return lambda: cluster.connect(f"process-{next(names)}")
