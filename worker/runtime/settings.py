"""Everything that can be set, checked once and frozen.

Flags come before `LIFECYCLE_…` environment variables, those before the TOML file; the names are the same in all
three (`--input-topic`, `LIFECYCLE_INPUT_TOPIC`, `input_topic`). The `[kafka]` table goes to the client as it is; in
the environment its keys follow two underscores (`LIFECYCLE_KAFKA__SASL_MECHANISM`). A key that ends in `_file` holds
the path of a file whose text is the value (`sasl_plain_password_file`), which is how secrets are mounted.
"""

from __future__ import annotations

import os
import re
import socket
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)
from pydantic_settings import SettingsError as SettingsSourceError

from worker.definition.nearest import near_miss, nearest, suggestion
from worker.runtime.address import read_address
from worker.runtime.errors import SettingsError
from worker.runtime.inputs import Input, read_inputs
from worker.transports.partitioner import ALIASES, HASHES

PREFIX = "LIFECYCLE_"
CONFIG = "config"  # names the TOML file; a flag and LIFECYCLE_CONFIG, not itself a setting in that file
NAME = re.compile(r"[A-Za-z0-9._-]{1,200}")  # what Kafka takes as a topic; our suffixes need the rest of its 249
HOST = r"[^:/]+(:\d{1,5})?/?|\[[0-9a-fA-F:]+\](:\d{1,5})?/?"
SECRET = re.compile(r"password|secret|token|jaas|oauth.*config|basic\.auth|ssl[._]key(?!.*(file|location))", re.I)
SECRET_FILE_BYTES_MAX = 65_536

Milliseconds = Annotated[int, Field(gt=0, le=366 * 86_400_000)]
Count = Annotated[int, Field(gt=0, le=10_000_000)]
Bytes = Annotated[int, Field(ge=1_024, le=1 << 40)]


