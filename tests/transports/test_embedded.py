"""The embedded log: the suite of all transports, and what is its own: processes, a file, the clock."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.transports.conformance import Connect, TransportConformance
from worker.transports.embedded import EmbeddedTransport


class TestEmbedded(TransportConformance):
    limit_seconds = 20.0

    @pytest.fixture
    def connect(self, tmp_path: Path) -> Connect:
        return lambda: EmbeddedTransport(tmp_path / "log")
