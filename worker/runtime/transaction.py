"""One transaction, in numbered steps. A crash after any of them loses nothing and publishes nothing twice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from worker.runtime.clock import CrashPoint, Deadline, no_crash
from worker.stores.base import Store, Write
from worker.transports.base import GroupMetadata, Producer, Send, TopicPartition

STEPS: Final = ("begun", "sent", "flushed", "offsets-sent", "committed", "stored")
"""The crash points of `commit`, in order."""


@dataclass(slots=True)
class Work:
    """What is to become true at once. `states` go to the changelog; `offsets` are next offsets to be committed."""

    group: GroupMetadata
    offsets: Mapping[TopicPartition, int]
    states: Sequence[Send] = ()
    others: Sequence[Send] = ()
    writes: Mapping[int, Sequence[Write]] = field(default_factory=dict)  # the states as the store gets them


def commit(
    producer: Producer, store: Store, work: Work, deadline: Deadline, crash_point: CrashPoint = no_crash
) -> dict[int, int]:
    """All of `work` is committed, and the store reflects it; the changelog position of each partition written to.

    1. Begin.
    2. Send: states, events out, messages, dead letters.
    3. Flush, and check every record.
    4. Send the offsets, under the metadata that the batch was polled with.
    5. Commit.
    6. Apply to the store.

    Raises what the producer raises, with nothing of it visible or (`CommitUnknown`) all of it perhaps; there is no
    abort here. Whoever calls discards the producer, which ends the transaction, and reads the log again for what
    became of it: after an error a producer may be inconsistent, and what it says of the transaction with it.
    """
    assert work.offsets, "a transaction without offsets is not fenced: a worker that lost its partitions could commit"
    # Step 1. A record sent outside of a transaction would be seen at once and could not be taken back.
    producer.begin()
    crash_point("begun")
    # Step 2. States first, so that the first offsets of the flush are theirs.
    producer.send(work.states)
    producer.send(work.others)
    crash_point("sent")
    # Step 3. A record that expired fails only its own future: a commit without this look at each of them would move
    # the offsets past an event whose change was never published.
    offsets = producer.flush(deadline.left_ms())
    crash_point("flushed")
    # Step 4. The coordinator refuses a generation that is over: this is what fences a worker that slept.
    producer.send_offsets(work.offsets, work.group, deadline.left_ms())
    crash_point("offsets-sent")
    # Step 5. From here on, or not at all, everything is visible to a read_committed reader.
    producer.commit(deadline.left_ms())
    crash_point("committed")
    # Step 6. Only now: the store holds committed state and nothing else. A crash in between is made good by the
    # changelog, which the store is behind of then.
    positions: dict[int, int] = {}
    for send, offset in zip(work.states, offsets, strict=False):
        positions[send.partition] = offset + 1
    for partition, position in positions.items():
        store.apply(partition, work.writes.get(partition, ()), position)
    crash_point("stored")
    return positions
