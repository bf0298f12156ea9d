"""What keys tell one another about identity and membership: the bodies of internal messages.

They travel in the transactions of whoever sends them, so each arrives once, and in order between two keys.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import Any

import msgspec

from worker.fold.outcome import Message
from worker.fold.state import Kept

PASSED_MAX = 16  # ids that a forwarded event may have passed through before it is refused as going in a circle


class Claim(msgspec.Struct, array_like=True, tag="claim"):
    """`to` says that `of` is the same contact: the merge event's time, source and id order claims.

    `erased`: up to when both are erased, where `to` was so after it had become one with `of`.
    """

    of: str
    to: str
    time: int
    source: str
    id: str
    kind: str  # "merged", or "identified": an anonymous id may be claimed again, event by event
    erased: int = 0

    @property
    def made(self) -> list[Any]:
        """The claim as a forwarding record keeps it."""
        return [self.time, self.source, self.id, self.to, self.kind]


class Under(msgspec.Struct, array_like=True):
    """The definition that a record was folded under, and how its states are laid out."""

    fingerprint: str
    version: int
    layout: bytes


class Answer(msgspec.Struct, array_like=True, tag="answer"):
    """What `of` gives its claimer: nothing, where the claim is refused or there was nothing; else its record.

    `time`, `id` and `source` are the claim's. `erased`: up to when both are erased, where `of` was so after it.
    `fired` says with `base` and `events` what `of` has published, `revision` what the last of it was. Whoever runs
    another definition than it was folded `under` by now goes on from `state`. `spent`: as in the record.
    """

    of: str
    to: str
    time: int
    source: str
    id: str
    granted: bool
    erased: int = 0
    base: bytes = b""
    events: list[Kept] = []
    horizon: int = 0
    pending: dict[str, list[list[Any]]] = {}
    merged: dict[str, list[list[Any]]] = {}
    passed: list[str] = []
    fired: int = 0
    revision: int = 0
    under: Under | None = None
    state: bytes = b""
    spent: list[list[str]] = []
    parted: list[bytes] = []
    parting: list[list[Any]] = []
    until: dict[str, int] = {}


class Forwarded(msgspec.Struct, array_like=True, tag="event"):
    """An event for an id that has gone to another; `event.origin` is that id, `erased`: it is an erasure."""

    to: str
    event: Kept
    passed: list[str]


class Withdrawn(msgspec.Struct, array_like=True, tag="withdrawn"):
    """Events of `origin` that belong to another person after all, `now`, by id and source.

    `round_about`: it was told to an id that has gone to `to`, so what `origin` told `to` itself may be newer.
    """

    to: str
    origin: str
    events: list[list[str]]
    now: str
    round_about: bool = False


class Restored(msgspec.Struct, array_like=True, tag="restored"):
    """Events of `to` go back to it, with those of the ids that it had been (`merged`), and what it waits for.

    `of` are ids that it has gone to no longer (a split, an erasure); empty where only the events' place is in doubt.
    """

    of: list[str]
    to: str
    events: list[Kept]
    merged: dict[str, list[list[Any]]] = {}
    pending: dict[str, list[list[Any]]] = {}


class Redirected(msgspec.Struct, array_like=True, tag="redirected"):
    """After a split: `to`, which has gone to `of`, belongs to `now`, which it had been part of before."""

    to: str
    of: str
    now: str


class Gone(msgspec.Struct, array_like=True, tag="gone"):
    """Who `to` was by `time` is erased: what `to` had become by then is undone, unless it is others' than `of`.

    Where it has become nobody by then `of` is empty: all it had until then is forgotten.
    """

    to: str
    time: int
    of: list[str]


class Member(msgspec.Struct, array_like=True, tag="member"):
    """A contact's present stage and status in a company; no `stage`: it is not (or no longer) one of its contacts.

    By name, here and wherever companies are concerned: their members are told of one by one, under one definition some
    and others under the next.
    """

    company: str
    contact: bytes  # the contact's state key
    sequence: int
    at: int
    stage: str
    statuses: list[str]  # the customer statuses that hold
    parent: str


class Moved(msgspec.Struct, array_like=True, tag="moved"):
    """How a member's place changed, for the company's counts."""

    company: str
    at: int
    stage: str
    stage_before: str
    statuses: list[str]
    statuses_before: list[str]
    parent: str
    parent_before: str


class Child(msgspec.Struct, array_like=True, tag="child"):
    """`child` asks `company` to be told of its standing, or (`stays` false) no longer."""

    company: str
    child: str
    stays: bool
    at: int


class Standing(msgspec.Struct, array_like=True, tag="standing"):
    """What an ancestor is by its own contacts, for its child: (company, stage, statuses) of it and those above it."""

    company: str
    parent: str
    at: int
    ancestors: list[list[Any]]


AboutIdentity = Claim | Answer | Forwarded | Withdrawn | Restored | Redirected | Gone
AboutMembership = Member | Moved | Child | Standing
Body = AboutIdentity | AboutMembership
_encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder(Body).decode


class Keys:
    """State keys: digests under the deployment's secret, so that neither key nor changelog names anyone.

    Whoever lacks the secret can't tell from a key whether it is a given e-mail's. It must not change while state is
    kept: under another one every contact would begin anew.
    """

    def __init__(self, secret: bytes = b"") -> None:
        self._secret = secret[:64]
        self.contact = lru_cache(maxsize=65_536)(self._contact)

    def _contact(self, contact: str) -> bytes:
        return b"c:" + self._digest(contact)

    def company(self, company: str) -> bytes:
        return b"o:" + self._digest(company)

    def member(self, company: str, contact: bytes) -> bytes:
        return b"m:" + self._digest(company) + contact[2:]

    def _digest(self, name: str) -> bytes:
        return hashlib.blake2b(name.encode(), digest_size=16, key=self._secret, person=b"lifecycle-worker").digest()

    def to_contact(self, contact: str, body: AboutIdentity) -> Message:
        return Message(self.contact(contact), _encode(body), contact.encode())

    def to_company(self, company: str, body: AboutMembership) -> Message:
        return Message(self.company(company), _encode(body), company.encode())

    def to_member(self, body: Member) -> Message:
        return Message(self.member(body.company, body.contact), _encode(body), body.company.encode())
