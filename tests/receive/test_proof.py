"""From a vendor's signed request to a contact's history, over a real broker, with a kill of each process in between.

Three vendors send webhooks, some again with another attempt number, and somebody forges others. The receiver and the
worker are processes; each is killed once. In the end every genuine webhook is in exactly one history, once.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import os
import re
import signal
import subprocess
import sys
import time
import uuid
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from kafka import KafkaAdminClient

from tests.processes import bound, kill
from tests.runtime.reading import standing
from worker.fold.outcome import Event
from worker.instants import format_instant
from worker.mapping.mapping import Mapping
from worker.transports import open_transport
from worker.transports.base import EARLIEST, Record, TopicPartition, Transport

SECRET, GUESSED = b"the secret", b"guessed"
VENDORS = ("hubspot", "calendly", "stripe")
PARALLEL = 16
ROUNDS_MAX = 30  # as often a vendor comes again with what was not answered for
START_SECONDS = 60.0
DAY_MS = 86_400_000
LIFECYCLE = """\
lifecycle: webhooks
version: 1
title: Whatever a webhook says is told, once
signals:
  booked: {any: [meeting.booked], publish: true}
  bought: {any: [purchase.confirmed], publish: true}
  known: {any: [contact.updated], publish: true}
stages:
  contact: {name: Contact, means: Somebody of whom a webhook came., owner: marketing, goal: Sell.}
  customer: {name: Customer, means: Has bought., owner: sales, goal: Keep., qualified: true}
transitions:
  - {from: contact, to: customer, event: purchase.confirmed, says: has bought}
