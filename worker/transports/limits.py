"""What topics are unless their settings say otherwise, in logs that are not Kafka but keep its rules."""

from __future__ import annotations

from collections.abc import Mapping

from worker.transports.base import Send
from worker.transports.errors import RecordTooLarge

DEFAULTS: Mapping[str, str] = {
    "cleanup.policy": "delete",
    "delete.retention.ms": "86400000",
    "max.message.bytes": "1048588",
    "min.compaction.lag.ms": "0",
    "retention.bytes": "-1",
    "retention.ms": "604800000",
    "segment.ms": "604800000",
}
RECORD_OVERHEAD = 70  # bytes: what a batch with one record adds to the record's parts


def size(send: Send) -> int:
    """About what the record takes in the log, in bytes."""
    bytes_ = RECORD_OVERHEAD + len(send.key or b"") + len(send.value or b"")
    for name, value in send.headers:
        bytes_ += len(name) + len(value or b"") + 4
    return bytes_


def check_size(send: Send, limit: int, index: int) -> None:
    """Raises `RecordTooLarge` for a record that a topic with this limit in bytes doesn't take."""
    bytes_ = size(send)
    if bytes_ > limit:
        raise RecordTooLarge(
            f"a record of {bytes_} bytes for {send.topic}[{send.partition}], which takes {limit}", index, limit
        )
