"""The systems that are run: what is installed for each, its command, and how its published changes are told."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import venv
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Final

import msgspec

from tests.broker.kafka import CACHE, java, locked

HERE: Final = Path(__file__).resolve().parent
PEER: Final = str(HERE / "peer.yaml")
COMMIT_MS: Final = 1_000
QUIX: Final = "3.28.1"
STREAMS: Final = "4.1.1"
INSTALL_SECONDS: Final = 900
STREAMS_POM: Final = f"""<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>benchmarks</groupId><artifactId>streams</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka-streams</artifactId><version>{STREAMS}</version></dependency>
    <dependency><groupId>com.fasterxml.jackson.core</groupId><artifactId>jackson-databind</artifactId><version>2.19.0</version></dependency>
  </dependencies>
</project>
"""


class Missing(Exception):
    """What a system needs can't be had on this machine."""


@dataclass(frozen=True)
class Place:
    """Where a run takes place: nothing of it is shared with another one."""

    address: str
    group: str
    input: str
    output: str
    folder: Path


@dataclass(frozen=True)
class System:
    """`begins` is in the line that it writes when its first record is at hand, or about to be read."""

    name: str
    command: Callable[[Place], list[str]]
    begins: str
    is_change: Callable[[bytes], bool] = lambda value: True
    environment: Mapping[str, str] = field(default_factory=dict)


def lifecycle_command() -> str:
    """The project's command, of the environment that this runs in."""
    return str(Path(sys.executable).with_name("lifecycle"))


def worker(client: str = "kafka-python", lifecycle: str = PEER, options: tuple[str, ...] = ()) -> System:
    """This worker, with its defaults. It is timed from where it begins to fetch: the first record comes after."""

    def command(place: Place) -> list[str]:
        return [
            lifecycle_command(), "run", "--lifecycle", lifecycle, "--broker", f"kafka://{place.address}",
            "--client", client, "--group", place.group, "--instance-id", "one", "--input-topic", place.input,
            "--output-topic", place.output, "--dead-letter-topic", f"{place.group}-dead",
            "--state-dir", str(place.folder / "state"), "--log-format", "json", *options,
        ]  # fmt: skip

    return System(f"worker, {client}", command, '"restored"', _is_move)


class _Data(msgspec.Struct):
    direction: str = ""


class _Change(msgspec.Struct):
    type: str
    data: _Data


_read_change: Final = msgspec.json.Decoder(_Change).decode


def _is_move(value: bytes) -> bool:
    """A stage change; but entering the first stage, which the other systems don't publish, is none."""
    change = _read_change(value)
    return change.type == "lifecycle.stage.changed.v1" and change.data.direction != "initial"


def quix() -> System:
    python = _quix_python()

    def command(place: Place) -> list[str]:
        arguments = [place.address, place.group, place.input, place.output, str(place.folder), str(COMMIT_MS / 1000)]
        return [str(python), str(HERE / "peers" / "quix.py"), *arguments]

    return System(f"Quix Streams {QUIX}, exactly-once", command, "first record")


def streams(threads: int = 1) -> System:
    classes = _streams_classes()

    def command(place: Place) -> list[str]:
        arguments = [place.address, place.group, place.input, place.output, str(place.folder), str(COMMIT_MS)]
        path = f"{classes}:{classes}/libs/*"
        return [java(), "-Xmx1g", "-cp", path, "StreamsPeer", *arguments, str(threads)]

    return System(f"Kafka Streams {STREAMS}, exactly_once_v2", command, "first record")


@cache
def _quix_python() -> Path:
    """The interpreter of an environment with Quix Streams, made if this is the first time. Raises `Missing`."""
    folder = CACHE / f"quixstreams-{QUIX}"
    with locked(CACHE / f"quixstreams-{QUIX}.lock"):
        if not (folder / ".ready").exists():
            shutil.rmtree(folder, ignore_errors=True)
            venv.create(folder, with_pip=True)
            _run([str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", f"quixstreams=={QUIX}"])
            (folder / ".ready").touch()
    return folder / "bin" / "python"


@cache
def _streams_classes() -> Path:
    """The folder with the compiled peer and its jars under `libs`. Raises `Missing`."""
    source = HERE / "peers" / "StreamsPeer.java"
    folder = CACHE / f"kafka-streams-{STREAMS}"
    maven, compiler = shutil.which("mvn"), shutil.which("javac")
    if maven is None or compiler is None:
        raise Missing("Kafka Streams needs Maven and a Java compiler")
    with locked(CACHE / f"kafka-streams-{STREAMS}.lock"):
        if not (folder / "libs").exists():
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=CACHE) as scratch:
                pom, libs = Path(scratch, "pom.xml"), Path(scratch, "libs")
                pom.write_text(STREAMS_POM)
                _run(
                    [
                        *[maven, "-q", "-B", "-f", str(pom), "dependency:copy-dependencies"],
                        *["-DincludeScope=runtime", f"-DoutputDirectory={libs}"],
                    ]
                )
                libs.rename(folder / "libs")  # last, so that a folder that is there is whole
        compiled = folder / "StreamsPeer.class"
        if not compiled.exists() or compiled.stat().st_mtime < source.stat().st_mtime:
            _run([compiler, "-cp", f"{folder}/libs/*", "-d", str(folder), str(source)])
    return folder


def _run(command: list[str]) -> None:
    try:
        ran = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Missing(f"{command[0]}: {error}") from error
    if ran.returncode:
        raise Missing(f"{' '.join(command)}: {(ran.stderr or ran.stdout).strip()[-500:]}")
