"""The events' own words, as guards know them: types, fields and their kinds, and the values of fields with a fixed few.

All of it is read from the models in `schemas`; this module only turns their kinds into those of expressions.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final

from schemas.data_in import DATA
from schemas.fields import COMMON, FIELDS, TRAITS

KINDS: Final[Mapping[str, str]] = MappingProxyType(
    {"text": "text", "id": "text", "number": "number", "boolean": "boolean", "texts": "any"}
)


def _fields() -> dict[str, str]:
    kinds: dict[str, str] = {}
    for fields in (COMMON, *FIELDS.values()):
        for name, kind in fields.items():
            ours = KINDS[kind]
            kinds[name] = ours if kinds.get(name, ours) == ours else "any"
    return kinds


def _known_values(schema: Any) -> Iterator[str]:
    """The values that a model's field lists, wherever in its annotation they stand."""
    if isinstance(schema, dict):
        yield from schema.get("x-known-values", ())


def _values() -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    bounded: dict[str, bool] = {}
    for model in DATA.values():
        for name, field in model.model_fields.items():
            values = set(_known_values(field.json_schema_extra))
            wire = field.alias or name
            bounded[wire] = bounded.get(wire, True) and bool(values)
            found.setdefault(wire, set()).update(values)
    return {name: frozenset(values) for name, values in found.items() if bounded[name] and values}


EVENT_TYPES: Final[frozenset[str]] = frozenset(DATA)
"""Types with a known meaning; others pass without one until a definition names them."""

EVENT_FIELDS: Final[Mapping[str, str]] = MappingProxyType(_fields())
"""Field of `event.…` → boolean, number, text, or any."""

TRAIT_FIELDS: Final[Mapping[str, str]] = MappingProxyType({name: KINDS[kind] for name, kind in TRAITS.items()})
"""Trait → boolean, number, text, or any."""

FIELD_VALUES: Final[Mapping[str, frozenset[str]]] = MappingProxyType(_values())
"""Fields that have a fixed few values with a meaning, over all types that have the field."""


def fields_of(event_type: str) -> frozenset[str]:
    """The known fields of `data` for a type, those that any event may carry among them."""
    return frozenset(FIELDS.get(event_type, COMMON))
