"""A worker made from its settings, with everything around it that must be closed again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from worker.commands._garbage import relax
from worker.commands._options import read_lifecycle
from worker.fold.engine import Engine
from worker.instants import parse_instant
from worker.plan import compile_plan
from worker.runtime.clock import Clock
from worker.runtime.errors import SettingsError
from worker.runtime.loop import Worker
from worker.runtime.restore import Progress
from worker.runtime.settings import Settings
from worker.stores import open_store
from worker.transports import open_transport
from worker.transports.base import Transport

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

    from worker.commands._live import Beside
    from worker.definition.model import Lifecycle
    from worker.mapping.router import Router


def engine_of(settings: Settings, lifecycle: Lifecycle) -> Engine:
    """The fold of the lifecycle, as a worker under these settings runs it. Raises `SettingsError`."""
    publish_from = None
    if settings.publish_from is not None:
        given = settings.publish_from
        try:
            publish_from = parse_instant(f"{given}T00:00:00Z" if len(given) == 10 else given)
        except ValueError as error:
            raise SettingsError("publish_from", f"{given!r} is {error}") from None
    secret = settings.contact_key.get_secret_value().encode() if settings.contact_key is not None else b""
    plan, refusals = compile_plan(lifecycle), None
    if settings.http is not None:
        from worker.live.refusals import Refusals

        refusals = Refusals(plan)
        plan = refusals.plan
    return Engine(
        plan,
        grace=True,
        too_late=settings.too_late,
        publish_from=publish_from,
        secret=secret,
        refusals=refusals,
    )


def routers_of(settings: Settings) -> dict[str, Router]:
    """What reads the records of each topic of `--input`. Raises: DefinitionError for a mapping that can't be read."""
    from worker.mapping.mapping import Mapping
    from worker.mapping.router import Router

    names = dict.fromkeys(each.mapping for each in settings.input if each.mapping is not None)
    mappings = {name: Mapping.load(name) for name in names}
    by_topic: dict[str, dict[str | None, Mapping | None]] = {}
    for each in settings.input:
        of_topic = by_topic.setdefault(each.topic, {})
        of_topic[each.source] = None if each.mapping is None else mappings[each.mapping]
    return {topic: Router(of_topic) for topic, of_topic in by_topic.items()}


@contextmanager
def worker_of(
    settings: Settings,
    clock: Clock,
    logger: FilteringBoundLogger,
    *,
    lifecycle: Lifecycle | None = None,
    transport: Transport | None = None,
    report: Callable[[Progress], None] | None = None,
    beside: Beside | None = None,
) -> Iterator[Worker]:
    """A worker under these settings. In the end it is closed, and its store, and its log unless that was given.

    What is `beside` it begins once it is made, and ends before it is closed. `lifecycle` is the settings' one, where it
    was read already.
    """
    engine = engine_of(settings, lifecycle or read_lifecycle(settings.lifecycle))
    routers = routers_of(settings)
    with ExitStack() as stack:
        if transport is None:
            transport = open_transport(settings.broker, settings.client, settings.kafka_options())
            stack.callback(transport.close)
        store = open_store(settings.state_dir)
        stack.callback(store.close)
        if store.emptied:
            logger.warning("store-emptied", folder=str(settings.state_dir), why=store.emptied)
        worker = Worker(transport, store, engine, settings, clock, logger, routers=routers, report=report)
        stack.callback(worker.close, leave=settings.leave)
        if beside is not None:
            stack.enter_context(beside(worker, engine, store))
        relax()
        yield worker
