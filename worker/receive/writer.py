"""What was received, onto the topic: one thread, many requests in one transaction, told once the log has it."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Final

from structlog.typing import FilteringBoundLogger

from worker.transports.base import Headers, Producer, Send, Transport
from worker.transports.errors import Fenced, RecordTooLarge, Retriable, TransportError

TIMEOUT_MS: Final = 10_000
BACKOFF_SECONDS: Final = 0.1
BACKOFF_SECONDS_MAX: Final = 5.0


class Full(Exception):
    """No room for one more: the sender should come again."""


class Away(Exception):
    """The log didn't take it in time. It may still be there: the sender should come again."""


class TooLarge(Exception):
    """The log refuses a record of this size."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of what waits for the log, and of one transaction."""

    waiting_records: int = 10_000
    waiting_bytes: int = 64 << 20
    batch_records: int = 1_000
    batch_bytes: int = 8 << 20
    wait_seconds: float = 4.0  # HubSpot and Segment hang up after 5, Zoom after 3: they come again


@dataclass(slots=True)
class _Parcel:
    value: bytes
    headers: Headers
    deadline: float  # monotonic: nobody waits for the answer any longer
    done: Future[None] = field(default_factory=Future)


class Writer:
    """Puts values on a topic. `put` may be called from any thread; the log is touched by one alone.

    Delivery is at least once: where a commit's answer is lost, the batch is written again.
    """

    def __init__(
        self,
        transport: Transport,
        topic: str,
        partitions: int,
        transactional_id: str,
        logger: FilteringBoundLogger,
        limits: Limits | None = None,
        failed: Callable[[], None] = lambda: None,
    ) -> None:
        self.limits = limits or Limits()
        self.failure: TransportError | None = None
        self._transport = transport
        self._topic = topic
        self._partitions = partitions
        self._id = transactional_id
        self._logger = logger
        self._failed = failed
        self._waiting: deque[_Parcel] = deque()
        self._bytes = 0
        self._next = 0
        self._changed = threading.Condition()
        self._stopping = False
        self._healthy = False
        self.orderly = False
        self._thread = threading.Thread(target=self._run, name="receive-writer", daemon=True)

    @property
    def healthy(self) -> bool:
        """Whether the log took the last thing that was asked of it."""
        return self._healthy and self.failure is None

    def start(self) -> None:
        self._thread.start()

    def put(self, value: bytes, headers: Headers) -> Future[None]:
        """Done once the log has it; fails with `Away` or `TooLarge`. Raises: Full."""
        parcel = _Parcel(value, headers, time.monotonic() + self.limits.wait_seconds)
        with self._changed:
            if self._stopping or self.failure is not None:
                raise Full("the receiver is ending")
            if (
                len(self._waiting) >= self.limits.waiting_records
                or self._bytes + len(value) > self.limits.waiting_bytes
            ):
                raise Full("too much waits for the log")
            self._waiting.append(parcel)
            self._bytes += len(value)
            self._changed.notify()
        return parcel.done

    def close(self, timeout_seconds: float = 10.0) -> None:
        """What was put is written, or given up; the thread has ended, unless the log hangs."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        if self._thread.is_alive():
            self._thread.join(timeout_seconds)

    # ------------------------------------------------------------------------------------------------------ the thread
    def _run(self) -> None:
        producer: Producer | None = None
        batch: list[_Parcel] = []
        backoff = BACKOFF_SECONDS
        try:
            while True:
                try:
                    if producer is None:
                        producer = self._transport.producer(self._id)
                        self._healthy = True
                    batch = batch or self._take()
                    if not batch:
                        self.orderly = True
                        return
                    self._write(producer, batch)
                    batch, backoff, self._healthy = [], BACKOFF_SECONDS, True
                except RecordTooLarge as error:
                    producer = self._discard(producer)
                    if 0 <= error.index < len(batch):
                        self._resolve(batch.pop(error.index), TooLarge())
                except (Retriable, Fenced) as error:
                    self._healthy = False
                    producer = self._discard(producer)
                    self._logger.warning("log-away", error=str(error), waiting=len(self._waiting) + len(batch))
                    with self._changed:
                        if self._stopping:
                            self.orderly = True
                            return
                        self._changed.wait_for(lambda: self._stopping, backoff)
                    backoff = min(backoff * 2, BACKOFF_SECONDS_MAX)
                    batch = self._still_awaited(batch)
        except TransportError as error:
            self.failure = error
        finally:
            self._healthy = False
            with self._changed:
                self._stopping = True
                left = batch + list(self._waiting)
                self._waiting.clear()
            for parcel in left:
                self._resolve(parcel, Away())
            self._discard(producer)
            if not self.orderly:
                self._failed()

    def _take(self) -> list[_Parcel]:
        """The next batch, of what somebody still waits for; nothing at the end."""
        batch: list[_Parcel] = []
        size = 0
        with self._changed:
            while not batch:
                self._changed.wait_for(lambda: self._waiting or self._stopping)
                if not self._waiting:
                    return []
                while self._waiting and len(batch) < self.limits.batch_records and size < self.limits.batch_bytes:
                    parcel = self._waiting.popleft()
                    self._bytes -= len(parcel.value)
                    size += len(parcel.value)
                    batch.append(parcel)
                batch = self._still_awaited(batch)
        return batch

    def _write(self, producer: Producer, batch: list[_Parcel]) -> None:
        sends = [
            Send(self._topic, (self._next + number) % self._partitions, None, parcel.value, parcel.headers)
            for number, parcel in enumerate(batch)
        ]
        producer.begin()
        producer.send(sends)
        producer.flush(TIMEOUT_MS)
        producer.commit(TIMEOUT_MS)
        self._next = (self._next + len(batch)) % self._partitions
        for parcel in batch:
            self._resolve(parcel, None)

    def _still_awaited(self, batch: list[_Parcel]) -> list[_Parcel]:
        now = time.monotonic()
        kept: list[_Parcel] = []
        for parcel in batch:
            if parcel.deadline > now:
                kept.append(parcel)
            else:
                self._resolve(parcel, Away())
        return kept

    @staticmethod
    def _resolve(parcel: _Parcel, error: Exception | None) -> None:
        if not parcel.done.set_running_or_notify_cancel():
            return
        if error is None:
            parcel.done.set_result(None)
        else:
            parcel.done.set_exception(error)

    @staticmethod
    def _discard(producer: Producer | None) -> None:
        if producer is not None:
            producer.close()
