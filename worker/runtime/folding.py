"""The fold of a batch, or of timers that are due, into what a transaction writes. Reads the store, writes nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from worker.fold.outcome import Outcome, Refusal
from worker.fold.takeover import Foreign
from worker.runtime.assembly import RECORD_TOO_LARGE, Assembly, TooLarge
from worker.runtime.batch import Batch, Group
from worker.runtime.engine import Engine
from worker.runtime.errors import EngineFault, Halt
from worker.runtime.partition import Held
from worker.stores.base import Store

ROUNDS_MAX: Final = 100  # of one key's timers at the same clock: a timer that sets itself again never moves on


class Overflow(Exception):
    """A batch wrote more than it may; it must be folded in smaller parts."""


@dataclass(slots=True)
class Timers:
    """What came of timers: how many keys, and whether there are more."""

    keys: int
    more: bool
    partitions: list[Held]


class Folder:
    """Runs the engine over keys. `shadow` makes a contact's id fit for an error message.

    `admit` is asked about another definition that a record on its way was folded under: the engine has learned of it
    afterwards, or `Halt` is raised.
    """

    def __init__(
        self,
        engine: Engine,
        store: Store,
        shadow: Callable[[bytes], str],
        output_bytes_max: int,
        admit: Callable[[Foreign, str], None],
    ) -> None:
        self._engine = engine
        self._store = store
        self._shadow = shadow
        self._output_bytes_max = output_bytes_max
        self._admit = admit
        self._rounds: dict[tuple[int, bytes], tuple[int, int]] = {}  # key: clock, times fired at it

    def batch(self, batch: Batch, held: dict[int, Held], assembly: Assembly, now: int) -> None:
        """Fold every key of the batch into `assembly`.

        Raises `Overflow` where more came of it than one transaction may hold and it can be parted, `EngineFault`
        where the engine raised.
        """
        add, many = assembly.add, batch.records + batch.messages > 1
        for number, record, refusal in batch.refused:
            assembly.refuse(number, record, refusal)
        for number, record, event in batch.rekeyed:
            assembly.rekey(number, record, event)
        if assembly.bytes > self._output_bytes_max and many:
            raise Overflow
        for number, groups in batch.groups.items():
            of_partition = held[number]
            states = self._store.get_many(number, list(groups))
            for (key, group), state in zip(groups.items(), states, strict=True):
                outcome = self._apply(key, state, group, now)
                try:
                    add(of_partition, key, group.records, outcome)
                except TooLarge:
                    self._one_by_one(of_partition, key, state, group, assembly, now)
                if assembly.bytes > self._output_bytes_max and many:
                    raise Overflow

    def _apply(self, key: bytes, state: bytes | None, group: Group, now: int) -> Outcome:
        try:
            return self._engine.apply(key, state, group.arrivals, now)
        except Foreign as foreign:
            self._admit(foreign, self._where(key, group))
            return self._apply(key, state, group, now)
        except Exception as error:
            raise EngineFault(self._where(key, group), _raised(error)) from error

    def timers(self, held: Iterable[Held], assembly: Assembly, keys_max: int, now: int) -> Timers:
        """Fire what is due by each partition's clock, at most `keys_max` keys."""
        found = Timers(0, False, [])
        for of_partition in held:
            clock, number = of_partition.clock.reached, of_partition.number
            if clock is None or not of_partition.live:
                continue
            if found.keys >= keys_max or assembly.bytes > self._output_bytes_max:
                found.more = True
                break
            next_due = self._store.next_due(number)
            if next_due is None or next_due > clock:
                continue
            keys = self._store.due(number, clock, keys_max - found.keys)
            states = self._store.get_many(number, keys)
            for key, state in zip(keys, states, strict=True):
                if state is None:
                    raise EngineFault(self._timer(of_partition, key), "a timer without a state")
                if assembly.bytes > self._output_bytes_max:
                    found.more = True
                    break
                self._advance(of_partition, key, state, clock, assembly, now)
                found.keys += 1
            if keys:
                found.partitions.append(of_partition)
        found.more |= found.keys >= keys_max
        return found

    def _advance(self, held: Held, key: bytes, state: bytes, clock: int, assembly: Assembly, now: int) -> None:
        try:
            outcome = self._engine.advance(key, state, clock, now)
        except Exception as error:
            raise EngineFault(self._timer(held, key), _raised(error)) from error
        if not outcome.changed:
            # Nothing happened but that the timer moved: the store's index and the changelog have to learn of it.
            outcome = Outcome(changed=True, state=state, due=outcome.due, outputs=outcome.outputs)
        if outcome.due is not None and outcome.due <= clock:
            self._count_round(held, key, clock)
        try:
            assembly.add(held, key, (), outcome)
        except TooLarge as error:
            raise Halt(
                f"{self._timer(held, key)} makes {error}",
                f"raise max.message.bytes of topic {error.topic}, and the client's max_request_size",
            ) from None

    def _count_round(self, held: Held, key: bytes, clock: int) -> None:
        """A key may have several timers due at once, one after the other, but not without an end."""
        before, rounds = self._rounds.pop((held.number, key), (clock, 0))
        rounds = rounds + 1 if before == clock else 1
        if rounds > ROUNDS_MAX:
            raise EngineFault(self._timer(held, key), f"still due at {clock} after {ROUNDS_MAX} rounds")
        if len(self._rounds) >= 10 * ROUNDS_MAX:
            self._rounds.clear()
        self._rounds[(held.number, key)] = (clock, rounds)

    def _one_by_one(
        self, held: Held, key: bytes, state: bytes | None, group: Group, assembly: Assembly, now: int
    ) -> None:
        """Fold a key's arrivals each by itself, so that the one that makes too large a record can be left out."""
        for arrival, record in zip(group.arrivals, group.records, strict=True):
            outcome = self._engine.apply(key, state, [arrival], now)
            try:
                assembly.add(held, key, [record], outcome)
            except TooLarge as error:
                assembly.refuse(held.number, record, Refusal(RECORD_TOO_LARGE, f"the event would make {error}"))
            else:
                state = outcome.state if outcome.changed else state

    def _where(self, key: bytes, group: Group) -> str:
        first, last = group.records[0], group.records[-1]
        where = f"{first.topic}[{first.partition}]@{first.offset}"
        if last is not first:
            where += f" to @{last.offset}"
        return f"{where}, contact {self._shadow(key[2:])}"

    def _timer(self, held: Held, key: bytes) -> str:
        return f"a timer of {held.input}, contact {self._shadow(key[2:])}"


def _raised(error: Exception) -> str:
    """What was raised and where; not its text, which may quote the contact's data."""
    step = error.__traceback__
    while step is not None and step.tb_next is not None:
        step = step.tb_next
    place = "" if step is None else f" at {step.tb_frame.f_globals.get('__name__')}:{step.tb_lineno}"
    return f"the fold raised {type(error).__name__}{place}"
