"""What `run --http` serves: bound before the worker does anything, ended with it."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

from worker.commands._errors import Told
from worker.runtime.address import read_address
from worker.transports.partitioner import named

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

    from worker.fold.engine import Engine
    from worker.runtime.clock import Clock
    from worker.runtime.loop import Worker
    from worker.runtime.settings import Settings
    from worker.stores.base import Store

LIBRARIES: Final = ("starlette", "uvicorn", "prometheus_client")

Beside = Callable[["Worker", "Engine", "Store"], AbstractContextManager[object]]


def listen(settings: Settings, logger: FilteringBoundLogger) -> socket.socket | None:
    """The socket to serve on, None where nothing is served. Raises `Told` where it can't be had."""
    if settings.http is None:
        return None
    if any(find_spec(library) is None for library in LIBRARIES):
        raise Told("--http needs three more libraries: pip install 'lifecycle-worker[http]'")
    address = read_address(settings.http)
    try:
        bound = address.listen()
    except OSError as error:
        why = os.strerror(error.errno) if error.errno is not None and error.errno > 0 else error.strerror or error
        raise Told(f"--http can't listen on {address}: {why}") from None
    host, port = bound.getsockname()[:2]
    shown = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    logger.info("serving", address=shown)
    if not address.loopback:
        logger.warning(
            "served-beyond-this-machine",
            address=shown,
            says="whoever reaches it can look up every contact: keep it behind a network that you trust, or a proxy"
            " that asks who it is",
        )
    return bound


def beside(
    bound: socket.socket, settings: Settings, clock: Clock, stop: threading.Event, logger: FilteringBoundLogger
) -> Beside:
    """Makes the server of a worker, for `worker_of`. The worker runs in the thread that calls this."""
    loop = threading.current_thread()

    def made(worker: Worker, engine: Engine, store: Store) -> AbstractContextManager[object]:
        from worker.live.application import Application
        from worker.live.figures import Figures
        from worker.live.health import Health, Limits
        from worker.live.lookup import Lookup
        from worker.live.pages import Pages
        from worker.live.server import LiveServer
        from worker.plan import compile_plan

        metrics, lifecycle = worker.metrics, engine.plan.lifecycle
        metrics.detailed = True
        limits = Limits(settings.http_stall_ms / 1000, settings.http_frozen_ms / 1000)
        health = Health(metrics, clock, loop, limits, stop.is_set)
        about = {
            "lifecycle": engine.lifecycle,
            "definition_version": str(engine.version),
            "fingerprint": engine.fingerprint[:12],
        }
        application = Application(
            metrics,
            health,
            Figures(metrics, health, clock, engine.plan.stages, about, settings.state_dir),
            Lookup(engine, compile_plan(lifecycle), store, metrics, clock, named(settings.partitioner)),
            Pages(
                {name: stage.name for name, stage in lifecycle.stages.items()},
                f"{lifecycle.title}, version {lifecycle.version}",
            ),
            local=read_address(settings.http or "").loopback,
        )
        return LiveServer(application, bound, logger)

    return made
