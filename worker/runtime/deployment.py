"""Whether this worker may take over what others of its group left: same definition, client, partitioner, counts."""

from __future__ import annotations

from typing import Final

import msgspec
from structlog.typing import FilteringBoundLogger

from worker.fold.takeover import Foreign
from worker.runtime.changelog import (
    DEPLOYMENT_KEY,
    KEPT_MAX,
    Definition,
    Deployment,
    decode_deployment,
    definition_of,
    encode_deployment,
)
from worker.runtime.engine import Engine
from worker.runtime.errors import Halt
from worker.runtime.feeds import NONE, Feeds
from worker.runtime.partition import Held
from worker.runtime.settings import Settings
from worker.stores.base import Store
from worker.transports.base import Headers, Record

SEEN_MAX: Final = 100  # different headers remembered as checked; there is one a definition


class Deployments:
    """Checks what is found in changelogs and stores against this worker, and says what is to be written anew."""

    def __init__(
        self,
        settings: Settings,
        engine: Engine,
        store: Store,
        partitions: int,
        worker_version: str,
        log: FilteringBoundLogger,
        feeds: Feeds = NONE,
    ) -> None:
        self._feeds = feeds
        self._log = log
        self._left_out: frozenset[str] = frozenset()  # inputs of the group that this worker said it has not
        self._definition = Definition(engine.lifecycle, engine.version, engine.fingerprint)
        self._settings = settings
        self._store = store
        self._own = Deployment(
            definition=self._definition,
            client=settings.client_kind,
            partitioner=settings.partitioner,
            partitions=partitions,
            worker_version=worker_version,
            layouts={engine.fingerprint: engine.layout.decode()},
            format=engine.format,
        )
        self._engine = engine
        self._seen: set[Headers] = set()

    def check(self, record: Record) -> None:
        """Raises `Halt` where a changelog record was written under a definition that this worker may not go on from."""
        if record.headers in self._seen:
            return
        place = f"{record.topic}[{record.partition}]@{record.offset}"
        try:
            found = definition_of(record.headers)
        except msgspec.MsgspecError as error:
            raise Halt(f"{place} has headers that no worker wrote ({error})", _foreign(record.topic)) from None
        if found is None:
            raise Halt(f"{place} doesn't say under which definition it was written", _foreign(record.topic))
        self._same(found, place)
        if len(self._seen) < SEEN_MAX:
            self._seen.add(record.headers)

    def take_over(self, held: Held) -> None:
        """The partition may be folded by this worker; `held.deployment` is what to write of it, None where it stands.

        Called once the store equals the changelog. Raises `Halt` where the group runs otherwise.
        """
        value = self._store.get(held.number, DEPLOYMENT_KEY)
        if value is None:
            held.deployment = encode_deployment(msgspec.structs.replace(self._own, inputs=self._feeds.counts))
            return
        try:
            found = decode_deployment(value)
        except msgspec.MsgspecError as error:
            raise Halt(
                f"{held.changelog} has a deployment record that can't be read ({error})",
                _foreign(held.changelog.topic),
            ) from None
        if found.format != self._own.format:
            raise Halt(
                f"{held.changelog} was written by worker {found.worker_version}, in another form (format "
                f"{found.format}) than worker {self._own.worker_version} reads (format {self._own.format})",
                "go on with a worker of that format, or run under another --group, which folds everything anew",
            )
        self._same_ways(found, held)
        self._same_offsets(found, held)
        self._same_inputs(found)
        for definition in (*found.kept, found.definition):
            self._same(definition, str(held.changelog))
        before = {
            definition.fingerprint: definition
            for definition in (*found.kept, found.definition)
            if definition.fingerprint != self._definition.fingerprint
        }
        kept = tuple(before.values())[-KEPT_MAX:]
        layouts = {definition.fingerprint: found.layouts.get(definition.fingerprint, "") for definition in kept}
        for definition in kept:
            self._learn(definition, layouts[definition.fingerprint])
        layouts |= self._own.layouts
        # What was read once stays named: its offsets are the group's still, and may not be forgotten unnoticed.
        inputs = {**found.inputs, **self._feeds.counts}
        own = msgspec.structs.replace(self._own, kept=kept, layouts=layouts, inputs=inputs)
        held.deployment = None if encode_deployment(own) == value else encode_deployment(own)

    def admit(self, foreign: Foreign, place: str) -> None:
        """The engine can read a record that was on its way to another key when the definition changed.

        Raises `Halt` where this worker may not go on from that definition.
        """
        under = foreign.under
        definition = Definition(self._definition.lifecycle, under.version, under.fingerprint)
        self._same(definition, place)
        self._learn(definition, under.layout.decode())

    def _same(self, found: Definition, place: str) -> None:
        own = self._definition
        if found.fingerprint == own.fingerprint and found.lifecycle == own.lifecycle:
            return
        if found.lifecycle != own.lifecycle:
            raise Halt(
                f"{place} belongs to lifecycle {found.lifecycle}, this worker runs {own.lifecycle}",
                "give each lifecycle a --group of its own",
            )
        if found.version > own.version:
            raise Halt(
                f"{place} was written under version {found.version} of {own.lifecycle}, this worker has version "
                f"{own.version}",
                "run it with the newer definition",
            )
        if self._settings.on_new_definition != "keep":
            raise Halt(
                f"{place} was written under another definition of {own.lifecycle} (version {found.version}, "
                f"{found.fingerprint[:12]}) than this worker's (version {own.version}, {own.fingerprint[:12]})",
                "run with --on-new-definition keep, which takes each contact's stage over as it stands; "
                "or under another --group, which folds everything anew",
            )

    def _learn(self, definition: Definition, layout: str) -> None:
        """Contacts of an older definition go on under this one, each at its first touch."""
        if not layout:
            raise Halt(
                f"the states of version {definition.version} of {definition.lifecycle} can't be read by this worker",
                "run under another --group, which folds everything anew",
            )
        gone = self._engine.learn(definition.fingerprint, layout.encode())
        if gone:
            raise Halt(
                f"version {definition.version} of {definition.lifecycle} has stages that this one doesn't: "
                f"{', '.join(gone)}",
                "name each in `was` of the stage where its contacts go on",
            )

    def _same_offsets(self, found: Deployment, held: Held) -> None:
        """What was read of an input was committed with the deployment record, so it can't be unknown."""
        for place in held.feeds:
            if place in held.unknown and place.partition < found.inputs.get(place.topic, 0):
                raise Halt(
                    f"group {self._settings.group} has folded records of {place}, but has no committed offset for it",
                    "it may have expired: set it with kafka-consumer-groups --reset-offsets (--to-earliest reads all "
                    "of it again: what is inside the horizon changes nothing, what is older is refused as too late)",
                )

    def _same_inputs(self, found: Deployment) -> None:
        """Said and not refused: an input may have been given up, and of one left out by mistake nothing is lost."""
        left_out = frozenset(found.inputs) - self._feeds.counts.keys() - self._left_out
        if left_out:
            self._left_out |= left_out
            self._log.warning(
                "input-left-out",
                topics=sorted(left_out),
                says="the group has read these, and this worker is not given them: what goes with its partitions is "
                "read by nobody, and timers of workers that have them wait for it; start every worker of a group with "
                "the same --input, unless these were given up",
            )

    def _same_ways(self, found: Deployment, held: Held) -> None:
        ways = (
            ("client", found.client, self._own.client, "--client"),
            ("partitioner", found.partitioner, self._own.partitioner, "--partitioner"),
            ("partition count", str(found.partitions), str(self._own.partitions), ""),
        )
        for what, theirs, ours, flag in ways:
            if theirs != ours:
                remedy = f"run with {flag} {theirs}, or under another --group" if flag else "run under another --group"
                raise Halt(f"group {self._settings.group} runs with {what} {theirs}, this worker with {ours}", remedy)


def _foreign(topic: str) -> str:
    return f"has something else written to topic {topic}? it is the worker's alone"