class Settings(BaseSettings):
    """One worker's settings. Units are in the names; every limit is a bound on something that would grow else."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,
        str_strip_whitespace=True,
    )

    # What is run, and where
    lifecycle: str = Field(min_length=1, description="name of a shipped lifecycle, or path of a definition")
    broker: str = Field(description="kafka://host:port,… or embedded:FILE")
    group: str = Field(default="", description="consumer group; by default lifecycle-NAME")
    instance_id: str = Field(default="", description="this worker's place in the group; by default the host's name")
    client: Literal["kafka-python", "confluent-kafka"] = "kafka-python"
    state_dir: Path = Field(default=Path(), description="folder of the local store; by default lifecycle-state/GROUP")
    leave: bool = Field(default=False, description="give the place in the group up at the end")

    # Topics
    input_topic: str = "engagement"
    input: Annotated[tuple[Input, ...], NoDecode] = Field(
        default=(), description="another topic to read, with the mapping that makes events of its records"
    )
    output_topic: str = "lifecycle"
    dead_letter_topic: str = "lifecycle-dead-letters"
    contacts_topic: str | None = None
    partitions: int = Field(default=6, gt=0, le=10_000, description="of an input topic that has to be made")
    replication: int | None = Field(default=None, gt=0, le=100, description="of topics made; by default the broker's")
    output_retention_ms: Annotated[int, Field(ge=-1)] = 30 * 86_400_000
    dead_letter_retention_ms: Annotated[int, Field(ge=-1)] = 30 * 86_400_000
    partitioner: str = Field(default="murmur2", description="how the input topic's keys were partitioned")
    rekey: bool = Field(default=False, description="send records with a wrong key through a topic keyed by subject")

    # The fold
    too_late: Literal["dead-letter", "apply-now"] = "dead-letter"
    on_new_definition: Literal["refuse", "keep"] = "refuse"
    require_signed: bool = Field(default=False, description="refuse a definition that not everyone has signed as it is")
    publish_from: str | None = Field(default=None, description="nothing from before this time is published")
    contact_key: SecretStr | None = Field(
        default=None,
        description="keys the digests that stand for contact ids in state and changelog; never to change for a group",
    )

    # Limits of a batch, which is one transaction
    batch_records: Count = 20_000
    batch_bytes: Bytes = 16 << 20
    batch_output_bytes: Bytes = 48 << 20
    batch_time_ms: Milliseconds = Field(default=2_000, description="a batch that took longer makes the next smaller")
    batch_wait_ms: int = Field(default=5, ge=0, le=10_000, description="how long a batch waits to grow")
    timer_keys: Count = Field(default=2_000, description="contacts whose timers fire in one transaction")
    restore_records: Count = Field(default=10_000, description="read at a time when the changelog is restored")

    # Times
    poll_ms: Milliseconds = Field(default=100, description="how long an idle worker waits for records")
    transaction_timeout_ms: Milliseconds = Field(default=10_000, description="after it the broker ends a transaction")
    stop_timeout_ms: Milliseconds = Field(default=20_000, description="for the batch in hand when told to stop")
    startup_timeout_ms: Milliseconds = Field(default=30_000, description="for the broker's first answer")
    backoff_ms: Milliseconds = 100
    backoff_ms_max: Milliseconds = 10_000
    clock_interval_ms: Milliseconds = Field(default=1_000, description="between two looks at the partitions' ends")
    purge_interval_ms: Milliseconds = Field(default=60_000, description="between purges of the internal topic")
    mark_interval_ms: Milliseconds = Field(default=60_000, description="between marks of the store's age")
    scrub_interval_ms: Milliseconds = Field(
        default=86_400_000, description="between rewritings of the store, which leave no bytes of what was erased"
    )
    assignment_interval_ms: Milliseconds = Field(
        default=30_000, description="between two looks for partitions that nobody was given"
    )
    refresh_interval_ms: Milliseconds = Field(default=3_600_000, description="an idle partition's offset is kept alive")
    fenced_max: Count = Field(default=10, description="fencings within a minute that end the worker")

    # What it serves
    http: str | None = Field(
        default=None, description="HOST:PORT for health, figures and contacts; a PORT alone is this machine's only"
    )
    http_stall_ms: Milliseconds = Field(default=120_000, description="a loop that hasn't turned for so long is stuck")
    http_frozen_ms: Milliseconds = Field(
        default=60_000, description="a partition behind that hasn't moved for so long is frozen"
    )

    # The rest
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["auto", "console", "json"] = "auto"
    log_key: SecretStr | None = Field(default=None, description="makes the contact hashes in logs the same everywhere")
    kafka: dict[str, Any] = Field(
        default_factory=dict, repr=False, description="options of the client, as it names them"
    )

    @field_validator("broker")
    @classmethod
    def _broker(cls, value: str) -> str:
        scheme, _, rest = value.partition(":")
        if scheme == "embedded" and rest:
            return value
        hosts = rest.removeprefix("//").split(",")
        if (
            scheme == "kafka"
            and rest.startswith("//")
            and all(re.fullmatch(r".+?(:\d{1,5})?/?", host) for host in hosts)
        ):
            return value
        raise ValueError("expected kafka://host:port,… or embedded:FILE")

    @field_validator("input_topic", "output_topic", "dead_letter_topic", "contacts_topic")
    @classmethod
    def _topic(cls, value: str | None) -> str | None:
        if value is not None and not NAME.fullmatch(value):
            raise ValueError("a topic is 1 to 200 letters, digits, '.', '_' or '-'")
        return value

    @field_validator("http")
    @classmethod
    def _http(cls, value: str | None) -> str | None:
        return None if value is None else str(read_address(value))

    @field_validator("input", mode="before")
    @classmethod
    def _input(cls, value: Any) -> tuple[Input, ...]:
        return read_inputs(value)

    @field_validator("partitioner")
    @classmethod
    def _partitioner(cls, value: str) -> str:
        found = ALIASES.get(value, value)
        if found not in HASHES:
            raise ValueError(f"expected one of {', '.join(sorted(HASHES))}{suggestion(nearest(value, HASHES))}")
        return found

    @field_validator("kafka")
    @classmethod
    def _kafka(cls, table: dict[str, Any]) -> dict[str, Any]:
        return {
            name.removesuffix("_file") if _is_secret_file(name) else name: _option(name, value)
            for name, value in table.items()
        }

    @model_validator(mode="before")
    @classmethod
    def _derived(cls, values: Any) -> Any:
        """Defaults that follow from other settings."""
        if isinstance(values, dict):
            values = dict(values)
            if not values.get("group"):
                stem = Path(str(values.get("lifecycle", ""))).name.removesuffix(".yaml").removesuffix(".yml")
                values["group"] = f"lifecycle-{stem}"
            if not values.get("instance_id"):
                values["instance_id"] = socket.gethostname()
            if not values.get("state_dir"):
                values["state_dir"] = Path("lifecycle-state") / str(values["group"])
        return values

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for name in ("group", "instance_id"):
            if not NAME.fullmatch(getattr(self, name)):
                raise ValueError(f"{name}: 1 to 200 letters, digits, '.', '_' or '-'")
        if self.stop_timeout_ms < self.transaction_timeout_ms:
            raise ValueError(
                "stop_timeout_ms: must not be below transaction_timeout_ms, or a stop would cut a batch in two"
            )
        if self.backoff_ms_max < self.backoff_ms:
            raise ValueError("backoff_ms_max: must not be below backoff_ms")
        topics = [self.input_topic, self.output_topic, self.dead_letter_topic, self.contacts_topic]
        topics += [f"{self.group}-changelog", f"{self.group}-internal"]
        topics += self.feed_topics
        named = [topic for topic in topics if topic is not None]
        for topic in named:
            if named.count(topic) > 1:
                raise ValueError(f"output_topic: topic {topic} would be used for two things")
        return self

    @property
    def feed_topics(self) -> tuple[str, ...]:
        """The topics of `input`, each once."""
        return tuple(dict.fromkeys(each.topic for each in self.input))

    @property
    def transactional_id(self) -> str:
        """Of group and instance, so that a restarted worker ends what it left open, wherever its state folder is."""
        return f"{self.group}-{self.instance_id}"

    @property
    def client_kind(self) -> str:
        """What all workers of the group must share: the client, or `embedded`."""
        return self.client if self.broker.startswith("kafka:") else "embedded"

    @property
    def request_bytes_max(self) -> int | None:
        """The largest record the client takes, where the `[kafka]` table sets it."""
        for name in ("max_request_size", "message.max.bytes"):
            if name in self.kafka:
                return int(self.kafka[name])
        return None

    def kafka_options(self) -> dict[str, Any]:
        """The `[kafka]` table for the client, secrets in the clear: never to be logged."""
        return {
            name: value.get_secret_value() if isinstance(value, SecretStr) else value
            for name, value in self.kafka.items()
        }


def load(flags: Mapping[str, Any], config: Path | None = None) -> Settings:
    """The settings from flags (None: not given), the process's environment and the TOML file.

    Raises `SettingsError` that names the setting, for one that is missing, unknown or can't be.
    """
    _misspelt(os.environ)
    given = os.environ.get(PREFIX + CONFIG.upper())
    path = config or (Path(given) if given else None)
    if path is not None and not path.is_file():
        raise SettingsError(CONFIG, f"there is no file {path}")

    class Loaded(Settings):
        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,
            file_secret_settings: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            sources = (init_settings, env_settings)
            return sources if path is None else (*sources, TomlConfigSettingsSource(settings_cls, path))

    try:
        return Loaded(**{name: value for name, value in flags.items() if value is not None and value != ()})
    except ValidationError as error:
        raise _explained(error) from None
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(CONFIG, f"{path} is no TOML: {error}") from None
    except SettingsSourceError as error:
        raise SettingsError(CONFIG, str(error)) from None


def _is_secret_file(name: str) -> bool:
    return name.endswith("_file") and SECRET.search(name.removesuffix("_file")) is not None


def _option(name: str, value: Any) -> Any:
    """An option's value: a secret is wrapped, so that it can't be printed by accident; one in a file is read."""
    if isinstance(value, SecretStr) or SECRET.search(name) is None:
        return value
    if not _is_secret_file(name):
        return SecretStr(str(value))
    path = Path(str(value))
    try:
        with path.open("rb") as file:
            text = file.read(SECRET_FILE_BYTES_MAX + 1)
        if len(text) > SECRET_FILE_BYTES_MAX:
            raise ValueError(f"{name}: {path} is too long for a secret")
        return SecretStr(text.decode().rstrip("\r\n"))
    except OSError as error:
        raise ValueError(f"{name}: {path} can't be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise ValueError(f"{name}: {path} is not UTF-8 text") from None


def _misspelt(environment: Mapping[str, str]) -> None:
    """Refuse a variable that misses a setting's name by a slip.

    Others that begin alike are let be: Kubernetes makes LIFECYCLE_WORKER_SERVICE_HOST and its like of a service's name.
    """
    known = {*Settings.model_fields, CONFIG}
    for variable in environment:
        name = variable.removeprefix(PREFIX).lower().partition("__")[0]
        if variable.startswith(PREFIX) and name not in known:
            meant = near_miss(name, known)
            if meant is not None:
                raise SettingsError(name, f"unknown (from the environment, {variable}){suggestion(meant)}")


def _explained(error: ValidationError) -> SettingsError:
    """All faults in one error, by the names of the first; never with the values, which may be secret."""
    faults = [_fault(details["loc"], details["type"], details["msg"]) for details in error.errors(include_input=False)]
    first, message = faults[0]
    rest = "".join(f"; {name}: {text}" for name, text in faults[1:])
    return SettingsError(first, message + rest)


def _fault(place: tuple[int | str, ...], kind: str, message: str) -> tuple[str, str]:
    name = ".".join(str(part) for part in place)
    text = message.removeprefix("Value error, ")
    if kind == "extra_forbidden":
        return name, f"unknown{suggestion(nearest(name, Settings.model_fields))}"
    if kind == "missing":
        flag = "--" + name.replace("_", "-")
        return name, f"is needed: {flag}, {PREFIX}{name.upper()}, or {name} in the TOML file"
    if not name:  # a check over several settings, or of the table, names its setting itself
        name, _, text = text.partition(": ")
    return name, text
