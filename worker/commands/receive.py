"""Take webhooks over HTTP: verified, and put on a topic as they came."""

from __future__ import annotations

import socket
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import click

from worker.commands._broker import broker_options, connected, once, reach
from worker.commands._options import now_ms
from worker.commands._screen import note, plural

PARTITIONS: Final = 6  # of a topic that has to be made
BACKLOG: Final = 1_024
ADDRESS: Final = "127.0.0.1:8080"


@click.command(
    epilog="""\b
Examples:
  HUBSPOT_SECRET=… lifecycle receive --broker kafka://localhost:9092 --topic hubspot \\
      --source crm=hubspot:HUBSPOT_SECRET --url https://hooks.example.com
  lifecycle receive --broker embedded:log.db --topic payments --source pay=stripe:@/run/secrets/stripe
  lifecycle receive --broker embedded:log.db --topic forms \\
      --source 'form=hmac:FORM_SECRET?header=X-Form-Signature&encoding=hex'"""
)
@broker_options
@click.option("--topic", required=True, help="Topic that the payloads go on.")
@click.option(
    "--source", "given", multiple=True, required=True, metavar="NAME=VENDOR[:SECRET]",
    help="Who may send to /in/NAME, and the environment variable, or @FILE, of the secret; repeatable.",
)  # fmt: skip
@click.option(
    "--http", "address", default=ADDRESS, show_default=True, metavar="ADDRESS", help="HOST:PORT to listen on."
)
@click.option("--url", default="", metavar="URL", help="Our address as senders know it, before /in/NAME.")
@click.option(
    "--body-bytes", type=click.IntRange(1, 16 << 20), default=1_000_000, show_default=True, help="Limit of a body."
)
@click.option(
    "--rate", type=click.FloatRange(0.1, 1e6), default=200.0, show_default=True, help="Requests a second and source."
)
@click.option(
    "--window", type=click.IntRange(1, 3_600), default=300, show_default=True,
    help="Seconds from now that a signature's time may be.",
)  # fmt: skip
def command(
    broker: str | None,
    client: str | None,
    config: Path | None,
    topic: str,
    given: tuple[str, ...],
    address: str,
    url: str,
    body_bytes: int,
    rate: float,
    window: int,
) -> None:
    """Take webhooks at POST /in/NAME, and put each payload on the topic, byte for byte.

    VENDOR is hubspot, stripe, calendly, zoom, typeform, intercom, segment, sendgrid, hmac or unsigned. The answer is
    2xx only once the log has the payload; 503 with Retry-After asks the sender to come again. GET /healthz is for
    probes. TLS is for a proxy in front.
    """
    from worker.commands._errors import Misused

    if find_spec("starlette") is None or find_spec("uvicorn") is None:
        raise click.ClickException("the receiver needs two more libraries: pip install 'lifecycle-worker[receive]'")
    from worker.receive.application import Rules
    from worker.receive.server import serve
    from worker.receive.sources import SourceError, read_source
    from worker.receive.writer import Limits
    from worker.runtime.logs import open_logger
    from worker.transports.base import TopicSpec

    try:
        sources = [read_source(each) for each in given]
    except SourceError as error:
        raise Misused(str(error)) from None
    names = [source.name for source in sources]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise Misused(f"source {twice[0]} is given twice: each has a name of its own")
    if url and not url.startswith(("http://", "https://")):
        raise Misused(f"--url {url}: expected http:// or https://")
    settings = reach(config, broker=broker, client=client, input_topic=topic)
    bound = _bind(address)
    with bound, connected(settings) as transport:
        admin = transport.admin()
        try:
            partitions = admin.partitions(topic)
            if partitions is None:
                admin.create(TopicSpec(topic, PARTITIONS, settings.replication, {"cleanup.policy": "delete"}))
                partitions = admin.partitions(topic) or PARTITIONS
                note(f"made topic {topic} with {plural(partitions, 'partition')}")
        finally:
            admin.close()
        rules = Rules(body_bytes=body_bytes, rate=rate, window_ms=window * 1000, url=url)
        logger = open_logger(settings)
        serve(transport, topic, partitions, once("receive"), sources, bound, logger, now_ms, rules, Limits())


def _bind(address: str) -> socket.socket:
    """A socket that listens on HOST:PORT, or [HOST]:PORT for IPv6."""
    from worker.commands._errors import Misused, Told

    host, colon, port = address.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not port.isdigit() or int(port) > 65_535:
        raise Misused(f"--http {address}: expected HOST:PORT, such as {ADDRESS}")
    try:
        return socket.create_server(
            (host, int(port)), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=BACKLOG
        )
    except OSError as error:
        raise Told(f"can't listen on {address}: {error.strerror}") from None
