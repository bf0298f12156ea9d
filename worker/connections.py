"""A server's connections: where there are as many as it takes, the one that was silent longest gives way to a new one.

uvicorn's own limit counts connections that ask for nothing too, answers 503 at it, and never ends one that has not
asked yet. So whoever left some open would make a worker look ill that is well. Here that limit is met only where as
many requests are under way.
"""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol


class Connection(H11Protocol):
    """For uvicorn's `http`; how many there may be is its `limit_concurrency`."""

    heard = 0.0  # when it last sent something, by the loop's clock

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        self.heard = self.loop.time()
        there = [each for each in self.connections if isinstance(each, Connection) and not each.transport.is_closing()]
        if self.limit_concurrency is not None and len(there) >= self.limit_concurrency:
            silent = [each for each in there if each is not self and each.idle()]
            if silent:
                min(silent, key=lambda each: each.heard).transport.abort()

    def data_received(self, data: bytes) -> None:
        self.heard = self.loop.time()
        super().data_received(data)

    def idle(self) -> bool:
        """No request of it is under way: it has asked nothing (or not to the end), or was answered."""
        return self.cycle is None or self.cycle.response_complete
