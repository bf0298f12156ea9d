"""Whoever calls librdkafka goes on, whether it comes back or not, and a client is never ended under a call."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import suppress

import pytest

from tests.processes import bound, limited

pytest.importorskip("confluent_kafka", reason="confluent-kafka is an extra: pip install 'lifecycle-worker[confluent]'")

from worker.transports import confluent_calls
from worker.transports.confluent_calls import LOST_MAX, Calls, Unanswered
from worker.transports.errors import Fatal

LIMIT_SECONDS = 60.0


class Client:
    """Comes back from `wait` when it is let go, and takes note of how it ends."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.deeds: list[str] = []

    def wait(self) -> str:
        assert self.go.wait(LIMIT_SECONDS)
        return "back"

    def close(self) -> None:
        self.deeds.append("close")


@pytest.fixture
def client() -> Iterator[Client]:
    client = Client()
    yield client
    client.go.set()


def ended(threads: set[threading.Thread]) -> None:
    for each in set(threading.enumerate()) - threads:
        each.join(LIMIT_SECONDS)
        assert not each.is_alive()


def test_what_a_call_answers_is_given_and_what_it_raises_is_raised(client: Client) -> None:
    client.go.set()
    assert Calls().within(LIMIT_SECONDS, client, Client.wait) == "back"
    with pytest.raises(LookupError, match="nothing"):
        Calls().within(LIMIT_SECONDS, client, raises)


def raises(_client: Client) -> None:
    raise LookupError("nothing")


def test_a_call_that_does_not_come_back_is_left_to_itself(client: Client) -> None:
    calls = Calls()
    begun = time.monotonic()
    with pytest.raises(Unanswered, match=r"0\.1 s"):
        calls.within(0.1, client, Client.wait)
    assert time.monotonic() - begun < LIMIT_SECONDS


def test_a_client_is_not_ended_under_a_call_and_goes_with_it() -> None:
    before = set(threading.enumerate())
    calls, client = Calls(), Client()
    go, deeds, there = client.go, client.deeds, weakref.ref(client)
    with suppress(Unanswered):
        calls.within(0.1, client, Client.wait)
    held = [client]
    del client
    calls.end(held)
    assert (deeds, held) == ([], [])
    assert there() is not None
    go.set()
    ended(before)
    assert there() is None


def test_a_client_that_is_not_in_a_call_is_ended() -> None:
    client = Client()
    client.go.set()
    calls, deeds = Calls(), client.deeds
    calls.within(LIMIT_SECONDS, client, Client.wait)
    calls.end([client])
    assert deeds == ["close"]


def test_an_end_that_does_not_come_is_not_waited_for(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(confluent_calls, "CLOSE_SECONDS", 0.1)
    monkeypatch.setattr(client, "close", client.wait)
    begun = time.monotonic()
    Calls().end([client])
    assert time.monotonic() - begun < LIMIT_SECONDS


def test_too_many_calls_that_have_not_come_back_are_the_end(client: Client) -> None:
    calls, before = Calls(), set(threading.enumerate())
    for _ in range(LOST_MAX - 1):
        with pytest.raises(Unanswered):
            calls.within(0.01, client, Client.wait)
    with pytest.raises(Fatal, match=f"{LOST_MAX} calls"):
        calls.within(0.01, client, Client.wait)
    client.go.set()
    ended(before)
    again = Client()
    with pytest.raises(Unanswered):  # those that came back don't count
        calls.within(0.01, again, Client.wait)
    again.go.set()


def test_a_client_is_not_ended_under_a_call_that_a_signal_ended_the_wait_for(client: Client) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    calls = Calls()
    former = signal.signal(signal.SIGUSR1, interrupt)
    try:
        with pytest.raises(KeyboardInterrupt):
            calls.within(LIMIT_SECONDS, client, interrupted)
    finally:
        signal.signal(signal.SIGUSR1, former)
    calls.end([client])
    assert client.deeds == []


def interrupted(client: Client) -> None:
    os.kill(os.getpid(), signal.SIGUSR1)
    client.wait()


STUCK = """
import threading
from worker.transports.confluent_calls import Calls, Unanswered

try:
    Calls().within(0.1, threading.Event(), threading.Event.wait)
except Unanswered:
    print("left", flush=True)
"""


def test_a_call_that_never_comes_back_does_not_keep_the_process() -> None:
    started = subprocess.Popen(bound([sys.executable, "-c", STUCK]), stdout=subprocess.PIPE, text=True)
    with limited(started, LIMIT_SECONDS) as process:
        assert process.stdout is not None
        assert process.stdout.read() == "left\n"
        assert process.wait(LIMIT_SECONDS) == 0
