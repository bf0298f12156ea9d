"""A Kafka cluster in memory that misbehaves as a seed says: the same seed, the same run, to the last record.

    cluster = SimulatedCluster(seed, Faults(lost_answer=0.01, evict=0.005, crash_step=0.02))
    worker = Worker(cluster.connect("one"), clock=cluster.clock, crash_point=...)

Nothing runs by itself: no thread, no real clock. Each call of a client takes a little virtual time and is a numbered
point at which something may go wrong; a poll without records takes its whole timeout. What falls due meanwhile
(sessions, transactions, markers, the end of an outage) happens then, in the order of time.

**Simulated**

- Transactions: records of an open one occupy offsets and hold back every `read_committed` reader behind the last
  stable offset; a marker occupies one offset per partition; aborted records are never seen. A commit is decided
  first and its markers follow, at once or later, partition by partition. A transaction that stays open is aborted
  by the coordinator after its timeout and its producer fenced; so it is by a newer producer of its id.
- Committed offsets: part of the transaction, refused under an old generation or from a member that is gone; asking
  for them waits for transactions that hold one (KIP-447).
- Groups: generations; cooperative-sticky rebalances in two rounds (what moves is revoked in one, given in the next);
  static members that come back to their place without a rebalance; sessions that expire after a crash or while
  suspended; members that find out late that they were put out, and their offsets refused until then.
- What goes wrong (`Faults`): a request without effect; an effect without an answer; a commit that arrives late or
  never, its answer lost; part of a batch written; a broker away for seconds; an eviction; a process that stands still
  in the middle of its work while the others go on; somebody else's open transaction on a topic; a slow marker; short
  and empty polls; compaction; a crash before or after any call and after any numbered step of the runtime.
- Topics: sizes refused by `max.message.bytes`, `delete_records`, compaction with tombstones kept for
  `delete.retention.ms`, positions out of range.

**Not simulated**

- Retention by time or size, replication, leaders that move, rights, throttling, quotas: settings for them are kept
  and returned, and do nothing. Partitions are never added.
- Idempotent resending within a producer: after a failed request the client here gives up at once, where a real one
  tries again for a while first.
- Heartbeats: a process that isn't crashed or suspended is heard of, unless it does not poll for the maximum interval.
- Time that computing takes, and two clients truly at the same moment: a call is never interrupted by another one.
- Bytes on the wire: compression, batches, checksums. A record's size is that of its parts and a fixed overhead.
"""

from __future__ import annotations

from worker.transports.simulator.clients import SimulatedTransport
from worker.transports.simulator.clock import SimulatedClock
from worker.transports.simulator.cluster import SimulatedCluster
from worker.transports.simulator.faults import CrashAt, Faults, SimulatedCrash

__all__ = ["CrashAt", "Faults", "SimulatedClock", "SimulatedCluster", "SimulatedCrash", "SimulatedTransport"]
