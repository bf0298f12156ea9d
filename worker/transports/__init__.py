"""Logs and how to reach them; what they promise is in `worker.transports.base`, what goes wrong in `.errors`."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from worker.transports.base import Transport
from worker.transports.errors import Fatal

CLIENTS = ("kafka-python", "confluent-kafka")

__all__ = ["CLIENTS", "open_transport"]


def open_transport(url: str, client: str = "kafka-python", options: Mapping[str, Any] | None = None) -> Transport:
    """The log at `url`: `kafka://host:port,…` through a client of `CLIENTS`, or `embedded:FILE`.

    `options` go to the client in its own names; the embedded log has none. Only what is needed is imported. Raises
    `Fatal` for an address, a client or an option that is none.
    """
    transport: Transport
    if url.startswith("embedded:"):
        file = url.removeprefix("embedded:")
        if not file:
            raise Fatal(f"{url!r} names no file", "write embedded:FILE")
        transport = import_module("worker.transports.embedded").EmbeddedTransport(file)
    elif client == "kafka-python":
        transport = import_module("worker.transports.kafka_python").KafkaPythonTransport(url, options)
    elif client == "confluent-kafka":
        if find_spec("confluent_kafka") is None:
            raise Fatal("confluent-kafka is not installed", "pip install 'lifecycle-worker[confluent]'")
        transport = import_module("worker.transports.confluent").ConfluentTransport(url, options)
    else:
        raise Fatal(f"there is no client {client!r}", f"use {' or '.join(CLIENTS)}")
    return transport
