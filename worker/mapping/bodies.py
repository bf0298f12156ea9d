"""A record's bytes into a document: JSON, or the form encoding that some webhooks still use."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final, Literal
from urllib.parse import unquote

import msgspec

from worker.fold.outcome import Refusal

MAX_BYTES: Final = 16 * 1024 * 1024  # of one record; vendors' batches stay well below
MAX_FORM_FIELDS: Final = 1_000
MAX_FORM_DEPTH: Final = 8
NAME_OFTEN: Final = 200  # characters of a name that may come often
_NAMES_KEPT: Final = 2_048
_SHORT: Final = 100  # characters of a value

_BOM: Final = b"\xef\xbb\xbf"
_BRACKETED: Final = re.compile(r"\[([^\[\]]*)\]")

_read: Final = msgspec.json.Decoder().decode


Steps = tuple[tuple[str, ...], str]
"""Where a form's field belongs: the objects on the way to it, and its name in the last of them."""


class Wanted(dict[str, Steps | None]):
    """Names of a form's fields, as they are sent → where they belong; None where nobody reads that.

    A system's forms have the same names each time: they are kept, but for long ones.
    """

    def __init__(self, paths: frozenset[tuple[str, ...]] | None) -> None:
        super().__init__()
        self._paths = paths

    def __missing__(self, name: str) -> Steps | None:
        *way, last = _split(name)
        steps = (*way, last)
        read = self._paths is None or any(path[: len(steps)] == steps[: len(path)] for path in self._paths)
        found = (tuple(way), last) if read else None
        if len(name) <= NAME_OFTEN:
            if len(self) >= _NAMES_KEPT:
                self.clear()
            self[name] = found
        return found


def wanted_of(paths: Iterable[tuple[str, ...]]) -> Wanted | None:
    """What of a form is read by whoever reads these paths; None where that is all of it."""
    read = frozenset(paths)
    return None if () in read else Wanted(read)


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
    wanted = _all if wanted is None else wanted
    try:
        pairs = body.decode().split("&")
        if len(pairs) > MAX_FORM_FIELDS:
            raise BodyError("not-form", f"the record is no form: it has more than {MAX_FORM_FIELDS} fields")
        for pair in pairs:
            name, equals, value = pair.partition("=")
            if not equals:
                raise BodyError("not-form", "the record is no form: a part of it is no `name=value`")
            steps = wanted[name]
            if steps is None:
                continue
            if "%" in value or "+" in value:
                value = unquoted(value)
            way, last = steps
            place = document
            for step in way:
                inner = place.get(step)
                place = inner if inner.__class__ is dict else _inside(place, step)
            if place.get(last).__class__ is dict:
                raise BodyError("not-form", f"the form gives '{last}' both a value and parts")
            place[last] = value
    except UnicodeDecodeError as error:
        raise BodyError("not-utf8", f"invalid UTF-8 at byte {error.start}: {error.reason}") from None
    return document


def unquoted(text: str) -> str:
    """The text that was encoded for a form. Raises: UnicodeDecodeError."""
    text = text.replace("+", " ")
    if len(text) <= _SHORT:
        # Most have no other escapes than these, of an address, a time, a path: none of them makes another escape.
        text = text.replace("%40", "@").replace("%3A", ":").replace("%2F", "/").replace("%20", " ")
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
    """A new object in this place. Raises: BodyError where there is a value."""
    if place.get(step) is not None:
        raise BodyError("not-form", f"the form gives '{step}' both a value and parts")
    made: dict[str, Any] = {}
    place[step] = made
    return made


def _split(name: str) -> tuple[str, ...]:
    """`data%5Bmerges%5D%5BFNAME%5D` as `data`, `merges`, `FNAME`."""
    name = unquoted(name)
    first = name.partition("[")[0]
    inner = tuple(_BRACKETED.findall(name[len(first) :]))
    if len(inner) >= MAX_FORM_DEPTH:
        raise BodyError("too-deep", f"a form's name is nested more than {MAX_FORM_DEPTH} deep")
    return first, *inner


_all: Final = Wanted(None)
