"""Kafka through confluent-kafka (librdkafka), an extra: `pip install 'lifecycle-worker[confluent]'`."""

from __future__ import annotations

import logging
import time
import uuid
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient

from worker.transports.confluent_admin import ConfluentAdmin
from worker.transports.confluent_calls import Calls
from worker.transports.confluent_consumer import ConfluentConsumer, ConfluentReader
from worker.transports.confluent_errors import LIBRARY, translate
from worker.transports.confluent_producer import ConfluentProducer
from worker.transports.errors import Fatal, Retriable, TransportError
from worker.transports.options import CLIENT_STEM, Options, check, never_answered, refuse_strangers, servers

CLIENT_ID = CLIENT_STEM + "confluent"
CONNECT_SECONDS = 10.0
CONNECT_STEP_SECONDS = 1.0
START_SECONDS = 15.0  # a predecessor's transaction may have to be ended first
HEARD = 20  # the latest of the client's reports are kept

KEPT = {
    "bootstrap.servers": "the address is that of --broker",
    "metadata.broker.list": "the address is that of --broker",
    "group.id": "the group is that of --group",
    "group.instance.id": "the instance is that of --instance-id",
    "group.protocol": "all members must use cooperative-sticky",
    "transactional.id": "it is made of the group and the instance",
    "isolation.level": "the stability of committed offsets depends on read_committed",
    "enable.auto.commit": "offsets are committed in the transaction that they belong to",
    "enable.auto.offset.store": "offsets are committed in the transaction that they belong to",
    "auto.offset.reset": "a lost position is refused, never reset",
    "enable.partition.eof": "positions are read from it",
    "enable.idempotence": "transactions need it",
    "acks": "transactions need all of them",
    "request.required.acks": "transactions need all of them",
    "partition.assignment.strategy": "all members must use cooperative-sticky",
    "partitioner": "the worker chooses the partition itself (--partitioner)",
    "allow.auto.create.topics": "topics are made by the worker, with settings that it knows",
}

COMMON = {
    "client.id": CLIENT_ID,
    "log.connection.close": False,
    "reconnect.backoff.max.ms": 2_000,
    "socket.timeout.ms": 15_000,
    "allow.auto.create.topics": False,
}

READING = {
    **COMMON,
    "isolation.level": "read_committed",  # offsets asked for are then the stable ones, too (KIP-447)
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "auto.offset.reset": "error",
    "enable.partition.eof": True,
    "fetch.wait.max.ms": 100,
    "fetch.message.max.bytes": 4 << 20,
    "queued.max.messages.kbytes": 64 << 10,
    "fetch.queue.backoff.ms": 10,  # a second, by default, in which nothing is read after the queue was full
}

JOINING = {
    **READING,
    "partition.assignment.strategy": "cooperative-sticky",
    "session.timeout.ms": 30_000,
    "heartbeat.interval.ms": 1_000,
}

WRITING = {
    **COMMON,
    "enable.idempotence": True,
    "acks": "all",
    "linger.ms": 0,
    "batch.size": 512 << 10,
    "batch.num.messages": 100_000,
    "message.max.bytes": 16 << 20,
    "queue.buffering.max.messages": 1_000_000,
    "retry.backoff.ms": 5,
    # A dead worker's open transaction holds back every reader until it times out; a record must fail before that.
    "transaction.timeout.ms": 10_000,
    "message.timeout.ms": 8_000,
    "socket.timeout.ms": 5_000,
}

IN_KAFKA_PYTHON = {
    "client.id": "client_id",
    "security.protocol": "security_protocol",
    "sasl.mechanism": "sasl_mechanism",
    "sasl.mechanisms": "sasl_mechanism",
    "sasl.username": "sasl_plain_username",
    "sasl.password": "sasl_plain_password",
    "ssl.ca.location": "ssl_cafile",
    "ssl.certificate.location": "ssl_certfile",
    "ssl.key.location": "ssl_keyfile",
    "ssl.key.password": "ssl_password",
    "ssl.crl.location": "ssl_crlfile",
}


