"""A worker that serves, as a process on a real log: its figures are what the topics hold, and it ends as told."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.broker.kafka import Broker
from tests.live.support import one, read, until
from tests.processes import bound, kill
from tests.runtime.support import quiet
from worker.commands._live import beside, listen
from worker.commands._serve import worker_of
from worker.demo.traffic import START_MS, Arrival, make
from worker.events import encode
from worker.fold.outcome import Event
from worker.instants import DAY_MS
from worker.runtime.clock import SystemClock
from worker.runtime.loop import Worker
from worker.runtime.settings import Settings
from worker.transports import open_transport
from worker.transports.base import EARLIEST, Record, Send, TopicPartition, TopicSpec
from worker.transports.partitioner import partition_of

LIFECYCLE = "clarity"
GROUP = f"lifecycle-{LIFECYCLE}"
PARTITIONS = 3
SECRET = "ann+secret@example.com"


class Served:
    """`lifecycle run --http`, and what it says."""

    def __init__(self, folder: Path, address: str = "127.0.0.1:0", *more: str, url: str = "") -> None:
        self.log = folder / "run.log"
        url = url or f"embedded:{folder / 'log.db'}"
        arguments = ["--lifecycle", LIFECYCLE, "--broker", url, "--http", address]
        arguments += ["--state-dir", str(folder / "state"), "--clock-interval-ms", "50", "--poll-ms", "20", *more]
        command = [sys.executable, "-c", "from worker.commands import main; main()", "run", *arguments]
        with self.log.open("wb") as out:
            environment = {**os.environ, "LIFECYCLE_LOG_FORMAT": "json", "LIFECYCLE_LOG_LEVEL": "debug"}
            self.process = subprocess.Popen(bound(command), stdout=out, stderr=out, env=environment)
        self.client = httpx.Client(timeout=20)

    def started(self) -> Served:
        def serving() -> bool:
            assert self.process.poll() is None, self.said()
            found = re.search(r'"address": "([^"]+)", "event": "serving"', self.said())
            if found:
                self.client.base_url = httpx.URL(f"http://{found[1]}")
            return found is not None

        until(serving, "it serves")
        return self

    def ready(self) -> Served:
        until(lambda: self.client.get("/readyz").status_code == 200, "ready")
        return self

    def said(self) -> str:
        return self.log.read_text()

    def figures(self) -> dict[Any, float]:
        return read(self.client.get("/metrics").text)

    def close(self) -> None:
        self.client.close()
        kill(self.process)


def arrival(contact: str, day: int, kind: str, /, **data: str) -> Arrival:
    at = START_MS + day * DAY_MS
    return Arrival(at, contact.encode(), encode(Event(at, kind, f"{contact}-{day}", "/test", contact, data)))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    fill(f"embedded:{tmp_path / 'log.db'}")
    return tmp_path


def fill(url: str) -> int:
    """Put the traffic of some weeks on the log, and a few records that are no events; how many records."""
    arrivals = make(7, 120).arrivals
    arrivals += [Arrival(0, b"ann", b"no json"), Arrival(0, b"ann", b"{}"), Arrival(0, b"ben", b"[")]
    arrivals.append(arrival(SECRET, 0, "form.submitted", kind="pricing"))
    # One of two agreements ends, and dan stays a customer: what the transition waits for happened, its guard refused.
    for day, (kind, agreement) in enumerate([("started", "s1"), ("started", "s2"), ("cancelled", "s1")]):
        arrivals.append(arrival("dan", day, f"subscription.{kind}", agreement_id=agreement))
    transport = open_transport(url)
    admin, producer = transport.admin(), transport.producer("traffic")
    admin.create(TopicSpec("engagement", PARTITIONS))
    producer.begin()
    producer.send([Send("engagement", partition_of(a.key, PARTITIONS), a.key, a.value) for a in arrivals])
    producer.flush(10_000)
    producer.commit(10_000)
    producer.close()
    admin.close()
    transport.close()
    return len(arrivals)


@pytest.fixture
def served(folder: Path) -> Iterator[Served]:
    process = Served(folder).started()
    yield process
    process.close()


def in_topic(folder: Path, topic: str) -> list[Record]:
    transport = open_transport(f"embedded:{folder / 'log.db'}")
    admin, reader = transport.admin(), transport.reader()
    places = [TopicPartition(topic, number) for number in range(admin.partitions(topic) or 0)]
    reader.assign(dict.fromkeys(places, EARLIEST))
    found: list[Record] = []
    while records := reader.poll(100, 10_000):
        found += records
    reader.close()
    admin.close()
    transport.close()
    return found


def at_rest(served: Served) -> dict[Any, float]:
    """The figures once nothing changes them any more."""
    moving = ("lifecycle_records_total", "lifecycle_messages_total", "lifecycle_timers_total")
    last: list[float] = []

    def still() -> bool:
        nonlocal last
        before, last = last, [one(served.figures(), name) for name in moving]
        return before == last and last[0] > 0

    until(still, "nothing changes", 60)
    return served.figures()


def test_figures_equal_what_the_topics_hold(folder: Path, served: Served) -> None:
    served.ready()
    figures = at_rest(served)
    published = [json.loads(record.value or b"") for record in in_topic(folder, "lifecycle")]
    dead = in_topic(folder, "lifecycle-dead-letters")
    asked = in_topic(folder, "engagement")
    assert one(figures, "lifecycle_records_total") == len(asked)
    types = Counter(body["type"] for body in published)
    assert types.total() > 200
    assert {kind: one(figures, "lifecycle_outputs_total", type=kind) for kind in types} == types
    moves = Counter(
        (body["data"]["from"] or "none", body["data"]["to"])
        for body in published
        if body["type"] == "lifecycle.stage.changed.v1"
    )
    for (left, entered), count in moves.items():
        assert figures["lifecycle_moves_total", (("from", left), ("to", entered))] == count
    assert sum(value for (name, _), value in figures.items() if name == "lifecycle_moves_total") == moves.total()
    for kind, name in (("lifecycle.sla.breached.v1", "sla_breaches"), ("lifecycle.corrected.v1", "corrections")):
        told = [body["data"] for body in published if body["type"] == kind]
        stages = Counter(data["current"]["stage"] if "withdrawn" in data else data["stage"] for data in told)
        assert stages, f"there is no {kind} in the traffic"
        for stage, count in stages.items():
            assert one(figures, f"lifecycle_{name}_total", stage=stage) == count
    reasons = Counter(dict(record.headers)["lifecycle-reason"] for record in dead)
    assert reasons.total() >= 3
    for reason, count in reasons.items():
        assert one(figures, "lifecycle_dead_letters_total", reason=(reason or b"").decode()) == count
    states = in_topic(folder, f"{GROUP}-changelog")
    assert one(figures, "lifecycle_states_written_total") == len(states)
    keys = {(record.partition, record.key): record.value for record in states}
    until(
        lambda: (
            sum(v for (name, _), v in served.figures().items() if name == "lifecycle_state_keys")
            == sum(value is not None for value in keys.values())
        ),
        "the states are counted again",
    )
    assert one(figures, "lifecycle_refusals_total", stage="customer") == 1
    assert one(figures, "lifecycle_transaction_seconds_count") > 0
    assert all(one(figures, "lifecycle_lag_records", partition=str(number)) == 0 for number in range(PARTITIONS))
    assert one(figures, "lifecycle_partitions_live") == PARTITIONS


def test_figures_only_rise(served: Served) -> None:
    seen = [served.figures() for _ in range(20)]
    for before, after in pairwise(seen):
        for figure, value in before.items():
            if figure[0].endswith(("_total", "_count", "_bucket")):
                assert after[figure] >= value, figure


def test_a_contact_is_looked_up_while_the_worker_works_and_enters_no_log(served: Served) -> None:
    served.ready()
    answer = served.client.get("/contacts", params={"id": SECRET})
    assert answer.status_code == 200 and "History" in answer.text
    assert served.client.get(f"/contacts/{SECRET}x").status_code == 404
    assert served.client.get("/healthz").json()["healthy"] is True
    assert served.client.post("/").status_code == 405
    assert SECRET not in served.client.get("/metrics").text
    assert SECRET not in served.said() and "secret@" not in served.said()


def test_look_ups_from_many_threads_disturb_neither_worker_nor_each_other(folder: Path, served: Served) -> None:
    contacts = sorted({(record.key or b"").decode() for record in in_topic(folder, "engagement")})
    answers: Counter[int] = Counter()

    def ask(some: list[str]) -> None:
        with httpx.Client(base_url=served.client.base_url, timeout=30) as client:
            for contact in some:
                answers[client.get("/contacts", params={"id": contact, "why-not": "customer"}).status_code] += 1

    threads = [threading.Thread(target=ask, args=(contacts[number::4],)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert answers.total() == len(contacts)
    assert set(answers) <= {200, 404, 503}
    at_rest(served)
    assert served.client.get("/contacts", params={"id": SECRET}).status_code == 200


def test_told_to_stop_it_ends_with_its_server(served: Served) -> None:
    served.ready()
    waiting = socket.create_connection((served.client.base_url.host, served.client.base_url.port or 0))
    waiting.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n")  # and no more: it is not waited for
    began = time.monotonic()
    served.process.send_signal(signal.SIGTERM)
    assert served.process.wait(20) == 0, served.said()
    assert time.monotonic() - began < 10
    waiting.close()
    with pytest.raises(httpx.ConnectError):
        served.client.get("/healthz")


def test_a_port_in_use_is_one_line_before_anything_is_joined(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        process = Served(folder, address, "--log-level", "error")
        try:
            assert process.process.wait(60) == 1
        finally:
            process.close()
    assert process.said().splitlines() == [f"Error: --http can't listen on {address}: Address already in use"]
    assert not (folder / "state").exists()


def test_listening_beyond_this_machine_is_warned_of(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    from worker.runtime.logs import open_logger

    for address, warned in (("127.0.0.1:0", False), ("localhost:0", False), ("[::1]:0", False), ("0.0.0.0:0", True)):
        settings = settings_of(tmp_path, http=address)
        found = listen(settings, open_logger(settings))
        assert found is not None
        found.close()
        assert ("served-beyond-this-machine" in capfd.readouterr().err) is warned


def settings_of(folder: Path, **given: Any) -> Settings:
    return Settings(
        lifecycle=LIFECYCLE, broker=f"embedded:{folder / 'log.db'}", state_dir=folder / "state", log_format="json",
        **given,
    )  # fmt: skip


def test_a_loop_that_is_stuck_is_told_by_healthz_and_so_is_its_going_on(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_of(folder, http="127.0.0.1:0", http_stall_ms=300, poll_ms=10)
    logger, clock, stop, go_on = quiet(), SystemClock(), threading.Event(), threading.Event()
    sock = listen(settings, logger)
    assert sock is not None
    port = sock.getsockname()[1]
    made = beside(sock, settings, clock, stop, logger)
    with worker_of(settings, clock, logger, beside=made) as worker, httpx.Client() as client:
        step = Worker.step

        def stuck(self: Worker) -> bool:
            go_on.wait(60)
            return step(self)

        def healthy() -> bool:
            return client.get(f"http://127.0.0.1:{port}/healthz").status_code == 200

        loop = threading.Thread(target=worker.run, args=(stop,))
        loop.start()
        try:
            until(healthy, "healthy")
            monkeypatch.setattr(Worker, "step", stuck)
            until(lambda: not healthy(), "ill")
            assert client.get(f"http://127.0.0.1:{port}/readyz").status_code == 503
            go_on.set()
            until(healthy, "healthy again")
        finally:
            go_on.set()
            stop.set()
            loop.join(30)


def test_without_http_nothing_is_counted_by_the_event(folder: Path) -> None:
    settings, clock, stop = settings_of(folder), SystemClock(), threading.Event()
    with worker_of(settings, clock, quiet()) as worker:
        loop = threading.Thread(target=worker.run, args=(stop,))
        loop.start()
        try:
            until(lambda: worker.metrics.records > 500, "folded", 60)
        finally:
            stop.set()
            loop.join(30)
        metrics = worker.metrics
        assert metrics.transactions > 0
        assert not (metrics.outputs or metrics.moves or metrics.refused or metrics.keys or metrics.corrections)


@pytest.mark.broker
def test_a_broker_that_goes_away_makes_a_worker_unready_but_not_ill(own_broker: Broker, tmp_path: Path) -> None:
    url = f"kafka://{own_broker.address}"
    records = fill(url)
    served = Served(tmp_path, url=url).started()
    try:
        until(lambda: one(served.figures(), "lifecycle_records_total") == records, "all is folded", 90)
        until(lambda: served.client.get("/readyz").status_code == 200, "ready", 30)
        figures = served.figures()
        assert one(figures, "lifecycle_transaction_seconds_count") > 0
        assert all(one(figures, "lifecycle_lag_records", partition=str(number)) == 0 for number in range(PARTITIONS))
        own_broker.stop()
        until(lambda: served.client.get("/readyz").status_code == 503, "unready", 60)
        assert "the log is waited for" in served.client.get("/readyz").text
        assert served.client.get("/healthz").status_code == 200
        assert served.client.get("/contacts", params={"id": SECRET}).status_code in (200, 503)
        own_broker.start()
        until(lambda: served.client.get("/readyz").status_code == 200, "ready again", 90)
        assert served.client.get("/contacts", params={"id": SECRET}).status_code == 200
        served.process.send_signal(signal.SIGTERM)
        assert served.process.wait(30) == 0, served.said()
    finally:
        served.close()


BROKEN = (
    b"\r\n\r\n", b"GET\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"GET /" + b"x" * 70_000 + b" HTTP/1.1\r\n\r\n",
    b"GET /\xff\xfe HTTP/1.1\r\nHost: localhost\r\n\r\n", b"GET http://[::1 HTTP/1.1\r\nHost: [\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"GET /contacts/%00%0d%0aSet-Cookie:a=b HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
)  # fmt: skip


def test_what_is_no_request_harms_nothing(served: Served) -> None:
    served.ready()
    place = (served.client.base_url.host, served.client.base_url.port or 0)
    for sent in BROKEN:
        with socket.create_connection(place, timeout=10) as connection:
            connection.settimeout(10)
            connection.sendall(sent)
            connection.shutdown(socket.SHUT_WR)
            answer = b""
            try:
                while more := connection.recv(65_536):
                    answer += more
            except ConnectionResetError:  # it had read enough
                pass
            head = answer.partition(b"\r\n\r\n")[0]
            assert not answer or re.match(rb"HTTP/1\.1 (200|4\d\d) ", answer), (sent[:40], answer[:80])
            assert b"Set-Cookie" not in head
    assert served.client.get("/healthz").status_code == 200
    assert "Traceback" not in served.said()
