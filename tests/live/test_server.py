"""The server on a real socket: whoever leaves connections open keeps nobody from an answer."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack

import httpx
import pytest

from tests.live.support import Stand
from tests.runtime.support import quiet
from worker.live.server import CONNECTIONS_MAX, LiveServer

PARTIAL = b"GET /healthz HTTP/1.1\r\nHost: x\r\n"


@pytest.fixture
def address(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, int]]:
    monkeypatch.setattr("worker.live.server.KEEP_ALIVE_SECONDS", 600)  # a busy machine's pauses are not to count
    bound = socket.create_server(("127.0.0.1", 0))
    with LiveServer(Stand().ready().application, bound, quiet()):
        yield bound.getsockname()


def healthy(address: tuple[str, int]) -> bool:
    """As a probe asks: each time by a connection of its own."""
    return httpx.get(f"http://{address[0]}:{address[1]}/healthz", timeout=20).status_code == 200


@pytest.mark.parametrize("begun", [b"", PARTIAL], ids=["silent", "half a request"])
def test_health_is_told_however_many_connections_are_left_open(address: tuple[str, int], begun: bytes) -> None:
    with ExitStack() as stack:
        for _ in range(CONNECTIONS_MAX + 50):
            stack.enter_context(socket.create_connection(address)).sendall(begun)
        assert all(healthy(address) for _ in range(3))


def test_a_connection_in_use_stays_while_silent_ones_give_way(address: tuple[str, int]) -> None:
    url, kept = f"http://{address[0]}:{address[1]}", httpx.Limits(keepalive_expiry=None)
    with ExitStack() as stack, httpx.Client(base_url=url, timeout=20, limits=kept) as used:
        first = used.get("/healthz").extensions["network_stream"].get_extra_info("client_addr")
        for number in range(3 * CONNECTIONS_MAX):
            stack.enter_context(socket.create_connection(address))
            if number % 10 == 0:
                assert used.get("/healthz").extensions["network_stream"].get_extra_info("client_addr") == first
