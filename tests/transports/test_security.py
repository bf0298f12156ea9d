"""TLS, logins and rights against a broker that wants them: options reach every client, secrets never reach a log."""

from __future__ import annotations

import logging
from collections.abc import Callable
from importlib import import_module
from typing import Any

import pytest

from tests.broker.secure import USERS, SecureBroker
from tests.transports.conformance import World, publish, sends, values
from worker.transports import CLIENTS, open_transport
from worker.transports.base import TopicPartition, TopicSpec, Transport
from worker.transports.errors import Fatal, Retriable, TransportError
from worker.transports.kafka_python import KafkaPythonTransport

pytestmark = pytest.mark.broker

Open = Callable[..., Transport]
LIMIT_SECONDS = 60.0


def options(client: str, broker: SecureBroker, user: str, secret: str | None = None) -> dict[str, Any]:
    """Those of the user, and little patience."""
    impatient = "bootstrap_timeout_ms" if client == "kafka-python" else "socket.connection.setup.timeout.ms"
    return {**broker.options(client, user, secret), impatient: "2000" if client == "kafka-python" else "1000"}


@pytest.fixture(params=CLIENTS)
def client(request: pytest.FixtureRequest) -> str:
    if request.param == "confluent-kafka":
        pytest.importorskip("confluent_kafka", reason="confluent-kafka is an extra")
    return str(request.param)


def test_a_whole_transaction_with_tls_and_a_login(secure_broker: SecureBroker, client: str) -> None:
    settings = options(client, secure_broker, "admin")
    world = World(lambda: open_transport(f"kafka://{secure_broker.address}", client, settings), LIMIT_SECONDS)
    try:
        topic = world.topic()
        publish(world.producer(), sends(topic, 3))
        group = world.name("group")
        consumer = world.consumer(group, topic, "one")
        world.until(lambda: consumer.poll(50, 10), lambda: bool(consumer.assignment()), "the assignment")
        assert len(values(world.read_all([TopicPartition(topic, 0)]))) == 3
        consumer.leave()
    finally:
        world.close()


@pytest.mark.parametrize("what", ["topic", "transactional id", "group"])
def test_missing_rights_are_fatal_with_a_remedy(secure_broker: SecureBroker, client: str, what: str) -> None:
    guest = open_transport(f"kafka://{secure_broker.address}", client, options(client, secure_broker, "guest"))
    calls: dict[str, Callable[[], object]] = {
        "topic": lambda: guest.admin().create(TopicSpec("not-allowed", 1)),
        "transactional id": lambda: guest.producer("not-allowed"),
        "group": lambda: guest.consumer("not-allowed", ["topic"], None),
    }
    with pytest.raises(Fatal) as caught:
        calls[what]()
    assert "give this user" in caught.value.remedy
    assert what in caught.value.remedy
    assert len(str(caught.value)) < 300, "a line, not a request"


def test_a_topic_one_may_not_see_is_not_taken_for_missing(secure_broker: SecureBroker, client: str) -> None:
    """Else the worker would try to make it."""
    address = f"kafka://{secure_broker.address}"
    name = f"hidden-from-{client}"
    open_transport(address, client, options(client, secure_broker, "admin")).admin().create(TopicSpec(name, 1))
    guest = open_transport(address, client, options(client, secure_broker, "guest")).admin()
    with pytest.raises(Fatal):
        guest.partitions(name)


def test_a_wrong_secret_is_fatal_and_never_shown(
    secure_broker: SecureBroker, client: str, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    wrong = "wr0ng-s3cret"
    with caplog.at_level(logging.DEBUG):
        transport = open_transport(
            f"kafka://{secure_broker.address}", client, options(client, secure_broker, "admin", wrong)
        )
        # The broker says why and closes; over TLS the close may overtake what it said, and then it looks like absence.
        with pytest.raises((Fatal, Retriable)) as caught:
            transport.admin()
    assert isinstance(caught.value, TransportError)
    assert "sasl" in caught.value.remedy
    written = capfd.readouterr()
    for place in (repr(transport), str(caught.value), caught.value.remedy, caplog.text, written.out, written.err):
        assert wrong not in place


def test_a_login_that_works_is_never_logged_either(
    secure_broker: SecureBroker, client: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        open_transport(
            f"kafka://{secure_broker.address}", client, options(client, secure_broker, "admin")
        ).admin().partitions("any")
    assert USERS["admin"] not in caplog.text


def test_a_certificate_nobody_knows_is_fatal(secure_broker: SecureBroker, client: str) -> None:
    settings = options(client, secure_broker, "admin")
    del settings["ssl_cafile" if client == "kafka-python" else "ssl.ca.location"]
    with pytest.raises(Fatal) as caught:
        open_transport(f"kafka://{secure_broker.address}", client, settings).admin()
    assert "ssl" in caught.value.remedy


def test_coming_without_tls_says_what_to_look_at(secure_broker: SecureBroker, client: str) -> None:
    transport: Transport
    if client == "kafka-python":
        transport = KafkaPythonTransport(f"kafka://{secure_broker.address}", {"bootstrap_timeout_ms": 1000})
    else:
        transport = import_module("worker.transports.confluent").ConfluentTransport(
            f"kafka://{secure_broker.address}", connect_seconds=1.0
        )
    with pytest.raises((Retriable, Fatal)) as caught:
        transport.admin()
    assert isinstance(caught.value, TransportError)
    assert "security" in caught.value.remedy
