"""Outcomes of the fold into what one transaction writes: states, events out, messages, contacts, dead letters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from worker.fold.outcome import Event, Outcome, Output, Refusal
from worker.runtime.batch import KEY_TOO_LONG, KEYED, REKEYED, Rule
from worker.runtime.changelog import DEPLOYMENT_KEY, encode_state
from worker.runtime.dead_letters import dead_letter, size
from worker.runtime.engine import CONTACT
from worker.runtime.partition import Held
from worker.runtime.topics import Topics
from worker.stores.base import KEY_BYTES_MAX, Write
from worker.transports.base import Headers, Record, Send

CLOUDEVENT: Final[Headers] = (("content-type", b"application/cloudevents+json; charset=UTF-8"),)
KEY_PREFIX: Final = len(CONTACT)
RECORD_TOO_LARGE: Final = "record-too-large"

_encode = msgspec.json.Encoder().encode
_new = tuple.__new__  # a named tuple by place: half the price of one by name, paid for every state


class TooLarge(Exception):
    """What an outcome would write can't be taken by its topic; nothing of the outcome was added."""

    def __init__(self, topic: str, bytes_: int, limit: int) -> None:
        super().__init__(f"a record of {bytes_} bytes for topic {topic}, which takes {limit}")
        self.topic = topic


