"""The harness says plainly what is missing, and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from pathlib import Path

import pytest

from tests.broker import NoBroker, kafka
from tests.broker.fixtures import missing_broker
from tests.broker.kafka import answers
from tests.processes import limited

LIMIT_SECONDS = 60
START_SECONDS = 150


def test_without_java_the_reason_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    with pytest.raises(NoBroker, match="no Java"):
        kafka.java()


def test_without_maven_the_reason_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(kafka, "CACHE", tmp_path / "cache")
    with pytest.raises(NoBroker, match="no Maven"):
        kafka.jars()


def test_a_missing_broker_is_skipped_over_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="no Java here"):
        missing_broker(NoBroker("no Java here"))


def test_a_missing_broker_fails_where_nobody_would_read_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="no Java here"):
        missing_broker(NoBroker("no Java here"))


@pytest.mark.broker
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_broker_ends_with_who_started_it(broker: str, number: signal.Signals) -> None:
    """`broker` is asked for so that this is left out, or fails, where none can be started."""
    if number is signal.SIGKILL and sys.platform != "linux":
        pytest.skip("only Linux ends a child whose parent was killed")
    environment = {name: value for name, value in os.environ.items() if name != "KAFKA_BOOTSTRAP_SERVERS"}
    command = [sys.executable, "-m", "tests.broker", "--heap", "256m"]
    # A broker may take its time to start, and this one is alone in the world: `limited` ends it with its broker.
    started = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    with limited(started, START_SECONDS) as starter:
        assert starter.stdout is not None
        port = int(starter.stdout.readline().rpartition(":")[2])
        assert answers(port)
        starter.send_signal(number)
        starter.wait(LIMIT_SECONDS)
    deadline = time.monotonic() + LIMIT_SECONDS
    pause = threading.Event()
    while answers(port):
        assert time.monotonic() < deadline, "the broker outlived who started it"
        pause.wait(0.05)


@pytest.mark.broker
def test_a_cluster_s_id_may_begin_with_a_dash(broker: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One random id in sixty-four does. `broker` is asked for as above."""
    assert broker
    monkeypatch.setattr("tests.broker.kafka.uuid.uuid4", lambda: uuid.UUID(bytes=b"\xf8" + bytes(15)))
    with kafka.Broker(quick_start=True) as own:
        assert own.pid
