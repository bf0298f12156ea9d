"""The known fields of events in and their kinds, read from the models: one table, nothing to keep in step.

The decoder checks by it, a definition's guards are typed by it, and a misspelt field is told its neighbour from it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final, Literal, get_args

from pydantic import AfterValidator, BaseModel

from schemas.data_in import DATA, Data, Traits
from schemas.wire import id_fits

Kind = Literal["text", "id", "number", "boolean", "texts"]

_KINDS: Final[Mapping[frozenset[Any], Kind]] = {
    frozenset({str}): "text",
    frozenset({str, id_fits}): "id",
    frozenset({int, float}): "number",
    frozenset({bool}): "boolean",
    frozenset({list, str}): "texts",
}


def _parts(annotation: Any) -> Iterator[Any]:
    """The types that an annotation is made of, and the check that makes a text an id."""
    if isinstance(annotation, AfterValidator) and annotation.func is id_fits:
        yield id_fits
    elif isinstance(annotation, type) and annotation in (str, int, float, bool):
        yield annotation
    elif getattr(annotation, "__origin__", None) is list:
        yield list
    for argument in (*get_args(annotation), *getattr(annotation, "__metadata__", ())):
        yield from _parts(argument)


def _kinds(model: type[BaseModel]) -> dict[str, Kind]:
    """Kind of each field by its name on the wire; `traits`, which has a table of its own, is left out."""
    kinds: dict[str, Kind] = {}
    for name, field in model.model_fields.items():
        parts = frozenset(_parts(field.annotation)) | {part for item in field.metadata for part in _parts(item)}
        if name != "traits":
            kinds[field.alias or name] = _KINDS[parts]
    return kinds


COMMON: Final[Mapping[str, Kind]] = MappingProxyType(_kinds(Data))
"""Fields that any event may carry."""

FIELDS: Final[Mapping[str, Mapping[str, Kind]]] = MappingProxyType(
    {event_type: MappingProxyType(_kinds(model)) for event_type, model in DATA.items()}
)
"""Event type → field of `data` → kind; the common fields are among them."""

TRAITS: Final[Mapping[str, Kind]] = MappingProxyType(_kinds(Traits))
"""Known trait → kind."""

REQUIRED: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        event_type: tuple(field.alias or name for name, field in model.model_fields.items() if field.is_required())
        for event_type, model in DATA.items()
    }
)
"""Event type → fields without which it means nothing (`stage.set` needs one of two: its model says so)."""


def _everywhere() -> dict[str, Kind]:
    kinds: dict[str, Kind] = {}
    for fields in (COMMON, *FIELDS.values()):
        for name, kind in fields.items():
            if {kind, kinds.setdefault(name, kind)} == {"id", "text"}:
                kinds[name] = "text"
            elif kinds[name] != kind:
                raise TypeError(f"field {name!r} is {kinds[name]} in one type of event and {kind} in another")
    return kinds


EVENT_FIELDS: Final[Mapping[str, Kind]] = MappingProxyType(_everywhere())
"""Every known field of `data` → kind. It has that kind on every event, whatever the type: guards may rely on it."""
