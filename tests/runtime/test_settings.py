"""Settings: from flags, environment and file under the same names; checked once, frozen, secrets unseen."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from worker.runtime.errors import SettingsError
from worker.runtime.settings import Settings, load

FLAGS: dict[str, Any] = {"lifecycle": "10ex", "broker": "kafka://localhost:9092"}


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("LIFECYCLE_")]:
        monkeypatch.delenv(name)


def written(folder: Path, text: str) -> Path:
    path = folder / "worker.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_flags_come_before_the_environment_and_that_before_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path, 'input_topic = "file"\noutput_topic = "file"\ndead_letter_topic = "file"\n')
    monkeypatch.setenv("LIFECYCLE_INPUT_TOPIC", "environment")
    monkeypatch.setenv("LIFECYCLE_OUTPUT_TOPIC", "environment")
    settings = load({**FLAGS, "input_topic": "flag", "output_topic": None}, path)
    assert (settings.input_topic, settings.output_topic, settings.dead_letter_topic) == ("flag", "environment", "file")


def test_the_environment_may_name_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, 'lifecycle = "mops"\nbroker = "embedded:log"\n')
    monkeypatch.setenv("LIFECYCLE_CONFIG", str(path))
    assert load({}).lifecycle == "mops"


def test_every_setting_has_a_default_but_lifecycle_and_broker() -> None:
    settings = load(FLAGS)
    assert settings.group == "lifecycle-10ex"
    assert settings.state_dir == Path("lifecycle-state/lifecycle-10ex")
    assert settings.instance_id
    assert settings.transactional_id == f"lifecycle-10ex-{settings.instance_id}"
    assert settings.transaction_timeout_ms == 10_000


def test_a_definition_given_as_a_path_names_the_group() -> None:
    assert load({**FLAGS, "lifecycle": "mine/our-own.yaml"}).group == "lifecycle-our-own"


@pytest.mark.parametrize(
    ("flags", "setting", "match"),
    [
        ({"broker": None}, "broker", "--broker, LIFECYCLE_BROKER, or broker in the TOML file"),
        ({"broker": "localhost:9092"}, "broker", "kafka://host:port"),
        ({"broker": "kafka://"}, "broker", "kafka://host:port"),
        ({"broker": "embedded:"}, "broker", "embedded:FILE"),
        ({"batch_records": 0}, "batch_records", "greater than 0"),
        ({"batch_records": "many"}, "batch_records", "valid integer"),
        ({"client": "librdkafka"}, "client", "'kafka-python' or 'confluent-kafka'"),
        ({"input_topic": "a topic"}, "input_topic", "letters, digits"),
        ({"group": "a/b"}, "group", "letters, digits"),
        ({"instance_id": "a b"}, "instance_id", "letters, digits"),
        ({"output_topic": "engagement"}, "output_topic", "used for two things"),
        ({"group": "g", "output_topic": "g-changelog"}, "output_topic", "used for two things"),
        ({"partitioner": "murmur"}, "partitioner", "did you mean 'murmur2'"),
        ({"stop_timeout_ms": 5_000}, "stop_timeout_ms", "not be below transaction_timeout_ms"),
        ({"backoff_ms": 50_000}, "backoff_ms_max", "not be below backoff_ms"),
        ({"batch_recods": 5}, "batch_recods", "did you mean 'batch_records'"),
    ],
)
def test_an_error_names_the_setting(flags: dict[str, Any], setting: str, match: str) -> None:
    with pytest.raises(SettingsError, match=match) as raised:
        load({**FLAGS, **flags})
    assert raised.value.setting == setting


def test_an_unknown_name_in_the_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="did you mean 'input_topic'"):
        load(FLAGS, written(tmp_path, 'input_topics = "a"\n'))


def test_a_file_that_is_no_toml_or_isn_t_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="is no TOML"):
        load(FLAGS, written(tmp_path, "input_topic: a\n"))
    with pytest.raises(SettingsError, match="there is no file"):
        load(FLAGS, tmp_path / "missing.toml")


def test_a_slip_in_a_variable_s_name_is_refused_and_what_kubernetes_makes_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LIFECYCLE_WORKER_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("LIFECYCLE_PORT", "tcp://10.0.0.1:80")
    load(FLAGS)
    monkeypatch.setenv("LIFECYCLE_INPUT_TOPC", "a")
    with pytest.raises(SettingsError, match=r"LIFECYCLE_INPUT_TOPC.*did you mean 'input_topic'"):
        load(FLAGS)


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        load(FLAGS).input_topic = "other"  # type: ignore[misc]


# ---------------------------------------------------------------------------------------------------- the client's


def test_the_kafka_table_goes_to_the_client_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, '[kafka]\nrequest_timeout_ms = 5000\nsasl_mechanism = "PLAIN"\n"linger.ms" = 5\n')
    monkeypatch.setenv("LIFECYCLE_KAFKA__SASL_MECHANISM", "SCRAM-SHA-256")
    monkeypatch.setenv("LIFECYCLE_KAFKA__SECURITY_PROTOCOL", "SASL_SSL")
    assert load(FLAGS, path).kafka_options() == {
        "request_timeout_ms": 5000,
        "linger.ms": 5,
        "sasl_mechanism": "SCRAM-SHA-256",
        "security_protocol": "SASL_SSL",
    }


@pytest.mark.parametrize("name", ["sasl_plain_password", "sasl.password", "ssl_password", "ssl.key.password"])
def test_a_secret_is_never_shown(tmp_path: Path, name: str) -> None:
    settings = load(FLAGS, written(tmp_path, f'[kafka]\n"{name}" = "hunter2"\n'))
    assert settings.kafka_options() == {name: "hunter2"}
    for shown in (repr(settings), str(settings), repr(settings.kafka), repr(settings.model_dump())):
        assert "hunter2" not in shown


def test_a_secret_may_come_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("hunter2\n", encoding="utf-8")
    path = written(tmp_path, f'[kafka]\nsasl_plain_password_file = "{tmp_path}/password"\nssl_cafile = "ca.pem"\n')
    assert load(FLAGS, path).kafka_options() == {"sasl_plain_password": "hunter2", "ssl_cafile": "ca.pem"}


def test_a_secret_s_file_that_can_t_be_read_is_named(tmp_path: Path) -> None:
    path = written(tmp_path, f'[kafka]\nsasl_plain_password_file = "{tmp_path}/none"\n')
    with pytest.raises(SettingsError, match=r"sasl_plain_password_file: .*none can't be read"):
        load(FLAGS, path)


def test_an_error_never_quotes_a_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIFECYCLE_LOG_LEVEL", "hunter2")
    with pytest.raises(SettingsError) as raised:
        load(FLAGS)
    assert "hunter2" not in str(raised.value)


def test_the_largest_request_is_the_client_s_setting(tmp_path: Path) -> None:
    assert load(FLAGS).request_bytes_max is None
    assert load(FLAGS, written(tmp_path, "[kafka]\nmax_request_size = 5\n")).request_bytes_max == 5
    assert load(FLAGS, written(tmp_path, '[kafka]\n"message.max.bytes" = 6\n')).request_bytes_max == 6


@pytest.mark.parametrize("broker", ["kafka://a:1", "kafka://a:1,b:2", "kafka://a", "kafka://[::1]:9092", "embedded:x"])
def test_addresses_of_brokers(broker: str) -> None:
    assert load({**FLAGS, "broker": broker}).broker == broker


def test_the_kind_of_client_is_what_a_group_must_share() -> None:
    assert load(FLAGS).client_kind == "kafka-python"
    assert load({**FLAGS, "broker": "embedded:x"}).client_kind == "embedded"


def test_every_setting_is_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIFECYCLE_BATCH_RECORDS", "77")
    monkeypatch.setenv("LIFECYCLE_LEAVE", "true")
    settings = load(FLAGS)
    assert (settings.batch_records, settings.leave) == (77, True)
    assert all(name == name.lower() for name in Settings.model_fields)


def test_a_partitioner_may_be_named_as_librdkafka_names_it() -> None:
    assert load({**FLAGS, "partitioner": "consistent_random"}).partitioner == "crc32"
