"""Events as hard as they come, all by a seed, for workers that are killed and for those of the simulated cluster.

Some are late, some come twice, some are none, a tenth of them is on one contact. Contacts change company. Ids turn out
to be one contact: pairs, chains, pairs and circles of three that claim each other, anonymous ids that one person claims
or two. All of it is within the horizon, so that one pass over the sorted events says what has to come out.

Left out, as it does not come out the same in every order (or is not known to): merges that meet a horizon, splits,
erasure of an id that is merged. And where what a contact began with goes away again (erased late, or claimed by another
person after all), an event that came meanwhile and only says that the contact is there is not remembered: so erasures
are in time here, and people who claim an anonymous id were imported before.
"""

from __future__ import annotations

import json
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from worker.instants import format_instant

Body = dict[str, Any]

NO_EVENT = b"no event"
LATE_MS = 10 * 3_600_000  # at the most
PEOPLE_MS = 1_000  # of the begin, in which people are imported; nothing else happens before its end
APART = 6  # of claims that cross: so many events at the most lie between them

KINDS: tuple[tuple[float, str, Callable[[random.Random], Body]], ...] = (
    (5, "contact.imported", lambda r: {"traits": {"icp_fit": r.random() < 0.6, "company_id": f"co-{r.randrange(8)}"}}),
    (3, "contact.updated", lambda r: {"traits": {"company_id": f"co-{r.randrange(8)}"}}),
    (4, "form.submitted", lambda r: {"form": "f", "kind": r.choice(["newsletter", "demo", "pricing", "content"])}),
    (6, "email.replied", lambda r: {"sentiment": r.choice(["positive", "neutral", "negative", "auto"])}),
    (20, "page.viewed", lambda r: {"url": "/pricing", "high_intent": r.random() < 0.3}),
    (2, "meeting.booked", lambda r: {"kind": "discovery"}),
    (2, "sales.accepted", lambda r: {}),
    (2, "sales.qualified", lambda r: {"need": True, "budget": True, "next_step": "call"}),
    (3, "webinar.attended", lambda r: {"webinar": "w"}),
    (1, "crm.status_changed", lambda r: {"status": r.choice(["connected", "not_interested", "unqualified"])}),
    (0.5, "deal.won", lambda r: {"deal_id": f"deal-{r.randrange(50)}", "amount": 100}),
    (0.5, "deal.lost", lambda r: {"deal_id": f"deal-{r.randrange(50)}"}),
)  # fmt: skip
WEIGHTS = [weight for weight, _, _ in KINDS]


@dataclass(frozen=True)
class Cast:
    """How many contacts there are, and how many of them turn out to be one another."""

    contacts: int
    quiet: int  # the first so many are never merged: they have more events than a tail may hold
    pairs: int
    chains: int
    crossings: int  # of two that claim each other
    circles: int  # of three
    anonymous: int  # ids, each claimed by a person or two
    erased: int = 0


@dataclass
class Planned:
    """What is sent in place of an everyday event, at its turn."""

    contact: str
    kind: str
    data: Body
    at: int | None = None  # as of when; None: its turn


