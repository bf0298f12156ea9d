"""The receiver as a process: an ASGI server around the application, ended by SIGTERM, SIGINT or a log that is lost."""

from __future__ import annotations

import signal
import socket
import sys
import threading
from collections.abc import Callable, Sequence
from types import FrameType

import uvicorn
from structlog.typing import FilteringBoundLogger

from worker.connections import Connection
from worker.receive.application import Receiver, Rules
from worker.receive.sources import Source
from worker.receive.writer import Limits, Writer
from worker.transports.base import Transport

CONNECTIONS_MAX = 900  # below the open files that a process has by default, 1,024
GRACE_SECONDS = 10


def serve(
    transport: Transport,
    topic: str,
    partitions: int,
    transactional_id: str,
    sources: Sequence[Source],
    bound: socket.socket,
    logger: FilteringBoundLogger,
    now_ms: Callable[[], int],
    rules: Rules,
    limits: Limits,
) -> None:
    """Serve on the bound socket until told to stop; what was answered 2xx is in the log then.

    Raises what the log raised, where it can't be written to any more.
    """
    config = uvicorn.Config(
        "",  # set below: the writer must be able to stop the server that the application runs in
        access_log=False,
        log_config=None,
        log_level="critical",
        server_header=False,
        proxy_headers=False,
        lifespan="off",
        http=Connection,
        limit_concurrency=CONNECTIONS_MAX,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    server = uvicorn.Server(config)

    def stop(*_: int | FrameType | None) -> None:
        server.should_exit = True

    writer = Writer(transport, topic, partitions, transactional_id, logger, limits, stop)
    config.app = Receiver(sources, writer, logger, now_ms, rules).application()
    # uvicorn raises a signal that it took once more when it has ended, for the handlers that were there before: with
    # ours nothing comes of it, and what is waiting is written first.
    before = {each: signal.signal(each, stop) for each in (signal.SIGTERM, signal.SIGINT)} if _in_main_thread() else {}
    writer.start()
    host, port = bound.getsockname()[:2]
    logger.info("receiving", address=f"{host}:{port}", topic=topic, sources=[source.name for source in sources])
    try:
        server.run(sockets=[bound])
    finally:
        writer.close()
        for each, handler in before.items():
            signal.signal(each, handler)
    if writer.failure is not None:
        raise writer.failure
    if not writer.orderly:
        sys.exit(1)  # its traceback was written by the thread that it ended
    logger.info("stopped")


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()
