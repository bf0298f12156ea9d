"""From a record's bytes to an `Event`, or to the reason why it is none; and back.

`decode` never raises: whatever the bytes, the answer is a value, so that one bad record can't stop a partition. It
takes CloudEvents 1.0 in JSON, structured (the whole event in the value) or binary (attributes in `ce_` headers, data
in the value); not batches. What it accepts is what the models of `schemas.events_in` accept, but faster: the envelope
is checked by msgspec while it is parsed, the fields of `data` by a table made from those models.

Not judged here: whether the time lies ahead (that takes the wall clock), and whether the key is the subject
(`check_key`: files have no keys).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal, Protocol

import msgspec

from schemas.events_in import MAX_DEPTH
from schemas.fields import EVENT_FIELDS, FIELDS, TRAITS, Kind
from schemas.wire import MAX_ID_BYTES, MAX_NUMBER
from worker.fold.outcome import Event, Refusal
from worker.instants import DAY_STARTS, FRACTIONS, MINUTES, SECONDS, format_instant, parse_instant

MAX_VALUE_BYTES: Final = 1_048_576  # Kafka's own default for a record; an event is a few hundred bytes
BLOCK_RECORDS: Final = 200  # decoded at once: one that is not as the others makes all of them take the long way
EARLIEST_MS: Final = parse_instant("2000-01-01T00:00:00Z")

REASONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "null-value": "the record has no value",
        "too-large": f"the value is larger than {MAX_VALUE_BYTES} bytes",
        "not-utf8": "the value or a header is not UTF-8",
        "not-json": "the value is not JSON",
        "not-cloudevent": "the value is JSON but no CloudEvent 1.0",
        "id-too-long": f"an id is longer than {MAX_ID_BYTES} bytes",
        "no-subject": "the event names no contact",
        "no-time": "the event does not say when it happened",
        "bad-time": "the event's time is not an RFC 3339 time",
        "time-before-2000": "the event's time lies before 2000-01-01",
        "wrong-type": "a known field has another type than its own",
        "number-too-large": "a number is larger than every JSON reader holds exactly",
        "too-deep": f"data is nested more than {MAX_DEPTH} deep",
        "missing-field": "a field is missing without which the event means nothing",
        "merge-into-itself": "a merge, a split or an identification names its own subject",
        "no-key": "the record has no key",
        "key-is-not-subject": "the record's key is not the event's subject",
    }
)
"""The fixed codes of refusals, and what each means."""

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_ID_BYTES)]


class _Envelope(msgspec.Struct, gc=False):
    specversion: Literal["1.0"]
    id: Name
    source: Name
    type: Name
    subject: Name
    time: str
    data: dict[str, Any] | None = None
    data_base64: Any = None


_read_envelope: Final = msgspec.json.Decoder(_Envelope).decode
_read_envelopes: Final = msgspec.json.Decoder(_Envelope).decode_lines
_read_any: Final = msgspec.json.Decoder().decode
_made: Final = tuple.__new__  # what `Event(…)` comes to, at half its cost
_write: Final = msgspec.json.Encoder().encode


class _Id:
    """Stands in the table of expected classes for what takes more than a look at the class."""


class _Number:
    """As `_Id`."""


class _Texts:
    """As `_Id`."""


_CLASSES: Final[Mapping[Kind, type]] = {"text": str, "boolean": bool, "id": _Id, "number": _Number, "texts": _Texts}
_EXPECTED: Final[Mapping[type, str]] = {
    str: "text",
    bool: "true or false",
    _Id: "text",
    _Number: "a number",
    _Texts: "text or a list of texts",
}


def _classes(kinds: Mapping[str, Kind]) -> dict[str, type]:
    return {name: _CLASSES[kind] for name, kind in kinds.items()}


# A field has its type on every event, also where it means nothing: a compiled guard that compares `event.amount` with
# a number meets it on events of any type.
_ANY_DATA: Final = _classes(EVENT_FIELDS)
_DATA: Final = {event_type: _classes({**EVENT_FIELDS, **kinds}) for event_type, kinds in FIELDS.items()}
_TRAITS: Final = _classes(TRAITS)
_ANY_EXPECTED: Final = _ANY_DATA.get
_EXPECTED_OF: Final = {event_type: classes.get for event_type, classes in _DATA.items()}


class _Refused(Exception):
    """Ends the reading of a value from within; never leaves this module."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.refusal = Refusal(reason, message)


