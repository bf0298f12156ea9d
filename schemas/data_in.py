"""What `data` holds for each type of event in.

A type that isn't listed passes as `Data` does: its fields mean nothing until a definition names them. Where a field
lists known values, another value passes too and means nothing: a vendor's new word is no reason to lose an event.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Final, Self

from pydantic import Field, model_validator

from schemas.wire import Flag, Id, Incoming, Name, Number, Text, Texts


def known(*values: str) -> Any:
    """A text whose meaning is known for these values; any other value passes."""
    return Field(default=None, json_schema_extra={"x-known-values": list(values)})


class Traits(Incoming):
    """What is known of the contact as a person and of its company; merged into its traits by event time."""

    email: Text | None = None
    """E-mail address."""
    company_id: Id | None = None
    """The company the contact belongs to; an empty text ends it."""
    parent_company_id: Id | None = None
    """The company that the contact's company belongs to."""
    icp_fit: Flag | None = None
    """Whether the contact fits the ideal customer profile, where the sender knows."""
    title: Text | None = None
    """Job title or role."""
    industry: Text | None = None
    """Industry of the company."""
    country: Text | None = None
    """Country, as the sender writes it (ISO 3166 by preference)."""
    employees: Number | None = None
    """Number of people the company employs."""
    tech_stack: Texts | None = None
    """Products that the company uses: a list, or a text that names them."""
    referred_by: Id | None = None
    """The contact that referred this one."""


class Data(Incoming):
    """What any event may carry."""

    traits: Traits | None = None
    """Traits of the contact as of this event."""
    utm_source: Text | None = None
    """Where the contact came from; attributes the event."""
    utm_medium: Text | None = None
    """By what medium it came."""
    utm_campaign: Text | None = None
    """By which campaign it came."""


class ContactAdded(Data):
    """A contact was made by hand, by another system or by a list upload."""

    origin: Text | None = None
    """Where the record comes from: a list, a form, a person."""
    implies_interaction: Flag | None = None
    """Whether that origin means the contact has dealt with us, as a business card does and a bought list doesn't."""


class ContactUpdated(Data):
    """Traits of the contact changed."""


class ContactIdentified(Data):
    """A contact turned out to be who was anonymous until now; the anonymous history becomes the contact's."""

    anonymous_id: Name
    """The anonymous contact's id."""


class ContactMerged(Data):
    """Another contact id is the same person; its history becomes this contact's."""

    from_: Annotated[Name, Field(alias="from")]
    """The contact id that ends."""


class ContactSplit(Data):
    """Two ids that were merged are two persons after all."""

    from_: Annotated[Name, Field(alias="from")]
    """The contact id that this one was merged from."""


class ContactErased(Data):
    """Everything kept of the contact up to this time is removed."""


class StagePlaced(Data):
    """A person places the contact in a stage or a status, or both: one of the two is there."""

    stage: Text | None = None
    """Id of the stage, one whose definition says `manual: true`."""
    status: Text | None = None
    """Id of the status, or a CRM's name for it that the definition lists."""
    reason: Text | None = None
    """Why, in words."""
    by: Text | None = None
    """Who did it."""

    @model_validator(mode="after")
    def _names_one(self) -> Self:
        if not (self.stage or self.status):
            raise ValueError("stage.set names a stage or a status")
        return self


class ListMembership(Data):
    """The contact opted into a mailing list, or out of it."""

    list_: Annotated[Text | None, Field(alias="list")] = None
    """The list."""


class PageViewed(Data):
    """A page of ours was viewed."""

    url: Text | None = None
    """Address of the page."""
    high_intent: Flag | None = None
    """Whether the page is one that buyers look at (prices, comparisons)."""


class Clicked(Data):
    """An advertisement or a call to action was clicked."""

    high_intent: Flag | None = None
    """Whether the click asks for something that buyers ask for."""


class AdConverted(Data):
    """An advertisement or landing page led to what it asks for."""


class EmailTouched(Data):
    """A mail of ours was opened or clicked, or came back."""

    machine: Flag | None = None
    """Whether a scanner did it, not a person."""


class EmailReplied(Data):
    """The contact answered a mail of ours."""

    sentiment: Annotated[Text | None, known("positive", "neutral", "negative", "auto")] = None
    """How the answer sounds; `auto` is an automatic reply, which is nobody's act."""
    intent: Annotated[Text | None, known("meeting", "later", "never")] = None
    """What the contact wants."""
    to: Annotated[Text | None, known("outreach", "newsletter")] = None
    """What kind of mail it answers."""


class FormSubmitted(Data):
    """A form was sent."""

    form: Text | None = None
    """Name of the form."""
    kind: Annotated[
        Text | None,
        known("newsletter", "content", "campaign", "contact", "question", "demo", "pricing", "consultation", "other"),
    ] = None
    """What the form asks for."""


class ContentDownloaded(Data):
    """An asset was downloaded."""

    asset: Text | None = None
    """Name of the asset."""
    gated: Flag | None = None
    """Whether a form stood before it."""


class Attendance(Data):
    """The contact registered for a webinar or an event, or attended it."""

    webinar: Text | None = None
    """Name of the webinar."""
    event: Text | None = None
    """Name of the event."""


class ConversationLogged(Data):
    """Somebody of ours talked with the contact and logged it."""

    channel: Annotated[Text | None, known("call", "linkedin", "chat", "note")] = None
    """How they talked."""
    sentiment: Annotated[Text | None, known("positive", "neutral", "negative")] = None
    """How the contact took it."""
    relevant: Flag | None = None
    """Whether it was about a problem that we solve."""


