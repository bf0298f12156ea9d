"""Events in: the CloudEvents 1.0 envelope around `data_in`'s models, and the limits that hold for all of it."""

from __future__ import annotations

from functools import cache
from typing import Any, Final, Literal, Self

from pydantic import Field, create_model, model_validator

from schemas.data_in import DATA, ContactIdentified, ContactMerged, ContactSplit, Data
from schemas.fields import EVENT_FIELDS, Kind
from schemas.wire import MAX_NUMBER, Flag, Id, Incoming, Name, Number, Text, Texts, Time

MAX_DEPTH: Final = 32  # objects and lists within one another, `data` itself the first


def _known_fields() -> type[Incoming]:
    """A model of every field that any type of event has, all of them optional."""
    annotations: dict[Kind, Any] = {"text": Text, "id": Id, "number": Number, "boolean": Flag, "texts": Texts}
    fields: dict[str, Any] = {
        f"{name}_": (annotations[kind] | None, Field(default=None, alias=name)) for name, kind in EVENT_FIELDS.items()
    }
    return create_model("KnownFields", __base__=Incoming, __doc__="A field has its type on every event.", **fields)


KnownFields = _known_fields()


def _fault(value: Any, depth: int) -> str | None:
    """What is wrong with a value of any shape, a number or its depth; None where nothing is."""
    if isinstance(value, int | float):
        return None if -MAX_NUMBER <= value <= MAX_NUMBER else f"number beyond {MAX_NUMBER}"
    if isinstance(value, dict | list):
        if depth > MAX_DEPTH:
            return f"nested more than {MAX_DEPTH} deep"
        for part in value.values() if isinstance(value, dict) else value:
            fault = _fault(part, depth + 1)
            if fault is not None:
                return fault
    return None


class EventIn(Incoming):
    """An engagement event as a CloudEvent 1.0: what happened to a contact, and when it happened there."""

    specversion: Literal["1.0"]
    """CloudEvents version."""
    id: Name
    """The sender's id of the event: the first arrival of a `source` and `id` counts, a repeat changes nothing."""
    source: Name
    """Who sends: a system, and where it has several, the account or form."""
    type: Name
    """What happened, as in the list of types."""
    subject: Name
    """The contact's id (a campaign's for spend); also the record's key."""
    time: Time
    """When it happened, not when it was sent."""
    data: Data | None = None
    """The event's fields."""

    @model_validator(mode="before")
    @classmethod
    def _within_limits(cls, value: Any) -> Any:
        """Numbers that readers would round and depths that readers would refuse are refused wherever they stand."""
        if isinstance(value, dict):
            fault = _fault(value.get("data"), 1)
            if fault is not None:
                raise ValueError(fault)
            if value.get("data_base64") is not None:
                raise ValueError("data must be JSON, not base64")
        return value

    @model_validator(mode="after")
    def _fields_have_their_kind(self) -> Self:
        """A known field has its type on every event, also on those whose own model doesn't have it."""
        if self.data is not None:
            KnownFields.model_validate(self.data.model_extra)
        return self

    @model_validator(mode="after")
    def _two_contacts(self) -> Self:
        """A merge, a split or an identification needs two different contacts."""
        data = self.data
        other = (
            data.from_
            if isinstance(data, ContactMerged | ContactSplit)
            else data.anonymous_id
            if isinstance(data, ContactIdentified)
            else None
        )
        if other is not None and other == self.subject:
            raise ValueError(f"{self.type} of {self.subject} with itself")
        return self


# Types that say nothing without their data; for the others it may be left out.
NEEDS_DATA: Final = frozenset({"contact.identified", "contact.merged", "contact.split", "stage.set"})


@cache
def event_in(event_type: str) -> type[EventIn]:
    """The model of one type's events; for a type that isn't listed, the model of any event."""
    data = DATA.get(event_type)
    if data is None:
        return EventIn
    fields: dict[str, Any] = {"type": (Literal[event_type], ...)}
    fields["data"] = (data, ...) if event_type in NEEDS_DATA else (data | None, None)
    name = "".join(part.capitalize() for part in event_type.replace("_", ".").split(".")) + "Event"
    return create_model(name, __base__=EventIn, __doc__=data.__doc__, **fields)