# ------------------------------------------------------------------------------------------------------------ decoding
def decode(key: bytes | None, value: bytes | None, headers: Sequence[tuple[str, bytes | None]] = ()) -> Event | Refusal:
    """The event that a record holds, or why it holds none; `REASONS` lists the codes.

    Of the event's fields, those that are null are left out; unknown ones are kept. `key` only helps to say which
    record is meant where it has no subject.
    """
    try:
        if headers:
            attributes = _attributes(headers)
            if attributes is not None:
                return _read_binary(key, value, attributes)
        if value is None:
            return Refusal("null-value", "the record has no value; an event is a JSON object")
        if len(value) > MAX_VALUE_BYTES:
            return _too_large(value)
        # msgspec skips over what it isn't asked for, without checking that it is text; and it counts an id's
        # characters, which are its bytes only where all is ASCII and nothing is escaped.
        plain = value.isascii()
        if not plain:
            value.decode()
        try:
            envelope = _read_envelope(value)
        except (msgspec.DecodeError, RecursionError):
            return _read_document(key, _parse(value))
        data = envelope.data
        if envelope.data_base64 is not None:
            return _read_document(key, _parse(value))
        if not plain or b"\\" in value:
            for name in ("id", "source", "type", "subject"):
                _check_id(name, getattr(envelope, name))
        return _event(
            envelope.time, envelope.type, envelope.id, envelope.source, envelope.subject, {} if data is None else data
        )
    except _Refused as refused:
        return refused.refusal
    except UnicodeDecodeError as error:
        return Refusal("not-utf8", f"invalid UTF-8 at byte {error.start}: {error.reason}")


def decode_block(block: bytes) -> list[Event | Refusal] | None:
    """What `decode` says of each of the block's lines, faster; None where they must be looked at one by one.

    None says nothing of the lines: a blank one among them is enough.
    """
    # Every line an object by itself, none of them over two lines: within JSON nothing but a comma stands between an
    # object's end and another's beginning, so where every line begins and ends as one, as many objects as lines pair.
    if len(block) > MAX_VALUE_BYTES or block[:1] != b"{" or block[-1:] != b"}":
        return None
    ends = block.count(b"\n")
    if block.count(b"}\n{") != ends:
        return None
    plain = block.isascii()
    try:
        if not plain:
            block.decode()
        envelopes = _read_envelopes(block)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return None
    if len(envelopes) != ends + 1:
        return None
    plain = plain and b"\\" not in block
    decoded: list[Event | Refusal] = []
    append, expected_of, meant = decoded.append, _EXPECTED_OF.get, _MEANING
    minute, start = "", 0
    for envelope in envelopes:
        time, event_type, data = envelope.time, envelope.type, envelope.data
        if envelope.data_base64 is not None:
            return None
        try:
            if not plain:
                for name in ("id", "source", "type", "subject"):
                    _check_id(name, getattr(envelope, name))
            # What `_event` does, without its calls: nearly every event's time is written in one way, in the minute of
            # the event before it, and its fields have the classes they should have.
            try:
                if time[:16] != minute:
                    start = DAY_STARTS[time[:10]] + MINUTES[time[10:16]]
                    minute = time[:16]
                at = start + SECONDS[time[16:19]] + FRACTIONS[time[19:]]
            except KeyError:
                at = 0
            if data is None:
                data = {}
            if at < EARLIEST_MS or event_type in meant or "traits" in data:
                append(_event(time, event_type, envelope.id, envelope.source, envelope.subject, data))
                continue
            expected = expected_of(event_type, _ANY_EXPECTED)
            for name, value in data.items():
                found = value.__class__
                if found is expected(name, str):
                    continue
                if found is int and -MAX_NUMBER <= value <= MAX_NUMBER and expected(name, _Number) is _Number:
                    continue
                _check_fields(data, _DATA.get(event_type, _ANY_DATA), "data", 1)
                break
            append(_made(Event, (at, event_type, envelope.id, envelope.source, envelope.subject, data, None)))
        except _Refused as refused:
            append(refused.refusal)
    return decoded


