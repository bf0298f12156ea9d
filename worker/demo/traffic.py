"""A few weeks of engagement as marketing systems send it, made from a seed: the same seed, the same bytes.

What real traffic does to whoever reads it is in here: forms sent twice by a double click, webhooks delivered again,
mail scanners that click everything, a webinar's attendance list uploaded the day after, contacts that fall silent,
two records of one person, a visitor who gives a name, someone who asks to be forgotten, and records that are none.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from worker.events import encode
from worker.fold.outcome import Event
from worker.instants import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS, parse_instant

START_MS: Final = parse_instant("2026-01-05T00:00:00Z")  # a Monday
DAYS: Final = 28
WEBINAR_DAY: Final = 9  # a Wednesday; its list comes on the Thursday
WEBINAR: Final = "Forecasting without spreadsheets"

FIRST_NAMES: Final = (
    "ada", "amir", "ana", "ben", "carla", "chen", "dana", "elif", "emil", "eva", "finn", "grace", "hana", "ines",
    "ivan", "jonas", "kofi", "lara", "leo", "lin", "mara", "mika", "nadia", "noah", "olga", "omar", "petra", "ravi",
    "rosa", "sam", "sofia", "tariq", "uma", "vera", "will", "yara", "zoe",
)  # fmt: skip
COMPANIES: Final = (
    ("alder-logistics", "Logistics", 420, "DE"), ("birch-pumps", "Manufacturing", 900, "AT"),
    ("cedar-freight", "Logistics", 160, "NL"), ("dune-software", "Software", 75, "GB"),
    ("elm-machinery", "Industrial machinery", 2_300, "DE"), ("fern-retail", "Retail", 38, "ES"),
    ("gale-turbines", "Manufacturing", 3_100, "DK"), ("harbour-build", "Construction", 540, "IE"),
    ("iris-dental", "Healthcare", 12, "US"), ("juniper-wholesale", "Wholesale", 260, "US"),
    ("kestrel-auto", "Automotive", 1_200, "FR"), ("larch-media", "Media", 22, "US"),
    ("maple-tools", "Manufacturing", 310, "CA"), ("north-bakery", "Food", 18, "SE"),
    ("oak-transport", "Logistics", 650, "BE"), ("pine-analytics", "Software", 140, "CH"),
)  # fmt: skip
PARENTS: Final = {"cedar-freight": "alder-logistics", "maple-tools": "elm-machinery"}
TITLES: Final = (
    "Head of Operations", "VP Supply Chain", "Operations Manager", "Planner", "CFO", "Analyst", "Plant Director",
    "IT Manager", "Student", "Owner",
)  # fmt: skip
CAMPAIGNS: Final = (
    ("google", "cpc", "forecasting-q1"), ("linkedin", "paid-social", "plant-leaders"),
    ("newsletter", "email", "january"), ("partner", "referral", "erp-partners"),
    ("trade-fair", "event", "logistics-days"), ("", "", ""),
)  # fmt: skip
STORIES: Final = {
    "silent": 30, "scanned": 12, "reader": 20, "attendee": 16, "evaluator": 14, "buyer": 9, "later": 6, "declines": 6,
    "returned": 4,
}  # fmt: skip


class Arrival(NamedTuple):
    """One record as it reaches the input topic: when (epoch ms), under which key, and its bytes."""

    at: int
    key: bytes
    value: bytes


@dataclass
class Traffic:
    """What was made: the arrivals in order, and how often each oddity is in it."""

    arrivals: list[Arrival]
    oddities: Counter[str]
    contacts: int
    end_ms: int
    notes: dict[int, str] = field(default_factory=dict)  # what is special about a day, by its beginning


@dataclass
class _Contact:
    name: str
    traits: dict[str, Any]
    campaign: tuple[str, str, str]
    touched: bool = False


@dataclass
class _Maker:
    draw: random.Random
    days: int
    made: list[tuple[int, int, Arrival]] = field(default_factory=list)
    oddities: Counter[str] = field(default_factory=Counter)
    counted: int = 0

    @property
    def end(self) -> int:
        return START_MS + self.days * DAY_MS

    # Events.

    def say(
        self, contact: _Contact, at: int, kind: str, source: str, /, late: int | None = None, **data: Any
    ) -> Arrival:
        """One event of the contact; it arrives some seconds after it happened, or `late` ms after."""
        self.counted += 1
        if not contact.touched and contact.campaign[0]:
            contact.touched = True
            data |= dict(zip(("utm_source", "utm_medium", "utm_campaign"), contact.campaign, strict=True))
        traits = data.pop("traits", None)
        at -= at % SECOND_MS  # vendors stamp whole seconds
        event = Event(at, kind, f"{source.strip('/')}-{self.counted:06}", source, contact.name, data, traits)
        delay = self.draw.randrange(SECOND_MS, 40 * SECOND_MS) if late is None else late
        arrival = Arrival(at + delay, contact.name.encode(), encode(event))
        self.put(arrival)
        if self.draw.random() < 0.015:
            self.oddities["delivered again"] += 1
            self.put(arrival._replace(at=arrival.at + self.draw.randrange(MINUTE_MS, 20 * MINUTE_MS)))
        return arrival

    def put(self, arrival: Arrival) -> None:
        if arrival.at < self.end:
            self.made.append((arrival.at, len(self.made), arrival))

    def form(self, contact: _Contact, at: int, kind: str, name: str) -> None:
        """A form; now and then clicked twice, which the web server reports as two."""
        self.say(contact, at, "form.submitted", "/web", form=name, kind=kind)
        if self.draw.random() < 0.18:
            self.oddities["double click"] += 1
            self.say(contact, at + SECOND_MS, "form.submitted", "/web", form=name, kind=kind)

    def scanner(self, contact: _Contact, at: int) -> None:
        """A mail and the scanner that opens it and clicks all its links within the minute."""
        self.say(contact, at, "email.opened", "/mail", machine=True)
        for _ in range(self.draw.randint(2, 4)):
            at += self.draw.randrange(SECOND_MS, 6 * SECOND_MS)
            self.oddities["clicked by a scanner"] += 1
            self.say(contact, at, "email.clicked", "/mail", machine=True)

    # Times.

    def working(self, at: int, hours_min: float, hours_max: float) -> int:
        """Some hours later, moved into working time."""
        at += int(self.draw.uniform(hours_min, hours_max) * HOUR_MS)
        day, hour = divmod(at, DAY_MS)
        if not 8 * HOUR_MS <= hour < 17 * HOUR_MS:
            day, hour = day + (hour >= 17 * HOUR_MS), 8 * HOUR_MS + self.draw.randrange(8 * HOUR_MS)
        while (day + 3) % 7 >= 5:  # day 0 was a Thursday
            day += 1
        return day * DAY_MS + hour

    def some_day(self, first: int, last: int) -> int:
        day = self.draw.randint(first, min(last, self.days - 1))
        return self.working(START_MS + day * DAY_MS, 8, 16)


def make(seed: int, contacts: int, days: int = DAYS) -> Traffic:
    """Traffic of so many people over so many days from `START_MS` on."""
    draw = random.Random(seed)
    maker = _Maker(draw, days)
    people = [_person(draw, number) for number in range(contacts)]
    stories = list(STORIES)
    for contact in people:
        story = draw.choices(stories, weights=list(STORIES.values()))[0]
        _begin(maker, contact)
        _STORIES[story](maker, contact)
    _specials(maker, people)
    arrivals = [arrival for *_, arrival in sorted(maker.made)]
    notes = {
        START_MS + WEBINAR_DAY * DAY_MS: "a webinar in the afternoon",
        START_MS + (WEBINAR_DAY + 1) * DAY_MS: "the webinar's list is uploaded, a day late",
    }
    return Traffic(arrivals, maker.oddities, contacts, maker.end, notes)


def _person(draw: random.Random, number: int) -> _Contact:
    company, industry, employees, country = draw.choice(COMPANIES)
    name = f"{FIRST_NAMES[number % len(FIRST_NAMES)]}-{number:03}"
    traits: dict[str, Any] = {
        "email": f"{name}@{company}.example", "company_id": company, "title": draw.choice(TITLES),
        "industry": industry, "employees": employees, "country": country,
    }  # fmt: skip
    if company in PARENTS:
        traits["parent_company_id"] = PARENTS[company]
    if draw.random() < 0.5:
        traits["icp_fit"] = 50 <= employees <= 5_000 and traits["title"] not in ("Student", "Analyst")
    return _Contact(name, traits, draw.choice(CAMPAIGNS))


def _begin(maker: _Maker, contact: _Contact) -> None:
    """How the contact became known: mostly by an import before anything, some by what they did first."""
    if maker.draw.random() < 0.7:
        maker.say(contact, maker.some_day(0, 5), "contact.imported", "/crm", origin="list", traits=contact.traits)
    else:
        maker.say(contact, maker.some_day(0, 14), "page.viewed", "/web", url="/", traits=contact.traits)


# Stories: what became of a contact after that.


def _silent(maker: _Maker, contact: _Contact) -> None:
    for _ in range(maker.draw.randint(0, 4)):
        maker.say(contact, maker.some_day(2, 27), "email.opened", "/mail")


def _scanned(maker: _Maker, contact: _Contact) -> None:
    for _ in range(maker.draw.randint(2, 4)):
        maker.scanner(contact, maker.some_day(3, 27))


def _reader(maker: _Maker, contact: _Contact) -> int:
    at = maker.some_day(3, 16)
    if maker.draw.random() < 0.5:
        maker.form(contact, at, "newsletter", "newsletter")
        maker.say(contact, at + MINUTE_MS, "list.subscribed", "/mail", list="monthly")
    else:
        maker.form(contact, at, "content", "planning-guide")
        maker.say(contact, at + MINUTE_MS, "content.downloaded", "/web", asset="planning-guide", gated=True)
    for _ in range(maker.draw.randint(0, 5)):
        at = maker.working(at, 5, 60)
        maker.say(contact, at, "page.viewed", "/web", url="/blog", high_intent=False)
    return at


def _attendee(maker: _Maker, contact: _Contact) -> None:
    maker.say(contact, maker.some_day(4, 8), "webinar.registered", "/webinars", webinar=WEBINAR)
    if maker.days > WEBINAR_DAY + 1 and maker.draw.random() < 0.7:
        at = START_MS + WEBINAR_DAY * DAY_MS + 15 * HOUR_MS + maker.draw.randrange(10 * MINUTE_MS)
        upload = START_MS + (WEBINAR_DAY + 1) * DAY_MS + 9 * HOUR_MS + 30 * MINUTE_MS
        maker.oddities["came a day late"] += 1
        maker.say(contact, at, "webinar.attended", "/webinars", late=upload - at, webinar=WEBINAR)
        # On the morning after, before the list is there, the follow-up mail is already read.
        after = START_MS + (WEBINAR_DAY + 1) * DAY_MS + 8 * HOUR_MS + maker.draw.randrange(50 * MINUTE_MS)
        maker.say(contact, after, "page.viewed", "/web", url="/webinar", high_intent=maker.draw.random() < 0.5)
        if maker.draw.random() < 0.4:
            maker.form(contact, after + MINUTE_MS, "demo", "after-the-webinar")


def _interest(maker: _Maker, contact: _Contact, first: int, last: int) -> int:
    """What shows that a contact may buy."""
    at = maker.some_day(first, last)
    for _ in range(maker.draw.randint(1, 3)):
        maker.say(contact, at, "page.viewed", "/web", url="/pricing", high_intent=True)
        at += maker.draw.randrange(2, 30) * MINUTE_MS
    maker.form(contact, at, maker.draw.choice(("demo", "pricing", "consultation")), "talk-to-us")
    return at


def _accepted(maker: _Maker, contact: _Contact, at: int) -> int:
    """Sales answers, mostly in time."""
    slow = maker.draw.random() < 0.3
    at = maker.working(at, 60, 110) if slow else maker.working(at, 1, 14)
    maker.say(contact, at, "sales.accepted", "/crm", by="sam")
    at = maker.working(at, 1, 24)
    maker.say(contact, at, "conversation.logged", "/crm", channel="call", sentiment="positive", relevant=True)
    return at


def _evaluator(maker: _Maker, contact: _Contact) -> int:
    at = _accepted(maker, contact, _interest(maker, contact, 4, 15))
    maker.say(contact, at + 5 * MINUTE_MS, "meeting.booked", "/crm", kind="discovery")
    at = maker.working(at, 24, 72)
    maker.say(contact, at, "meeting.held", "/crm", kind="discovery")
    facts = {name: True for name in ("need", "authority", "budget", "timeline") if maker.draw.random() < 0.7}
    maker.say(contact, at + 30 * MINUTE_MS, "sales.qualified", "/crm", fit=True, next_step="proposal", **facts)
    return at


def _buyer(maker: _Maker, contact: _Contact) -> None:
    at = maker.working(_evaluator(maker, contact), 20, 70)
    deal: dict[str, Any] = {
        "deal_id": f"deal-{contact.name}",
        "amount": maker.draw.randrange(8, 90) * 1_000,
        "currency": "EUR",
    }
    maker.say(contact, at, "deal.created", "/crm", stage="proposal", **deal)
    maker.say(contact, at + HOUR_MS, "proposal.sent", "/crm", **deal)
    at = maker.working(at, 40, 150)
    if maker.draw.random() < 0.65:
        maker.say(contact, at, "deal.won", "/crm", agreement_executed=True, **deal)
        maker.say(
            contact,
            at + HOUR_MS,
            "subscription.started",
            "/billing",
            agreement_id=f"s-{contact.name}",
            amount=deal["amount"],
        )
        if maker.draw.random() < 0.12:
            gone = maker.working(at, 60, 140)
            maker.say(
                contact,
                gone,
                "subscription.cancelled",
                "/billing",
                agreement_id=f"s-{contact.name}",
                reason="reorganised",
            )
    else:
        maker.say(
            contact, at, "deal.lost", "/crm", reason=maker.draw.choice(("price", "no decision", "competitor")), **deal
        )


def _later(maker: _Maker, contact: _Contact) -> None:
    at = maker.some_day(3, 14)
    maker.say(contact, at, "email.replied", "/mail", sentiment="positive", intent="later", to="outreach")
    if maker.draw.random() < 0.6:
        at = maker.working(at, 120, 240)
        maker.say(contact, at, "meeting.requested", "/mail", kind="demo")
        maker.say(contact, maker.working(at, 2, 20), "meeting.booked", "/crm", kind="demo")


def _declines(maker: _Maker, contact: _Contact) -> None:
    at = _interest(maker, contact, 4, 12) if maker.draw.random() < 0.5 else _reader(maker, contact)
    at = maker.working(at, 30, 90)
    maker.say(contact, at, "email.replied", "/mail", sentiment="negative", intent="never", to="outreach")


def _returned(maker: _Maker, contact: _Contact) -> None:
    at = _accepted(maker, contact, _interest(maker, contact, 4, 12))
    at = maker.working(at, 12, 60)
    maker.say(contact, at, "sales.recycled", "/crm", reason="no budget this quarter", by="sam")
    if maker.draw.random() < 0.5:
        _interest(maker, contact, 20, 26)


_STORIES: Final = {
    "silent": _silent, "scanned": _scanned, "reader": _reader, "attendee": _attendee, "evaluator": _evaluator,
    "buyer": _buyer, "later": _later, "declines": _declines, "returned": _returned,
}  # fmt: skip


def _specials(maker: _Maker, people: Sequence[_Contact]) -> None:
    """What happens once or twice in a month."""
    draw = maker.draw
    for twin, contact in enumerate(draw.sample(people, min(2, len(people)))):
        # A second record of somebody, made at a fair, and found to be the same person days later.
        double = _Contact(f"fair-{twin + 1}", {"company_id": contact.traits["company_id"]}, CAMPAIGNS[4])
        at = maker.some_day(6, 8)
        maker.say(double, at, "event.attended", "/crm", event="Logistics Days", traits=double.traits)
        maker.oddities["two records of one person"] += 1
        merged: dict[str, Any] = {"from": double.name}  # a word of Python's, so no keyword
        maker.say(contact, maker.working(at, 30, 60), "contact.merged", "/crm", **merged)
    for number in range(min(4, len(people))):
        visitor = _Contact(f"visitor-{number + 1}", {}, draw.choice(CAMPAIGNS[:2]))
        at = maker.some_day(2, 18)
        for _ in range(draw.randint(2, 4)):
            maker.say(visitor, at, "page.viewed", "/web", url="/pricing", high_intent=True)
            at = maker.working(at, 1, 20)
        known = draw.choice(people)
        maker.oddities["visitor who gave a name"] += 1
        maker.say(known, at, "contact.identified", "/web", anonymous_id=visitor.name)
    if len(people) > 5:
        forgotten = people[5]
        maker.oddities["asked to be forgotten"] += 1
        last = maker.say(forgotten, maker.some_day(20, 24), "contact.erased", "/crm")
        maker.made = [made for made in maker.made if made[2].key != last.key or made[0] <= last.at]
    for value in _broken():
        maker.oddities["record that is none"] += 1
        maker.put(Arrival(maker.some_day(1, 27), people[0].name.encode(), value))


def _broken() -> Iterator[bytes]:
    """What somebody's script sends."""
    yield b"<html>502 Bad Gateway</html>"
    yield (
        b'{"specversion":"1.0","id":"1","source":"/script","type":"form.submitted","subject":"ada-000",'
        b'"time":"1970-01-01T00:00:00Z","data":{}}'
    )
    yield (
        b'{"specversion":"1.0","id":"2","source":"/script","type":"deal.won","subject":"ada-000",'
        b'"time":"2026-01-12T10:00:00Z","data":{"amount":"a lot"}}'
    )