class ConfluentTransport:
    """See `worker.transports.base.Transport`."""

    def __init__(self, url: str, options: Options | None = None, *, connect_seconds: float = CONNECT_SECONDS) -> None:
        """Connects to nothing yet. Options are librdkafka's, which says at the first client which it doesn't have."""
        self._connect_seconds = connect_seconds
        self.servers = servers(url)
        self._options = {str(name): value for name, value in (options or {}).items()}
        check(self._options, (), KEPT, "librdkafka")
        self._calls = Calls()

    def consumer(self, group: str, topics: Sequence[str], instance_id: str | None) -> ConfluentConsumer:
        admin = self.admin()
        refuse_strangers(group, admin.clients(group), CLIENT_ID)
        ours = {**JOINING, "group.id": group}
        if instance_id is not None:
            ours["group.instance.id"] = instance_id
        return ConfluentConsumer(self._made(Consumer, ours), self._calls, group, topics, instance_id, admin)

    def reader(self) -> ConfluentReader:
        group = f"{CLIENT_ID}-reader-{uuid.uuid4()}"  # never joined: the client wants a name all the same
        return ConfluentReader(self._made(Consumer, {**READING, "group.id": group}), self._calls)

    def producer(self, transactional_id: str) -> ConfluentProducer:
        client = self._made(Producer, {**WRITING, "transactional.id": transactional_id})
        producer = ConfluentProducer(client, self._calls, self._topic_limit)
        del client  # whose end is the producer's
        try:
            producer.start(f"beginning to write as {transactional_id!r}", START_SECONDS)
        except TransportError:
            producer.close()
            raise
        return producer

    def admin(self) -> ConfluentAdmin:
        return ConfluentAdmin(self._admin_client(), self._calls, self._member_admin, self._admin_client)

    def _admin_client(self) -> Any:
        return self._made(AdminClient, COMMON)

    def close(self) -> None:
        """Nothing is held here: what was handed out is closed by who asked for it."""

    def __repr__(self) -> str:
        return f"<confluent-kafka at {self.servers}>"

    def _made(self, kind: Any, ours: Mapping[str, Any]) -> Any:
        """A client that has answered once, by our settings, then the user's. Raises what kept it from it.

        librdkafka tries on whatever the cause; what it reports meanwhile tells a wrong secret from a broker away.
        """
        heard: deque[Any] = deque(maxlen=HEARD)
        settings = {
            **ours,
            **self._options,
            "bootstrap.servers": self.servers,
            "logger": quiet_logger(),
            "error_cb": heard.append,
        }
        try:
            client = kind(settings)
        except LIBRARY as error:
            raise translate(error, f"making a client for {self.servers}") from error
        self._answered(client, heard)
        return client

    def _answered(self, client: Any, heard: Sequence[Any]) -> None:
        """The broker has answered this client. `heard` is what the client reports."""
        doing = f"connecting to {self.servers}"
        deadline = time.monotonic() + self._connect_seconds
        while True:
            left = max(0.01, deadline - time.monotonic())
            try:
                client.list_topics(timeout=min(CONNECT_STEP_SECONDS, left))
                return
            except LIBRARY as error:
                failure = translate(error, doing)
                with suppress(*LIBRARY):
                    client.poll(0)  # hands over what was reported
                causes = [translate(each, doing) for each in heard]
                for cause in causes:
                    if isinstance(cause, Fatal):
                        raise cause from error
                if not isinstance(failure, Retriable):
                    raise failure from error
                if left <= CONNECT_STEP_SECONDS:
                    text = str(causes[-1] if causes else failure)
                    raise Retriable(text, never_answered(self.servers, "security.protocol")) from error

    def _topic_limit(self, topic: str) -> int | None:
        try:
            return int(self.admin().config(topic)["max.message.bytes"])
        except (TransportError, KeyError, ValueError):
            return None  # the error at hand is told without it

    def _member_admin(self) -> Any:
        """kafka-python's administrator, with our options for reaching and trusting the broker in its names."""
        from worker.transports.kafka_python import KafkaPythonTransport

        known = {IN_KAFKA_PYTHON[name]: value for name, value in self._options.items() if name in IN_KAFKA_PYTHON}
        return KafkaPythonTransport(f"kafka://{self.servers}", known).admin()


def quiet_logger() -> logging.Logger:
    """Where librdkafka's own lines go: to logging, not past it to standard error."""
    return logging.getLogger(__name__ + ".client")