class Valued(Protocol):
    """A record, as far as an event is in it."""

    @property
    def key(self) -> bytes | None: ...

    @property
    def value(self) -> bytes | None: ...

    @property
    def headers(self) -> Sequence[tuple[str, bytes | None]]: ...


def decode_records(records: Sequence[Valued]) -> list[Event | Refusal]:
    """What `decode` says of each of the records, faster."""
    found: list[Event | Refusal] = []
    for start in range(0, len(records), BLOCK_RECORDS):
        some = records[start : start + BLOCK_RECORDS]
        values = [record.value or b"" for record in some]
        decoded = decode_block(b"\n".join(values))
        if (
            decoded is None
            or len(decoded) != len(some)
            or not all(map(_is_structured, [record.headers for record in some if record.headers]))
        ):
            found += [decode(record.key, record.value, record.headers) for record in some]
            continue
        for place, event in enumerate(decoded):
            if event.__class__ is Refusal:  # the key may say which record is meant
                decoded[place] = decode(some[place].key, some[place].value)
        found += decoded
    return found


def _is_structured(headers: Sequence[tuple[str, bytes | None]]) -> bool:
    """Whether with such headers the value is surely the whole event: where not, `_attributes` says."""
    return not any(
        name.startswith("ce_")
        or (name.lower() == "content-type" and raw is not None and (not raw.isascii() or b"batch" in raw.lower()))
        for name, raw in headers
    )


def check_key(event: Event, key: bytes | None) -> Refusal | None:
    """Why a record with this key may not be folded here: without its subject as key it has no single writer."""
    if key is None:
        return Refusal("no-key", "the record has no key; key it by its subject, or run with --rekey")
    if key != event.subject.encode():
        return Refusal(
            "key-is-not-subject",
            f"the key is {_shown(key)}, the subject {event.subject!r}; key records by subject, or run with --rekey",
        )
    return None


def encode(event: Event) -> bytes:
    """The event as a structured CloudEvent: `decode` of it gives the event back."""
    data = event.data if event.traits is None else {**event.data, "traits": event.traits}
    body: dict[str, Any] = {
        "specversion": "1.0",
        "id": event.id,
        "source": event.source,
        "type": event.type,
        "subject": event.subject,
        "time": format_instant(event.time),
    }
    if data:
        body["data"] = data
    return _write(body)


# --------------------------------------------------------------------------------------------------- the event itself
def _event(time: str, event_type: str, event_id: str, source: str, subject: str, data: dict[str, Any]) -> Event:
    """The event whose envelope is in order; `data` is taken over. Raises `_Refused`."""
    try:
        at = parse_instant(time)
    except ValueError as error:
        raise _Refused("bad-time", f"time: {error}") from None
    if at < EARLIEST_MS:
        raise _Refused("time-before-2000", f"time: {time[:32]} lies before 2000-01-01, before any event that counts")
    traits = data.pop("traits", None) if "traits" in data else None
    if data:
        _check_fields(data, _DATA.get(event_type, _ANY_DATA), "data", 1)
    if traits is not None:
        if traits.__class__ is not dict:
            raise _wrong_type("data.traits", "an object", traits)
        _check_fields(traits, _TRAITS, "data.traits", 2)
    check = _MEANING.get(event_type)
    if check is not None:
        check(event_type, subject, data)
    return _made(Event, (at, event_type, event_id, source, subject, data, traits))