class Meeting(Data):
    """A meeting was asked for, agreed, held, called off or missed."""

    kind: Annotated[Text | None, known("demo", "discovery", "sales", "other")] = None
    """What the meeting is for."""


class SalesAnswered(Data):
    """Sales accepted the contact, rejected it or gave it back to marketing."""

    reason: Text | None = None
    """Why, in words or as a code of the CRM."""


class SalesQualified(Data):
    """Sales found what qualifies the contact, or what doesn't."""

    need: Flag | None = None
    """There is a problem that we solve."""
    authority: Flag | None = None
    """The contact decides, or is heard by who does."""
    budget: Flag | None = None
    """There is money for it."""
    timeline: Flag | None = None
    """It is known when they want to buy."""
    urgency: Flag | None = None
    """Something makes it urgent."""
    committee: Flag | None = None
    """Who takes part in the decision is known."""
    fit: Flag | None = None
    """Sales confirms that the contact fits."""
    next_step: Text | None = None
    """What was agreed to happen next."""
    reason: Text | None = None
    """Why, in words or as a code of the CRM."""


class CrmStatusChanged(Data):
    """The contact's status was changed in the CRM."""

    status: Text | None = None
    """Id of the status, or a CRM's name for it that the definition lists."""
    reason: Text | None = None
    """Why, in words or as a code of the CRM."""
    by: Text | None = None
    """Who changed it; `lifecycle-worker` marks the echo of our own write, which is ignored."""


class ProposalSent(Data):
    """A proposal was sent to the contact."""

    deal_id: Id | None = None
    """The deal it is for."""
    amount: Number | None = None
    """What it comes to, in `currency`."""
    currency: Text | None = None
    """ISO 4217 code."""


class Deal(Data):
    """A deal with the contact began, changed, was won or was lost."""

    deal_id: Id | None = None
    """The deal's id."""
    amount: Number | None = None
    """What it is worth, in `currency`."""
    currency: Text | None = None
    """ISO 4217 code."""
    stage: Text | None = None
    """The deal's stage in the CRM's pipeline."""
    agreement_executed: Flag | None = None
    """Whether an agreement is signed by both sides."""
    indirect: Flag | None = None
    """Whether the contract is with somebody else: a customer's customer."""
    reason: Text | None = None
    """Why it was won or lost."""


class Agreement(Data):
    """An agreement began or ended: a subscription, a contract, a purchase."""

    agreement_id: Id | None = None
    """The agreement's id."""
    amount: Number | None = None
    """What it is worth, in `currency`."""
    currency: Text | None = None
    """ISO 4217 code."""


class ProductUsed(Data):
    """A trial began or ended, or the product was used."""

    product: Text | None = None
    """Name of the product."""


class Engagement(Data):
    """The contact joined or left the team of a contractual engagement."""

    engagement_id: Id | None = None
    """The engagement's id."""


class AdvocacyGiven(Data):
    """A customer spoke for us."""

    kind: Annotated[Text | None, known("referral", "case_study", "review", "reference")] = None
    """In what form."""


class SpendRecorded(Data):
    """Money was spent on a campaign; subject and key are the campaign."""

    amount: Number | None = None
    """What was spent, in `currency`."""
    currency: Text | None = None
    """ISO 4217 code."""
    from_: Annotated[Text | None, Field(alias="from")] = None
    """First day of the period it was spent in."""
    to: Text | None = None
    """Last day of the period."""


DATA: Final[Mapping[str, type[Data]]] = MappingProxyType(
    {
        "contact.created": ContactAdded,
        "contact.imported": ContactAdded,
        "contact.updated": ContactUpdated,
        "contact.identified": ContactIdentified,
        "contact.merged": ContactMerged,
        "contact.split": ContactSplit,
        "contact.erased": ContactErased,
        "stage.set": StagePlaced,
        "list.subscribed": ListMembership,
        "list.unsubscribed": ListMembership,
        "page.viewed": PageViewed,
        "ad.clicked": Clicked,
        "cta.clicked": Clicked,
        "ad.converted": AdConverted,
        "email.opened": EmailTouched,
        "email.clicked": EmailTouched,
        "email.bounced": EmailTouched,
        "email.replied": EmailReplied,
        "form.submitted": FormSubmitted,
        "content.downloaded": ContentDownloaded,
        "webinar.registered": Attendance,
        "webinar.attended": Attendance,
        "event.registered": Attendance,
        "event.attended": Attendance,
        "conversation.logged": ConversationLogged,
        "meeting.requested": Meeting,
        "meeting.booked": Meeting,
        "meeting.held": Meeting,
        "meeting.cancelled": Meeting,
        "meeting.missed": Meeting,
        "sales.accepted": SalesAnswered,
        "sales.rejected": SalesAnswered,
        "sales.recycled": SalesAnswered,
        "sales.qualified": SalesQualified,
        "sales.disqualified": SalesQualified,
        "crm.status_changed": CrmStatusChanged,
        "proposal.sent": ProposalSent,
        "deal.created": Deal,
        "deal.updated": Deal,
        "deal.won": Deal,
        "deal.lost": Deal,
        "subscription.started": Agreement,
        "subscription.cancelled": Agreement,
        "contract.signed": Agreement,
        "contract.ended": Agreement,
        "purchase.confirmed": Agreement,
        "trial.started": ProductUsed,
        "trial.ended": ProductUsed,
        "product.used": ProductUsed,
        "engagement.started": Engagement,
        "engagement.ended": Engagement,
        "advocacy.given": AdvocacyGiven,
        "spend.recorded": SpendRecorded,
    }
)
