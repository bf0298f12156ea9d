"""Fixtures: `broker` and `secure_broker`, shared by a whole run, and those that tests may stop, hang or kill.

Without Java or Maven these tests are skipped, with what is missing as the reason. Where CI=true they fail instead:
there, a missing broker is a fault of the machine that nobody would read about otherwise.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import NoReturn, TypeVar

import pytest

from tests.broker.kafka import Broker, NoBroker
from tests.broker.proxy import Proxy
from tests.broker.secure import SecureBroker

Started = TypeVar("Started", bound=Broker)


def begin(broker: Started) -> Started:
    try:
        broker.start()
    except NoBroker as missing:
        broker.close()
        missing_broker(missing)
    except BaseException:
        broker.close()
        raise
    return broker


def missing_broker(missing: NoBroker) -> NoReturn:
    if os.environ.get("CI") == "true":
        pytest.fail(f"this test needs a Kafka broker: {missing}", pytrace=False)
    pytest.skip(f"needs a Kafka broker: {missing}")


@pytest.fixture(scope="session")
def broker_address() -> Iterator[str]:
    """`host:port,…` of the run's broker. Tests must not rely on its topics, groups or ids being new."""
    outside = os.environ.get("KAFKA_BOOTSTRAP_SERVERS")
    if outside:
        yield outside
        return
    broker = begin(Broker())
    try:
        yield broker.address
    finally:
        broker.close()


@pytest.fixture
def broker(request: pytest.FixtureRequest, broker_address: str) -> str:
    """The run's broker, by its address. The mark `broker` keeps all its tests in one process, so that one is enough."""
    assert request.node.get_closest_marker("broker"), "a test that uses the broker is marked `broker`"
    shared = "PYTEST_XDIST_WORKER" not in os.environ or request.node.nodeid.endswith("@broker")
    assert shared, "the processes of this run each start a broker: run it with --dist loadgroup"
    return broker_address


@pytest.fixture
def own_broker(request: pytest.FixtureRequest) -> Iterator[Broker]:
    """A broker for this test alone, started; it is always one of our own."""
    assert request.node.get_closest_marker("broker"), "a test that uses a broker is marked `broker`"
    broker = begin(Broker())
    try:
        yield broker
    finally:
        broker.close()


@pytest.fixture(scope="module")
def proxy() -> Iterator[Proxy]:
    """Before `module_broker`, for those who connect to its address."""
    with Proxy() as proxy:
        yield proxy


@pytest.fixture(scope="module")
def module_broker(proxy: Proxy) -> Iterator[Broker]:
    """A broker for the tests of one module, which may stop, hang or kill it and leave it running."""
    broker = begin(Broker(properties=proxy.properties))
    try:
        yield broker
    finally:
        broker.close()


@pytest.fixture(scope="session")
def secure_broker() -> Iterator[SecureBroker]:
    """The run's broker with TLS, logins and rights. Names are to be new: what was granted on them stays granted."""
    try:
        broker = SecureBroker()
    except NoBroker as missing:
        missing_broker(missing)
    begin(broker)
    try:
        yield broker
    finally:
        broker.close()