def _check_fields(fields: dict[str, Any], classes: Mapping[str, type], path: str, depth: int) -> None:
    """Every known field has its type, every number its bounds, every value its depth; nulls are taken out."""
    expected = classes.get
    nulls = None
    for name, value in fields.items():
        found = value.__class__
        if found is expected(name, str):
            continue
        if found is int and -MAX_NUMBER <= value <= MAX_NUMBER and expected(name, _Number) is _Number:
            continue
        if value is None:
            nulls = [name] if nulls is None else [*nulls, name]
        else:
            _check_value(value, expected(name), f"{path}.{name}", depth)
    if nulls is not None:
        for name in nulls:
            del fields[name]


def _check_value(value: Any, expected: type | None, path: str, depth: int) -> None:
    """What a look at the class didn't settle."""
    found = value.__class__
    if found is int or found is float:
        if not -MAX_NUMBER <= value <= MAX_NUMBER:
            raise _Refused("number-too-large", f"{path}: a number may be at most {MAX_NUMBER} either side of 0")
        right = expected is _Number
    elif found is dict or found is list:
        _check_depth(value, path, depth + 1)
        right = expected is _Texts and found is list and all(part.__class__ is str for part in value)
    elif found is str and expected is _Id:
        _check_id(path, value)
        right = True
    else:
        right = found is str and expected is _Texts
    if expected is not None and not right:
        raise _wrong_type(path, _EXPECTED[expected], value)


def _check_depth(value: Any, path: str, depth: int) -> None:
    """Numbers and depth of an object or list at that depth. Raises `_Refused`."""
    if depth > MAX_DEPTH:
        raise _Refused("too-deep", f"{path}: nested more than {MAX_DEPTH} deep")
    for part in value.values() if value.__class__ is dict else value:
        if part.__class__ is dict or part.__class__ is list:
            _check_depth(part, path, depth + 1)
        elif (part.__class__ is int or part.__class__ is float) and not -MAX_NUMBER <= part <= MAX_NUMBER:
            raise _Refused("number-too-large", f"{path}: a number may be at most {MAX_NUMBER} either side of 0")


def _check_id(path: str, value: str) -> None:
    if len(value) * 4 > MAX_ID_BYTES and len(value.encode()) > MAX_ID_BYTES:
        raise _Refused(
            "id-too-long", f"{path}: an id may have {MAX_ID_BYTES} bytes, this one has {len(value.encode())}"
        )


def _two_contacts(event_type: str, subject: str, data: dict[str, Any]) -> None:
    name = "anonymous_id" if event_type == "contact.identified" else "from"
    other = data.get(name)
    if not other:
        raise _Refused("missing-field", f"data.{name}: {event_type} needs the other contact's id")
    if other == subject:
        raise _Refused("merge-into-itself", f"data.{name}: is the event's own subject; {event_type} takes two contacts")


def _stage_or_status(event_type: str, subject: str, data: dict[str, Any]) -> None:
    if not (data.get("stage") or data.get("status")):
        raise _Refused("missing-field", f"data: {event_type} needs a stage or a status")


_MEANING: Final[Mapping[str, Callable[[str, str, dict[str, Any]], None]]] = {
    "contact.identified": _two_contacts,
    "contact.merged": _two_contacts,
    "contact.split": _two_contacts,
    "stage.set": _stage_or_status,
}


# ------------------------------------------------------------------------------------------- the long way: by attribute
def _parse(value: bytes) -> Any:
    """Any JSON document. Raises `_Refused`."""
    try:
        return _read_any(value)
    except RecursionError:
        raise _Refused("too-deep", "the value is nested too deep to be read") from None
    except msgspec.ValidationError as error:  # of a plain document, only its numbers can be refused
        raise _Refused("number-too-large", str(error)) from None
    except msgspec.DecodeError as error:
        raise _Refused("not-json", str(error)) from None