@dataclass
class Traffic:
    """`events` records over `span_ms` of event time from `begin_ms` on, one after the other."""

    seed: int
    events: int
    begin_ms: int
    span_ms: int
    cast: Cast
    statuses: tuple[str, ...] = ("connected", "not_interested", "unqualified")  # which the CRM sets
    made: int = 0
    crossings: list[tuple[str, ...]] = field(default_factory=list)  # ids of claims of which one has to be refused
    ended: dict[str, str] = field(default_factory=dict)  # ids that are another contact in the end, and by which event

    def __post_init__(self) -> None:
        self.random = random.Random(f"traffic {self.seed}")
        self.recent: deque[tuple[str, bytes]] = deque(maxlen=200)
        self.planned: dict[int, Planned] = {}
        self.others: list[str] = []  # who is no numbered contact, but has everyday events as well
        self._plan()

    def next(self) -> tuple[bytes, bytes]:
        """Key and value of the next record."""
        pick = self.random.random
        number = self.made
        self.made += 1
        if number in self.planned:
            key, value = self._event(number, self.planned[number])
        elif pick() < 0.01:
            return f"contact-{number}".encode(), NO_EVENT
        elif pick() < 0.08 and self.recent:
            key, value = self.random.choice(self.recent)
        else:
            key, value = self._event(number, self._everyday())
        self.recent.append((key, value))
        return key.encode(), value

    def _everyday(self) -> Planned:
        pick = self.random.random
        if pick() < 0.1:
            contact = "contact-0"
        elif self.others and pick() < 0.15:
            contact = self.random.choice(self.others)
        else:
            contact = f"contact-{int(pick() ** 2 * self.cast.contacts)}"
        _, kind, fields = self.random.choices(KINDS, WEIGHTS)[0]
        data = fields(self.random)
        if kind == "crm.status_changed":
            data["status"] = self.random.choice(self.statuses)
        return Planned(contact, kind, data)

    def _event(self, number: int, planned: Planned) -> tuple[str, bytes]:
        at = planned.at
        if at is None:
            at = self._time(number)
            if self.random.random() < 0.1:
                at -= int(self.random.random() * min(LATE_MS, self.span_ms // 4))
            at = max(at, self.begin_ms + PEOPLE_MS + number)  # so that no two events have one time
        body = {
            "specversion": "1.0",
            "id": f"event-{number}",
            "source": "traffic",
            "type": planned.kind,
            "subject": planned.contact,
            "time": format_instant(at),
            "data": planned.data,
        }
        return planned.contact, json.dumps(body).encode()

    # ------------------------------------------------------------------------------------------------ who is whom

    def _plan(self) -> None:
        cast = self.cast
        free = [f"contact-{number}" for number in range(cast.quiet, cast.contacts)]
        self.random.shuffle(free)
        for _ in range(cast.pairs):
            self._claim(free.pop(), free.pop())
        for _ in range(cast.chains):
            first, second, third = free.pop(), free.pop(), free.pop()
            self._claim(first, second)
            self._claim(second, third)
        for size in (2,) * cast.crossings + (3,) * cast.circles:
            self._circle([free.pop() for _ in range(size)])
        for number in range(cast.anonymous):
            self._anonymous(number, free)
        for _ in range(cast.erased):
            turn = self._turn(self.random.randrange(self.events // 2, self.events))
            # Dated as of its turn: nothing that is dated after it has come before it.
            self.planned[turn] = Planned(free.pop(), "contact.erased", {}, self._time(turn))

    def _circle(self, ids: list[str]) -> None:
        """Each claims the next, and the last the first: shortly after one another, in any order."""
        claims = list(zip(ids, ids[1:] + ids[:1], strict=True))
        self.random.shuffle(claims)
        turns = [self.random.randrange(self.events)]
        for survivor, other in claims:
            turns[-1] = self._turn(turns[-1])
            self._claim(survivor, other, turns[-1])
            turns.append(turns[-1] + self.random.randint(1, APART))
        self.crossings.append(tuple(f"event-{turn}" for turn in turns[:-1]))
        for each in ids:
            del self.ended[each]

    def _anonymous(self, number: int, free: list[str]) -> None:
        """An anonymous id, claimed by two people in turn, or by one, who may be merged into a contact afterwards."""
        anonymous = f"anonymous-{number}"
        self.others.append(anonymous)
        people = [f"person-{number}-{place}" for place in range(self.random.choice((1, 2)))]
        for person in people:
            imported = Planned(person, "contact.imported", {"traits": {"icp_fit": self.random.random() < 0.6}})
            imported.at = self.begin_ms + self.random.randrange(PEOPLE_MS)
            self.planned[self._turn(self.random.randrange(self.events))] = imported
            self.others.append(person)
            turn = self._turn(self.random.randrange(self.events))
            self.planned[turn] = Planned(person, "contact.identified", {"anonymous_id": anonymous})
            self.ended[anonymous] = f"event-{turn}"
        if len(people) == 1 and self.random.random() < 0.5:
            self._claim(free.pop(), people[0])

    def _claim(self, survivor: str, other: str, turn: int | None = None) -> None:
        at = self._turn(self.random.randrange(self.events)) if turn is None else turn
        self.planned[at] = Planned(survivor, "contact.merged", {"from": other})
        self.ended[other] = f"event-{at}"

    def _turn(self, wanted: int) -> int:
        """The next turn, from the wanted one on and round again, at which nothing is planned."""
        return next(
            turn % self.events for turn in range(wanted, wanted + self.events) if turn % self.events not in self.planned
        )

    def _time(self, turn: int) -> int:
        """The event time of a turn, for what isn't late."""
        return self.begin_ms + turn * self.span_ms // self.events
