"""Which partition a key belongs to, by the rules that clients of Kafka use.

| name      | used by                                                                                             |
|-----------|-----------------------------------------------------------------------------------------------------|
| `murmur2` | Java clients, Kafka Connect and Streams, kafka-python, franz-go; librdkafka as `murmur2_random`     |
| `crc32`   | librdkafka's default, `consistent_random`: confluent-kafka for Python, Go and .NET, kcat            |
| `fnv1a`   | Sarama's default, kafka-go's `Hash`; librdkafka as `fnv1a_random`                                   |

All writers of a topic must use one of them, else a contact has two homes. The worker's own is `murmur2` with every
client; where the input topic was written by another, `--partitioner` names it.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from struct import unpack_from
from zlib import crc32 as crc32_of

from worker.transports.errors import Fatal

Hash = Callable[[bytes], int]

DEFAULT = "murmur2"
CACHED = 1 << 17  # keys; about 20 MB
SURE = 1e-6  # a rule is taken for the writer's if chance alone would fit the records as well less often than this

_WORDS = [f"<{number}I" for number in range(64)]


@lru_cache(CACHED)
def murmur2(key: bytes) -> int:
    """Kafka's murmur2 (`org.apache.kafka.common.utils.Utils.murmur2`), made positive as its partitioner does."""
    length = len(key)
    words = length >> 2
    mixed = 0x9747B28C ^ length
    for word in unpack_from(_WORDS[words] if words < 64 else f"<{words}I", key):
        word = word * 0x5BD1E995 & 0xFFFFFFFF
        mixed = (mixed * 0x5BD1E995 & 0xFFFFFFFF) ^ ((word ^ word >> 24) * 0x5BD1E995 & 0xFFFFFFFF)
    if length & 3:
        mixed = (mixed ^ int.from_bytes(key[words << 2 :], "little")) * 0x5BD1E995 & 0xFFFFFFFF
    mixed = (mixed ^ mixed >> 13) * 0x5BD1E995 & 0xFFFFFFFF
    return (mixed ^ mixed >> 15) & 0x7FFFFFFF


@lru_cache(CACHED)
def fnv1a(key: bytes) -> int:
    """FNV-1a of 32 bits, read as a signed number without its sign, as Sarama and librdkafka do."""
    mixed = 0x811C9DC5
    for byte in key:
        mixed = (mixed ^ byte) * 0x01000193 & 0xFFFFFFFF
    return mixed if mixed < 0x80000000 else 0x100000000 - mixed


def crc32(key: bytes) -> int:
    """The CRC of zlib, as librdkafka's `consistent` partitioners use it."""
    return crc32_of(key)


HASHES: Mapping[str, Hash] = {"murmur2": murmur2, "crc32": crc32, "fnv1a": fnv1a}

ALIASES: Mapping[str, str] = {
    "murmur2_random": "murmur2",
    "consistent": "crc32",
    "consistent_random": "crc32",
    "fnv1a_random": "fnv1a",
}


def named(name: str) -> Hash:
    """The rule of this name, or of the name that librdkafka has for it. Raises `Fatal` for an unknown one."""
    found = HASHES.get(ALIASES.get(name, name))
    if found is None:
        near = difflib.get_close_matches(name, [*HASHES, *ALIASES], n=1)
        raise Fatal(f"no partitioner is called {name!r}", f"did you mean {(near or [DEFAULT])[0]!r}?")
    return found


def partition_of(key: bytes, count: int) -> int:
    """Where this worker, and any Java client, puts the key in a topic of `count` partitions."""
    return murmur2(key) % count


def explain(pairs: Iterable[tuple[bytes | None, int]], count: int) -> str | None:
    """Which known rule put these keys in these partitions; None where none did, or where too few keys tell.

    Keys that are missing or empty tell nothing (clients spread them), nor does a key seen before.
    """
    where: dict[bytes, int] = {}
    for key, partition in pairs:
        if key and where.setdefault(key, partition) != partition:
            return None  # one key in two partitions: no rule at all
    if count < 2 or (1 / count) ** len(where) > SURE:
        return None
    for name, rule in HASHES.items():
        if all(rule(key) % count == partition for key, partition in where.items()):
            return name
    return None
