"""Traffic for the fold's properties: what vendors send, with every field that a shipped lifecycle reads."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from tests.fold.world import DAY, HOUR, MINUTE, START
from worker.fold.outcome import Event

_TRUTH = st.booleans()
_FIELDS: dict[str, dict[str, st.SearchStrategy[Any]]] = {
    "contact.imported": {"implies_interaction": _TRUTH},
    "contact.updated": {},
    "list.subscribed": {},
    "page.viewed": {"high_intent": _TRUTH},
    "email.clicked": {"machine": _TRUTH},
    "email.opened": {},
    "email.replied": {
        "sentiment": st.sampled_from(["positive", "neutral", "negative", "auto"]),
        "intent": st.sampled_from(["meeting", "later", "never"]),
    },
    "form.submitted": {"kind": st.sampled_from(["newsletter", "content", "campaign", "contact", "demo", "pricing"])},
    "content.downloaded": {"gated": _TRUTH},
    "webinar.attended": {},
    "conversation.logged": {"sentiment": st.sampled_from(["positive", "negative"]), "relevant": _TRUTH},
    "meeting.booked": {"kind": st.sampled_from(["demo", "sales"])},
    "meeting.held": {"kind": st.sampled_from(["demo", "sales"])},
    "meeting.cancelled": {},
    "sales.accepted": {},
    "sales.rejected": {"reason": st.sampled_from(["timing", "fit"])},
    "sales.recycled": {"reason": st.just("quiet")},
    "sales.qualified": {"need": _TRUTH, "budget": _TRUTH, "next_step": st.sampled_from(["", "demo"]), "fit": _TRUTH},
    "sales.disqualified": {"reason": st.just("budget")},
    "crm.status_changed": {"status": st.sampled_from(["customer"]), "by": st.sampled_from(["rep", "lifecycle-worker"])},
    "proposal.sent": {"deal_id": st.sampled_from(["d1", "d2"])},
    "deal.created": {
        "deal_id": st.sampled_from(["d1", "d2"]), "amount": st.integers(1, 9), "stage": st.just("open"),
        "indirect": _TRUTH,
    },
    "deal.won": {"deal_id": st.sampled_from(["d1", "d2"]), "amount": st.integers(1, 9), "agreement_executed": _TRUTH},
    "deal.lost": {"deal_id": st.sampled_from(["d1", "d2"]), "reason": st.just("price")},
    "subscription.started": {"agreement_id": st.sampled_from(["a1", "a2"])},
    "subscription.cancelled": {"agreement_id": st.sampled_from(["a1", "a2"])},
    "trial.started": {},
    "engagement.started": {"engagement_id": st.just("e1")},
    "advocacy.given": {"kind": st.just("referral")},
}  # fmt: skip
_TRAITS = st.fixed_dictionaries(
    {},
    optional={
        "icp_fit": _TRUTH,
        "email": st.sampled_from(["ann@example.com", "bob@example.com"]),
        "company_id": st.sampled_from(["acme", "globex"]),
        "parent_company_id": st.sampled_from(["holding", "acme"]),
        "title": st.sampled_from(["VP Operations", "Intern"]),
    },
)
_ATTRIBUTION = st.fixed_dictionaries({}, optional={"utm_source": st.sampled_from(["search", "partner"])})


@st.composite
def data_of(draw: st.DrawFn, kind: str, types: bool = True) -> dict[str, Any]:
    given = draw(st.fixed_dictionaries({}, optional=_FIELDS[kind]))
    return {**given, **(draw(_ATTRIBUTION) if draw(st.integers(0, 4)) == 0 else {})}


@st.composite
def traffic(
    draw: st.DrawFn,
    contacts: tuple[str, ...] = ("c1",),
    most: int = 14,
    spread: int = 6 * DAY,
    step: int = HOUR,
    status: str | None = None,
) -> list[Event]:
    """Events in the order of their time, all inside one horizon; equal times happen."""
    kinds = [kind for kind in _FIELDS if kind != "crm.status_changed" or status]
    count = draw(st.integers(1, most))
    times = sorted(draw(st.integers(0, spread // step)) * step for _ in range(count))
    events = []
    for number, at in enumerate(times):
        kind = draw(st.sampled_from(kinds))
        data = draw(data_of(kind))
        if kind == "crm.status_changed":
            data["status"] = status
        traits = draw(_TRAITS) if draw(st.integers(0, 2)) == 0 else None
        contact = draw(st.sampled_from(contacts))
        events.append(Event(START + at, kind, f"e{number}", "/test", contact, data, traits or None))
    return events


@st.composite
def arrivals(draw: st.DrawFn, events: list[Event]) -> list[Event]:
    """The same events in another order of arrival, equal times kept in theirs, some of them twice."""
    keys = draw(st.lists(st.integers(0, 5), min_size=len(events), max_size=len(events)))
    order = sorted(range(len(events)), key=lambda place: keys[place])
    shuffled = [events[place] for place in order]
    # Of one contact's equal times the order of acceptance counts: put them back into theirs.
    for identity in {(event.subject, event.time) for event in shuffled}:
        places = [at for at, event in enumerate(shuffled) if (event.subject, event.time) == identity]
        wanted = [event for event in events if (event.subject, event.time) == identity]
        for place, event in zip(places, wanted, strict=True):
            shuffled[place] = event
    repeated = draw(st.lists(st.integers(0, max(0, len(events) - 1)), max_size=3))
    for place in repeated:
        first = next(at for at, event in enumerate(shuffled) if event == events[place])
        shuffled.insert(draw(st.integers(first + 1, len(shuffled))), events[place])
    return shuffled


CUTS = st.lists(st.integers(0, 40), max_size=6)
CLOCKS = st.integers(0, 60).map(lambda hours: hours * 12 * HOUR + 30 * MINUTE)
