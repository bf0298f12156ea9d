"""The changelog: what each partition's state is, as records, and who wrote them.

A record's key is the state key; its value the key's next timer (8 bytes, signed, epoch ms) and the state; none where
the key ended. Its one header says under which definition it was written.

Each partition also holds one record about the deployment: which client, partitioner, partition count and definition
wrote it. It is the group-wide place where a second worker with other ideas is found out, and it is kept in the store
too, so that a restart which reads no changelog still sees it.
"""

from __future__ import annotations

import struct
from typing import Final

import msgspec

from worker.stores.base import Write
from worker.transports.base import Headers, Record

DEPLOYMENT_KEY: Final = b"\x00deployment"  # no state key begins with a zero byte
DEFINITION_HEADER: Final = "lifecycle-definition"
KEPT_MAX: Final = 20

_NEVER: Final = (1 << 63) - 1
_due = struct.Struct(">q")


class Definition(msgspec.Struct, frozen=True):
    """Which definition: `version` says what is newer, `fingerprint` what is the same."""

    lifecycle: str
    version: int
    fingerprint: str


class Deployment(msgspec.Struct, frozen=True, forbid_unknown_fields=False):
    """What all workers of a group must have in common. `kept` are older definitions whose states may still be here."""

    definition: Definition
    client: str
    partitioner: str
    partitions: int
    worker_version: str
    kept: tuple[Definition, ...] = ()
    layouts: dict[str, str] = {}  # of each of these definitions, by fingerprint: how its states are laid out
    format: int = 1  # of states and messages; the first had no number
    inputs: dict[str, int] = {}  # partition counts of other topics of which it was read


_encoder = msgspec.json.Encoder()
_deployments = msgspec.json.Decoder(Deployment)
_definitions = msgspec.json.Decoder(Definition)


def encode_deployment(deployment: Deployment) -> bytes:
    return _encoder.encode(deployment)


def decode_deployment(value: bytes) -> Deployment:
    """Raises `msgspec.MsgspecError` for what no worker wrote."""
    return _deployments.decode(value)


def definition_headers(definition: Definition) -> Headers:
    """The headers of every record written under the definition: one object, shared by all of them."""
    return ((DEFINITION_HEADER, _encoder.encode(definition)),)


def definition_of(headers: Headers) -> Definition | None:
    """The definition a record was written under; None where its headers don't say."""
    for name, value in headers:
        if name == DEFINITION_HEADER and value is not None:
            return _definitions.decode(value)
    return None


def encode_state(state: bytes | None, due: int | None) -> bytes | None:
    """The value of a changelog record."""
    if state is None:
        return None
    return _due.pack(_NEVER if due is None else due) + state


def to_write(record: Record) -> Write:
    """What a changelog record makes of the store. Raises `ValueError` for one that no worker wrote."""
    value = record.value
    if record.key is None or (value is not None and len(value) < _due.size):
        raise ValueError(f"{record.topic}[{record.partition}]@{record.offset} is no changelog record")
    if value is None:
        return Write(record.key, None, None)
    if record.key == DEPLOYMENT_KEY:
        return Write(record.key, value, None)
    (due,) = _due.unpack_from(value)
    return Write(record.key, value[_due.size :], None if due == _NEVER else due)
