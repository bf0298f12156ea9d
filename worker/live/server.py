"""The server: a thread of its own with an event loop of its own, beside the worker's loop and ended with it."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from typing import Final, Self

import uvicorn
from structlog.typing import FilteringBoundLogger

from worker.connections import Connection
from worker.live.application import Application

CONNECTIONS_MAX: Final = 200
REQUEST_BYTES_MAX: Final = 16_384  # of a request's first line and headers
KEEP_ALIVE_SECONDS: Final = 15  # of silence after an answer
GRACE_SECONDS: Final = 1  # for answers under way when told to stop
END_SECONDS: Final = 3.0


class LiveServer:
    """Serves on the bound socket from `with` on until its end. Should it fail, the worker goes on without it."""

    def __init__(self, application: Application, bound: socket.socket, logger: FilteringBoundLogger) -> None:
        self._application = application
        self._bound = bound
        self._log = logger
        config = uvicorn.Config(
            application.asgi(),
            access_log=False,  # a path may name a contact
            log_config=None,
            log_level="critical",
            server_header=False,
            proxy_headers=False,
            lifespan="off",
            ws="none",
            http=Connection,
            loop="asyncio",
            h11_max_incomplete_event_size=REQUEST_BYTES_MAX,
            limit_concurrency=CONNECTIONS_MAX,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=GRACE_SECONDS,
        )
        self._server = uvicorn.Server(config)
        # A daemon: whatever it hangs in, the process ends when the worker has.
        self._thread = threading.Thread(target=self._run, name="http", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is served any more, at the latest after `END_SECONDS`."""
        self._server.should_exit = True
        self._thread.join(END_SECONDS - GRACE_SECONDS)
        if self._thread.is_alive():
            self._server.force_exit = True
            self._thread.join(GRACE_SECONDS)
        self._application.close()
        with suppress(OSError):
            self._bound.close()

    def _run(self) -> None:
        try:
            self._server.run(sockets=[self._bound])
        except Exception as error:  # noqa: BLE001 - the worker is worth more than what tells of it
            self._log.error("http-ended", error=type(error).__name__)
        else:
            if not self._server.should_exit:
                self._log.error("http-ended")
