"""The decoder answers every record, says why it refuses one, and accepts what the models accept."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from pydantic import ValidationError

from schemas.data_in import DATA
from schemas.events_in import MAX_DEPTH, NEEDS_DATA, EventIn, event_in
from schemas.fields import EVENT_FIELDS, FIELDS, TRAITS, Kind
from schemas.generate import json_schemas
from schemas.wire import MAX_ID_BYTES, MAX_NUMBER
from worker.events import MAX_VALUE_BYTES, REASONS, check_key, decode, encode
from worker.fold.outcome import Event, Refusal

JSON_SCHEMAS = {name: Draft202012Validator(schema) for name, schema in json_schemas()}

Json = dict[str, Any]

VALID: Json = {
    "specversion": "1.0",
    "id": "e-1",
    "source": "/crm",
    "type": "form.submitted",
    "subject": "c-1",
    "time": "2026-01-05T09:00:00Z",
    "data": {"kind": "pricing", "traits": {"icp_fit": True}},
}


def record(**changes: Any) -> bytes:
    """A valid event with these attributes changed, those set to `...` left out."""
    return json.dumps({name: value for name, value in {**VALID, **changes}.items() if value is not ...}).encode()


def refused(value: bytes | None, headers: tuple[tuple[str, bytes | None], ...] = ()) -> str:
    answer = decode(b"c-1", value, headers)
    assert isinstance(answer, Refusal), answer
    assert answer.reason in REASONS
    assert answer.message
    return answer.reason


def accepted(value: bytes | None, headers: tuple[tuple[str, bytes | None], ...] = ()) -> Event:
    answer = decode(None, value, headers)
    assert isinstance(answer, Event), answer
    return answer


# ---------------------------------------------------------------------------------------------------------- strategies
def nested(depth: int) -> Any:
    """A list with lists in it, `depth` deep."""
    value: Any = "bottom"
    for _ in range(depth):
        value = [value]
    return value


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
ids = (
    st.sampled_from(["c-1", "c-2", "", "ü" * (MAX_ID_BYTES // 2), "ü" * (MAX_ID_BYTES // 2) + "x", "x" * MAX_ID_BYTES])
    | texts
)
numbers = (
    st.integers(-100, 100)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from([MAX_NUMBER, MAX_NUMBER + 1, -MAX_NUMBER, -MAX_NUMBER - 1, 10**25, float(2**53), 1e300])
)
kinds: dict[Kind, st.SearchStrategy[Any]] = {
    "text": texts,
    "id": ids,
    "number": numbers,
    "boolean": st.booleans(),
    "texts": texts | st.lists(texts, max_size=3),
}
anything = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda parts: st.lists(parts, max_size=3) | st.dictionaries(texts, parts, max_size=3),
    max_leaves=6,
) | st.integers(MAX_DEPTH - 3, MAX_DEPTH + 3).map(nested)
times = st.sampled_from(
    [
        *["2026-01-05T09:00:00Z"] * 12,
        "2026-01-05T09:00:00.123456789+02:00",
        "2000-01-01T00:00:00Z",
        "1999-12-31T23:59:60Z",
        "2000-01-01T00:30:00+01:00",
        "1999-12-31T23:30:00.5-01:00",
        "0001-01-01T00:00:00+23:00",
        "9999-12-31T23:59:59-23:00",
        "2070-01-01T00:00:00Z",
        "yesterday",
        "",
    ]
)


def rarely(draw: st.DrawFn) -> bool:
    return draw(st.integers(0, 19)) == 13  # not an end of the range: those are drawn often


def fields(draw: st.DrawFn, names: Collection[str], known: Mapping[str, Kind]) -> Json:
    """Mostly `names` with values of their kind, sometimes others."""
    drawn = draw(st.lists(st.sampled_from([*sorted(names), "score", "x"]) | texts, max_size=4))
    return {
        name: draw(anything if name not in known or rarely(draw) else kinds[known[name]] | st.none())
        for name in drawn
        if name != "traits"
    }


@st.composite
def documents(draw: st.DrawFn) -> Json:
    """Events that are right in most respects: what is refused is mostly refused for one thing."""
    event_type = draw(st.sampled_from([*DATA, "invoice.paid"]) | st.sampled_from(sorted(NEEDS_DATA)))
    own = FIELDS.get(event_type, {})
    data = fields(draw, EVENT_FIELDS if rarely(draw) else own, {**EVENT_FIELDS, **own})
    if event_type == "contact.identified":
        data["anonymous_id"] = draw(ids)
    elif event_type in ("contact.merged", "contact.split"):
        data["from"] = draw(ids)
    if draw(st.booleans()):
        data["traits"] = draw(anything) if rarely(draw) else fields(draw, TRAITS, TRAITS)
    document = {
        **VALID,
        "type": event_type,
        "subject": draw(ids) if rarely(draw) else "c-1",
        "time": draw(times),
        "data": draw(anything) if rarely(draw) else data,
    }
    if rarely(draw):
        document[draw(st.sampled_from([*VALID, "data_base64", "traceparent"]))] = draw(anything)
    if rarely(draw):
        document.pop(draw(st.sampled_from([*VALID])), None)
    return document


# ----------------------------------------------------------------------------------------------------------- agreement
def by_model(document: Json) -> EventIn | ValidationError:
    event_type = document.get("type")
    try:
        return event_in(event_type if isinstance(event_type, str) else "").model_validate(document)
    except ValidationError as error:
        return error


@given(documents(), st.booleans())
def test_the_decoder_accepts_what_the_models_accept_and_reads_the_same(document: Json, ascii_only: bool) -> None:
    value = json.dumps(document, ensure_ascii=ascii_only).encode()
    answer = decode(None, value)
    model = by_model(json.loads(value))
    if isinstance(model, ValidationError):
        assert isinstance(answer, Refusal), f"the model refuses, the decoder doesn't: {model}"
        return
    assert isinstance(answer, Event), f"the decoder refuses, the model doesn't: {answer}"
    data: Json = {} if model.data is None else model.data.model_dump(by_alias=True, exclude_unset=True)
    traits = data.pop("traits", None)
    assert answer.data == {name: part for name, part in data.items() if part is not None}
    assert answer.traits == (traits and {name: part for name, part in traits.items() if part is not None})
    assert (answer.type, answer.id, answer.source, answer.subject) == (
        model.type,
        model.id,
        model.source,
        model.subject,
    )
    if not model.time.endswith(":60Z"):
        moment = datetime.fromisoformat(model.time).astimezone(UTC)
        assert answer.time == (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


@given(documents())
def test_json_schema_refuses_nothing_that_the_decoder_accepts(document: Json) -> None:
    answer = decode(None, json.dumps(document).encode())
    if isinstance(answer, Event):
        name = f"{answer.type}.json" if answer.type in DATA else "event.json"
        assert [error.message for error in JSON_SCHEMAS[name].iter_errors(document)] == []


@given(st.sampled_from([*DATA, "invoice.paid"]), st.sampled_from(sorted(EVENT_FIELDS)), anything)
def test_a_known_field_of_another_type_is_refused_by_decoder_and_json_schema(
    event_type: str, field: str, value: Any
) -> None:
    data = {"from": "c-2", "anonymous_id": "c-2", "stage": "lead", field: value}
    answer = decode(None, record(type=event_type, data=data))
    name = f"{event_type}.json" if event_type in DATA else "event.json"
    by_schema = JSON_SCHEMAS[name].is_valid({**VALID, "type": event_type, "data": data})
    if isinstance(answer, Refusal) and answer.reason == "wrong-type":
        assert not by_schema
    if not by_schema:
        assert isinstance(answer, Refusal)


@given(documents())
def test_an_accepted_event_survives_being_written(document: Json) -> None:
    answer = decode(None, json.dumps(document).encode())
    if isinstance(answer, Event):
        assert decode(None, encode(answer)) == answer


@given(documents())
def test_binary_mode_reads_what_structured_mode_reads(document: Json) -> None:
    attributes = {name: text for name, text in document.items() if name not in ("data", "data_base64")}
    if not all(isinstance(text, str) for text in attributes.values()) or document.get("data_base64") is not None:
        return
    headers = tuple((f"ce_{name}", text.encode()) for name, text in attributes.items())
    body = json.dumps(document["data"]).encode() if "data" in document else None
    if "specversion" in attributes:
        assert decode(None, body, headers) == decode(None, json.dumps(document).encode())


# -------------------------------------------------------------------------------------------------------- any bytes
header_lists = st.lists(
    st.tuples(
        st.sampled_from(["content-type", "Content-Type", "ce_specversion", "ce_id", "ce_time", "ce_data", "x"]) | texts,
        st.none()
        | st.binary(max_size=12)
        | st.sampled_from([b"1.0", b"application/json", b"application/cloudevents+json", b"application/xml"]),
    ),
    max_size=6,
).map(tuple)


@given(st.none() | st.binary(max_size=20), st.none() | st.binary(max_size=200), header_lists)
def test_no_bytes_at_all_raise(key: bytes | None, value: bytes | None, headers: Any) -> None:
    answer = decode(key, value, headers)
    assert isinstance(answer, Event) or answer.reason in REASONS


@given(documents(), st.data())
def test_no_damaged_event_raises(document: Json, data: st.DataObject) -> None:
    value = bytearray(json.dumps(document, ensure_ascii=False).encode())
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, max(len(value) - 1, 0)))
        value[place : place + data.draw(st.integers(0, 3))] = data.draw(
            st.binary(max_size=3)
            | st.sampled_from([b'"', b"\\", b"\\ud800", b"\x00", b"}", b"[", b"1e999", b"-", b"\xff"])
        )
    answer = decode(None, bytes(value), ())
    if isinstance(answer, Event):
        assert decode(None, encode(answer)) == answer
    else:
        assert answer.reason in REASONS


# ------------------------------------------------------------------------------------------------------------- reasons
@pytest.mark.parametrize(
    ("reason", "value"),
    [
        ("null-value", None),
        ("not-utf8", record(source="?").replace(b"?", b"\xff")),
        ("not-utf8", record(unknown="?").replace(b"?", b"\xed\xa0\x80")),
        ("not-json", b""),
        ("not-json", b"hello"),
        ("not-json", record()[:-1]),
        ("not-json", record() + b"{}"),
        ("not-json", b"\xef\xbb\xbf" + record()),
        ("not-json", record(data={"amount": "?"}).replace(b'"?"', b"NaN")),
        ("not-json", record(id="?").replace(b"?", b"\\ud800")),
        ("not-cloudevent", b"null"),
        ("not-cloudevent", b"[" + record() + b"]"),
        ("not-cloudevent", record(specversion=...)),
        ("not-cloudevent", record(specversion="0.3")),
        ("not-cloudevent", record(specversion=1.0)),
        ("not-cloudevent", record(id=...)),
        ("not-cloudevent", record(id="")),
        ("not-cloudevent", record(id=7)),
        ("not-cloudevent", record(source=None)),
        ("not-cloudevent", record(type=["form.submitted"])),
        ("not-cloudevent", record(data=..., data_base64="e30=")),
        ("no-subject", record(subject=...)),
        ("no-subject", record(subject=None)),
        ("no-subject", record(subject="")),
        ("no-subject", record(subject=42)),
        ("no-time", record(time=...)),
        ("no-time", record(time=None)),
        ("bad-time", record(time=1767603600)),
        ("bad-time", record(time="")),
        ("bad-time", record(time="2026-01-05 09:00")),
        ("bad-time", record(time="2026-02-30T09:00:00Z")),
        ("time-before-2000", record(time="1970-01-01T00:00:00Z")),
        ("time-before-2000", record(time="1999-12-31T23:59:59.999Z")),
        ("time-before-2000", record(time="2000-01-01T00:59:59+01:00")),
        ("wrong-type", record(data="text")),
        ("wrong-type", record(data=[])),
        ("wrong-type", record(data={"traits": "fit"})),
        ("wrong-type", record(data={"traits": {"icp_fit": "yes"}})),
        ("wrong-type", record(data={"traits": {"employees": "11-50"}})),
        ("wrong-type", record(data={"traits": {"tech_stack": 3}})),
        ("wrong-type", record(data={"traits": {"tech_stack": ["python", 3]}})),
        ("wrong-type", record(data={"kind": 3})),
        ("wrong-type", record(type="deal.won", data={"amount": "100"})),
        ("wrong-type", record(type="deal.won", data={"amount": True})),
        ("wrong-type", record(type="deal.won", data={"deal_id": 17})),
        ("wrong-type", record(type="page.viewed", data={"amount": "100"})),  # known from other types of event
        ("wrong-type", record(type="page.viewed", data={"high_intent": 1})),
        ("number-too-large", record(type="deal.won", data={"amount": MAX_NUMBER + 1})),
        ("number-too-large", record(type="deal.won", data={"amount": -1e16})),
        ("number-too-large", record(data={"amount": "?"}).replace(b'"?"', b"1e999")),
        ("number-too-large", record(data={"amount": "?"}).replace(b'"?"', b"9" * 5_000)),
        ("number-too-large", record(data={"unknown": {"deep": [10**20]}})),
        ("too-deep", record(data={"unknown": nested(MAX_DEPTH)})),
        ("too-deep", record(data={"traits": {"unknown": nested(MAX_DEPTH - 1)}})),
        ("too-deep", record(data={"x": "?"}).replace(b'"?"', b"[" * 100_000 + b"]" * 100_000)),
        ("merge-into-itself", record(type="contact.merged", data={"from": "c-1"})),
        ("merge-into-itself", record(type="contact.split", data={"from": "c-1"})),
        ("merge-into-itself", record(type="contact.identified", data={"anonymous_id": "c-1"})),
        ("missing-field", record(type="contact.merged", data=...)),
        ("missing-field", record(type="contact.merged", data={"from": ""})),
        ("missing-field", record(type="contact.split", data={"from": None})),
        ("missing-field", record(type="contact.identified", data={})),
        ("missing-field", record(type="stage.set", data={"reason": "because"})),
        ("id-too-long", record(id="x" * (MAX_ID_BYTES + 1))),
        ("id-too-long", record(subject="ü" * (MAX_ID_BYTES // 2 + 1))),
        ("id-too-long", record(source="\n" * (MAX_ID_BYTES + 1))),
        ("id-too-long", record(data={"traits": {"company_id": "x" * (MAX_ID_BYTES + 1)}})),
        ("id-too-long", record(type="contact.merged", data={"from": "ü" * (MAX_ID_BYTES // 2 + 1)})),
        ("too-large", record(data={"note": "x" * MAX_VALUE_BYTES})),
    ],
)  # fmt: skip
def test_reason(reason: str, value: bytes | None) -> None:
    assert refused(value) == reason


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (record(data=...), {}),
        (record(data=None), {}),
        (record(data={"kind": None, "unknown": None}), {}),
        (record(data={"kind": "nobody knows"}), {"kind": "nobody knows"}),
        (record(data={"unknown": {"a": [1, None]}}), {"unknown": {"a": [1, None]}}),
        (record(data={"unknown": nested(MAX_DEPTH - 1)}), {"unknown": nested(MAX_DEPTH - 1)}),
        (record(type="deal.won", data={"amount": MAX_NUMBER}), {"amount": MAX_NUMBER}),
        (record(type="deal.won", data={"amount": 12.5}), {"amount": 12.5}),
        (record(type="stage.set", data={"status": "connected"}), {"status": "connected"}),
        (record(type="nobody.knows", data={"anything": True}), {"anything": True}),
        (record(data_base64=None, traceparent="00-1", recordedtime=7), {"kind": "pricing"}),
        (record(subject="ü" * (MAX_ID_BYTES // 2)), {"kind": "pricing"}),
    ],
)  # fmt: skip
def test_what_passes(value: bytes, expected: Json) -> None:
    assert accepted(value).data == expected


def test_an_event_reads_as_it_was_written() -> None:
    assert accepted(record(time="2026-01-05T10:00:00.1239+01:00")) == Event(
        time=1_767_603_600_123,
        type="form.submitted",
        id="e-1",
        source="/crm",
        subject="c-1",
        data={"kind": "pricing"},
        traits={"icp_fit": True},
    )


def test_a_wrong_type_says_field_expected_and_got_but_not_the_value() -> None:
    answer = decode(None, record(data={"traits": {"icp_fit": "mrs-secret"}}))
    assert answer == Refusal("wrong-type", "data.traits.icp_fit: expected true or false, got text")


def test_without_a_subject_the_key_says_which_record_it_was() -> None:
    answer = decode(b"c-77", record(subject=...))
    assert isinstance(answer, Refusal)
    assert "'c-77'" in answer.message


# --------------------------------------------------------------------------------------------------------------- modes
BINARY = (
    ("ce_specversion", b"1.0"),
    ("ce_id", b"e-1"),
    ("ce_source", b"/crm"),
    ("ce_type", b"page.viewed"),
    ("ce_subject", "ü".encode()),
    ("ce_time", b"2026-01-05T09:00:00Z"),
)


@pytest.mark.parametrize(
    "content_type", [None, b"application/json", b"Application/JSON; charset=utf-8", b"text/vnd.x+json"]
)
def test_binary_mode(content_type: bytes | None) -> None:
    event = accepted(b'{"url": "/prices"}', (*BINARY, ("Content-Type", content_type)))
    assert (event.subject, event.type, event.data) == ("ü", "page.viewed", {"url": "/prices"})


@pytest.mark.parametrize("value", [None, b""])
def test_an_event_in_binary_mode_needs_no_data(value: bytes | None) -> None:
    assert accepted(value, BINARY).data == {}


@pytest.mark.parametrize(
    ("reason", "value", "header"),
    [
        ("not-json", b"<x/>", ("content-type", b"application/xml")),
        ("not-json", b"{", ("content-type", b"application/json")),
        ("not-utf8", b'"\xff"', ("content-type", b"application/json")),
        ("not-utf8", b"{}", ("ce_subject", b"\xff")),
        ("not-cloudevent", b"{}", ("ce_specversion", b"2.0")),
        ("not-cloudevent", b"{}", ("ce_id", b"")),
        ("not-cloudevent", b"[]", ("content-type", b"application/cloudevents-batch+json")),
        ("no-subject", b"{}", ("ce_subject", b"")),
        ("bad-time", b"{}", ("ce_time", b"noon")),
        ("wrong-type", b"[]", ("content-type", b"application/json")),
        ("too-large", b" " * (MAX_VALUE_BYTES + 1), ("content-type", b"application/json")),
    ],
)
def test_reason_in_binary_mode(reason: str, value: bytes, header: tuple[str, bytes]) -> None:
    headers = tuple(pair for pair in BINARY if pair[0] != header[0])
    assert refused(value, (*headers, header)) == reason


def test_the_content_type_decides_the_mode() -> None:
    structured = ("content-type", b"application/cloudevents+json; charset=UTF-8")
    assert accepted(record(), (*BINARY, structured)).type == "form.submitted"


def test_headers_of_others_change_nothing() -> None:
    assert accepted(record(), (("trace", b"\xff"), ("null", None))) == accepted(record())


# ----------------------------------------------------------------------------------------------------------------- keys
@pytest.mark.parametrize(
    ("key", "reason"),
    [
        (None, "no-key"),
        (b"", "key-is-not-subject"),
        (b"c-2", "key-is-not-subject"),
        (b"\xff" * 999, "key-is-not-subject"),
    ],
)
def test_a_record_is_keyed_by_its_subject(key: bytes | None, reason: str) -> None:
    answer = check_key(accepted(record()), key)
    assert answer is not None
    assert answer.reason == reason
    assert len(answer.message) < 600
    assert "--rekey" in answer.message


@given(texts.filter(bool))
def test_the_subject_itself_is_a_good_key(subject: str) -> None:
    assert check_key(accepted(record(subject=subject)), subject.encode()) is None
