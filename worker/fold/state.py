"""What is kept of a contact, and how it is written: `State` (where it stands), `Record` (state, base and tail).

Everything is positional msgpack: signals, facts and stages are kept in the order of the definition, so a record is
read only under the definition whose fingerprint it carries.
"""

from __future__ import annotations

from typing import Any

import msgspec

Visit = list[Any]  # [count, first_ms, latest_ms, total_ms, [[entered_ms, left_ms], …]]: left visits, the last 20
Touch = list[Any]  # [source, medium, campaign, time_ms, type]
VISITS_KEPT = 20
MERGED_MAX = 100  # ids that one contact may be
DEFERRED_MAX = 16  # claims that wait on one contact; likewise of an anonymous id, those that are known and forgotten
FORWARD_KEPT = 1_000  # events that an anonymous id keeps for a later claim
FORMAT = 3  # of records and of what keys tell one another: raised where a worker can't read what those before it wrote


class Promise(msgspec.Struct, array_like=True):
    """The SLA of the visit under way. `due` and `warn` are epoch ms, 0 where nothing is to fire."""

    due: int
    warn: int
    late: bool = False


class State(msgspec.Struct, array_like=True):
    """A contact folded up to some event. `stage` is -1 before the first event."""

    order: int  # running number of the event last folded
    at: int  # epoch ms of the event or timer last folded
    created: int
    stage: int
    entered: int
    visits: list[Visit | None]
    status: int
    status_since: int
    signals: list[list[int] | None]
    facts: list[Any]
    traits: dict[str, Any]
    behaviour: float
    behaviour_at: int
    first_touch: Touch | None
    last_touch: Touch | None
    reason: str
    promise: Promise | None
    flags: int  # segments and hygiene rules that hold, a bit each


class Kept(msgspec.Struct, array_like=True):
    """An accepted event as the tail keeps it: of its data, what the definition can use.

    `origin` is the contact it was addressed to, empty where that is the record's own. `id` and `source` stand side
    by side: a repeated event is found by their bytes, without decoding the tail.
    """

    time: int
    type: str
    id: str
    source: str
    data: dict[str, Any]
    traits: dict[str, Any] | None = None
    origin: str = ""
    true_time: int = 0  # where it was counted as of later than it happened (too late, applied now)
    bare: bool = False  # the definition can do nothing with it, but it was the first to name the contact


class Identity(msgspec.Struct, array_like=True):
    """Which other ids this contact is. `pending`: claimed, not yet answered, `merged`: answered; both id → claims.

    A claim is `[time, source, id, by, whole]`: by which of the ids that this contact is, and whether a split can still
    give everything back; they are in order. `deferred` are claims on this contact that wait for its own earlier ones.
    `erased` and `whose` are as in `Erased`. `parted`: marks of merges that a split undid, not to be done again.
    `parting`: (id, time) of splits that wait until the other id's record is there. `until`: up to when ids that this
    contact became later are erased.
    """

    pending: dict[str, list[list[Any]]] = {}
    merged: dict[str, list[list[Any]]] = {}
    deferred: list[list[Any]] = []
    erased: int = 0
    whose: bytes = b""
    parted: list[bytes] = []
    parting: list[list[Any]] = []
    until: dict[str, int] = {}


class Membership(msgspec.Struct, array_like=True):
    """What the company was last told of this contact."""

    company: str
    parent: str
    stage: str
    statuses: list[str]


class Record(msgspec.Struct, array_like=True, tag="record"):
    """One contact, as the changelog and the store hold it.

    `base` is the encoded state before the tail (empty: a contact that has not begun), `tail` the encoded events
    after it, end to end. Nothing before `horizon` is accepted any more. `fired` is the deadline of the last timer
    that fired because the clock passed it, not because a later event came. `sequence` counts what companies were told.
    """

    fingerprint: str
    name: str
    state: State
    base: bytes
    tail: bytes
    count: int  # events in the tail
    oldest: int  # time of the first of them
    newest: int  # time of the newest event that was ever accepted
    horizon: int
    fired: int
    revision: int
    sequence: int = 0
    member: Membership | None = None
    identity: Identity | None = None
    spent: list[list[str]] = []  # (id, source) of events folded under an older definition: still not to be repeated


class Forward(msgspec.Struct, array_like=True, tag="forward"):
    """An id that is another contact now. `claims`: `[time, source, id, to, kind]`, in order; one, unless anonymous.

    An anonymous id keeps its events, for a later claim may turn out to own some of them. `used` is the wall clock
    at which an event last came for it: of an old log too it lasts its time.
    """

    name: str
    claims: list[list[Any]]
    events: list[Kept]
    used: int
    sequence: int = 0
    revision: int = 0
    erased: int = 0  # nothing of this id up to then counts
    whose: bytes = b""
    forgotten: list[list[Any]] = []  # claims of who was erased since, with until when: what was theirs counts no more


class Erased(msgspec.Struct, array_like=True, tag="erased"):
    """Nothing is known of this contact but that all up to `time` was to be forgotten.

    `whose`: a digest of who had claimed it by then; while nobody had, whoever turns out to have is to be forgotten too.
    """

    time: int
    sequence: int = 0
    revision: int = 0
    whose: bytes = b""
    parted: list[bytes] = []


class _Begun(msgspec.Struct, array_like=True):
    """The first parts of a `State`."""

    order: int
    at: int
    created: int
    stage: int


class Head(msgspec.Struct, array_like=True, tag="record"):
    """The first parts of a `Record`: enough to pass over an event that can do nothing."""

    fingerprint: str
    name: str
    state: _Begun


Entry = Record | Forward | Erased

encoder = msgspec.msgpack.Encoder()
decode_entry = msgspec.msgpack.Decoder(Entry).decode
decode_head = msgspec.msgpack.Decoder(Head).decode
decode_state = msgspec.msgpack.Decoder(State).decode
_decode_tail = msgspec.msgpack.Decoder(list[Kept]).decode


def decode_tail(tail: bytes, count: int) -> list[Kept]:
    """The events of a tail, in order."""
    return _decode_tail(b"\xdd" + count.to_bytes(4, "big") + tail) if count else []


def mark(identity: str, source: str) -> bytes:
    """The bytes by which an event's `id` and `source` stand in a tail."""
    return encoder.encode((identity, source))[1:]