class Assembly:
    """What one transaction writes, in the making. Sends of one key keep the order they were added in."""

    def __init__(self, topics: Topics, limits: dict[str, int], rule: Rule, definition: Headers, version: str) -> None:
        self.states: list[Send] = []
        self.others: list[Send] = []
        self.writes: dict[int, list[Write]] = {}
        self.published: list[Output] = []
        self.dead: list[tuple[Record, Refusal]] = []
        self.bytes = 0
        self.duplicates = 0
        self.late = 0
        self.stayed: list[int] = []
        self._topics = topics
        self._limits = limits
        self._rule = rule
        self._definition = definition
        self._state_frame = size(None, None, definition)
        self._version = version

    def add(self, held: Held, key: bytes, records: Sequence[Record], outcome: Outcome) -> None:
        """Add what became of one key; `records` are its arrivals, for those that were refused.

        Raises `TooLarge`, with nothing added, where a topic can't take one of the records.
        """
        others: list[Send] = []
        value: bytes | None = None
        bytes_ = 0
        topics = self._topics
        if outcome.changed:
            value = encode_state(outcome.state, outcome.due)
            bytes_ = self._state_frame + len(key) + (len(value) if value is not None else 0)
            limit = self._limits.get(topics.changelog)
            if limit is not None and bytes_ > limit:
                raise TooLarge(topics.changelog, bytes_, limit)
        if outcome.outputs:
            bytes_ += self._outputs(held, key, outcome.outputs, others)
        if outcome.messages:
            bytes_ += self._messages(outcome, others)
        if topics.contacts is not None:
            bytes_ += self._contact(held, key, outcome, others)
        # From here on nothing raises: all of the outcome or nothing of it.
        if outcome.changed:
            number = held.number
            self.states.append(_new(Send, (topics.changelog, number, key, value, self._definition)))
            write = _new(Write, (key, outcome.state, outcome.due))
            of_partition = self.writes.get(number)
            if of_partition is None:
                self.writes[number] = [write]
            else:
                of_partition.append(write)
        if others:
            self.others += others
            self.published += outcome.outputs
        self.bytes += bytes_
        self.duplicates += outcome.duplicates
        self.late += outcome.late
        if outcome.stayed:
            self.stayed += outcome.stayed
        for place, refusal in outcome.refused:
            self.refuse(held.number, records[place], refusal)

    def refuse(self, number: int, record: Record, refusal: Refusal) -> None:
        """The record, read under partition `number`, goes to the dead letters."""
        topic = self._topics.dead_letter
        if record.key is None:
            partition = number % self._topics.dead_letter_partitions
        else:
            partition = self._rule(record.key) % self._topics.dead_letter_partitions
        send = dead_letter(record, refusal, topic, partition, self._version, self._limits.get(topic))
        self.others.append(send)
        self.bytes += size(send.key, send.value, send.headers)
        self.dead.append((record, refusal))

    def rekey(self, number: int, record: Record, event: Event) -> None:
        """The record goes through the internal topic, under its subject. Too large a one is refused."""
        subject = event.subject.encode()
        origin = f"{record.topic}/{record.partition}/{record.offset}".encode()
        topic, partition = self._topics.internal, self._rule(subject) % self._topics.partitions
        headers: Headers = (*record.headers, (REKEYED, origin))
        if record.key != subject:
            headers += ((KEYED, b"" if record.key is None else b"=" + record.key),)
        send = Send(topic, partition, subject, record.value, headers)
        if len(subject) > KEY_BYTES_MAX - KEY_PREFIX:
            self.refuse(number, record, Refusal(KEY_TOO_LONG, f"the subject has {len(subject)} bytes"))
            return
        try:
            self.bytes += self._fits(send)
        except TooLarge as error:
            self.refuse(number, record, Refusal(RECORD_TOO_LARGE, str(error)))
        else:
            self.others.append(send)

    def deployment(self, held: Held, value: bytes) -> None:
        """The partition's deployment record is written with this transaction."""
        self.states.append(Send(self._topics.changelog, held.number, DEPLOYMENT_KEY, value, self._definition))
        self.writes.setdefault(held.number, []).append(Write(DEPLOYMENT_KEY, value, None))

    def _outputs(self, held: Held, key: bytes, outputs: Sequence[Output], others: list[Send]) -> int:
        topic, count = self._topics.output, self._topics.output_partitions
        of_contact, bytes_ = key.startswith(CONTACT), 0
        for output in outputs:
            contact = output.key.encode()
            own = of_contact and not output.elsewhere
            partition = self._place(held, contact, count) if own else self._rule(contact) % count
            send = Send(topic, partition, contact, _encode(output.body), CLOUDEVENT)
            bytes_ += self._fits(send)
            others.append(send)
        return bytes_

    def _messages(self, outcome: Outcome, others: list[Send]) -> int:
        topic, bytes_ = self._topics.internal, 0
        for message in outcome.messages:
            if len(message.key) > KEY_BYTES_MAX:
                raise TooLarge(topic, len(message.key), KEY_BYTES_MAX)
            partition = self._rule(message.route or message.key[KEY_PREFIX:]) % self._topics.partitions
            send = Send(topic, partition, message.key, message.body)
            bytes_ += self._fits(send)
            others.append(send)
        return bytes_

    def _contact(self, held: Held, key: bytes, outcome: Outcome, others: list[Send]) -> int:
        """The contact's line in the compacted topic, or its removal: no more is known of it than that it ended."""
        if outcome.current is None and outcome.ended is None:
            return 0
        assert self._topics.contacts is not None
        # A state's key may be a digest of the contact's id, so the contact is named apart where it can be.
        named = outcome.ended or (outcome.current or {}).get("contact")
        contact = named.encode() if named else key[KEY_PREFIX:]
        value = None if outcome.current is None else _encode(outcome.current)
        partition = self._place(held, contact, self._topics.contacts_partitions)
        send = Send(self._topics.contacts, partition, contact, value)
        others.append(send)
        return self._fits(send)

    def _place(self, held: Held, own: bytes, count: int) -> int:
        """The partition of the folded key itself: among as many as the input has, the one its events came from."""
        return held.number if count == self._topics.partitions else self._rule(own) % count

    def _fits(self, send: Send) -> int:
        bytes_ = size(send.key, send.value, send.headers)
        limit = self._limits.get(send.topic)
        if limit is not None and bytes_ > limit:
            raise TooLarge(send.topic, bytes_, limit)
        return bytes_
