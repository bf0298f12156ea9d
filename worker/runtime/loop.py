"""The worker: turns of the loop, over and over, and its way back after whatever the log does.

One thread does everything. Nothing that was folded outlives its transaction: after an error in one the producer is
discarded and every partition is brought up from the log again; after fencing the membership goes too.
"""

from __future__ import annotations

import random
import threading
from collections import deque
from collections.abc import Callable, Mapping
from typing import Final

from structlog.typing import FilteringBoundLogger

from worker.events import check_key, decode_records
from worker.mapping.router import Router
from worker.runtime.batch import Sorter
from worker.runtime.clock import Clock, CrashPoint, no_crash
from worker.runtime.dead_letters import size
from worker.runtime.deployment import Deployments
from worker.runtime.detection import Detector
from worker.runtime.engine import CheckKey, DecodeRecords, Engine
from worker.runtime.errors import Halt
from worker.runtime.feeds import Feeds
from worker.runtime.folding import Folder
from worker.runtime.logs import Shadow
from worker.runtime.metrics import Metrics
from worker.runtime.parts import BatchLimit, Parts
from worker.runtime.restore import Progress, Restorer
from worker.runtime.session import Displaced, Forsaken, Session
from worker.runtime.settings import Settings
from worker.runtime.topics import prepare
from worker.runtime.upkeep import Upkeep
from worker.runtime.version import worker_version
from worker.stores.base import Store
from worker.transports.base import Admin, TopicPartition, Transport
from worker.transports.errors import Fenced, OffsetOutOfRange, RecordTooLarge, Retriable, TransportError
from worker.transports.partitioner import named

FENCED_WINDOW_SECONDS: Final = 60.0
DISPLACED_WINDOW_SECONDS: Final = 20.0  # two workers of one name put each other out each second or so
DISPLACED_MAX: Final = 5  # within it; a broker that hangs takes a session of time for each two
OUT_OF_RANGE_MAX: Final = 10  # times in a row, each after the committed offsets were found in range
RECORD_BYTES_MIN: Final = 2_000  # a topic that takes less can't take a dead letter without its value


