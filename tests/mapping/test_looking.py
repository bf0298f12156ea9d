"""What people are shown: unused fields, drafts, samples, scenarios."""

from __future__ import annotations

import gzip
import io
from pathlib import Path
from typing import Any

import msgspec
import pytest
import zstandard

from tests.mapping.records import NAMES, RECORD, dropped, mapping, scenarios, shipped
from worker.definition.errors import DefinitionError
from worker.fold.outcome import Event
from worker.mapping.draft import draft
from worker.mapping.mapping import Mapping
from worker.mapping.outcome import BodyError
from worker.mapping.reader import read_mapping
from worker.mapping.samples import read_samples
from worker.mapping.scenario import differences, read_scenarios
from worker.mapping.unused import unused, written


def not_used(made: Mapping, record: Any) -> list[str]:
    document, steps = made.explain(record)
    return [written(path) for path in unused(made.model, document, steps)]


# -------------------------------------------------------------------------------------------------------- unused fields
def test_fields_that_nothing_used_are_told() -> None:
    made = mapping("when: kind == 'a'\ntype: deal.won\ndata: {amount: x.total}\ntraits: {title: 'y[0].name'}")
    record = {**RECORD, "kind": "a", "x": {"total": 1, "tax": 2}, "y": [{"name": "n", "age": 3}], "z": [], "w": {}}
    assert not_used(made, record) == ["x.tax", "y[].age", "z", "w"]


def test_only_the_rule_that_took_the_record_counts() -> None:
    made = mapping("when: kind == 'a'\ntype: deal.won\ndata: {amount: x}")
    assert not_used(made, {**RECORD, "kind": "a", "x": 1}) == []
    assert not_used(made, {**RECORD, "kind": "b", "x": 1}) == ["id", "at", "user", "x"]


def test_that_an_object_is_asked_for_does_not_use_what_it_holds() -> None:
    made = mapping("when: x && kind == 'a'\ntype: deal.won\ndata: {amount: x.total}", "takes: x\n")
    assert not_used(made, {**RECORD, "kind": "a", "x": {"total": 1, "tax": 2}}) == ["x.tax"]


def test_a_list_that_is_searched_is_used_and_the_rest_of_the_record_is_not() -> None:
    made = mapping("type: deal.won\ndata: {amount: 'max_by(x, &at).total'}")
    assert not_used(made, {**RECORD, "x": [{"at": 1, "total": 2}], "y": 1}) == ["y"]


def test_a_record_that_holds_no_items_is_told_as_such() -> None:
    made = mapping("type: deal.won", "each: items\n")
    _, steps = made.explain({"items": []})
    assert [result for step in steps for result in step.results] == made.apply({"items": []})
    assert "no items" in dropped(made.apply({"items": []})).reason


def test_what_is_taken_whole_is_used_with_all_its_parts() -> None:
    made = mapping('type: own.thing\ndata: {"*": x}')
    assert not_used(made, {**RECORD, "x": {"a": {"b": 1}}, "y": 1}) == ["y"]


def test_items_are_told_within_their_record() -> None:
    made = mapping("type: cta.clicked\ndata: {note: parent.name}", "each: items\n")
    record = {"name": "n", "sent": 1, "items": [{**RECORD, "extra": 1}]}
    assert not_used(made, record) == ["sent", "items[].extra"]


def test_items_that_may_be_the_record_itself_are_told_within_it() -> None:
    made = mapping("type: cta.clicked", "each: not_null(items, @)\n")
    assert not_used(made, {"sent": 1, "items": [{**RECORD, "extra": 1}]}) == ["sent", "items[].extra"]
    assert not_used(made, {**RECORD, "extra": 1}) == ["extra"]


@pytest.mark.parametrize("name", NAMES)
def test_leaving_out_what_nothing_used_changes_nothing(name: str) -> None:
    """Else the list of unused fields would lie."""
    made = shipped(name)
    for scenario in scenarios(name):
        try:
            document, steps = made.explain(scenario.record, scenario.headers)
        except BodyError:
            continue
        gone = set(unused(made.model, document, steps))
        events = [result for result in made.apply(document, scenario.headers) if isinstance(result, Event)]
        left = [r for r in made.apply(_without(document, (), gone), scenario.headers) if isinstance(r, Event)]
        assert left == events, scenario.name


def _without(value: Any, path: tuple[str, ...], gone: set[tuple[str, ...]]) -> Any:
    if isinstance(value, dict) and value:
        return {n: _without(part, (*path, n), gone) for n, part in value.items() if (*path, n) not in gone}
    if isinstance(value, list) and value:
        return [_without(part, (*path, "[]"), gone) for part in value]
    return value


# -------------------------------------------------------------------------------------------------------------- drafts
@pytest.mark.parametrize("name", NAMES)
def test_a_draft_from_the_samples_of_any_system_loads(name: str) -> None:
    documents = [scenario.document for scenario in scenarios(name) if scenario.document is not None]
    made = Mapping(read_mapping(draft(name, documents)))
    for document in documents:
        assert made.apply(document)


def test_a_draft_guesses_what_the_names_and_values_tell() -> None:
    one: dict[str, Any] = {"type": "form.sent", "uuid": "a1", "createdAt": 1767603600123, "sent_at": 1767603609999}
    one["lead"] = {"mail": "a@b.example"}
    documents = [one, {**one, "type": "note", "uuid": "a2"}]
    text = draft("crm", documents)
    (first,), (second,) = (Mapping(read_mapping(text)).apply(document) for document in documents)
    assert first == Event(1767603600123, "form.submitted", "a1", "/crm", "a@b.example", {}, {"email": "a@b.example"})
    assert "say what it means" in str(second)
    assert "sent_at" in text
    assert text.count("a@b.example") == 0, "values of records may be personal"


