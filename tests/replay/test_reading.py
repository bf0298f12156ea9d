"""Lines from files of every kind: each once, with its number, whatever the file is cut into."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from tests.replay.support import DAY, HOUR, START, WALL, event, job, lifecycle
from worker import events as events_module
from worker.events import decode, decode_block, decode_records
from worker.fold.outcome import Event
from worker.instants import format_instant
from worker.plan import compile_plan
from worker.replay import ReplayError, Source, Terms, replay
from worker.replay import lines as lines_module
from worker.replay.families import Families, ties
from worker.replay.inputs import open_inputs
from worker.replay.lines import format_of, read_lines
from worker.replay.reading import Reader
from worker.replay.records import Span
from worker.replay.spread import part_count, spans
from worker.transports.base import Record

LINES = st.lists(st.binary(max_size=12).filter(lambda line: b"\n" not in line), max_size=30)


def whole(path: Path) -> list[bytes]:
    source = Source(path, path.name, format_of(path))
    return [line for block in read_lines(source, Span(0, 0, path.stat().st_size)) for line in block]


@given(lines=LINES, ended=st.booleans(), cuts=st.lists(st.integers(0, 400), max_size=6))
def test_spans_share_out_every_line_once_in_order(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], ended: bool, cuts: list[int]
) -> None:
    text = b"\n".join(lines) + (b"\n" if ended and lines else b"")
    path = tmp_path_factory.mktemp("lines") / "file"
    path.write_bytes(b"{" + text)  # so that no file begins as a compressed one does
    size = path.stat().st_size
    places = [0, *sorted({cut for cut in cuts if 0 < cut < size}), size]
    source = Source(path, "file")
    found = [
        line
        for start, end in zip(places, places[1:], strict=False)
        for block in read_lines(source, Span(0, start, end))
        for line in block
    ]
    expected = (b"{" + text).split(b"\n")
    assert found == (expected[:-1] if expected[-1] == b"" else expected)


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.ZstdCompressor().compress, bytes])
def test_a_file_is_known_by_its_content_not_its_name(tmp_path: Path, pack: Any) -> None:
    path = tmp_path / "events.txt"
    path.write_bytes(pack(b"one\ntwo\n\nfour"))
    assert whole(path) == [b"one", b"two", b"", b"four"]


def test_compressed_files_of_several_members_are_read_to_their_end(tmp_path: Path) -> None:
    pack = zstandard.ZstdCompressor().compress
    for name, data in (
        ("a.gz", gzip.compress(b"one\n") + gzip.compress(b"two\n")),
        ("a.zst", pack(b"one\n") + pack(b"two\n")),
    ):
        (tmp_path / name).write_bytes(data)
        assert whole(tmp_path / name) == [b"one", b"two"]


def test_a_compressed_file_that_was_cut_off_is_told(tmp_path: Path) -> None:
    (tmp_path / "cut.gz").write_bytes(gzip.compress(b"one\ntwo\n" * 1000)[:-20])
    (tmp_path / "cut.zst").write_bytes(zstandard.ZstdCompressor().compress(bytes(range(256)) * 99)[:-20])
    for name in ("cut.gz", "cut.zst"):
        with pytest.raises(ReplayError, match=rf"{name}: can't be read to its end"):
            whole(tmp_path / name)


def test_a_byte_order_mark_and_carriage_returns_are_no_part_of_an_event(tmp_path: Path) -> None:
    path = tmp_path / "windows.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + event(0, "form.submitted") + b"\r\n" + event(DAY, "email.opened") + b"\r\n")
    summary = replay(job([Source(path, path.name)]), None)
    assert (summary.totals.contacts, summary.totals.dead_letters, summary.totals.stage_changes) == (1, 0, 2)


def test_a_line_without_an_end_takes_bounded_memory_and_is_a_dead_letter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    most = 16 * lines_module.BLOCK_BYTES
    monkeypatch.setattr(lines_module, "LINE_BYTES_MAX", most)
    path = tmp_path / "one-line"
    path.write_bytes(b"x" * (3 * most) + b"\n" + event(0, "form.submitted") + b"\n")
    found = whole(path)
    assert len(found) == 2
    assert len(found[0]) <= most + lines_module.BLOCK_BYTES
    summary = replay(job([Source(path, path.name)]), tmp_path / "out")
    assert dict(summary.totals.reasons) == {"too-large": 1}
    row = json.loads((tmp_path / "out" / "dead-letters.jsonl").read_bytes())
    assert (row["record"], len(row["digest"])) == (None, 64)


@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.parametrize("packed", [False, True])
def test_a_refused_line_is_told_with_its_own_number_size_and_digest(
    tmp_path: Path, processes: int, packed: bool
) -> None:
    """Files are read in blocks; numbers go on from one to the next, and a line may be longer than many of them."""
    large = b'{"much": "' + b"x" * 20_000_000 + b'"}'
    lines = [b"broken" if at % 5_000 == 4_999 else event(0, "page.viewed", f"c-{at}") for at in range(20_000)]
    lines[2_000] = large
    path = tmp_path / "events"
    body = b"\n".join(lines)
    path.write_bytes(gzip.compress(body, 1) if packed else body)
    replay(job([Source(path, path.name, format_of(path))]), tmp_path / "out", processes=processes)
    rows = [json.loads(row) for row in (tmp_path / "out" / "dead-letters.jsonl").read_bytes().splitlines()]
    assert [row["source"] for row in rows] == [f"events:{number}" for number in (2_001, 5_000, 10_000, 15_000, 20_000)]
    assert (rows[0]["size"], rows[0]["digest"]) == (len(large), hashlib.sha256(large).hexdigest())


EVENTS = st.sampled_from(
    [
        event(0, "form.submitted", kind="demo"),
        event(0, "form.submitted", kind=None),
        event(0, "deal.won", amount="much"),
        event(0, "deal.won", amount=2**60),
        event(0, "page.viewed", url="ä\\"),
        event(0, "page.viewed", id="x" * 300),
        event(0, "page.viewed", traits={"email": None, "icp_fit": True}),
        event(0, "contact.merged", "a", **{"from": "a"}),
        event(0, "form.submitted", "ü" * 200),
        b'{"specversion":"1.0"}',
        b'{"specversion":"1.0","id":"1","source":"s","type":"t","subject":"c","time":"1999-01-01T00:00:00Z"}',
        b'{"specversion":"1.0","id":"1","source":"s","type":"t","subject":"c","time":"never"}',
        b'{"specversion":"1.0","id":"1","source":"s","type":"t","subject":"c","time":"2026-01-01T00:00:00Z","data_base64":"e30="}',
        b"{}",
        b"[]",
        b"{}{}",
        b'{"a":{}',
        b'{"a":[{}',
        b'{"a":"}',
        b"{}]}",
        b'{"a":',
        b"}",
        b"",
        b" ",
        b"{\xff}",
    ]
)


@given(lines=st.lists(EVENTS, max_size=8), ending=st.sampled_from([b"", b"\r"]))
def test_a_block_is_decoded_as_its_lines_are(lines: list[bytes], ending: bytes) -> None:
    lines = [line + ending for line in lines]
    decoded = decode_block(b"\n".join(lines))
    assert decoded is None or decoded == [decode(None, line) for line in lines]


HEADERS = st.lists(
    st.sampled_from(
        [
            ("content-type", b"application/cloudevents+json; charset=UTF-8"),
            ("Content-Type", b"application/json"),
            ("content-type", b"application/cloudevents-batch+json"),
            ("content-type", b"\xff"),
            ("content-type", None),
            ("ce_specversion", b"1.0"),
            ("ce_id", b"1"),
            ("trace", b"\xfe"),
        ]
    ),
    max_size=2,
).map(tuple)
RECORDS = st.builds(
    Record,
    topic=st.just("engagement"),
    partition=st.just(0),
    offset=st.just(0),
    timestamp=st.just(0),
    key=st.sampled_from([None, b"c1", b"\xff"]),
    value=st.one_of(st.none(), EVENTS, EVENTS.map(lambda line: line.replace(b",", b",\n")), st.just(b"{}\n{}")),
    headers=st.one_of(st.just(()), HEADERS),
)


@given(records=st.lists(RECORDS, max_size=12), together=st.integers(1, 5))
def test_records_are_decoded_together_as_each_is_alone(records: list[Record], together: int) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(events_module, "BLOCK_RECORDS", together)
        decoded = decode_records(records)
    assert decoded == [decode(record.key, record.value, record.headers) for record in records]


@given(
    lines=st.lists(EVENTS.filter(lambda line: line.startswith(b'{"specversion":"1.0","id"')), min_size=1, max_size=8)
)
def test_a_block_of_whole_envelopes_needs_no_second_look(lines: list[bytes]) -> None:
    plain = [line for line in lines if b"data_base64" not in line and b"\xc3" not in line and b"xxx" not in line]
    assert not plain or decode_block(b"\n".join(plain)) is not None


def test_ties_are_found_in_events_and_nowhere_else() -> None:
    lines = [
        event(0, "contact.merged", "a", **{"from": "b"}),
        event(0, "contact.identified", "c", anonymous_id="d"),
        event(0, "contact.erased", "e"),
        event(0, "contact.imported", "f"),
        event(0, "page.viewed", "g", url="contact.merged"),
        b"contact.merged",
        b'{"type":"contact.merged"}',
        b'{"data":{"url":"contact.s","from":"i"},"type":"contact.split","subject":"h"}',
    ]
    found = [("a", "b"), ("c", "d"), ("e", "e"), ("h", "i")]
    assert list(ties([b"\n".join(lines)])) == found
    escaped = b'{"type":"contact.m\\u0065rged","subject":"j","data":{"from":"k"}}'
    assert list(ties([b"\n".join([*lines, escaped])])) == [*found, ("j", "k")]


@pytest.mark.parametrize("fractions", [True, False], ids=["one way of writing times", "several"])
@pytest.mark.parametrize("order", [1, -1], ids=["oldest first", "newest first"])
def test_the_newest_event_is_found_among_what_is_none(order: int, fractions: bool) -> None:
    lines = [event(at * HOUR, "page.viewed", f"c{at}") for at in range(300)]
    if not fractions:
        lines = [line.replace(b".000Z", b"Z") if place % 3 else line for place, line in enumerate(lines)]
    refused = event(400 * HOUR, "page.viewed").replace(b'"specversion":"1.0"', b'"specversion":"2.0"')
    ahead = event(500_000 * HOUR, "page.viewed")
    block = b"\n".join([*lines, refused, ahead, b"nonsense"][::order])
    reader = Reader([compile_plan(lifecycle())], Terms(wall=WALL), Families())
    assert reader.read(0, block, 1) == 303
    assert (reader.newest, reader.totals.events, reader.totals.dead_letters) == (START + 299 * HOUR, 303, 3)


@given(
    read=st.integers(0, 1 << 40), part=st.integers(1 << 20, 1 << 26), processes=st.integers(1, 64),
)  # fmt: skip
def test_every_process_has_as_many_parts(read: int, part: int, processes: int) -> None:
    parts = part_count(read, part, processes, 200 * 64)
    assert parts == 200 * 64 or (parts % processes == 0 and parts * part >= read)
    assert processes == 1 or parts >= 2 * processes


@given(ties=st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), max_size=20))
def test_families_are_what_ties_reach(ties: list[tuple[int, int]]) -> None:
    families = Families((str(one), str(other)) for one, other in ties)
    reached = {number: {number} for number in range(13)}
    for _ in range(13):
        for one, other in ties:
            reached[one] = reached[other] = reached[one] | reached[other]
            for member in reached[one]:
                reached[member] = reached[one]
    for one in range(13):
        for other in range(13):
            assert (families.head(str(one)) == families.head(str(other))) == (other in reached[one])


def test_spans_are_cut_from_plain_files_only(tmp_path: Path) -> None:
    plain, packed = tmp_path / "a", tmp_path / "b"
    plain.write_bytes(b"x" * 2_000_000)
    packed.write_bytes(gzip.compress(b"y" * 9_000_000, 0))
    sources = [Source(plain, "a"), Source(packed, "b", "gzip")]
    cut = spans(sources, 8)
    assert [span.source for span in cut].count(1) == 1
    assert [span.source for span in cut].count(0) > 1
    assert [span for span in cut if span.source == 0][-1].end == 2_000_000


# Inputs


def parquet(path: Path, rows: list[dict[str, Any]], **columns: Any) -> Path:
    pyarrow = pytest.importorskip("pyarrow", reason="Parquet needs the extra `parquet`")
    from pyarrow import parquet as files

    table = pyarrow.Table.from_pylist(rows)
    for name, kind in columns.items():
        table = table.set_column(table.schema.get_field_index(name), name, table[name].cast(kind))
    files.write_table(table, path)
    return path


def test_parquet_rows_are_events(tmp_path: Path) -> None:
    import datetime as dt

    at = dt.datetime(2026, 1, 5, 9, tzinfo=dt.UTC)
    base = {"id": "1", "source": "/p", "subject": "c1", "time": at}
    texts = parquet(
        tmp_path / "texts.parquet", [{**base, "type": "form.submitted", "data": '{\n"kind":"demo"}', "more": 1}]
    )
    struct = [{**base, "id": "2", "type": "contact.updated", "data": {"traits": {"icp_fit": True, "title": None}}}]
    structs = parquet(tmp_path / "structs.parquet", struct)
    damaged = parquet(tmp_path / "damaged.parquet", [{**base, "time": "soon", "type": "x"}])
    names = [str(path) for path in (texts, structs, damaged)]
    sources = open_inputs(names, tmp_path, io.BytesIO())
    from tests.replay.support import Replayed

    result = Replayed(tmp_path / "out", replay(job(sources), tmp_path / "out"))
    assert result.contacts["c1"]["stage"] == "mql"
    assert result.contacts["c1"]["entered_at"] == format_instant(START)
    assert [row["source"] for row in result.dead] == [f"{damaged}: row 1"]


def test_parquet_values_are_those_of_json(tmp_path: Path) -> None:
    """Amounts are decimals in a table, texts may be bytes, and a column that is no attribute is a field of `data`."""
    import datetime as dt
    from decimal import Decimal

    at = dt.datetime(2026, 1, 5, 9, tzinfo=dt.UTC)
    base = {"source": "/p", "subject": "c1", "time": at}
    deal = {"deal_id": "d", "amount": Decimal("12.50")}
    tables = [
        parquet(tmp_path / "0", [{**base, "id": "1", "type": "form.submitted", "data": b'{"kind":"demo"}'}]),
        parquet(tmp_path / "1", [{**base, "id": "2", "type": "deal.created", "data": deal}]),
        parquet(
            tmp_path / "2",
            [
                {
                    **base,
                    "id": "3",
                    "type": "deal.updated",
                    **deal,
                    "traits": None,
                    "datacontenttype": "application/json",
                },
                {**base, "id": "4", "type": "contact.updated", "traits": {"icp_fit": True}, "amount": None},
            ],
        ),
    ]
    sources = open_inputs(list(map(str, tables)), tmp_path, io.BytesIO())
    events = [decode(None, line) for source in sources for line in source.path.read_bytes().splitlines()]
    assert [(event.data, event.traits) for event in events if isinstance(event, Event)] == [
        ({"kind": "demo"}, None),
        ({"deal_id": "d", "amount": 12.5}, None),
        ({"deal_id": "d", "amount": 12.5}, None),
        ({}, {"icp_fit": True}),
    ]


def test_parquet_without_the_envelopes_columns_is_refused(tmp_path: Path) -> None:
    path = parquet(tmp_path / "other.parquet", [{"id": "1", "when": "now"}])
    with pytest.raises(ReplayError, match=r"no column source, type, subject, time"):
        open_inputs([str(path)], tmp_path, io.BytesIO())


def test_standard_input_and_folders_are_inputs(tmp_path: Path) -> None:
    folder, kept = tmp_path / "events", tmp_path / "kept"
    folder.mkdir()
    kept.mkdir()
    (folder / "b.jsonl").write_bytes(b"2\n")
    (folder / "a.jsonl.gz").write_bytes(gzip.compress(b"1\n"))
    (folder / "notes.md").write_text("no events")
    sources = open_inputs(["-", str(folder)], kept, io.BytesIO(gzip.compress(b"0\n")))
    found = [
        line
        for source in sources
        for block in read_lines(source, Span(0, 0, source.path.stat().st_size))
        for line in block
    ]
    assert found == [b"0", b"1", b"2"]
    assert [source.place(7) for source in sources] == [
        "standard input:7", f"{folder / 'a.jsonl.gz'}:7", f"{folder / 'b.jsonl'}:7"
    ]  # fmt: skip


def test_an_input_that_is_not_there_is_told_by_its_name(tmp_path: Path) -> None:
    with pytest.raises(ReplayError, match="nowhere"):
        open_inputs([str(tmp_path / "nowhere.jsonl")], tmp_path, io.BytesIO())
    (tmp_path / "empty").mkdir()
    with pytest.raises(ReplayError, match="no events in this folder"):
        open_inputs([str(tmp_path / "empty")], tmp_path, io.BytesIO())


def test_numbers_run_over_blocks(tmp_path: Path) -> None:
    path = tmp_path / "many"
    path.write_bytes(b"".join(b"%d\n" % number for number in range(1, 400_000)))
    numbers = count(1)
    for block in read_lines(Source(path, "many"), Span(0, 0, path.stat().st_size)):
        assert all(int(line) == number for line, number in zip(block, numbers, strict=False))
