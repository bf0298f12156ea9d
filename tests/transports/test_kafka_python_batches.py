"""Packing and decoding whole batches gives what the library gives record by record, to the byte."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kafka import TopicPartition
from kafka.consumer.fetcher import Fetcher
from kafka.errors import CorruptRecordError
from kafka.producer.record_accumulator import RecordAccumulator
from kafka.record import MemoryRecords
from kafka.record.memory_records import MemoryRecordsBuilder

from worker.transports import kafka_python_batches, kafka_python_records
from worker.transports.base import Send
from worker.transports.kafka_python_batches import PackedBatch, TooLong, pack, usable, zigzag
from worker.transports.kafka_python_records import DecodedRecords, number, readable, unpack

SMALL = st.binary(max_size=300) | st.none()
LARGE = st.integers(16_000, 70_000).map(lambda size: b"x" * size)
NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
HEADERS = st.lists(st.tuples(NAMES, st.binary(max_size=40) | st.none()), max_size=4).map(tuple)
SENDS = st.lists(st.builds(Send, st.just("t"), st.just(0), SMALL, SMALL | LARGE, HEADERS), min_size=1, max_size=60)
ROOM = 1 << 24


def test_this_release_of_the_library_is_as_we_need_it() -> None:
    """Where not, all still works, at a tenth of the speed: nobody would notice but for this test."""
    assert usable()
    assert readable()


@given(SENDS)
def test_a_packed_batch_is_the_library_s_to_the_byte(sends: Sequence[Send]) -> None:
    [packed] = pack(sends, ROOM, ROOM)
    ours = PackedBatch(TopicPartition("t", 0), packed, 0, ROOM).records
    theirs = MemoryRecordsBuilder(2, 0, ROOM)
    for send in sends:
        theirs.append(ours._builder._first_timestamp, send.key, send.value, list(send.headers))
    for records in (ours, theirs):
        records.set_producer_state(1, 2, 3, True)
        records.close()
    assert ours.buffer() == theirs.buffer()


@given(SENDS, st.integers(100, 100_000))
def test_batches_stay_within_their_size_and_keep_order(sends: Sequence[Send], batch_bytes: int) -> None:
    seen: list[tuple[Any, ...]] = []
    for packed in pack(sends, batch_bytes, ROOM):
        assert packed.first == len(seen)
        records = PackedBatch(TopicPartition("t", 0), packed, 0, batch_bytes).records
        records.close()
        assert packed.record_count == 1 or len(records.buffer()) <= batch_bytes
        seen += [(r.key, r.value, tuple(r.headers)) for batch in MemoryRecords(records.buffer()) for r in batch]
    assert seen == [(send.key, send.value, send.headers) for send in sends]


def test_more_records_than_one_number_s_table_are_packed() -> None:
    sends = [Send("t", 0, b"", b"")] * 20_000
    [packed] = pack(sends, ROOM, ROOM)
    batch = PackedBatch(TopicPartition("t", 0), packed, 0, ROOM).records
    batch.close()
    [read] = MemoryRecords(batch.buffer())
    assert [record.offset for record in read] == list(range(20_000))


def test_a_record_above_the_client_s_limit_is_named() -> None:
    sends = [Send("t", 0, b"k", b"v"), Send("t", 0, b"k", b"v" * 100_000), Send("t", 0, b"k", b"v")]
    with pytest.raises(TooLong) as caught:
        list(pack(sends, 1000, 50_000))
    assert caught.value.place == 1


@given(st.integers(-(2**62), 2**62))
def test_numbers_of_variable_length_come_back(value: int) -> None:
    written = zigzag(value)
    assert number(written + b"rest", 0) == (value, len(written))


def test_a_number_without_end_is_damage() -> None:
    with pytest.raises(CorruptRecordError):
        number(b"\xff" * 20, 0)


TIMES = st.integers(1_600_000_000_000, 1_900_000_000_000)
WRITTEN = st.lists(st.tuples(TIMES, SMALL, SMALL | LARGE, HEADERS), min_size=1, max_size=40)


def written(records: Sequence[tuple[int, bytes | None, bytes | None, Any]], compression: int) -> bytes:
    builder = MemoryRecordsBuilder(2, compression, ROOM)
    for time, key, value, headers in records:
        builder.append(time, key, value, list(headers))
    builder.close()
    return bytes(builder.buffer())


@given(WRITTEN, st.sampled_from([0, 1]), st.integers(0, 20))
def test_decoded_records_are_the_library_s(records: Any, compression: int, from_offset: int) -> None:
    buffer = written(records, compression)
    ours, theirs = (
        [
            (r.topic, r.partition, r.offset, r.timestamp, r.key, r.value, tuple(r.headers))
            for r in kind(from_offset, TopicPartition("t", 3), MemoryRecords(buffer)).take()
        ]
        for kind in (DecodedRecords, Fetcher.PartitionRecords)
    )
    assert ours == theirs


@given(WRITTEN, st.integers(1, 10))
def test_the_position_follows_each_record_that_was_taken(records: Any, at_a_time: int) -> None:
    part = DecodedRecords(0, TopicPartition("t", 3), MemoryRecords(written(records, 0)))
    taken = 0
    while part.record_iterator is not None:
        found = part.take(at_a_time)
        taken += len(found)
        assert part.next_fetch_offset == taken
    assert taken == len(records)


@given(WRITTEN, st.data())
def test_a_damaged_batch_is_an_error_never_a_wrong_record(records: Any, data: st.DataObject) -> None:
    buffer = bytearray(written(records, 0))
    place = data.draw(st.integers(61, len(buffer) - 1))
    buffer[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(CorruptRecordError):
        DecodedRecords(0, TopicPartition("t", 3), MemoryRecords(bytes(buffer)), check_crcs=True).take()


@pytest.mark.parametrize("cut", [1, 2, 5])
def test_a_batch_that_ends_within_a_record_is_damage(cut: int) -> None:
    [batch] = MemoryRecords(written([(1_700_000_000_000, b"key", b"value", ())], 0))
    batch._buffer = batch._buffer[:-cut]
    with pytest.raises(CorruptRecordError):
        unpack(batch, "t", 0)


def test_a_header_name_that_is_no_text_is_kept_and_written_back() -> None:
    """The library can't read such a record, nor get past it."""
    name = b"\xff\xfe".decode("utf-8", "surrogateescape")
    [packed] = pack([Send("t", 0, b"k", b"v", ((name, b"content"),))], ROOM, ROOM)
    records = PackedBatch(TopicPartition("t", 0), packed, 0, ROOM).records
    records.close()
    assert b"\xff\xfe" in records.buffer()
    [record] = DecodedRecords(0, TopicPartition("t", 0), MemoryRecords(records.buffer())).take()
    assert record.headers == ((name, b"content"),)


def test_a_batch_packed_here_is_compressed_by_the_library() -> None:
    [packed] = pack([Send("t", 0, b"k", b"v" * 5_000)], ROOM, ROOM)
    records = PackedBatch(TopicPartition("t", 0), packed, 1, ROOM).records
    records.close()
    assert len(records.buffer()) < 1_000
    assert b"v" * 5_000 in gzip.decompress(bytes(records.buffer()[61:]))


def test_another_release_of_the_library_falls_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(RecordAccumulator, "_tp_lock")
    monkeypatch.delattr(Fetcher.PartitionRecords, "_is_batch_aborted")
    for check in (kafka_python_batches.usable, kafka_python_records.readable):
        check.cache_clear()
        assert not check()
        check.cache_clear()
