"""`lifecycle run` by a user who lacks a right on the broker: one line says what to do, and nothing is lost by it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.broker.secure import Right, SecureBroker
from tests.processes import bound, limited
from worker.instants import format_instant
from worker.transports import CLIENTS, open_transport
from worker.transports.base import EARLIEST, Record, Send, TopicPartition, TopicSpec, Transport
from worker.transports.partitioner import partition_of

pytestmark = pytest.mark.broker

LIMIT_SECONDS = 90.0
PARTITIONS = 2
CONTACTS = [f"contact-{number}" for number in range(6)]


class Deployment:
    """Topics of its own on the broker, events on the input topic, and what the worker's user may do there."""

    def __init__(self, broker: SecureBroker, name: str, client: str, folder: Path) -> None:
        self.broker = broker
        self.name = name
        self.client = client
        self.url = f"kafka://{broker.address}"
        self.transport: Transport = open_transport(self.url, client, broker.options(client, "admin"))
        self.topics = {kind: f"{name}-{kind}" for kind in ("in", "out", "dead", "changelog", "internal")}
        self.config = folder / "worker.toml"
        table = {**broker.options(client, "worker")}
        self.config.write_text(
            "[kafka]\n" + "".join(f"{json.dumps(key)} = {json.dumps(value)}\n" for key, value in table.items()),
            encoding="utf-8",
        )
        self.state = folder / "state"
        self.errors = folder / "errors.txt"

    def make_topics(self) -> None:
        with closing(self.transport.admin()) as admin:
            for kind, topic in self.topics.items():
                compacted = {"cleanup.policy": "compact"}
                internal = {"retention.ms": "-1"}
                config = {"changelog": compacted, "internal": internal}.get(kind, {})
                admin.create(TopicSpec(topic, PARTITIONS, config=config))

    def rights(self) -> set[Right]:
        """All that a worker needs where its topics are there."""
        reads = [(operation, "TOPIC", self.topics[kind]) for kind in ("in", "changelog", "internal")
                 for operation in ("READ", "DESCRIBE", "DESCRIBE_CONFIGS")]  # fmt: skip
        writes = [(operation, "TOPIC", self.topics[kind]) for kind in ("out", "dead", "changelog", "internal")
                  for operation in ("WRITE", "DESCRIBE", "DESCRIBE_CONFIGS")]  # fmt: skip
        purges = [("DELETE", "TOPIC", self.topics["internal"])]
        group = [(operation, "GROUP", self.name) for operation in ("READ", "DESCRIBE")]
        transactions = [(operation, "TRANSACTIONAL_ID", f"{self.name}-one") for operation in ("WRITE", "DESCRIBE")]
        return {*reads, *writes, *purges, *group, *transactions}

    def send_events(self) -> None:
        """Each contact subscribes to a list: it is new to the lifecycle, and told so."""
        sends = []
        for number, contact in enumerate(CONTACTS):
            body = {
                "specversion": "1.0", "id": f"e{number}", "source": "/test", "type": "form.submitted",
                "subject": contact, "time": format_instant(int(time.time() * 1000) - 1_000),
                "data": {"kind": "newsletter"},
            }  # fmt: skip
            key = contact.encode()
            sends.append(Send(self.topics["in"], partition_of(key, PARTITIONS), key, json.dumps(body).encode()))
        with closing(self.transport.producer(f"{self.name}-traffic")) as producer:
            producer.begin()
            producer.send(sends)
            producer.commit(30_000)

    @contextmanager
    def worker(self) -> Iterator[subprocess.Popen[bytes]]:
        command = [
            sys.executable, "-c", "from worker.commands import main; main()", "run",
            "--lifecycle", "10ex", "--broker", self.url, "--client", self.client, "--config", str(self.config),
            "--group", self.name, "--instance-id", "one", "--state-dir", str(self.state), "--log-format", "json",
            "--input-topic", self.topics["in"], "--output-topic", self.topics["out"],
            "--dead-letter-topic", self.topics["dead"], "--purge-interval-ms", "500",
        ]  # fmt: skip
        with self.errors.open("wb") as errors:
            started = subprocess.Popen(bound(command), stdout=errors, stderr=errors, stdin=subprocess.DEVNULL)
        with limited(started, LIMIT_SECONDS) as running:
            yield running

    def told(self) -> list[str]:
        """The lines that are for people: what is no log."""
        lines = self.errors.read_text(encoding="utf-8").splitlines()
        return [line for line in lines if not line.startswith('{"')]

    def published(self) -> list[dict[str, Any]]:
        return [json.loads(record.value or b"") for record in self.read("out")]

    def read(self, kind: str) -> list[Record]:
        places = [TopicPartition(self.topics[kind], number) for number in range(PARTITIONS)]
        found: list[Record] = []
        with closing(self.transport.admin()) as admin, closing(self.transport.reader()) as reader:
            reader.assign(dict.fromkeys(places, EARLIEST))
            ends = admin.end_offsets(places)
            until(
                lambda: found.extend(reader.poll(100, 1_000)),
                lambda: all(reader.position(place) >= end for place, end in ends.items()),
                f"the end of {kind}",
            )
        return found


