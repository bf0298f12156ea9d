"""Partitioners agree with the clients whose rules they are, and say whose rule a topic was written by."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kafka.partitioner.default import murmur2 as kafka_python_murmur2

from worker.transports.errors import Fatal
from worker.transports.partitioner import ALIASES, HASHES, crc32, explain, fnv1a, murmur2, named, partition_of

KEYS = st.binary(max_size=400)


@given(KEYS)
def test_murmur2_is_kafka_python_s(key: bytes) -> None:
    assert murmur2(key) == kafka_python_murmur2(key) & 0x7FFFFFFF


@pytest.mark.parametrize(
    ("key", "java"),  # from Apache Kafka's own UtilsTest
    [
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_murmur2_is_that_of_java(key: bytes, java: int) -> None:
    assert murmur2(key) == java & 0x7FFFFFFF


@pytest.mark.parametrize(
    ("key", "offset_basis_and_so_on"), [(b"", 0x811C9DC5), (b"a", 0xE40C292C), (b"foobar", 0xBF9CF968)]
)
def test_fnv1a_is_that_of_its_authors_without_the_sign(key: bytes, offset_basis_and_so_on: int) -> None:
    signed = offset_basis_and_so_on - (1 << 32 if offset_basis_and_so_on >= 1 << 31 else 0)
    assert fnv1a(key) == abs(signed)


def random_keys(count: int) -> list[bytes]:
    choose = random.Random(7)
    return [choose.randbytes(choose.randrange(1, 60)) for _ in range(count)]


@pytest.mark.parametrize("theirs", ["murmur2_random", "consistent_random", "fnv1a_random", "consistent", "murmur2"])
def test_each_rule_is_librdkafka_s(theirs: str) -> None:
    library = pytest.importorskip("confluent_kafka", reason="compares with librdkafka, which is an extra")
    keys = random_keys(300)
    producer = library.Producer({"test.mock.num.brokers": 1, "partitioner": theirs})
    placed: dict[bytes, int] = {}

    def report(error: object, message: object) -> None:
        assert error is None
        placed[message.key()] = message.partition()  # type: ignore[attr-defined]

    for key in keys:
        producer.produce("topic", b"", key, on_delivery=report)
    assert producer.flush(30) == 0
    count = len(producer.list_topics("topic", 10).topics["topic"].partitions)
    assert count > 1
    rule = named(theirs)
    assert placed == {key: rule(key) % count for key in keys}
    assert explain(placed.items(), count) == ALIASES.get(theirs, theirs)


@given(st.sampled_from(sorted(HASHES)), st.integers(2, 64), st.sets(st.binary(min_size=1, max_size=40), min_size=25))
def test_the_rule_that_placed_the_keys_is_named(name: str, count: int, keys: set[bytes]) -> None:
    assert explain([(key, HASHES[name](key) % count) for key in keys], count) == name


@pytest.mark.parametrize(
    "pairs", [[], [(None, 1)] * 100, [(b"", 3)] * 100, [(b"same", partition_of(b"same", 4))] * 100]
)
def test_too_little_to_tell_names_no_rule(pairs: Sequence[tuple[bytes | None, int]]) -> None:
    assert explain(pairs, 4) is None


def test_one_partition_tells_nothing() -> None:
    assert explain([(key, 0) for key in random_keys(100)], 1) is None


def test_keys_spread_by_no_rule_name_none() -> None:
    choose = random.Random(1)
    assert explain([(key, choose.randrange(8)) for key in random_keys(100)], 8) is None


def test_a_key_in_two_partitions_fits_no_rule() -> None:
    pairs = [(key, crc32(key) % 4) for key in random_keys(100)]
    key, partition = pairs[0]
    assert explain([*pairs, (key, (partition + 1) % 4)], 4) is None


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(Fatal) as caught:
        named("murmur3")
    assert "murmur2" in caught.value.remedy
