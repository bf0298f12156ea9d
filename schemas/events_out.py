"""Events out: what the worker says, as CloudEvents in structured mode, keyed by contact or company.

`time` is when it became true, `recordedtime` when we said so; `id` is a digest of the lifecycle, the definition's
fingerprint and the event's own content, so that the same content has the same id on any run. Readers must let fields
pass that they don't know: a later release may add some within `v1`, and takes none away.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal

from pydantic import Field

from schemas.wire import Instant, Name, Number, Outgoing, Text

Count = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(ge=1)]
Scalar = bool | int | float | str | None


class Score(Outgoing):
    """Points as of `time`."""

    total: Number
    """Fit and behaviour together."""
    fit: Number
    """Points for what the contact is."""
    behaviour: Number
    """Points for what it did, decayed to this moment."""


class Sla(Outgoing):
    """The promise on the stage that was entered."""

    due_at: Instant
    """When it runs out."""
    late: Text
    """The owner who is late then."""


class Handoff(Outgoing):
    """The contact changed hands."""

    from_owner: Text | None
    """Who had it; null where nobody did."""
    to_owner: Text | None
    """Who has it now; null where nobody does."""


class DealValue(Outgoing):
    """What one open deal is worth."""

    amount: Number | None
    """In `currency`; null where it was never said."""
    currency: Text | None
    """ISO 4217 code."""


class Touch(Outgoing):
    """An event that says where the contact came from."""

    source: Text | None
    """`utm_source`."""
    medium: Text | None
    """`utm_medium`."""
    campaign: Text | None
    """`utm_campaign`."""
    time: Instant
    """When it happened."""
    type: Text
    """The event's type."""


class Attribution(Outgoing):
    """First and last touch."""

    first: Touch | None
    """The earliest attributed event."""
    last: Touch | None
    """The latest attributed event so far."""


class Current(Outgoing):
    """Where the contact stands after everything published so far."""

    stage: Text | None
    """Id of the stage."""
    status: Text | None
    """Id of the status; null where the lifecycle has no status track."""
    qualified: bool
    """Whether the contact counts as qualified."""
    entered_at: Instant | None
    """When it entered the stage."""
    revision: Count
    """Rises with everything published for the contact: of two, the higher one is right."""


class Contact(Current):
    """What the contacts topic holds under a contact's id; nothing once the id is no contact any more."""

    lifecycle: Text
    """Name of the lifecycle."""
    contact: Name
    """The contact's id."""


class CausedByEvent(Outgoing):
    """An event did it."""

    kind: Literal["event"]
    id: Text
    """The event's id."""
    source: Text
    """The event's source."""
    type: Text
    """The event's type."""
    time: Instant
    """When it happened."""


class CausedByTimer(Outgoing):
    """Time did it."""

    kind: Literal["timer"]
    timer: Text
    """What ran out: an SLA, a time in the stage, a window, a score."""
    due_at: Instant
    """When it ran out."""


class CausedByPerson(Outgoing):
    """A person placed the contact there, by `stage.set`."""

    kind: Literal["person"]
    by: Text | None
    """Who."""
    reason: Text | None
    """Why."""
    id: Text
    """The event's id."""
    source: Text
    """The event's source."""
    type: Text
    """The event's type."""
    time: Instant
    """When it was done."""


Cause = Annotated[CausedByEvent | CausedByTimer | CausedByPerson, Field(discriminator="kind")]


class Said(Outgoing):
    """What everything published says of itself."""

    lifecycle: Text
    """Name of the lifecycle."""
    definition_version: Positive
    """`version` of its definition."""


class OfContact(Said):
    """What everything published of a contact says."""

    contact: Name
    """The contact's id."""
    current: Current | None
    """Where the contact stands after this and all published with it; null where the id is no contact any more."""


