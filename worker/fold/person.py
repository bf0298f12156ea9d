"""What stands under one contact's key during a batch: a contact, an id that went elsewhere, or nothing more."""

from __future__ import annotations

from typing import TYPE_CHECKING

from worker.fold.contact import Contact
from worker.fold.messages import AboutIdentity
from worker.fold.outcome import Outcome
from worker.fold.state import Entry, Erased, Forward, Identity, Record, encoder

if TYPE_CHECKING:
    from worker.fold.engine import Engine

Holder = Contact | Forward | Erased


class Person:
    """The holder of one key, being changed. What arrives is handed on by `worker.fold.arrival`; `settle` ends it."""

    def __init__(self, engine: Engine, entry: Entry | None, now: int) -> None:
        self.engine = engine
        self.now = now
        self.outcome = Outcome()
        self.holder: Holder | None
        if isinstance(entry, Record):
            self.name = entry.name
            self.holder = Contact(engine, entry.name, entry, now, self.outcome)
        else:
            self.name = entry.name if isinstance(entry, Forward) else ""  # else the first arrival says it
            self.holder = entry

    def contact(self) -> Contact:
        """The contact under this key, begun where there was none or an erased one."""
        holder = self.holder
        if isinstance(holder, Contact):
            return holder
        contact = Contact(self.engine, self.name, None, self.now, self.outcome)
        if holder is not None:
            contact.past = self.past
        self.holder = contact
        return contact

    @property
    def identity(self) -> Identity | None:
        """Which other ids the contact under this key is, where it is one and anything is known of that."""
        record = self.holder.record if isinstance(self.holder, Contact) else None
        return record.identity if record is not None else None

    @property
    def past(self) -> Erased:
        """What is left of what was known under this key before it was erased, and how far it has counted."""
        holder, identity = self.holder, self.identity
        if isinstance(holder, Erased):
            return holder
        if isinstance(holder, Forward):
            return Erased(holder.erased, holder.sequence, holder.revision, holder.whose)
        if holder is None or holder.record is None:
            return holder.past if holder is not None else Erased(0)
        known, record = identity or Identity(), holder.record
        return Erased(known.erased, record.sequence, record.revision, known.whose, known.parted)

    @property
    def erased(self) -> int:
        """Up to when all that was known under this key is forgotten; 0 where nothing is."""
        return self.past.time

    def digest(self, other: str) -> bytes:
        """By which an id may be remembered that is to be forgotten."""
        return self.engine.keys.contact(other)

    def is_also(self, other: str) -> bool:
        """Whether the contact under this key is the other id too, or waits to hear that it is."""
        identity = self.identity
        return identity is not None and (other in identity.merged or other in identity.pending)

    def send(self, contact: str, body: AboutIdentity) -> None:
        """Tell another contact's key."""
        self.outcome.messages.append(self.engine.keys.to_contact(contact, body))

    def settle(self) -> Outcome:
        """The batch's outcome. Where the contact ended, what it told before that in this batch is not published."""
        outcome, holder = self.outcome, self.holder
        if isinstance(holder, Contact):
            holder.settle()
            if holder.record is None and outcome.changed:  # what begins here some day goes on counting
                outcome.state = encoder.encode(holder.past)
            if outcome.current is not None:
                outcome.ended = None
        elif outcome.changed and holder is not None:
            outcome.state = encoder.encode(holder)
            outcome.due = holder.used + self.engine.forwarding if isinstance(holder, Forward) else None
        return outcome
