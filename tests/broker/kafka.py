"""A real Apache Kafka, one KRaft node on this machine: its jars, its start, its readiness, its end.

The jars come from Maven's repository once and stay in the repository's ignored `.cache`. A node lives in a folder of
its own (a temporary one if none is given) on free ports of the loopback interface, and never outlives its starter:
it is told to end with its parent, ends at interpreter exit, and its temporary folder goes with it.
"""

from __future__ import annotations

import atexit
import fcntl
import os
import random
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import tempfile
import threading
import time
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.processes import GONE_SECONDS, bound, suspend

VERSION = "4.1.1"
CACHE = Path(__file__).resolve().parents[2] / ".cache"
JAVA_AT_LEAST = 17
PORTS = range(15_000, 30_000)  # below those that systems give to outgoing connections, which could take one meanwhile
PORTS_TRIED_MAX = 1_000
STARTS_MAX = 3  # with other ports each time
TAKEN = "Address already in use"
LOCK_SECONDS = 240.0

POM = f"""<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>tests</groupId><artifactId>broker</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>{VERSION}</version></dependency>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka-tools</artifactId><version>{VERSION}</version></dependency>
  </dependencies>
</project>
"""

PORT, CONTROLLER_PORT = "{port}", "{controller-port}"
"""In the value of a property: the node's ports, which are chosen when it starts."""

PROPERTIES = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
    "auto.create.topics.enable": "false",
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "4",
    # Tests of members and transactions that die wait for these; nothing else changes by them.
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "100",
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "500",
    # A node that was killed is let in again once its former session has ended.
    "broker.session.timeout.ms": "3000",
    "broker.heartbeat.interval.ms": "500",
}


class NoBroker(Exception):
    """This machine can't start a broker; the text says what is missing."""


def java() -> str:
    """The Java to use. Raises `NoBroker` where there is none, or too old a one."""
    home = os.environ.get("JAVA_HOME")
    found = str(Path(home) / "bin" / "java") if home else shutil.which("java")
    if found is None or not Path(found).exists():
        raise NoBroker(f"no Java on this machine (Apache Kafka {VERSION} needs {JAVA_AT_LEAST} or newer)")
    told = subprocess.run([found, "-version"], capture_output=True, text=True, timeout=60, check=False).stderr
    digits = told.partition('version "')[2].partition('"')[0].partition(".")[0]
    if not digits.isdigit() or int(digits) < JAVA_AT_LEAST:
        raise NoBroker(
            f"Java {digits or 'of unknown version'} is too old: Apache Kafka {VERSION} needs {JAVA_AT_LEAST}"
        )
    return found


def jars() -> Path:
    """The folder with the broker's jars, fetched if this is the first time. Raises `NoBroker`."""
    folder = CACHE / f"kafka-{VERSION}"
    with locked(CACHE / f"kafka-{VERSION}.lock"):
        if folder.exists():
            return folder
        maven = shutil.which("mvn")
        if maven is None:
            raise NoBroker(f"no Maven on this machine, which fetches Apache Kafka {VERSION}")
        with tempfile.TemporaryDirectory(dir=CACHE) as scratch:
            pom, libs = Path(scratch, "pom.xml"), Path(scratch, "libs")
            pom.write_text(POM)
            command = [maven, "-q", "-B", "-f", str(pom), "dependency:copy-dependencies", "-DincludeScope=runtime"]
            ran = subprocess.run(
                [*command, f"-DoutputDirectory={libs}"], capture_output=True, text=True, timeout=600, check=False
            )
            if ran.returncode or not libs.exists():
                raise NoBroker(f"Maven could not fetch Apache Kafka {VERSION}: {ran.stdout.strip()[-500:]}")
            libs.rename(folder)  # last, so that a folder that is there is whole
    return folder


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """One process at a time; the kernel lets go of the lock when its holder dies."""
    path.parent.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + LOCK_SECONDS
    pause = threading.Event()
    with path.open("w") as handle:
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise NoBroker(f"another process has held {path} for {LOCK_SECONDS:g} s") from None
                pause.wait(0.1)
        yield


def free_ports(count: int) -> list[int]:
    """So many different ports of the loopback interface that nothing listens on."""
    choose = random.SystemRandom()  # not the seeded one: two processes of a run are not to try the same ports
    found: list[int] = []
    for _ in range(PORTS_TRIED_MAX):
        if len(found) == count:
            return found
        port = choose.choice(PORTS)
        with socket.socket() as trial:
            try:
                trial.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in found:
            found.append(port)
    raise NoBroker(f"no {count} free ports in {PORTS.start} to {PORTS.stop - 1}")


