"""What `--input` names: a topic, which of its records are meant, and the mapping that reads them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

INPUTS_MAX: Final = 100
_TOPIC: Final = re.compile(r"[A-Za-z0-9._-]{1,200}")
_FORM: Final = "expected TOPIC, TOPIC=MAPPING or TOPIC/SOURCE=MAPPING"


class Input(NamedTuple):
    """Records of `topic`, where `source` is given those that a receiver took from it; None for a mapping: our own
    events."""

    topic: str
    source: str | None = None
    mapping: str | None = None

    def __str__(self) -> str:
        place = self.topic if self.source is None else f"{self.topic}/{self.source}"
        return place if self.mapping is None else f"{place}={self.mapping}"


def read_inputs(given: Any) -> tuple[Input, ...]:
    """The inputs of a text (parted by commas or spaces), a list of texts, or a table TOPIC → MAPPING.

    Raises `ValueError` for what is none, and for one that is named twice.
    """
    if isinstance(given, str):
        given = given.replace(",", " ").split()
    elif isinstance(given, Mapping):
        given = [f"{place}={mapping}" if mapping else str(place) for place, mapping in given.items()]
    if not isinstance(given, list | tuple) or len(given) > INPUTS_MAX:
        raise ValueError(f"expected up to {INPUTS_MAX} of TOPIC=MAPPING")
    inputs = [each if isinstance(each, Input) else _input(each) for each in given]
    for number, each in enumerate(inputs):
        if any(each[:2] == other[:2] for other in inputs[:number]):
            raise ValueError(f"{str(each).partition('=')[0]} is named twice: a record is read by one mapping")
    return tuple(inputs)


def _input(given: Any) -> Input:
    if not isinstance(given, str):
        raise ValueError(f"{_FORM}, got a {type(given).__name__}")
    place, equals, mapping = given.strip().partition("=")
    topic, slash, source = place.partition("/")
    if not _TOPIC.fullmatch(topic) or (slash and not source) or (equals and not mapping):
        raise ValueError(f"{given.strip()[:300]!r}: {_FORM}")
    return Input(topic, source or None, mapping or None)
