"""A record's bytes into a document: JSON, or the form encoding that some webhooks still use."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any, Final, Literal
from urllib.parse import unquote

import msgspec

from worker.fold.outcome import Refusal

MAX_BYTES: Final = 16 * 1024 * 1024  # of one record; vendors' batches stay well below
MAX_FORM_FIELDS: Final = 1_000
MAX_FORM_DEPTH: Final = 8

_BOM: Final = b"\xef\xbb\xbf"
_BRACKETED: Final = re.compile(r"\[([^\[\]]*)\]")

_read: Final = msgspec.json.Decoder().decode


Wanted = Callable[[str, tuple[str, ...]], bool]
"""Whether anybody reads a form's field, by its first name and the steps behind it."""


def wanted_of(paths: Iterable[tuple[str, ...]]) -> Wanted | None:
    """What of a form is read by whoever reads these paths; None where that is all of it."""
    read = frozenset(paths)
    if () in read:
        return None

    @lru_cache(2_048)
    def wanted(first: str, inner: tuple[str, ...]) -> bool:
        steps = (first, *inner)
        return any(path[: len(steps)] == steps[: len(path)] for path in read)

    return wanted


class BodyError(Exception):
    """The bytes hold no document; `refusal` says why."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.refusal = Refusal(reason, message)


def read_body(body: bytes, reads: Literal["json", "form", "either"] = "json", wanted: Wanted | None = None) -> Any:
    """The document of a body; of a form, where given, those fields alone that are `wanted`.

    Raises: BodyError.
    """
    if len(body) > MAX_BYTES:
        raise BodyError("too-large", f"the record has {len(body)} bytes, a mapping reads {MAX_BYTES}")
    if body.startswith(_BOM):
        body = body[len(_BOM) :]
    if reads == "form" or (reads == "either" and body.lstrip()[:1] not in (b"{", b"[")):
        return read_form(body, wanted)
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


def read_form(body: bytes, wanted: Wanted | None = None) -> dict[str, Any]:
    """`data[email]=a&data[merges][FNAME]=b` as nested objects; of a name that comes twice the last counts."""
    document: dict[str, Any] = {}
    try:
        pairs = body.decode().split("&")
        if len(pairs) > MAX_FORM_FIELDS:
            raise BodyError("not-form", f"the record is no form: it has more than {MAX_FORM_FIELDS} fields")
        for pair in pairs:
            name, equals, value = pair.partition("=")
            if not equals:
                raise BodyError("not-form", "the record is no form: a part of it is no `name=value`")
            first, inner = _split_often(name) if len(name) <= NAME_OFTEN else _split(name)
            if wanted is not None and not wanted(first, inner):
                continue
            value = unquoted(value)
            if not inner:
                place, last = document, first
            else:
                place, last = _inside(document, first), inner[-1]
                for step in inner[:-1]:
                    place = _inside(place, step)
            if place.get(last).__class__ is dict:
                raise BodyError("not-form", f"the form gives '{last}' both a value and parts")
            place[last] = value
    except UnicodeDecodeError as error:
        raise BodyError("not-utf8", f"invalid UTF-8 at byte {error.start}: {error.reason}") from None
    return document


def unquoted(text: str) -> str:
    """The text that was encoded for a form. Raises: UnicodeDecodeError."""
    if "+" in text:
        text = text.replace("+", " ")
    if "%" not in text:
        return text
    if "\\" not in text and text.isascii():
        # The same escapes as in a Python literal, which are decoded in one go instead of one by one.
        try:
            return text.replace("%", "\\x").encode().decode("unicode_escape").encode("latin-1").decode()
        except UnicodeDecodeError:
            pass  # a `%` that is none of an escape, which stays as it is; or no UTF-8, which is told below
    return unquote(text, errors="strict")


def _inside(place: dict[str, Any], step: str) -> dict[str, Any]:
    found = place.get(step)
    if found is None:
        found = place[step] = {}
    elif found.__class__ is not dict:
        raise BodyError("not-form", f"the form gives '{step}' both a value and parts")
    return found


def _split(name: str) -> tuple[str, tuple[str, ...]]:
    """`data%5Bmerges%5D%5BFNAME%5D` as `data` and its steps (`merges`, `FNAME`)."""
    name = unquoted(name)
    first = name.partition("[")[0]
    inner = tuple(_BRACKETED.findall(name[len(first) :]))
    if len(inner) >= MAX_FORM_DEPTH:
        raise BodyError("too-deep", f"a form's name is nested more than {MAX_FORM_DEPTH} deep")
    return first, inner


# A system's forms have the same names each time.
NAME_OFTEN: Final = 200
_split_often: Final = lru_cache(2_048)(_split)
