"""A record's bytes into a document: JSON, or the form encoding that some webhooks still use."""

from __future__ import annotations

import re
from typing import Any, Final, Literal
from urllib.parse import parse_qsl

import msgspec

from worker.fold.outcome import Refusal

MAX_BYTES: Final = 16 * 1024 * 1024  # of one record; vendors' batches stay well below
MAX_FORM_FIELDS: Final = 1_000
MAX_FORM_DEPTH: Final = 8

_BOM: Final = b"\xef\xbb\xbf"
_BRACKETED: Final = re.compile(r"\[([^\[\]]*)\]")

_read: Final = msgspec.json.Decoder().decode


class BodyError(Exception):
    """The bytes hold no document; `refusal` says why."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.refusal = Refusal(reason, message)


def read_body(body: bytes, reads: Literal["json", "form", "either"] = "json") -> Any:
    """The document of a body. Raises: BodyError."""
    if len(body) > MAX_BYTES:
        raise BodyError("too-large", f"the record has {len(body)} bytes, a mapping reads {MAX_BYTES}")
    if body.startswith(_BOM):
        body = body[len(_BOM) :]
    if reads == "form" or (reads == "either" and body.lstrip()[:1] not in (b"{", b"[")):
        return read_form(body)
    try:
        if not body.isascii():
            body.decode()
        return _read(body)
    except UnicodeDecodeError as error:
        raise BodyError("not-utf8", f"invalid UTF-8 at byte {error.start}: {error.reason}") from None
    except RecursionError:
        raise BodyError("too-deep", "the record is nested too deep to be read") from None
    except msgspec.ValidationError as error:
        raise BodyError("number-too-large", str(error)) from None
    except msgspec.DecodeError as error:
        raise BodyError("not-json", f"{error}; the record has {len(body)} bytes") from None


def read_form(body: bytes) -> dict[str, Any]:
    """`data[email]=a&data[merges][FNAME]=b` as nested objects; of a name that comes twice the last counts."""
    try:
        pairs = parse_qsl(
            body.decode(), keep_blank_values=True, strict_parsing=True, max_num_fields=MAX_FORM_FIELDS, errors="strict"
        )
    except UnicodeDecodeError as error:
        raise BodyError("not-utf8", f"invalid UTF-8 at byte {error.start}: {error.reason}") from None
    except ValueError as error:
        raise BodyError("not-form", f"the record is no form: {str(error)[:100]}") from None
    document: dict[str, Any] = {}
    for name, value in pairs:
        first = name.partition("[")[0]
        steps = [first, *_BRACKETED.findall(name[len(first) :])]
        if len(steps) > MAX_FORM_DEPTH:
            raise BodyError("too-deep", f"a form's name is nested more than {MAX_FORM_DEPTH} deep")
        place = document
        for step in steps[:-1]:
            inner = place.setdefault(step, {})
            if not isinstance(inner, dict):
                raise BodyError("not-form", f"the form gives '{step}' both a value and parts")
            place = inner
        if isinstance(place.get(steps[-1]), dict):
            raise BodyError("not-form", f"the form gives '{steps[-1]}' both a value and parts")
        place[steps[-1]] = value
    return document