class Worker:
    """A member of the group. `step` is one turn of the loop, `run` turns until told to stop.

    Transport and store are the caller's, who closes them after `close`. `routers` read the records of the topics in
    `settings.input`. `rng` shakes the backoff, so that workers that lost the same broker don't all come back in one
    instant.
    """

    def __init__(
        self,
        transport: Transport,
        store: Store,
        engine: Engine,
        settings: Settings,
        clock: Clock,
        logger: FilteringBoundLogger,
        *,
        decode: DecodeRecords = decode_records,
        check_key: CheckKey = check_key,
        routers: Mapping[str, Router] | None = None,
        report: Callable[[Progress], None] | None = None,
        rng: random.Random | None = None,
        crash_point: CrashPoint = no_crash,
    ) -> None:
        self.metrics = Metrics(turned=clock.monotonic())
        self._transport = transport
        self._store = store
        self._engine = engine
        self._settings = settings
        self._clock = clock
        self._log = logger.bind(group=settings.group, instance=settings.instance_id)
        self._decode = decode
        self._check_key = check_key
        self._routers = routers or {}
        self._rule = named(settings.partitioner)
        self._report = report
        self._rng = rng or random.Random()
        self._crash_point = crash_point
        self._admin: Admin | None = None
        self._parts: Parts | None = None
        self._session: Session | None = None
        self._started = clock.monotonic()
        self._retry_at = self._started
        self._attempts = 0
        self._calm_after = 0  # transactions of the session at which the last error counts as over
        self._fenced: deque[float] = deque()
        self._displaced: deque[float] = deque()

    def run(self, stop: threading.Event) -> None:
        """Turn until `stop` is set; the batch in hand is finished, which its transaction's time limit bounds.

        Raises what ends a worker: `WorkerError`, `StoreError`, and of the log's errors `Fatal`. `close` is due
        either way.
        """
        while not stop.is_set():
            self.step()
            wait = self._retry_at - self._clock.monotonic()
            if wait > 0:
                stop.wait(wait)
        self._log.info("stopping", transactions=self.metrics.transactions)

    def step(self) -> bool:
        """One turn; whether there was anything to do. Errors that pass are waited out by the next turns."""
        now = self.metrics.turned = self._clock.monotonic()
        if now < self._retry_at:
            return False
        try:
            if self._parts is None:
                self._parts = self._open()
            if self._session is None:
                self._session = Session(self._parts)
            worked = self._session.turn()
        except Fenced as error:
            self._let_go(error)
            return False
        except RecordTooLarge as error:
            self._learn_limit(error)
            return True
        except Retriable as error:
            self._wait(error)
            return False
        except Displaced as error:
            self._return_or_rest(error)
            return True
        except Forsaken as error:
            self._leave_and_return(error)
            return True
        except OffsetOutOfRange as error:
            self._look_again(error)
            return False
        if self._attempts and self._session.committed >= self._calm_after:
            self._log.info("resumed", after_attempts=self._attempts)
            self._attempts = self.metrics.attempts = 0
        return worked

    def live(self) -> frozenset[int]:
        """The partitions that are folded at the moment."""
        if self._session is None:
            return frozenset()
        return frozenset(number for number, held in self._session.held.items() if held.live)

    def close(self, *, leave: bool = False) -> None:
        """Everything of the log is closed. A static member keeps its place in the group unless it is to `leave`."""
        session, parts, admin = self._session, self._parts, self._admin
        self._session = self._parts = self._admin = None
        try:
            if session is not None:
                session.close(leave=leave)
        finally:
            if parts is not None:
                parts.restorer.close()
            if admin is not None:
                admin.close()

    def _open(self) -> Parts:
        """The topics are there and sound."""
        settings, log = self._settings, self._log
        if self._admin is None:
            self._admin = self._transport.admin()
        topics = prepare(self._admin, settings, log)
        self.metrics.partitions = topics.partitions
        feeds = Feeds(self._routers, topics.feeds, topics.partitions)
        crossing = [TopicPartition(topics.input, number) for number in range(topics.partitions) if settings.rekey]
        deployments = Deployments(settings, self._engine, self._store, topics.partitions, worker_version(), log, feeds)
        shadow = Shadow(settings)
        log.info(
            "worker-started",
            lifecycle=self._engine.lifecycle,
            definition_version=self._engine.version,
            fingerprint=self._engine.fingerprint[:12],
            input=topics.input,
            partitions=topics.partitions,
            **({"inputs": [str(each) for each in settings.input]} if feeds else {}),
        )
        return Parts(
            transport=self._transport,
            store=self._store,
            engine=self._engine,
            settings=settings,
            clock=self._clock,
            log=log,
            metrics=self.metrics,
            topics=topics,
            limit=BatchLimit(settings.batch_records),
            limits=dict(topics.limits),
            sorter=Sorter(
                self._engine,
                self._decode,
                self._check_key,
                self._rule,
                topics.partitions,
                rekey=settings.rekey,
                feeds=feeds,
            ),
            detector=Detector(settings.partitioner, topics.partitions),
            folder=Folder(self._engine, self._store, shadow, settings.batch_output_bytes, deployments.admit),
            deployments=deployments,
            upkeep=Upkeep(self._admin, self._store, settings, self._clock, log, self.metrics, feeds, crossing),
            restorer=Restorer(
                self._transport,
                self._admin,
                self._store,
                topics,
                settings,
                self._clock,
                log,
                self.metrics,
                deployments.check,
                report=self._report,
                crash_point=self._crash_point,
                feeds=feeds,
            ),
            rule=self._rule,
            feeds=feeds,
            crossing=bool(feeds or crossing),
            worker_version=worker_version(),
            crash_point=self._crash_point,
        )

    # ------------------------------------------------------------------------------------------------ the way back

    def _wait(self, error: Retriable) -> None:
        """The log is away: what is doubtful is dropped, and the next turn comes after a while."""
        if self._parts is None:
            self._give_up_start(error)
        if self._session is not None:
            in_transaction = self._session.failed()
            # A turn that gets by without a transaction proves nothing about one.
            self._calm_after = self._session.committed + in_transaction
        self._back_off("waiting", error)

    def _give_up_start(self, error: Retriable) -> None:
        seconds = self._settings.startup_timeout_ms / 1000
        if self._clock.monotonic() - self._started >= seconds:
            raise Halt(
                f"no answer from {self._settings.broker} within {seconds:g} s ({error})",
                error.remedy or "is the address right, and the broker up?",
            ) from error

    def _let_go(self, error: Fenced) -> None:
        """Somebody else may own what was held: nothing of it is kept but the place in the group.

        The next poll tells what became of that place. Giving it up here instead would be wrong: where a rebalance has
        just taken partitions from this member, the others get them only once this same member has joined once more,
        and a static one that comes back as a new client is not asked to.
        """
        times = _lately(self._fenced, self._clock.monotonic(), FENCED_WINDOW_SECONDS)
        if times >= self._settings.fenced_max:
            raise Halt(
                f"fenced {times} times within {FENCED_WINDOW_SECONDS:g} s ({error})",
                f"does another worker run with --instance-id {self._settings.instance_id}? each needs its own",
            ) from error
        if self._session is not None:
            self._session.failed()
            self._session.doubt()
            self._calm_after = self._session.committed
        self._back_off("fenced", error)

    def _leave_and_return(self, error: Forsaken) -> None:
        """Who leaves makes the group assign everything anew; the place is asked for again in the next turn."""
        self._log.warning("partitions-forsaken", partitions=sorted(error.partitions))
        session, self._session = self._session, None
        assert session is not None
        try:
            session.close(leave=True)
        except TransportError as closing:  # its session in the group ends by itself then
            self._log.warning("leave-failed", error=str(closing))
        self._calm_after = 0

    def _return_or_rest(self, error: Displaced) -> None:
        """The place in the group is asked for again; whoever loses it time and again lets the other one be.

        The other one may be this very worker: a broker that hung answers each join that it was sent meanwhile, and the
        last answer makes strangers of the members that it gave in the others. But where another worker runs under the
        name, returning time and again would put that one out, which would return in turn.
        """
        if _lately(self._displaced, self._clock.monotonic(), DISPLACED_WINDOW_SECONDS) >= DISPLACED_MAX:
            raise Halt(
                f"instance {self._settings.instance_id} of group {self._settings.group} runs elsewhere ({error})",
                "give every worker an --instance-id of its own; if this one was replaced, let it rest",
            ) from error
        self._log.warning("displaced", error=str(error))
        session, self._session = self._session, None
        assert session is not None
        session.doubt()  # so that no store is marked as being of now
        try:
            session.close()
        except TransportError as closing:  # the group has no place of it to lose
            self._log.warning("leave-failed", error=str(closing))
        self._calm_after = 0

    def _look_again(self, error: OffsetOutOfRange) -> None:
        """What was to be read next is gone.

        Mostly another worker owns the partition by now, and purged what this one had not heard of being folded; the
        restore goes on from the committed offsets then, and halts where it is those that are out of range.
        """
        if self._attempts >= OUT_OF_RANGE_MAX:
            raise Halt(
                f"the log no longer holds what was to be read next ({error})",
                f"run under another --group, which folds {self._settings.input_topic} from its start",
            ) from error
        if self._session is not None:
            self._session.failed()
            self._session.doubt()
        self._back_off("offset-out-of-range", error)

    def _learn_limit(self, error: RecordTooLarge) -> None:
        """The topic takes less than it said: folded again, the record is left out for its size."""
        assert self._session is not None
        assert self._parts is not None
        send = self._session.too_large(error)
        self._session.failed()
        if send is None:
            raise Halt(f"the log refuses a record for its size, but not which ({error})", error.remedy) from error
        limit = size(send.key, send.value, send.headers) - 1
        if limit < RECORD_BYTES_MIN:
            raise Halt(f"topic {send.topic} takes no record of {limit + 1} bytes", error.remedy) from error
        known = self._parts.limits.get(send.topic)
        self._parts.limits[send.topic] = limit if known is None else min(known, limit)
        self._log.warning("record-too-large", topic=send.topic, bytes=limit + 1)

    def _back_off(self, event: str, error: TransportError) -> None:
        settings = self._settings
        longest = min(settings.backoff_ms_max, settings.backoff_ms * 2 ** min(self._attempts, 30))
        wait_ms = longest * (0.5 + self._rng.random() / 2)
        self._attempts += 1
        self.metrics.attempts = self._attempts
        self.metrics.waits += 1
        self._retry_at = self._clock.monotonic() + wait_ms / 1000
        self._log.warning(
            event, on=settings.broker, error=str(error), attempt=self._attempts, seconds=round(wait_ms / 1000, 3)
        )


def _lately(times: deque[float], now: float, seconds: float) -> int:
    """It happened once more, now; how often within so many seconds. Older times are forgotten."""
    times.append(now)
    while now - times[0] > seconds:
        times.popleft()
    return len(times)