def test_a_draft_makes_no_id_of_a_time_of_delivery() -> None:
    records = [{"kind": kind, "deliveredAt": "2026-01-05T09:00:00Z", "email": "a@b.example"} for kind in "abc"]
    text = draft("own", records)
    assert "id: {digest: [kind, email]}" in text
    assert Mapping(read_mapping(text)).apply(records[0])


def test_a_draft_of_batches_fans_out() -> None:
    record = {"page": 1, "events": [{"event": "click", "id": "1", "email": "a@b.example", "ts": 1767603600}]}
    assert "each: events" in draft("own", [record])
    assert "each: '@'" in draft("own", [record["events"]])


# ------------------------------------------------------------------------------------------------------------- samples
def samples(path: Path) -> list[tuple[str, Any]]:
    return [
        (s.where.removeprefix(str(path)), msgspec.json.decode(s.record)) for s in read_samples(str(path), io.BytesIO())
    ]


def test_records_are_read_from_files_as_people_have_them(tmp_path: Path) -> None:
    lines = b'{"a": 1}\n\n{"a": 2}\n'
    expected = [(":1", {"a": 1}), (":3", {"a": 2})]
    for name, body in (("x.jsonl", lines), ("x.jsonl.gz", gzip.compress(lines)), ("x.zst", zstandard.compress(lines))):
        (tmp_path / name).write_bytes(body)
        assert samples(tmp_path / name) == expected
    (tmp_path / "pretty.json").write_bytes(b'{\n "a": [\n 1]\n}\n')
    assert samples(tmp_path / "pretty.json") == [("", {"a": [1]})]
    (tmp_path / "x.csv").write_text('id,name\n1,"a, b"\n2,c\n')
    assert samples(tmp_path / "x.csv") == [
        (': row "1"', {"id": "1", "name": "a, b"}),
        (': row "2"', {"id": "2", "name": "c"}),
    ]
    given = [s.record for s in read_samples("-", io.BytesIO(b'{"a": 1}\nbroken\n'))]
    assert given == [b'{"a": 1}', b"broken"]


@pytest.mark.parametrize("name", ["gone.jsonl", "gone.csv", "bad.gz", "bad.zst"])
def test_a_file_that_cannot_be_read_is_told(tmp_path: Path, name: str) -> None:
    if name.startswith("bad"):
        (tmp_path / name).write_bytes(b"neither")
    with pytest.raises(DefinitionError, match="can't be read"):
        list(read_samples(str(tmp_path / name), io.BytesIO()))


# ----------------------------------------------------------------------------------------------------------- scenarios
GOOD = """\
- name: n
  record: {"id": "e1", "at": "2026-01-05T09:00:00Z", "user": "u1", "n": [{"a": 1}]}
  becomes: [EXPECTED]
"""
EXPECTED = "{type: cta.clicked, id: e1, time: 2026-01-05T09:00:00Z, subject: u1}"


@pytest.mark.parametrize(
    ("expected", "told"),
    [
        (EXPECTED, None),
        (EXPECTED.replace("id: e1, ", ""), None),
        (EXPECTED.replace("u1", "u2"), "subject: expected 'u2', got 'u1'"),
        (EXPECTED.replace("09:00", "10:00"), "time: expected"),
        (EXPECTED.replace("subject: u1", "subject: u1, data: {a: 1}"), "data: expected {'a': 1}, got {}"),
        (EXPECTED.replace("subject", "sbject"), "an event has no 'sbject'"),
        ("{dropped: x}", "expected dropped x, got cta.clicked of u1"),
        (f"{EXPECTED}, {EXPECTED}", "2: expected type cta.clicked, id e1, got nothing more"),
        ("", "1: expected nothing more, got cta.clicked"),
    ],
)
def test_a_scenario_tells_what_differs(expected: str, told: str | None) -> None:
    (scenario,) = read_scenarios(GOOD.replace("EXPECTED", expected))
    found = differences(mapping("type: cta.clicked"), scenario)
    assert (found == []) if told is None else any(told in line for line in found)


def test_a_second_delivery_that_is_another_event_is_told() -> None:
    text = GOOD.replace("EXPECTED", EXPECTED) + '  again: {"n[0].a": 2, id: e2}'
    (scenario,) = read_scenarios(text)
    assert scenario.again is not None
    assert b'"n":[{"a":2}]' in scenario.again
    assert "again: sent once more, it is another event" in differences(mapping("type: cta.clicked"), scenario)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{a: 1}", "1:1: wrong-type: expected a list"),
        ("- 5", "1:3: wrong-type: a scenario has `key: value` lines"),
        ("- {name: n, becomes: []}", "a record, or the body of one"),
        ("- {name: n, record: {}, becomes: x}", "becomes: expected a list"),
        ("- {name: n, record: {}, becoms: []}", "a scenario has no 'becoms'"),
        ("- {record: {}, becomes: []}", "a scenario has a name"),
        ("- {name: n, record: {}, becomes: [], again: {a.b: 1}}", "again: the record has no 'a'"),
        ("- {name: n, body: [x], becomes: []}", "body: expected a text"),
    ],
)
def test_a_fault_of_a_scenario_file_is_told_where_it_stands(text: str, told: str) -> None:
    with pytest.raises(DefinitionError, match=r".") as caught:
        read_scenarios(text)
    assert told in str(caught.value)
