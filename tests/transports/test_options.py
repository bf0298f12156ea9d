"""Which log is opened and by what: addresses, clients, options, and what an installation must have."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import kafka
import pytest
from kafka import KafkaConsumer, KafkaProducer
from kafka.record import util as checksums

from worker.transports import CLIENTS, open_transport
from worker.transports.errors import Fatal
from worker.transports.kafka_python import JOINING, KEPT, READING, WRITING, KafkaPythonTransport
from worker.transports.options import servers, typed

SECRET = "s3cret"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("kafka://one:9092", "one:9092"),
        ("kafka://one", "one:9092"),
        ("kafka://one:1, two:2/", "one:1,two:2"),
    ],
)
def test_an_address_names_its_brokers(url: str, expected: str) -> None:
    assert servers(url) == expected


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("name", ["isolation", "offsets", "reset", "group", "id"])
def test_what_a_promise_depends_on_can_t_be_set(client: str, name: str) -> None:
    names = {
        "isolation": ("isolation_level", "isolation.level"),
        "offsets": ("enable_auto_commit", "enable.auto.commit"),
        "reset": ("auto_offset_reset", "auto.offset.reset"),
        "group": ("group_id", "group.id"),
        "id": ("transactional_id", "transactional.id"),
    }[name]
    option = names[CLIENTS.index(client)]
    with pytest.raises(Fatal) as caught:
        open_transport("kafka://here", client, {option: SECRET})
    assert option in str(caught.value)
    assert SECRET not in str(caught.value) + caught.value.remedy


def test_an_unknown_option_is_answered_with_the_nearest() -> None:
    with pytest.raises(Fatal) as caught:
        open_transport("kafka://here", "kafka-python", {"sasl_plain_pasword": SECRET})
    assert "sasl_plain_password" in caught.value.remedy
    assert SECRET not in str(caught.value) + caught.value.remedy


def test_an_unknown_option_of_librdkafka_is_named_by_it() -> None:
    pytest.importorskip("confluent_kafka", reason="confluent-kafka is an extra")
    transport = open_transport("kafka://here", "confluent-kafka", {"sasl.pasword": SECRET})
    with pytest.raises(Fatal) as caught:
        transport.admin()
    assert "sasl.pasword" in str(caught.value)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("client", CLIENTS)
def test_secrets_are_not_in_what_a_transport_shows_of_itself(client: str) -> None:
    if client == "confluent-kafka":
        pytest.importorskip("confluent_kafka", reason="confluent-kafka is an extra")
    option = ("sasl_plain_password", "sasl.password")[CLIENTS.index(client)]
    assert SECRET not in repr(open_transport("kafka://here", client, {option: SECRET}))


@pytest.mark.parametrize(
    ("text", "like", "value"),
    [
        ("5000", 1, 5000),
        ("true", False, True),
        ("False", True, False),
        ("0.5", 1.0, 0.5),
        ("plain", "text", "plain"),
        ("anything", None, "anything"),
        ("many", 1, "many"),
        (7, 1, 7),
    ],
)
def test_values_from_the_environment_get_the_type_the_client_wants(text: Any, like: Any, value: Any) -> None:
    assert typed(text, like) == value
    assert type(typed(text, like)) is type(value)


def test_an_unknown_client_names_those_there_are() -> None:
    with pytest.raises(Fatal) as caught:
        open_transport("kafka://here", "pykafka")
    assert all(name in caught.value.remedy for name in CLIENTS)


def test_a_client_that_is_not_installed_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worker.transports.find_spec", lambda _: None)
    with pytest.raises(Fatal) as caught:
        open_transport("kafka://here", "confluent-kafka")
    assert "lifecycle-worker[confluent]" in caught.value.remedy


def test_the_embedded_log_is_opened_by_its_file(tmp_path: Path) -> None:
    transport = open_transport(f"embedded:{tmp_path / 'log'}")
    transport.close()
    with pytest.raises(Fatal):
        open_transport("embedded:")


def test_without_the_c_checksum_it_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fact 1: consuming is six times slower without it, and nothing else would say so."""
    monkeypatch.setattr(checksums, "crc32c_c", None)
    with pytest.raises(Fatal) as caught:
        KafkaPythonTransport("kafka://here")
    assert "kafka-python[crc32c]" in caught.value.remedy


@pytest.mark.parametrize("version", ["2.2.15", "3.0.11", "3.0"])
def test_an_older_release_is_refused(monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    monkeypatch.setattr(kafka, "__version__", version)
    with pytest.raises(Fatal):
        KafkaPythonTransport("kafka://here")


@pytest.mark.parametrize("settings", [READING, JOINING])
def test_every_consumer_reads_committed_and_commits_nothing_itself(settings: Mapping[str, Any]) -> None:
    assert settings["isolation_level"] == "read_committed"
    assert settings["enable_auto_commit"] is False
    assert settings["auto_offset_reset"] == "none"
    assert settings.keys() <= KafkaConsumer.DEFAULT_CONFIG.keys()


def test_a_record_fails_before_its_transaction_and_a_transaction_soon_after_its_worker() -> None:
    settings: Mapping[str, Any] = WRITING
    times = [settings[f"{name}_timeout_ms"] for name in ("request", "delivery", "transaction")]
    assert times == sorted(times)
    assert times[2] == 10_000
    assert settings["retry_backoff_ms"] <= 10, "fact 7: what a small transaction waits for"
    assert settings["max_request_size"] > 1 << 20, "fact 7: a megabyte is the library's"
    assert settings.keys() <= KafkaProducer.DEFAULT_CONFIG.keys()


def test_the_options_that_are_kept_are_options() -> None:
    assert KEPT.keys() <= KafkaConsumer.DEFAULT_CONFIG.keys() | KafkaProducer.DEFAULT_CONFIG.keys()
