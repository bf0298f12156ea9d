"""The form encoding that some webhooks still use, into a document: `data[email]=a` as nested objects."""

from __future__ import annotations

import re
from binascii import a2b_qp
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final
from urllib.parse import unquote

from worker.mapping.outcome import BodyError

MAX_FORM_FIELDS: Final = 1_000
MAX_FORM_DEPTH: Final = 8
NAME_OFTEN: Final = 200  # characters of a name that may come often
_NAMES_KEPT: Final = 2_048
_SHORT: Final = 100  # characters of a value
_NAMES_OFTEN: Final = 4_000  # characters of all names of a form whose like may come often
_ONCE_KEPT: Final = 256
_LAYOUTS_MAX: Final = 4  # of one count of fields: each is tried
_COUNTS_MAX: Final = 32

_BRACKETED: Final = re.compile(r"\[([^\[\]]*)\]")

Steps = tuple[tuple[str, ...], str]
"""Where a form's field belongs: the objects on the way to it, and its name in the last of them."""

Layout = Callable[[str], dict[str, Any] | None]
"""Reads forms whose fields have certain names in a certain order; None for any other."""


class Wanted(dict[str, Steps | None]):
    """Names of a form's fields, as they are sent → where they belong; None where nobody reads that.

    A system's forms have the same names each time: they are kept, but for long ones.
    """

    def __init__(self, paths: frozenset[tuple[str, ...]] | None) -> None:
        super().__init__()
        self._paths = paths
        self._once: set[tuple[str, ...]] = set()
        self._layouts: dict[int, list[Layout]] = {}

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

    def at_once(self, text: str) -> dict[str, Any] | None:
        """The document of a form, where forms with the same names in the same order were seen before."""
        for layout in self._layouts.get(text.count("&"), ()):
            document = layout(text)
            if document is not None:
                return document
        return None

    def learn(self, pairs: Sequence[str]) -> None:
        """Forms with these names, which could be read, are read at once from the third on.

        There is an end to what is learned: who sends other names each time gains nothing, and costs no more.
        """
        separators = len(pairs) - 1
        known = self._layouts.get(separators, [])
        if len(known) >= _LAYOUTS_MAX or len(self._layouts) >= _COUNTS_MAX:
            return
        names = tuple([pair.partition("=")[0] for pair in pairs])
        if names in self._once:
            self._layouts[separators] = [*known, _layout(names, self)]
        elif sum(map(len, names)) <= _NAMES_OFTEN:
            if len(self._once) >= _ONCE_KEPT:
                self._once.clear()
            self._once.add(names)


def wanted_of(paths: Iterable[tuple[str, ...]]) -> Wanted | None:
    """What of a form is read by whoever reads these paths; None where that is all of it."""
    read = frozenset(paths)
    return None if () in read else Wanted(read)


def read_form(body: bytes, wanted: Wanted | None = None) -> dict[str, Any]:
    """`data[email]=a&data[merges][FNAME]=b` as nested objects; of a name that comes twice the last counts.

    Where given, those fields alone that are `wanted`. Raises: BodyError.
    """
    wanted = _all if wanted is None else wanted
    try:
        text = body.decode()
        document = wanted.at_once(text)
        if document is None:
            pairs = text.split("&")
            if len(pairs) > MAX_FORM_FIELDS:
                raise BodyError("not-form", f"the record is no form: it has more than {MAX_FORM_FIELDS} fields")
            document = _document(pairs, wanted)
            wanted.learn(pairs)
    except UnicodeDecodeError as error:
        raise BodyError("not-utf8", f"invalid UTF-8 at byte {error.start}: {error.reason}") from None
    return document


def _document(pairs: Iterable[str], wanted: Wanted) -> dict[str, Any]:
    """Raises: BodyError, UnicodeDecodeError."""
    document: dict[str, Any] = {}
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
    return document


def _inside(place: dict[str, Any], step: str) -> dict[str, Any]:
    """A new object in this place. Raises: BodyError where there is a value."""
    if place.get(step) is not None:
        raise BodyError("not-form", f"the form gives '{step}' both a value and parts")
    made: dict[str, Any] = {}
    place[step] = made
    return made


def _layout(names: Sequence[str], wanted: Wanted) -> Layout:
    """What reads a form with these names in one go. One such form could be read, so all can: values don't matter."""
    parts: list[str] = []
    fields: list[str] = []
    for name in names:
        is_read = wanted[name] is not None
        parts.append(re.escape(name) + ("=([^&]*)" if is_read else "=[^&]*"))
        if is_read:
            fields.append(f"{name}=v{len(fields)}")
    match = re.compile("&".join(parts)).fullmatch
    values = ", ".join(f"v{number}" for number in range(len(fields)))
    shape = _written(_document(fields, wanted))
    make = eval(f"lambda {values}: {shape}", {"unquoted": unquoted})

    def layout(text: str) -> dict[str, Any] | None:
        found = match(text)
        return None if found is None else make(*found.groups())

    return layout


def _written(shape: Any) -> str:
    """Python for a document whose values are the names that they have there."""
    if shape.__class__ is dict:
        return "{" + ", ".join(f"{name!r}: {_written(part)}" for name, part in shape.items()) + "}"
    return f"unquoted({shape}) if '%' in {shape} or '+' in {shape} else {shape}"


def unquoted(text: str) -> str:
    """The text that was encoded for a form. Raises: UnicodeDecodeError."""
    text = text.replace("+", " ")
    if len(text) <= _SHORT:
        # Most have no other escapes than these, of an address, a time, a path: none of them makes another escape.
        text = text.replace("%40", "@").replace("%3A", ":").replace("%2F", "/").replace("%20", " ")
    if "%" not in text:
        return text
    if text.isascii() and text.isprintable() and "=" not in text:
        # Quoted-printable's escapes but for their sign, which are decoded in one go. Each makes one
        # byte of three characters; one that is none leaves the text longer, and stays as it is below.
        data = a2b_qp(text.replace("%", "="))
        if len(data) == len(text) - 2 * text.count("%"):
            return data.decode()
    return unquote(text, errors="strict")


def _split(name: str) -> tuple[str, ...]:
    """`data%5Bmerges%5D%5BFNAME%5D` as `data`, `merges`, `FNAME`."""
    name = unquoted(name)
    first = name.partition("[")[0]
    inner = tuple(_BRACKETED.findall(name[len(first) :]))
    if len(inner) >= MAX_FORM_DEPTH:
        raise BodyError("too-deep", f"a form's name is nested more than {MAX_FORM_DEPTH} deep")
    return first, *inner


_all: Final = Wanted(None)
