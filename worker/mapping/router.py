"""Which mapping a record of a topic is for: one for all, or one for each source that a receiver put there."""

from __future__ import annotations

from collections.abc import Mapping as Readonly
from typing import Final

from worker.fold.outcome import Event, Refusal
from worker.mapping.mapping import Headers, Mapping
from worker.mapping.outcome import Dropped, Refused, Result

SOURCE: Final = "lifecycle-source"
"""Header of a received webhook: the name of the source that it came from."""

ITEMS: Final = "lifecycle-items"
"""Header of a dead letter, one for each: paths of the record's items that were refused (`$.events[3]`). The others
passed, so a record with this header that is put back is looked at in these places only."""

ITEMS_MAX: Final = 500  # of one record; where more were refused, all of it is looked at again


class Router:
    """The mappings of a topic by source; under None the one for all others. A None for a mapping: events of our own."""

    def __init__(self, mappings: Readonly[str | None, Mapping | None]) -> None:
        self._mappings = mappings
        self._by_source = any(source is not None for source in mappings)

    @property
    def names(self) -> list[str]:
        """Of the mappings, for people."""
        return sorted({mapping.name for mapping in self._mappings.values() if mapping is not None})

    def of(self, headers: Headers) -> Mapping | Refusal | None:
        """The mapping for a record with these headers; why there is none; None where it is an event of our own."""
        source: str | None = None
        if self._by_source:
            named = next((value for name, value in headers if name == SOURCE and value is not None), None)
            source = None if named is None else named.decode(errors="replace")
            if source not in self._mappings:
                if None not in self._mappings:
                    return Refusal("unknown-source", f"no mapping is named for {_shown(source)} on this topic")
                source = None
        return self._mappings[source]

    @staticmethod
    def apply(mapping: Mapping, value: bytes | None, headers: Headers, key: bytes | None) -> list[Result]:
        """What the record comes to by its mapping: of a dead letter that was put back, its refused items alone."""
        only = None
        if headers:
            paths = [value.decode(errors="replace") for name, value in headers if name == ITEMS and value is not None]
            only = frozenset(paths) or None
        return mapping.apply(value, headers, key, only)


def _shown(source: str | None) -> str:
    return "a record without a source" if source is None else f"source {source[:100]!r}"


__all__ = ["ITEMS", "ITEMS_MAX", "SOURCE", "Dropped", "Event", "Refused", "Router"]
