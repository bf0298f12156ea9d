"""Kafka through kafka-python, the default client.

Facts about version 3.0.12 that this module answers to (numbers: `docs/decisions/0006-kafka-clients.md`):

1. Without the C checksum it is six times slower: refused at the start.
7. `retry_backoff_ms` is what a small transaction waits for: five milliseconds. `max_request_size` is raised.

The others are answered to where they arise: 2 to 4 in `kafka_python_producer`, 5 and 6 in `kafka_python_consumer`, 8 in
`kafka_python_batches` and `kafka_python_records`.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import kafka
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.record import util as checksums

from worker.transports.errors import Fatal, Retriable
from worker.transports.kafka_python_admin import KafkaPythonAdmin
from worker.transports.kafka_python_consumer import KafkaPythonConsumer, KafkaPythonReader
from worker.transports.kafka_python_errors import LIBRARY, Overheard, translate
from worker.transports.kafka_python_producer import KafkaPythonProducer, discard
from worker.transports.kafka_python_records import decode_by_batch
from worker.transports.options import CLIENT_STEM, Options, check, never_answered, refuse_strangers, servers, typed

CLIENT_ID = CLIENT_STEM + "kafka-python"
OLDEST = (3, 0, 12)

KEPT = {
    "bootstrap_servers": "the address is that of --broker",
    "group_id": "the group is that of --group",
    "group_instance_id": "the instance is that of --instance-id",
    "transactional_id": "it is made of the group and the instance",
    "isolation_level": "the stability of committed offsets depends on read_committed",
    "enable_auto_commit": "offsets are committed in the transaction that they belong to",
    "auto_offset_reset": "a lost position is refused, never reset",
    "enable_idempotence": "transactions need it",
    "acks": "transactions need all of them",
    "retries": "the delivery timeout is the limit",
    "partition_assignment_strategy": "all members must use cooperative-sticky",
    "partitioner": "the worker chooses the partition itself (--partitioner)",
    "allow_auto_create_topics": "topics are made by the worker, with settings that it knows",
    "key_serializer": "the worker writes bytes",
    "value_serializer": "the worker writes bytes",
    "key_deserializer": "the worker reads bytes",
    "value_deserializer": "the worker reads bytes",
    "consumer_timeout_ms": "the worker polls with limits of its own",
}

COMMON = {"client_id": CLIENT_ID, "bootstrap_timeout_ms": 10_000, "reconnect_backoff_max_ms": 2_000}

READING = {
    **COMMON,
    "isolation_level": "read_committed",  # OffsetFetch then asks for stable offsets, too (KIP-447)
    "enable_auto_commit": False,
    "auto_offset_reset": "none",
    "allow_auto_create_topics": False,
    "metrics_enabled": False,
    "retry_backoff_ms": 50,
    "request_timeout_ms": 15_000,
    "max_partition_fetch_bytes": 4 << 20,
}

JOINING = {
    **READING,
    "partition_assignment_strategy": (CooperativeStickyAssignor,),
    "session_timeout_ms": 30_000,
    "heartbeat_interval_ms": 1_000,
}

WRITING = {
    **COMMON,
    "enable_idempotence": True,
    "acks": "all",
    "allow_auto_create_topics": False,
    "metrics_enabled": False,
    "retry_backoff_ms": 5,
    "linger_ms": 0,
    "batch_size": 512 << 10,
    "max_request_size": 16 << 20,
    # A dead worker's open transaction holds back every reader until it times out; a record must fail before that.
    "transaction_timeout_ms": 10_000,
    "delivery_timeout_ms": 8_000,
    "request_timeout_ms": 5_000,
    "max_block_ms": 8_000,
}

MANAGING = {**COMMON, "request_timeout_ms": 15_000, "retry_backoff_ms": 50}


class KafkaPythonTransport:
    """See `worker.transports.base.Transport`."""

    def __init__(self, url: str, options: Options | None = None, *, packed: bool = True) -> None:
        """Connects to nothing yet. `packed` False reads and writes record by record, by the library's own methods."""
        self.servers = servers(url)
        if getattr(checksums, "crc32c_c", None) is None:
            raise Fatal(
                "kafka-python runs without its C checksum, six times slower", "pip install 'kafka-python[crc32c]'"
            )
        version = tuple(int(part) for part in kafka.__version__.split(".")[:3] if part.isdigit())
        if version < OLDEST:
            raise Fatal(f"kafka-python {kafka.__version__} is too old", "pip install 'kafka-python[crc32c]>=3.0.12'")
        known = {**KafkaConsumer.DEFAULT_CONFIG, **KafkaProducer.DEFAULT_CONFIG, **KafkaAdminClient.DEFAULT_CONFIG}
        check(options or {}, known, KEPT, "kafka-python")
        self._options = {name: typed(value, known[name]) for name, value in (options or {}).items()}
        self._packed = packed
        keep_secrets_out_of_logs()

    def consumer(self, group: str, topics: Sequence[str], instance_id: str | None) -> KafkaPythonConsumer:
        admin = self.admin()
        try:
            refuse_strangers(group, admin.clients(group), CLIENT_ID)
            client = self._made(KafkaConsumer, JOINING, group_id=group, group_instance_id=instance_id)
        except BaseException:
            admin.close()
            raise
        if self._packed:
            decode_by_batch(client)
        return KafkaPythonConsumer(client, group, topics, instance_id, admin)

    def reader(self) -> KafkaPythonReader:
        client = self._made(KafkaConsumer, READING, group_id=None)
        if self._packed:
            decode_by_batch(client)
        return KafkaPythonReader(client)

    def producer(self, transactional_id: str) -> KafkaPythonProducer:
        client = self._made(KafkaProducer, WRITING, transactional_id=transactional_id)
        try:
            client.init_transactions()
        except LIBRARY as error:
            discard(client)
            raise translate(error, f"beginning to write as {transactional_id!r}") from error
        return KafkaPythonProducer(client, self._packed)

    def admin(self) -> KafkaPythonAdmin:
        return KafkaPythonAdmin(self._made(KafkaAdminClient, MANAGING))

    def close(self) -> None:
        """Nothing is held here: what was handed out is closed by who asked for it."""

    def __repr__(self) -> str:
        return f"<kafka-python at {self.servers}>"

    def _made(self, kind: Any, ours: Mapping[str, Any], **more: Any) -> Any:
        """A client of this kind, by our settings, then the user's where the kind has them, then what is given here."""
        theirs = {name: value for name, value in self._options.items() if name in kind.DEFAULT_CONFIG}
        settings = {**ours, **theirs, "bootstrap_servers": self.servers.split(","), **more}
        with Overheard() as heard:
            try:
                return kind(**settings)
            except LIBRARY as error:
                failure = translate(error, f"connecting to {self.servers}")
                causes = [translate(each, f"connecting to {self.servers}") for each in heard.causes()]
                for cause in causes:
                    if isinstance(cause, Fatal):  # a wrong secret, an unknown certificate: never mended by waiting
                        raise cause from error
                if isinstance(failure, Retriable):
                    text = str(causes[-1] if causes else failure)
                    raise Retriable(text, never_answered(self.servers, "security_protocol")) from error
                raise failure from error


class NoSecrets(logging.Filter):
    """Drops the library's debug lines that hold credentials: its settings, requests that log in, bytes on the wire."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno > logging.DEBUG:
            return True
        if record.name == "kafka.protocol.parser" or "with configuration" in str(record.msg):
            return False
        arguments = record.args if isinstance(record.args, tuple) else (record.args,)
        return not any(type(argument).__name__.startswith("Sasl") for argument in arguments)


def keep_secrets_out_of_logs() -> None:
    for name in ("kafka.admin.client", "kafka.net.connection", "kafka.protocol.parser"):
        logger = logging.getLogger(name)
        if not any(isinstance(each, NoSecrets) for each in logger.filters):
            logger.addFilter(NoSecrets())