"""


@dataclass(frozen=True)
class Webhook:
    """One thing that happened: each contact has one of each vendor. `who` is the contact's name in it."""

    number: int
    who: str
    now_ms: int

    @property
    def vendor(self) -> str:
        return VENDORS[self.number % len(VENDORS)]

    def body(self, attempt: int) -> bytes:
        """As it is sent for the nth time."""
        at = self.now_ms - DAY_MS + self.number * 1_000
        mail, stamp = f"{self.who}@example.com", format_instant(at)
        document: Any
        if self.vendor == "hubspot":
            document = [{
                "eventId": self.number * 100 + attempt, "subscriptionId": 12, "portalId": 1, "appId": 9,
                "occurredAt": at, "subscriptionType": "contact.propertyChange", "attemptNumber": attempt,
                "objectId": self.number, "propertyName": "email", "propertyValue": mail, "changeSource": "CRM_UI",
            }]  # fmt: skip
        elif self.vendor == "calendly":
            uri = f"https://api.calendly.com/scheduled_events/E{self.number}"
            document = {
                "event": "invitee.created", "created_at": format_instant(at + attempt * 60_000),
                "payload": {
                    "uri": f"{uri}/invitees/I{self.number}", "email": mail, "status": "active", "event": uri,
                    "created_at": stamp, "updated_at": stamp, "rescheduled": False, "old_invitee": None,
                    "tracking": {}, "questions_and_answers": [],
                    "scheduled_event": {"uri": uri, "name": "Product demo", "start_time": stamp, "status": "active"},
                },
            }  # fmt: skip
        else:
            document = {
                "id": f"evt_{self.number}", "object": "event", "created": at // 1000, "livemode": True,
                "pending_webhooks": attempt, "type": "checkout.session.completed",
                "data": {"object": {
                    "id": f"cs_{self.number}", "object": "checkout.session", "mode": "payment",
                    "payment_status": "paid", "amount_total": 1000, "currency": "eur", "customer": None,
                    "customer_details": {"email": mail}, "payment_intent": f"pi_{self.number}", "metadata": {},
                }},
            }  # fmt: skip
        return json.dumps(document).encode()

    def request(self, address: str, attempt: int, secret: bytes = SECRET) -> tuple[str, bytes, dict[str, str]]:
        """Path, body and headers, signed as the vendor signs."""
        path, body, now = f"/in/{self.vendor}", self.body(attempt), int(time.time() * 1000)
        headers = {"Content-Type": "application/json"}
        if self.vendor == "hubspot":
            signed = b"POST" + f"{address}{path}".encode() + body + str(now).encode()
            made = base64.b64encode(hmac.new(secret, signed, hashlib.sha256).digest()).decode()
            headers |= {"X-HubSpot-Request-Timestamp": str(now), "X-HubSpot-Signature-v3": made}
        else:
            name = "Stripe-Signature" if self.vendor == "stripe" else "Calendly-Webhook-Signature"
            seconds = str(now // 1000)
            made = hmac.new(secret, seconds.encode() + b"." + body, hashlib.sha256).hexdigest()
            headers[name] = f"t={seconds},v1={made}"
        return path, body, headers


class Process:
    """A verb of `lifecycle`, run until it is killed or told to end."""

    def __init__(self, folder: Path, name: str, *arguments: str) -> None:
        self._log = folder / f"{name}-{uuid.uuid4().hex[:4]}.log"
        environment = {**os.environ, "S": SECRET.decode(), "LIFECYCLE_LOG_FORMAT": "json"}
        with self._log.open("wb") as out:
            self.process = subprocess.Popen(
                bound([sys.executable, "-c", "from worker.commands import main; main()", *arguments]),
                stdout=out, stderr=out, stdin=subprocess.DEVNULL, env=environment,
            )  # fmt: skip

    def said(self) -> str:
        return self._log.read_text()

    async def address(self) -> str:
        async with asyncio.timeout(START_SECONDS):
            while True:
                assert self.process.poll() is None, self.said()
                found = re.search(r'"address": "([^"]+)"', self.said())
                if found:
                    return f"http://{found[1]}"
                await asyncio.sleep(0.05)

    def end(self, how: signal.Signals) -> int:
        self.process.send_signal(how)
        return self.process.wait(60)


class Proof:
    """One run: topics, group and processes of its own on the broker."""

    def __init__(self, broker: str, folder: Path, count: int, client: str) -> None:
        """`client` is the worker's."""
        self.client = client
        self.url, self.hosts = f"kafka://{broker}", broker
        self.folder = folder
        unique = f"proof-{uuid.uuid4().hex[:8]}"
        self.topics = {name: f"{unique}-{name}" for name in ("hooks", "in", "out", "dead", "contacts")}
        self.group = unique
        now = int(time.time() * 1000)
        self.genuine = [Webhook(number, f"c{number // len(VENDORS)}", now) for number in range(count)]
        self.forged = [Webhook(number, f"forged{number}", now) for number in range(0, count, 9)]
        self.attempts: Counter[int] = Counter()
        self.taken: set[int] = set()
        self.refused = 0
        self.started: list[Process] = []
        lifecycle = folder / "webhooks.yaml"
        lifecycle.write_text(LIFECYCLE, encoding="utf-8")
        session = "session_timeout_ms" if client == "kafka-python" else '"session.timeout.ms"'
        (folder / "worker.toml").write_text(f"[kafka]\n{session} = 6000\n", encoding="utf-8")

    def receiver(self) -> Process:
        sources = [argument for vendor in VENDORS for argument in ("--source", f"{vendor}={vendor}:S")]
        arguments = ["--broker", self.url, "--topic", self.topics["hooks"], "--http", "127.0.0.1:0", "--rate", "100000"]
        self.started.append(Process(self.folder, "receiver", "receive", *arguments, *sources))
        return self.started[-1]

    def worker(self) -> Process:
        inputs = [argument for each in VENDORS for argument in ("--input", f"{self.topics['hooks']}/{each}={each}")]
        self.started.append(
            Process(
                self.folder, "worker", "run", "--lifecycle", str(self.folder / "webhooks.yaml"), "--broker", self.url,
                "--client", self.client, "--config", str(self.folder / "worker.toml"), "--group", self.group,
                "--instance-id", "one", "--state-dir", str(self.folder / "state"), "--input-topic", self.topics["in"],
                "--output-topic", self.topics["out"], "--dead-letter-topic", self.topics["dead"],
                "--contacts-topic", self.topics["contacts"], "--transaction-timeout-ms", "5000", *inputs,
            )
        )  # fmt: skip
        return self.started[-1]

    def close(self) -> None:
        for process in self.started:
            kill(process.process)

    async def send(self, address: str, at: Callable[[], None] = lambda: None) -> None:
        """Send what was not answered for, some of it twice, and what is forged. A killed receiver ends the round."""
        left = iter([webhook for webhook in self.genuine if webhook.number not in self.taken])
        forged = iter(self.forged if not self.taken else [])
        async with httpx.AsyncClient(base_url=address, timeout=30) as client:

            async def post(webhook: Webhook, secret: bytes = SECRET) -> int:
                path, body, headers = webhook.request(address, self.attempts[webhook.number], secret)
                try:
                    return (await client.post(path, content=body, headers=headers)).status_code
                except httpx.TransportError:
                    return 0  # killed: nothing was answered

            async def genuine() -> None:
                for webhook in left:
                    repeated = webhook.number % 10 == 0
                    for _ in range(2 if repeated else 1):
                        self.attempts[webhook.number] += 1
                        status = await post(webhook)
                        assert status in (0, 200, 429, 503), status
                        if status == 200:
                            self.taken.add(webhook.number)
                            at()

            async def false() -> None:
                for webhook in forged:
                    status = await post(webhook, GUESSED)
                    assert status in (0, 401), status
                    self.refused += status == 401

            await asyncio.gather(false(), *(genuine() for _ in range(PARALLEL)))

    async def send_all(self) -> None:
        """Every genuine webhook is answered for; the receiver was killed a third of the way, the worker half."""
        first, worker = self.receiver(), self.worker()
        address = await first.address()
        killed: list[str] = []

        def kill_receiver() -> None:
            if len(self.taken) >= len(self.genuine) // 3 and "receiver" not in killed:
                killed.append("receiver")
                first.end(signal.SIGKILL)

        await self.send(address, kill_receiver)
        assert killed == ["receiver"]
        assert len(self.taken) < len(self.genuine)

        def kill_worker() -> None:
            if len(self.taken) >= len(self.genuine) * 2 // 3 and "worker" not in killed:
                assert worker.process.poll() is None, worker.said()
                killed.append("worker")
                worker.end(signal.SIGKILL)
                self.worker()

        address = await self.receiver().address()
        for _ in range(ROUNDS_MAX):
            await self.send(address, kill_worker)
            if len(self.taken) == len(self.genuine):
                break
        assert len(self.taken) == len(self.genuine)
        assert killed == ["receiver", "worker"]
        assert self.refused > 0

    # ------------------------------------------------------------------------------------------------- what came of it
    def wait_until_folded(self, transport: Transport, seconds: float) -> None:
        """The group has committed what the receiver's topic and the internal one hold."""
        ends = time.monotonic() + seconds
        admin = KafkaAdminClient(bootstrap_servers=self.hosts)
        try:
            while True:
                worker = self.started[-1]
                assert worker.process.poll() is None, worker.said()[-3_000:]
                committed = admin.list_group_offsets(self.group)[self.group]
                at = {(place.topic, place.partition): told.offset for place, told in committed.items()}
                last: dict[tuple[str, int], int] = {}
                for topic in (self.topics["hooks"], f"{self.group}-internal"):
                    for record in self.read(transport, topic):
                        last[topic, record.partition] = record.offset
                if last and all(at.get(place, -1) > offset for place, offset in last.items()):
                    return
                assert time.monotonic() < ends, f"not folded within {seconds:g} s: {worker.said()[-3_000:]}"
        finally:
            admin.close()

    def read(self, transport: Transport, topic: str) -> list[Record]:
        """What a `read_committed` consumer sees of the topic."""
        admin, reader = transport.admin(), transport.reader()
        try:
            places = [TopicPartition(topic, number) for number in range(admin.partitions(topic) or 0)]
            ends = admin.end_offsets(places)
            reader.assign(dict.fromkeys(places, EARLIEST))
            found: list[Record] = []
            for _ in range(1_000):
                found += reader.poll(100, 10_000)
                if all(reader.position(place) >= ends[place] for place in places):
                    return found
            raise AssertionError(f"{topic} does not come to its end")
        finally:
            reader.close()
            admin.close()

    def expected(self) -> dict[str, set[str]]:
        """By contact, the ids of the events that its webhooks mean."""
        mappings = {vendor: Mapping.load(vendor) for vendor in VENDORS}
        found: dict[str, set[str]] = defaultdict(set)
        for webhook in self.genuine:
            events = [each for each in mappings[webhook.vendor].apply(webhook.body(1)) if isinstance(each, Event)]
            told = [each for each in events if each.type != "contact.identified"]
            assert len(told) == 1, webhook
            found[told[0].subject].add(told[0].id)
        return found

    def check_replayed(self, latest: dict[str, dict[str, Any]]) -> None:
        """`replay` of the receiver's topic, by the same mappings, has each contact where the worker has it."""
        out = self.folder / "replayed"
        mappings = [argument for vendor in VENDORS for argument in ("--mapping", f"{vendor}={vendor}")]
        command = ["replay", f"{self.url}/{self.topics['hooks']}", "-l", str(self.folder / "webhooks.yaml"), *mappings]
        replay = Process(self.folder, "replay", *command, "--out", str(out))
        self.started.append(replay)
        assert replay.process.wait(300) == 0, replay.said()
        rows = map(json.loads, (out / "contacts.jsonl").read_text(encoding="utf-8").splitlines())
        stages = {row["contact"]: (row["stage"], row["entered_at"]) for row in rows}
        assert stages == {contact: (now["stage"], now["entered_at"]) for contact, now in latest.items()}
        assert (out / "dead-letters.jsonl").read_text(encoding="utf-8") == ""

    def check(self, transport: Transport) -> None:
        expected = self.expected()
        assert sum(map(len, expected.values())) == len(self.genuine)
        by_contact: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for record in self.read(transport, self.topics["out"]):
            body = json.loads(record.value or b"")
            if "contact" in body["data"]:
                by_contact[body["subject"]].append(body)
        told = {
            contact: Counter(
                body["data"]["cause"]["id"] for body in standing(bodies) if body["type"] == "lifecycle.signal.v1"
            )
            for contact, bodies in by_contact.items()
        }
        assert {contact: set(ids) for contact, ids in told.items() if ids} == expected, "lost, or in another history"
        assert all(times == 1 for ids in told.values() for times in ids.values()), "a webhook counted twice"
        latest = {
            (record.key or b"").decode(): json.loads(record.value)
            for record in self.read(transport, self.topics["contacts"])
            if record.value
        }
        bought = {f"{each.who}@example.com" for each in self.genuine if each.vendor == "stripe"}
        assert {contact for contact, now in latest.items() if now["stage"] == "customer"} == bought
        assert latest.keys() == expected.keys(), "no history but those of genuine webhooks"
        for contact, now in latest.items():
            assert now["revision"] == len(by_contact[contact]), contact
        assert self.read(transport, self.topics["dead"]) == []
        self.check_replayed(latest)
        hooks = self.read(transport, self.topics["hooks"])
        assert not any(b"forged" in (record.value or b"") for record in hooks)
        assert len(hooks) > len(self.genuine), "some came again"


Prove = Callable[[int, str, float], None]
"""Takes how many webhooks, the worker's client, and how long the worker may need for what is left in the end."""


@pytest.fixture
def prove(broker: str, tmp_path: Path) -> Iterator[Prove]:
    proofs: list[Proof] = []

    def prove_(count: int, client: str, seconds: float) -> None:
        proof = Proof(broker, tmp_path, count, client)
        proofs.append(proof)
        asyncio.run(proof.send_all())
        transport = open_transport(proof.url)
        try:
            proof.wait_until_folded(transport, seconds)
            # The newest worker is told to end: what it has in hand is finished, and seen below.
            worker = next(each for each in reversed(proof.started) if "worker-started" in each.said())
            assert worker.end(signal.SIGTERM) == 0, worker.said()
            proof.check(transport)
        finally:
            transport.close()

    yield prove_
    for proof in proofs:
        proof.close()


@pytest.mark.broker
def test_every_genuine_webhook_is_in_exactly_one_history(prove: Prove) -> None:
    prove(1_000, "kafka-python", 120)


@pytest.mark.slow
@pytest.mark.broker
@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("client", ["kafka-python", "confluent-kafka"])
def test_ten_thousand_webhooks_are(client: str, prove: Prove) -> None:
    prove(10_000, client, 600)
