"""What a log forgets: superseded records of compacted topics, old records of others. Done when a member joins.

Bounded: a partition is looked through again only once as much was added as was left the last time, and at most
`DELETED_MAX` records go at once, in short write transactions that let others in between.
"""

from __future__ import annotations

from worker.transports.base import TopicPartition
from worker.transports.embedded.file import OFFSET_BITS, now_ms
from worker.transports.embedded.log import OFFSET_MASK, Log, Topic

ADDED_MIN = 10_000  # records, before a partition is looked through at all
DELETED_MAX = 500_000  # per partition
DELETED_AT_ONCE = 5_000


def clean(log: Log, added_min: int = ADDED_MIN) -> None:
    """Every topic of the file is compacted or cut, as its settings say, where that is worth it."""
    with log.file.read() as connection:
        names = [name for (name,) in connection.execute("SELECT name FROM topics ORDER BY name")]
    for name in names:
        topic = log.known(name)
        for id_ in topic.ids:
            if "compact" in topic.config["cleanup.policy"]:
                _compact(log, topic, id_, added_min)
        if "delete" in topic.config["cleanup.policy"] and int(topic.config["retention.ms"]) >= 0:
            _cut(log, name, topic)


def _compact(log: Log, topic: Topic, id_: int, added_min: int) -> None:
    base = id_ << OFFSET_BITS
    oldest_removal = now_ms() - int(topic.config["delete.retention.ms"])
    with log.file.read() as connection:
        start, stable, cleaned, kept = connection.execute(
            "SELECT start, coalesce((SELECT min(first) FROM unstable WHERE partition = id), next), cleaned, kept "
            "FROM partitions WHERE id = ?",
            (id_,),
        ).fetchone()
        if stable - cleaned < max(added_min, kept):
            return
        rows = connection.execute(
            "SELECT id, key, value IS NULL, timestamp FROM records WHERE id >= ? AND id < ? ORDER BY id DESC",
            (base | start, base | stable),
        )
        seen: set[bytes | None] = set()
        superseded: list[tuple[int]] = []
        for row, key, removal, timestamp in rows:
            if key in seen or (removal and timestamp < oldest_removal):
                superseded.append((row,))
            seen.add(key)
    superseded.reverse()  # the oldest first, should there be too many
    del superseded[DELETED_MAX:]
    for first in range(0, len(superseded), DELETED_AT_ONCE):
        with log.file.write("compact") as connection:
            connection.executemany("DELETE FROM records WHERE id = ?", superseded[first : first + DELETED_AT_ONCE])
    with log.file.write("compact") as connection:
        connection.execute("UPDATE partitions SET cleaned = ?, kept = ? WHERE id = ?", (stable, len(seen), id_))


def _cut(log: Log, name: str, topic: Topic) -> None:
    oldest = now_ms() - int(topic.config["retention.ms"])
    for number, id_ in enumerate(topic.ids):
        base = id_ << OFFSET_BITS
        with log.file.read() as connection:
            start, stable = connection.execute(
                "SELECT start, coalesce((SELECT min(first) FROM unstable WHERE partition = id), next) "
                "FROM partitions WHERE id = ?",
                (id_,),
            ).fetchone()
            young = connection.execute(
                "SELECT id FROM records WHERE id >= ? AND id < ? AND timestamp >= ? ORDER BY id LIMIT 1",
                (base | start, base | stable, oldest),
            ).fetchone()
        until = stable if young is None else young[0] & OFFSET_MASK
        for before in range(start + DELETED_AT_ONCE, until, DELETED_AT_ONCE):
            log.purge({TopicPartition(name, number): before})
        if until > start:
            log.purge({TopicPartition(name, number): until})