def until(step: Callable[[], object], condition: Callable[[], bool], what: str) -> None:
    ends = time.monotonic() + LIMIT_SECONDS
    while not condition():
        assert time.monotonic() < ends, f"not within {LIMIT_SECONDS} s: {what}"
        step()


Lacking = Callable[[Deployment], set[Right]]


def output_topic_write(deployment: Deployment) -> set[Right]:
    return {("WRITE", "TOPIC", deployment.topics["out"])}


def dead_letter_topic(deployment: Deployment) -> set[Right]:
    return {(operation, "TOPIC", deployment.topics["dead"]) for operation in ("WRITE", "DESCRIBE", "DESCRIBE_CONFIGS")}


def input_topic_read(deployment: Deployment) -> set[Right]:
    return {("READ", "TOPIC", deployment.topics["in"])}


def internal_topic_read(deployment: Deployment) -> set[Right]:
    return {("READ", "TOPIC", deployment.topics["internal"])}


def group(deployment: Deployment) -> set[Right]:
    return {(operation, "GROUP", deployment.name) for operation in ("READ", "DESCRIBE")}


def transactional_id(deployment: Deployment) -> set[Right]:
    return {(operation, "TRANSACTIONAL_ID", f"{deployment.name}-one") for operation in ("WRITE", "DESCRIBE")}


MISSING: dict[str, tuple[Lacking, str]] = {
    "output topic": (output_topic_write, "{out}"),
    "input topic": (input_topic_read, "{in}"),
    "group": (group, "consumer group"),
    "transactional id": (transactional_id, "transactional id"),
    "dead-letter topic": (dead_letter_topic, "{dead}"),
    "internal topic": (internal_topic_read, "{internal}"),
}
SAMPLE = {("kafka-python", name) for name in MISSING} | {("confluent-kafka", "output topic")}


@pytest.mark.parametrize(
    ("client", "lacking", "names"),
    [
        pytest.param(client, *what, id=f"{name}-{client}", marks=() if (client, name) in SAMPLE else pytest.mark.slow)
        for client in CLIENTS
        for name, what in MISSING.items()
    ],
)
def test_a_missing_right_ends_the_worker_with_a_line_that_says_what_to_do_and_nothing_is_lost(
    client: str, lacking: Lacking, names: str, secure_broker: SecureBroker, tmp_path: Path
) -> None:
    if client == "confluent-kafka":
        pytest.importorskip("confluent_kafka", reason="confluent-kafka is an extra")
    name = f"rights-{lacking.__name__.replace('_', '-')}-{client}-{time.time_ns()}"
    deployment = Deployment(secure_broker, name, client, tmp_path)
    deployment.make_topics()
    deployment.send_events()
    missing = lacking(deployment)
    secure_broker.grant("worker", deployment.rights() - missing)
    with deployment.worker() as running:
        status = running.wait(LIMIT_SECONDS)
    told = deployment.told()
    assert status == 1, deployment.errors.read_text()
    assert len(told) == 1, told
    assert told[0].startswith("Error: ")
    assert "give this user" in told[0]
    assert names.format(**deployment.topics) in told[0]
    assert len(told[0]) < 500

    secure_broker.grant("worker", missing)
    with deployment.worker() as running:
        pause = threading.Event()

        def step() -> None:
            assert running.poll() is None, deployment.errors.read_text()
            pause.wait(0.2)

        until(step, lambda: len(deployment.published()) >= 2 * len(CONTACTS), "what was sent before")
        running.send_signal(signal.SIGTERM)
        assert running.wait(LIMIT_SECONDS) == 0
    entered = [(body["subject"], body["data"]["to"]) for body in deployment.published()
               if body["type"] == "lifecycle.stage.changed.v1"]  # fmt: skip
    assert sorted(entered) == sorted((contact, stage) for contact in CONTACTS for stage in ("prospect", "lead"))
    assert deployment.read("dead") == []


def test_a_topic_that_may_not_be_made_ends_the_worker_with_a_line_that_says_what_to_do(
    secure_broker: SecureBroker, tmp_path: Path
) -> None:
    deployment = Deployment(secure_broker, f"rights-create-{time.time_ns()}", "kafka-python", tmp_path)
    describe = {right for right in deployment.rights() if right[0] != "CREATE"}
    secure_broker.grant("worker", describe)
    with deployment.worker() as running:
        assert running.wait(LIMIT_SECONDS) == 1
    told = deployment.told()
    assert len(told) == 1, told
    assert deployment.topics["in"] in told[0]
    assert "give this user" in told[0]