class StageChangedData(OfContact):
    """A contact entered a stage."""

    from_: Annotated[Text | None, Field(alias="from")]
    """The stage it left; null on entering the first."""
    to: Text
    """The stage it entered."""
    direction: Literal["initial", "forward", "backward"]
    """Which way that is in the order of the stages."""
    says: Text | None
    """The criterion that was met, in the definition's words."""
    reason: Text | None
    """The reason that the cause gave, where it gave one."""
    cause: Cause
    """What made it so."""
    guards: dict[str, Scalar]
    """Each condition that was looked at, and its value."""
    visit: Positive
    """The how-manieth time the contact is in this stage."""
    entered_at: Instant
    """When it entered: the event's `time`."""
    seconds_in_previous: Number | None
    """How long it was in the stage before; null on entering the first."""
    handoff: Handoff | None
    """The owners, where the owner changes."""
    sla: Sla | None
    """The stage's promise, where it has one that holds for this visit."""
    status: Text | None
    """Id of the status then."""
    qualified: bool
    """Whether the contact counts as qualified now."""
    suppressed: bool
    """Whether marketing must leave the contact alone."""
    score: Score | None
    """Its points; null where the lifecycle doesn't score."""
    icp_fit: bool | None
    """Whether it fits the ideal customer profile; null where that isn't known."""
    value: dict[str, DealValue]
    """The open deals, by deal id."""
    company: Text | None
    """The company it belongs to."""
    attribution: Attribution
    """Where it came from."""
    traits: dict[str, Any]
    """The traits that the definition publishes."""


class StatusChangedData(OfContact):
    """A contact's status changed."""

    from_: Annotated[Text | None, Field(alias="from")]
    """The status before; null for the first."""
    to: Text | None
    """The status now; null where none is left."""
    reason: Text | None
    """The reason that the cause gave, where it gave one."""
    cause: Cause
    """What made it so."""
    stage: Text
    """Id of the stage then."""
    qualified: bool
    """Whether the contact counts as qualified now."""
    suppressed: bool
    """Whether marketing must leave the contact alone."""


class SlaBreachedData(OfContact):
    """A promise on a stage was not kept in time."""

    stage: Text
    """The stage that the contact waited in."""
    visit: Positive
    """The how-manieth time it is there."""
    owner: Text
    """Who is late."""
    entered_at: Instant
    """When the contact entered the stage."""
    due_at: Instant
    """When the promise ran out: the event's `time`."""


class SignalData(OfContact):
    """Something happened that the definition publishes whatever the stage: a signal, a segment, a warning."""

    signal: Text
    """Id of the signal or the segment; `sla_warning` where a promise is about to run out."""
    action: Literal["occurred", "entered", "left", "warned"]
    """A signal occurred, a segment was entered or left, a warning was given."""
    cause: Cause
    """What made it so."""
    stage: Text
    """Id of the stage then."""
    status: Text | None
    """Id of the status then."""
    visit: Positive | None = None
    """On a warning: the how-manieth time the contact is in the stage."""
    owner: Text | None = None
    """On a warning: who will be late."""
    entered_at: Instant | None = None
    """On a warning: when the contact entered the stage."""
    due_at: Instant | None = None
    """On a warning: when the promise runs out."""


class ContactMergedData(OfContact):
    """Two contact ids are one person now."""

    from_: Annotated[Name, Field(alias="from")]
    """The id that ended; `contact` goes on."""
    cause: Cause
    """The event that said so."""


class ContactErasedData(OfContact):
    """Everything kept of a contact was removed: readers remove theirs."""


class HygieneFailure(Outgoing):
    """A rule of the definition that the contact's record breaks."""

    rule: Text
    """Id of the rule."""
    field: Text | None
    """The field at fault, where it is one."""
    message: Text
    """What is wrong, in the definition's words."""


class HygieneFailedData(OfContact):
    """A contact's record lacks what the definition requires."""

    missing: list[Text]
    """Required fields that are not there."""
    failures: list[HygieneFailure]
    """The rules it breaks."""
    stage: Text
    """Id of the stage then."""
    cause: Cause
    """What made it so."""


