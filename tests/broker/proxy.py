"""Between clients and a broker: from a chosen request on, nothing passes any more, until it is mended.

What a client sees is a broker that hangs, or one that is gone; what the broker had heard by then is known, as it isn't
where one is stopped.
"""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress

from tests.broker.kafka import CONTROLLER_PORT, PORT, free_ports

HEAD = struct.Struct(">i")
END_TXN, TXN_OFFSET_COMMIT = 26, 28
"""Requests by their numbers in Kafka's protocol."""


class Proxy:
    """Listens for clients, who are told its address by the broker. A context manager."""

    def __init__(self) -> None:
        self._server = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._server.getsockname()[1]}"
        [self._port] = free_ports(1)
        self._lock = threading.Lock()
        self._sockets: set[socket.socket] = set()
        self._wanted: int | None = None
        self._answered = self._gone = False
        self._awaited: tuple[socket.socket, bytes] | None = None
        self._silent = False
        self._cut = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def properties(self) -> dict[str, str]:
        """Those of a broker that has a listener for this proxy, beside its own."""
        own = f"PLAINTEXT://127.0.0.1:{PORT}"
        controller = f"CONTROLLER://127.0.0.1:{CONTROLLER_PORT}"
        return {
            "listeners": f"{own},{controller},PROXIED://127.0.0.1:{self._port}",
            "advertised.listeners": f"{own},PROXIED://{self.address}",
            "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,PROXIED:PLAINTEXT",
        }

    def cut(self, request: int, *, answered: bool, gone: bool = False) -> threading.Event:
        """The next such request, or if `answered` its answer, is lost, and all that follows. The event tells when.

        If `gone`, connections end with it, and none comes about.
        """
        with self._lock:
            self._cut = threading.Event()
            self._wanted, self._answered, self._gone = request, answered, gone
            return self._cut

    def mend(self) -> None:
        """What there was of connections is over, and new ones pass."""
        with self._lock:
            self._wanted = self._awaited = None
            self._silent = False
            ended, self._sockets = self._sockets, set()
        for each in ended:
            end(each)

    def close(self) -> None:
        self._server.close()
        self.mend()

    def __enter__(self) -> Proxy:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:  # closed
                return
            with self._lock:
                refused = self._silent and self._gone
            if refused:
                end(client)
                continue
            try:
                broker = socket.create_connection(("127.0.0.1", self._port))
            except OSError:  # not there: the client sees that the connection ends
                end(client)
                continue
            with self._lock:
                self._sockets |= {client, broker}
            for source, target, passes in ((client, broker, self._asked), (broker, client, self._told)):
                threading.Thread(target=self._pass, args=(source, target, passes), daemon=True).start()

    def _pass(
        self, source: socket.socket, target: socket.socket, passes: Callable[[socket.socket, bytes], bool]
    ) -> None:
        with suppress(OSError, EOFError):
            while True:
                head = exactly(source, HEAD.size)
                body = exactly(source, HEAD.unpack(head)[0])
                if passes(target if passes == self._asked else source, body):
                    target.sendall(head + body)
        end(source)
        end(target)

    def _asked(self, broker: socket.socket, request: bytes) -> bool:
        with self._lock:
            if not self._silent and struct.unpack_from(">h", request)[0] == self._wanted:
                if self._answered:
                    self._awaited = (broker, request[4:8])  # its correlation id
                else:
                    self._lose()
            return not self._silent

    def _told(self, broker: socket.socket, answer: bytes) -> bool:
        with self._lock:
            if self._awaited == (broker, answer[:4]):
                self._lose()
            return not self._silent

    def _lose(self) -> None:
        self._silent = True
        if self._gone:
            for each in self._sockets:
                end(each)
        self._cut.set()


def exactly(source: socket.socket, count: int) -> bytes:
    parts = bytearray()
    while len(parts) < count:
        part = source.recv(count - len(parts))
        if not part:
            raise EOFError
        parts += part
    return bytes(parts)


def end(connection: socket.socket) -> None:
    """Closed, also under a thread that reads from it."""
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()
