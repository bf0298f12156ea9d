"""Where to listen: a host and a port, as text and as a socket."""

from __future__ import annotations

import ipaddress
import socket
from typing import Final, NamedTuple

HERE: Final = "127.0.0.1"
BACKLOG: Final = 1_024


class Address(NamedTuple):
    """`host` without brackets; port 0 is any that is free."""

    host: str
    port: int

    @property
    def loopback(self) -> bool:
        """Whether only programs of this machine reach it."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    def listen(self) -> socket.socket:
        """A socket that listens here. Raises `OSError`."""
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        return socket.create_server((self.host, self.port), family=family, backlog=BACKLOG)

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def read_address(text: str) -> Address:
    """HOST:PORT, [HOST]:PORT for IPv6, or PORT alone for this machine only. Raises `ValueError`."""
    host, _, port = text.strip().rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    host = host[1:-1] if bracketed else host
    if not (port.isascii() and port.isdigit()) or int(port) > 65_535 or (":" in host) != bracketed or "/" in host:
        raise ValueError(f"expected HOST:PORT, such as {HERE}:8080")
    return Address(host or HERE, int(port))
