"""A log in one SQLite file, for `lifecycle demo`, trials and tests on one machine: no broker, the same semantics.

Any number of processes of one machine may send, watch and run on one file (`--broker embedded:FILE`); the file belongs
on a local disk, since SQLite's write-ahead log needs shared memory.

- A transaction writes its records where they stay, and notes the ranges as unstable; commit forgets the note, abort
  deletes the ranges. Readers stop at the first unstable record, as at Kafka's last stable offset; aborted offsets are
  gaps. Markers take no offsets. Each call is one SQLite transaction, so a killed process leaves whole steps.
- A newer producer of a transactional id raises its epoch and aborts what an earlier one left open; a transaction that
  stays open too long is aborted by whoever it holds up, and its producer fenced.
- Groups are rows: membership as `worker/transports/groups.py` has it, heartbeats by a thread of each member, sessions
  ended by whoever notices. Offsets are checked against the generation when they become part of the transaction, and
  who asks for committed ones waits for transactions that hold some.
- Compacted topics are compacted, and others cut by `retention.ms` (here: for ever unless set), when a member joins.

Durability: a killed process loses nothing that was committed. A power cut may lose the last committed transactions,
each whole and the newest first, unless the file is opened with `durable=True`, which waits for the disk each time.
"""

from __future__ import annotations

from worker.transports.embedded.transport import EmbeddedTransport

__all__ = ["EmbeddedTransport"]