def answers(port: int, tls: ssl.SSLContext | None = None) -> bool:
    """True once a broker on this port answers an ApiVersions request, the first thing any client asks."""
    request = struct.pack(">hhih", 18, 0, 7, -1)
    try:
        with ExitStack() as stack:
            connection: socket.socket = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=2))
            if tls is not None:
                connection = stack.enter_context(tls.wrap_socket(connection))
            connection.sendall(struct.pack(">i", len(request)) + request)
            head = connection.recv(10)
    except OSError:
        return False
    return len(head) == 10 and struct.unpack(">iih", head)[1:] == (7, 0)


class Broker:
    """One node. A context manager: started on entry, gone (with its temporary folder) on exit.

    `stop` and `start` restart it on the same log and ports; `kill` is SIGKILL, `pause` SIGSTOP, `resume` SIGCONT.
    """

    def __init__(
        self,
        folder: Path | None = None,
        properties: Mapping[str, str] | None = None,
        heap: str = "512m",
        quick_start: bool = True,
    ) -> None:
        """`quick_start` leaves out the optimising compiler: half the time to start, and slower under long load."""
        self._temporary = folder is None
        self.folder = folder or Path(tempfile.mkdtemp(prefix="kafka-"))
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port, self._controller_port = free_ports(2)
        self._fixed_ports = False  # once somebody may have been told of them
        self._heap = heap
        self._options = ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"] if quick_start else ["-XX:+UseG1GC"]
        self._properties = {
            **PROPERTIES,
            "listeners": f"PLAINTEXT://127.0.0.1:{PORT},CONTROLLER://127.0.0.1:{CONTROLLER_PORT}",
            "advertised.listeners": f"PLAINTEXT://127.0.0.1:{PORT}",
            "controller.quorum.voters": f"1@127.0.0.1:{CONTROLLER_PORT}",
            "log.dirs": str(self.folder / "log"),
            **(properties or {}),
        }
        self.tls: ssl.SSLContext | None = None  # for a listener that wants it
        self._process: subprocess.Popen[bytes] | None = None
        self._formatted = False

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        assert self._process is not None, "the broker is not running"
        return self._process.pid

    def start(self, timeout_seconds: float = 120) -> None:
        """Running and answering when this returns. Raises `NoBroker` where it can't be."""
        if self._process is not None:
            return
        atexit.register(self.close)
        for attempt in range(1, STARTS_MAX + 1):
            told = self._started(timeout_seconds)
            if told is None:
                self._fixed_ports = True
                return
            if TAKEN not in told or self._fixed_ports or attempt == STARTS_MAX:
                raise NoBroker(f"the broker did not start: {told[-2000:]}")
            self.port, self._controller_port = free_ports(2)

    def _started(self, timeout_seconds: float) -> str | None:
        """None once it answers; else what it said last, and it is gone."""
        command = [java(), f"-Xmx{self._heap}", "-Xms128m", *self._options, "-cp", f"{jars()}/*"]
        config = self.folder / "server.properties"
        output = self.folder / "output.txt"
        config.write_text("".join(f"{key}={self._filled(value)}\n" for key, value in self._properties.items()))
        if not self._formatted:
            cluster = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
            # One word with `=`: an id may begin with a dash, and would be taken for an option of its own.
            formatted = subprocess.run(
                [*command, "kafka.tools.StorageTool", "format", f"--cluster-id={cluster}", "--config", str(config)],
                capture_output=True,
                text=True,
                timeout=timeout_seconds,
                check=False,
            )
            if formatted.returncode:
                raise NoBroker(f"the log folder could not be formatted: {formatted.stderr.strip()[-500:]}")
            self._formatted = True
        with output.open("ab") as sink:
            begin = sink.tell()
            self._process = subprocess.Popen(
                bound([*command, "kafka.Kafka", str(config)]), stdout=sink, stderr=sink, stdin=subprocess.DEVNULL
            )
        deadline = time.monotonic() + timeout_seconds
        pause = threading.Event()
        while not answers(self.port, self.tls):
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                return output.read_bytes()[begin:][-20_000:].decode(errors="replace")
            pause.wait(0.05)
        return None

    def _filled(self, value: str) -> str:
        return value.replace(PORT, str(self.port)).replace(CONTROLLER_PORT, str(self._controller_port))

    def stop(self, timeout_seconds: float = 60) -> None:
        """An orderly end (SIGTERM), a hard one if it takes longer."""
        if self._process is None:
            return
        self.resume()
        self._process.terminate()
        try:
            self._process.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(GONE_SECONDS)
        self._process = None

    def kill(self) -> None:
        if self._process is None:
            return
        self._process.kill()
        self._process.wait(GONE_SECONDS)
        self._process = None

    def pause(self) -> None:
        """Nothing is answered, connections stay open: what a client sees of a broker that hangs."""
        assert self._process is not None, "the broker is not running"
        suspend(self._process)

    def resume(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def close(self) -> None:
        """Ended at once; a temporary folder is removed. A second call does nothing."""
        self.kill()
        atexit.unregister(self.close)
        if self._temporary:
            shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Broker:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
