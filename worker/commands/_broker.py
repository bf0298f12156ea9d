"""Where a verb finds its log: flags, environment and TOML file, by the names that `run` has them under."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from worker.runtime.settings import Settings
    from worker.transports.base import Transport

INPUT_TOPIC = "engagement"
NOT_RUN = "none"  # stands for the lifecycle where nothing is run

F = TypeVar("F", bound=Callable[..., Any])


def broker_options(function: F) -> F:
    """`--broker`, `--client` and `--config`, for `reach`."""
    for option in (
        click.option("--config", type=click.Path(dir_okay=False, path_type=Path), help="TOML file of settings."),
        click.option(
            "--client",
            type=click.Choice(["kafka-python", "confluent-kafka"]),
            help="Client for Kafka. Default: kafka-python.",
        ),
        click.option("--broker", metavar="URL", help="kafka://HOST:PORT,… or embedded:FILE."),
    ):
        function = option(function)
    return function


def reach(config: Path | None, **flags: Any) -> Settings:
    """The settings that a verb beside `run` needs; those of a lifecycle play no part. Raises `SettingsError`."""
    from worker.runtime.settings import load

    return load({"lifecycle": NOT_RUN, **flags}, config)


@contextmanager
def connected(settings: Settings) -> Iterator[Transport]:
    """The log, closed in the end. Raises what the log raises."""
    from worker.transports import open_transport

    transport = open_transport(settings.broker, settings.client, settings.kafka_options())
    try:
        yield transport
    finally:
        transport.close()


def once(verb: str) -> str:
    """A transactional id for one run of a verb: two of them at once must not fence one another."""
    return f"lifecycle-{verb}-{uuid.uuid4().hex[:12]}"


def topic_address(given: str) -> tuple[str, str]:
    """`kafka://HOST:PORT/TOPIC` or `embedded:FILE#TOPIC` as the log's address and the topic (default: `engagement`)."""
    if given.startswith("embedded:"):
        file, _, topic = given.partition("#")
        return file, topic or INPUT_TOPIC
    hosts, _, topic = given.removeprefix("kafka://").partition("/")
    return f"kafka://{hosts}", topic or INPUT_TOPIC
