"""Contacts that say they are one person: whose events must be folded together, in the order in which they arrived."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Set
from pathlib import Path
from typing import Any, Final

import msgspec

from worker.fold.identity import IDENTITY_TYPES, MERGES

_KEPT: Final = "families"
_HINT: Final = b'"contact.'
_KINDS: Final = (b"e", b"id", b"m", b"s")  # how what stands after the hint begins: erased, identified, merged, split
_ESCAPE: Final = b"\\u00"  # in JSON any letter may be written as an escape: lines that hold one are looked at as well


class _Glance(msgspec.Struct):
    type: str
    subject: str
    data: dict[str, Any] | None = None


_glance: Final = msgspec.json.Decoder(_Glance).decode


class Families:
    """Sets of contacts that belong together (union-find). A contact that nothing was said of is alone."""

    def __init__(self, ties: Iterable[tuple[str, str]] = ()) -> None:
        self._above: dict[str, str] = {}
        for one, other in ties:
            self.join(one, other)

    def __bool__(self) -> bool:
        return bool(self._above)

    def __contains__(self, contact: str) -> bool:
        return contact in self._above

    def all(self) -> Set[str]:
        """Every contact that is tied to another, or may be."""
        return self._above.keys()

    def pairs(self) -> list[tuple[str, str]]:
        """Ties that come to the same."""
        return list(self._above.items())

    def join(self, one: str, other: str) -> None:
        above = self._above
        above.setdefault(one, one)
        above.setdefault(other, other)
        above[self.head(one)] = self.head(other)

    def head(self, contact: str) -> str:
        """The same contact for all of a family: its own id where it is alone."""
        above = self._above
        while (higher := above.get(contact, contact)) != contact:
            above[contact] = above[higher]
            contact = above[contact]
        return contact


def keep_families(folder: Path, ties: Iterable[Iterable[tuple[str, str]]]) -> None:
    """Put what the ties come to into the folder, for all processes that work on it."""
    families = Families(tie for found in ties for tie in found)
    (folder / _KEPT).write_bytes(msgspec.msgpack.encode(families.pairs()))


def families_kept(folder: Path) -> Families:
    """What `keep_families` put there."""
    return Families(msgspec.msgpack.decode((folder / _KEPT).read_bytes(), type=list[tuple[str, str]]))


def tie(kind: str, subject: str, data: Mapping[str, Any]) -> tuple[str, str]:
    """The two ids that an event of `IDENTITY_TYPES` ties; an erasure ties an id to itself, for it may reach others."""
    other = data.get(MERGES.get(kind, "from"))
    return subject, other if isinstance(other, str) and other else subject


def ties(blocks: Iterable[bytes]) -> Iterator[tuple[str, str]]:
    """The ties in blocks of lines that nobody has decoded: what is no such event is passed over at little cost."""
    for block in blocks:
        escaped = b"\\" in block and _ESCAPE in block
        for line in block.split(b"\n") if escaped else _hinting(block):
            try:
                seen = _glance(line)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                continue
            if seen.type in IDENTITY_TYPES:
                yield tie(seen.type, seen.subject, seen.data or {})


def _hinting(text: bytes) -> Iterator[bytes]:
    """The lines of the text in which something begins as the name of such an event does."""
    at = text.find(_HINT)
    while at >= 0:
        after = at + len(_HINT)
        if text.startswith(_KINDS, after):
            end = text.find(b"\n", after)
            end = len(text) if end < 0 else end
            yield text[text.rfind(b"\n", 0, at) + 1 : end]
            after = end
        at = text.find(_HINT, after)
