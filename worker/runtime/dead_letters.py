"""What was not accepted: the original record untouched, with headers that say why and where it came from."""

from __future__ import annotations

import hashlib

from worker.fold.outcome import Refusal
from worker.transports.base import Headers, Record, Send

REASON = "lifecycle-reason"
MESSAGE = "lifecycle-message"
SOURCE_TOPIC = "lifecycle-source-topic"
SOURCE_PARTITION = "lifecycle-source-partition"
SOURCE_OFFSET = "lifecycle-source-offset"
WORKER_VERSION = "lifecycle-worker-version"
DIGEST = "lifecycle-digest"  # SHA-256 of the value, where the topic can't take the value itself
SIZE = "lifecycle-size"  # its length in bytes, with the digest
MAPPED = "lifecycle-mapped"  # the value is an event that the mapping of this name made of the record at that place
OWN = frozenset({REASON, MESSAGE, SOURCE_TOPIC, SOURCE_PARTITION, SOURCE_OFFSET, WORKER_VERSION, DIGEST, SIZE, MAPPED})
"""Names of the headers added here: who puts a dead letter back takes exactly these away."""

MESSAGE_CHARACTERS_MAX = 1_000
KEY_BYTES_MAX = 1_000  # of a record whose value doesn't fit: a key that long is no use in a dead letter either
_FRAME = 100  # bytes a record costs beyond what it carries: lengths, attributes, the batch's head


def size(key: bytes | None, value: bytes | None, headers: Headers) -> int:
    """A record's bytes on the wire, from above."""
    bytes_ = _FRAME + (len(key) if key else 0) + (len(value) if value else 0)
    for name, content in headers:
        bytes_ += len(name) + len(content or b"") + 10
    return bytes_


def dead_letter(
    record: Record, refusal: Refusal, topic: str, partition: int, worker_version: str, limit: int | None
) -> Send:
    """The record as the dead-letter topic gets it; above `limit` bytes its digest in place of the value."""
    message = refusal.message[:MESSAGE_CHARACTERS_MAX]
    why: Headers = (
        (REASON, refusal.reason.encode()),
        (MESSAGE, message.encode(errors="replace")),
        (SOURCE_TOPIC, record.topic.encode()),
        (SOURCE_PARTITION, str(record.partition).encode()),
        (SOURCE_OFFSET, str(record.offset).encode()),
        (WORKER_VERSION, worker_version.encode()),
    )
    headers = record.headers + why
    if limit is None or size(record.key, record.value, headers) <= limit:
        return Send(topic, partition, record.key, record.value, headers)
    value = record.value or b""
    digest = ((DIGEST, hashlib.sha256(value).hexdigest().encode()), (SIZE, str(len(value)).encode()))
    key = record.key if record.key is None or len(record.key) <= KEY_BYTES_MAX else None
    return Send(topic, partition, key, None, why + digest)