def _read_document(key: bytes | None, document: Any) -> Event:
    """The event of a parsed JSON document, each attribute looked at by itself. Raises `_Refused`."""
    if document.__class__ is list:
        raise _Refused("not-cloudevent", "a list is no event; send the events of a batch one by one")
    if document.__class__ is not dict:
        raise _Refused("not-cloudevent", f"a CloudEvent is a JSON object, this is {_kind(document)}")
    version = document.get("specversion")
    if version != "1.0" or version.__class__ is not str:
        raise _Refused("not-cloudevent", "specversion is missing" if version is None else "specversion is not 1.0")
    for name in ("id", "source", "type"):
        text = document.get(name)
        if text.__class__ is not str or not text:
            raise _Refused("not-cloudevent", f"{name}: expected text, got {_kind(text)}")
        _check_id(name, text)
    subject = document.get("subject")
    if subject.__class__ is not str or not subject:
        hint = f"; the record's key is {_shown(key)}" if key else ""
        raise _Refused("no-subject", f"subject: expected the contact's id, got {_kind(subject)}{hint}")
    _check_id("subject", subject)
    time = document.get("time")
    if time is None:
        raise _Refused("no-time", "time is missing: when it happened decides its place")
    if time.__class__ is not str:
        raise _Refused("bad-time", f"time: expected text such as 2026-01-05T09:00:00Z, got {_kind(time)}")
    if document.get("data_base64") is not None:
        raise _Refused("not-cloudevent", "data_base64: expected data as JSON, got base64")
    data = document.get("data")
    if data is None:
        data = {}
    elif data.__class__ is not dict:
        raise _wrong_type("data", "an object", data)
    return _event(time, document["type"], document["id"], document["source"], subject, data)


def _attributes(headers: Sequence[tuple[str, bytes | None]]) -> dict[str, Any] | None:
    """The attributes of an event in binary mode; None where the value holds the whole event.

    As the Kafka binding has it, the content type decides; without one, `ce_specversion` does. Of a header that
    comes twice the last counts.
    """
    attributes: dict[str, Any] = {}
    content_type = ""
    for name, raw in headers:
        if raw is None:
            continue
        if name.startswith("ce_"):
            attributes[name[3:]] = raw.decode()
        elif name.lower() == "content-type":
            content_type = raw.decode().partition(";")[0].strip().lower()
    if content_type.startswith("application/cloudevents-batch"):
        raise _Refused("not-cloudevent", "a batch is no event; send its events one by one")
    if content_type.startswith("application/cloudevents"):
        return None
    if "specversion" not in attributes:
        return None
    if content_type and not content_type.endswith(("/json", "+json")):
        raise _Refused("not-json", f"data is {content_type!r}; only JSON is read")
    return attributes


def _read_binary(key: bytes | None, value: bytes | None, attributes: dict[str, Any]) -> Event | Refusal:
    """The event in binary mode; an event without data has no value, or an empty one."""
    if value is not None and len(value) > MAX_VALUE_BYTES:
        return _too_large(value)
    attributes.pop("data_base64", None)  # would be an extension of that name here
    if value:
        value.decode()
        attributes["data"] = _parse(value)
    else:
        attributes.pop("data", None)
    return _read_document(key, attributes)


# ------------------------------------------------------------------------------------------------------------- wording
def _too_large(value: bytes) -> Refusal:
    return Refusal("too-large", f"the value has {len(value)} bytes, an event may have {MAX_VALUE_BYTES}")


def _wrong_type(path: str, expected: str, value: Any) -> _Refused:
    return _Refused("wrong-type", f"{path}: expected {expected}, got {_kind(value)}")


def _kind(value: Any) -> str:
    """What a JSON value is, in words; never the value itself, which may be personal."""
    match value:
        case None:
            return "nothing"
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case str():
            return "text" if value else "an empty text"
        case list():
            return "a list"
        case _:
            return "an object"


def _shown(key: bytes) -> str:
    """A key for people: at most 64 bytes of it, whatever they are."""
    return repr(key[:64].decode(errors="backslashreplace")) + ("…" if len(key) > 64 else "")