class CompanyChangedData(Said):
    """A company's stage or customer status changed, as it follows from its contacts."""

    company: Name
    """The company's id."""
    stage_from: Text | None
    """Its stage before; null where it had none."""
    stage_to: Text | None
    """Its stage now; null where no contact is left to give it one."""
    customer_status_from: Text | None
    """Its customer status before."""
    customer_status_to: Text | None
    """Its customer status now."""
    contacts: Count
    """How many contacts it has."""
    parent: Text | None
    """The company it belongs to."""
    revision: Positive
    """Rises with every change of the company: of two, the higher one is right."""


class EventOut(Outgoing):
    """The CloudEvents 1.0 envelope around everything published."""

    specversion: Literal["1.0"]
    """CloudEvents version."""
    id: Name
    """Digest of lifecycle, definition and content: equal content, equal id."""
    source: Annotated[Text, Field(pattern=r"^/lifecycle/.+")]
    """`/lifecycle/` and the name of the lifecycle."""
    subject: Name
    """The contact or company; also the record's key."""
    time: Instant
    """When it became true."""
    recordedtime: Instant
    """When it was said."""
    datacontenttype: Literal["application/json"] = "application/json"
    """Media type of `data`."""


class StageChanged(EventOut):
    """A contact entered a stage."""

    type: Literal["lifecycle.stage.changed.v1"]
    data: StageChangedData


class StatusChanged(EventOut):
    """A contact's status changed."""

    type: Literal["lifecycle.status.changed.v1"]
    data: StatusChangedData


class SlaBreached(EventOut):
    """A promise on a stage was not kept in time."""

    type: Literal["lifecycle.sla.breached.v1"]
    data: SlaBreachedData


class Signal(EventOut):
    """A signal, a segment entered or left, a warning."""

    type: Literal["lifecycle.signal.v1"]
    data: SignalData


class ContactMergedOut(EventOut):
    """Two contact ids are one person now."""

    type: Literal["lifecycle.contact.merged.v1"]
    data: ContactMergedData


class ContactErasedOut(EventOut):
    """Everything kept of a contact was removed."""

    type: Literal["lifecycle.contact.erased.v1"]
    data: ContactErasedData


class HygieneFailed(EventOut):
    """A contact's record lacks what the definition requires."""

    type: Literal["lifecycle.hygiene.failed.v1"]
    data: HygieneFailedData


class CompanyChanged(EventOut):
    """A company's stage or customer status changed."""

    type: Literal["lifecycle.company.changed.v1"]
    data: CompanyChangedData


Restated = Annotated[
    StageChanged
    | StatusChanged
    | SlaBreached
    | Signal
    | ContactMergedOut
    | ContactErasedOut
    | HygieneFailed
    | CompanyChanged,
    Field(discriminator="type"),
]


class CorrectedData(OfContact):
    """A late event changed what was published: remove the withdrawn, add the restated, in this order.

    Who does so holds the history as if every event had come in order. An id once withdrawn may be restated later.
    """

    withdrawn: list[Name]
    """Ids of earlier events that no longer stand, of any type."""
    restated: list[Restated]
    """Whole events that stand instead."""


class Corrected(EventOut):
    """A late event changed what was published."""

    type: Literal["lifecycle.corrected.v1"]
    data: CorrectedData


EVENTS_OUT: Final[Mapping[str, type[EventOut]]] = MappingProxyType(
    {
        "lifecycle.stage.changed.v1": StageChanged,
        "lifecycle.status.changed.v1": StatusChanged,
        "lifecycle.sla.breached.v1": SlaBreached,
        "lifecycle.signal.v1": Signal,
        "lifecycle.corrected.v1": Corrected,
        "lifecycle.company.changed.v1": CompanyChanged,
        "lifecycle.contact.merged.v1": ContactMergedOut,
        "lifecycle.contact.erased.v1": ContactErasedOut,
        "lifecycle.hygiene.failed.v1": HygieneFailed,
    }
)
"""Type → model of the whole event."""
