"""A member of a group in the embedded log: its row is kept alive by a thread, its group by whoever polls."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Sequence
from contextlib import suppress

import msgspec

from worker.transports.base import GroupMetadata
from worker.transports.embedded.file import LogFile, now_ms
from worker.transports.embedded.log import Log
from worker.transports.errors import Retriable, TransportError
from worker.transports.groups import Group, Membership, Partitions

BEATS_PER_SESSION = 4
POLL_INTERVAL_SECONDS_MAX = 300.0  # a process that does not poll for so long is taken for hung
LEAVE_MS = 5_000
ROUNDS_MAX = 4  # of one poll: join, be given an assignment, give something up, be given another

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Group).decode


def load(connection: sqlite3.Connection, name: str) -> tuple[Group, int]:
    """The group and its version; a new one, of version 0, where there is none."""
    row = connection.execute("SELECT state, version FROM groups WHERE name = ?", (name,)).fetchone()
    return (Group(name), 0) if row is None else (_decode(row[0]), row[1])


def save(connection: sqlite3.Connection, group: Group, version: int) -> int:
    """The group as it is now; members that are gone have no heartbeat any more. Its version, raised if it changed."""
    state = _encode(group)
    row = connection.execute("SELECT state FROM groups WHERE name = ?", (group.name,)).fetchone()
    if row is not None and row[0] == state:
        return version
    connection.execute("INSERT OR REPLACE INTO groups VALUES (?, ?, ?)", (group.name, state, version + 1))
    for (member,) in connection.execute(
        "SELECT member FROM heartbeats WHERE member_group = ?", (group.name,)
    ).fetchall():
        if member not in group.members:
            connection.execute("DELETE FROM heartbeats WHERE member_group = ? AND member = ?", (group.name, member))
    return version + 1


class Heart:
    """Says every now and then that the process is alive, for as long as it polls now and then."""

    def __init__(self, file: LogFile, group: str, interval_seconds: float) -> None:
        self.member: str | None = None
        self.polled = time.monotonic()
        self._file = file
        self._group = group
        self._interval_seconds = interval_seconds
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"heartbeat {group}", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        """Ends silently where the file is of no use any more: the worker meets the same error and can say so."""
        with suppress(TransportError):
            own = LogFile(self._file.path, durable=False)  # a connection of its own: never in the worker's way
            try:
                while not self._stopped.wait(self._interval_seconds):
                    if self.member is not None and time.monotonic() - self.polled < POLL_INTERVAL_SECONDS_MAX:
                        self._beat(own, self.member)
            finally:
                own.close()

    def _beat(self, file: LogFile, member: str) -> None:
        with (
            suppress(Retriable),  # the file is busy; the next beat comes before the session ends
            file.write("heartbeat", int(self._interval_seconds * 1000)) as connection,
        ):
            connection.execute(
                "UPDATE heartbeats SET heard_ms = ? WHERE member_group = ? AND member = ?",
                (now_ms(), self._group, member),
            )


class Place:
    """A member's place in its group."""

    def __init__(
        self, log: Log, group: str, topics: Sequence[str], instance: str | None, client: str, session_ms: int
    ) -> None:
        self.group = group
        self._log = log
        self._file = log.file
        self._topics = topics
        self._session_ms = session_ms
        self._member = Membership(client, instance, topics)
        self._version = -1
        self._looked = 0.0
        self._heart = Heart(log.file, group, session_ms / 1000 / BEATS_PER_SESSION)

    @property
    def held(self) -> Partitions:
        return self._member.held

    def lost(self) -> bool:
        return self._member.lost()

    def metadata(self) -> GroupMetadata:
        return self._member.metadata(self.group)

    def poll(self) -> None:
        """Take part in the group where something changed there. Raises `Fenced` where another process has the place."""
        self._heart.polled = time.monotonic()
        if self._member.id is not None and not self._changed():
            return
        counts = self._counts()
        with self._file.write("join") as connection:
            group, version = load(connection, self.group)
            self._put_out_silent(connection, group, counts)
            for _ in range(ROUNDS_MAX):
                self._member.poll(group, counts)
                member = group.members[self._member.id or ""]
                if member.generation == self._member.generation:
                    break
            self._version = save(connection, group, version)
            connection.execute(
                "INSERT OR REPLACE INTO heartbeats VALUES (?, ?, ?)", (self.group, self._member.id, now_ms())
            )
        self._heart.member = self._member.id

    def stop(self) -> None:
        """Give no sign of life any more."""
        self._heart.stop()

    def close(self, leave: bool) -> None:
        """A dynamic member leaves, a static one only if told to; its session runs out otherwise."""
        self.stop()
        member, static = self._member.id, self._member.instance is not None
        self._member.end()
        if member is None or self._file.closed or (static and not leave):
            return
        try:
            counts = self._counts()
            with self._file.write("leave", LEAVE_MS) as connection:
                group, version = load(connection, self.group)
                group.remove(member, counts)
                save(connection, group, version)
        except Retriable:
            if leave:  # else its session runs out, as after a kill
                raise

    def _changed(self) -> bool:
        """The group is another one than at the last poll, or somebody in it may have fallen silent."""
        with self._file.read() as connection:
            row = connection.execute("SELECT version FROM groups WHERE name = ?", (self.group,)).fetchone()
            if row is None or row[0] != self._version:
                return True
            now = time.monotonic()
            if now - self._looked < self._session_ms / 1000 / BEATS_PER_SESSION:
                return False
            self._looked = now
            oldest = now_ms() - self._session_ms
            silent = "SELECT 1 FROM heartbeats WHERE member_group = ? AND heard_ms < ? AND member != ?"
            return connection.execute(silent, (self.group, oldest, self._member.id)).fetchone() is not None

    def _put_out_silent(self, connection: sqlite3.Connection, group: Group, counts: dict[str, int]) -> None:
        heard = dict(
            connection.execute(
                "SELECT member, heard_ms FROM heartbeats WHERE member_group = ?", (group.name,)
            ).fetchall()
        )
        oldest = now_ms() - self._session_ms
        for member in list(group.members):
            if member != self._member.id and heard.get(member, 0) < oldest:
                group.remove(member, counts)

    def _counts(self) -> dict[str, int]:
        found = {name: self._log.topic(name) for name in self._topics}
        return {name: len(topic.ids) for name, topic in found.items() if topic is not None}


def given(log: Log, name: str) -> Partitions | None:
    """What the group's members have; None where that isn't settled, or there are none."""
    with log.file.read() as connection:
        group, _ = load(connection, name)
    return group.given()


def remove_instance(log: Log, name: str, instance: str) -> None:
    """The static member's partitions go to the others; nothing happens where it is not in the group."""
    with log.file.read() as connection:
        group, _ = load(connection, name)
    topics = {topic for member in group.members.values() for topic in member.topics}
    found = {topic: log.topic(topic) for topic in topics}
    counts = {topic: len(known.ids) for topic, known in found.items() if known is not None}
    with log.file.write("remove_member") as connection:
        group, version = load(connection, name)
        group.remove_instance(instance, counts)
        save(connection, group, version)
