"""A real Apache Kafka broker without Docker: the artifacts of Maven Central, run by the machine's Java, on loopback.

    python -m reloop_stream.log.broker --port 9092

starts one in the foreground and prints its address. Ctrl-C stops it.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from importlib import resources
from pathlib import Path
from types import TracebackType
from typing import Self

import kafka
import kafka.errors

from reloop_stream.errors import ReloopError
from reloop_stream.log.kafka_cluster import KafkaCluster
from reloop_stream.log.secured import NAME as SECURED
from reloop_stream.log.secured import SecuredListener
from reloop_stream.runtime.exits import FAILED, say
from reloop_stream.runtime.places import user_cache

__all__ = ["KAFKA_VERSION", "Broker", "BrokerError"]

KAFKA_VERSION = "4.3.1"
JAVA_AT_LEAST = 17  # what Kafka 4 asks for
CLUSTER_ID = "cmVsb29wLXN0cmVhbS0wMQ"
START_TIMEOUT_S = 60.0  # 2.3 s where it was measured
STOP_TIMEOUT_S = 20.0
MAVEN_TIMEOUT_S = 600.0
# One quiet node: a small heap, and the quick compiler alone, since it lives for minutes.
JAVA_OPTIONS = ("-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
PR_SET_PDEATHSIG = 1

# A test's: few threads, for it shares a few cores with its clients; no records by which an idle cluster shows that it lives; and one
# that was killed is let in again once its session is over, after 3 s in place of 9.
PROPERTIES = """\
num.network.threads=1
num.io.threads=2
background.threads=2
group.coordinator.threads=1
share.coordinator.threads=1
metadata.max.idle.interval.ms=0
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners={listeners},CONTROLLER://127.0.0.1:{controller}
advertised.listeners={listeners}
listener.security.protocol.map=BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT{protocol}
inter.broker.listener.name=BROKER
controller.listener.names=CONTROLLER
log.dirs={data}
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
"""


class BrokerError(ReloopError):
    """The broker cannot be started. The message says what is missing."""


def _java() -> str:
    """The path of Java. Raises BrokerError where there is none, or an old one."""
    home = os.environ.get("JAVA_HOME")
    java = shutil.which("java", path=f"{home}/bin") if home else None
    java = java or shutil.which("java")
    if java is None:
        raise BrokerError(f"there is no `java`; install Java {JAVA_AT_LEAST} (on Debian: openjdk-17-jre-headless)")
    said = subprocess.run(
        [java, "-version"], capture_output=True, encoding="utf-8", errors="replace", check=False
    ).stderr
    found = re.search(r'version "(?:1\.)?(\d+)', said)
    if found is None or int(found[1]) < JAVA_AT_LEAST:
        raise BrokerError(f"{java}: is {said.splitlines()[:1]}, Kafka {KAFKA_VERSION} needs Java {JAVA_AT_LEAST}")
    return java


def _jars() -> Path:
    """The folder of Kafka's jars, downloaded once for a user. Raises BrokerError without Maven or its repository."""
    folder = user_cache() / f"kafka-{KAFKA_VERSION}"
    if folder.is_dir():
        return folder
    maven = shutil.which("mvn")
    if maven is None:
        raise BrokerError("there is no `mvn`, which downloads Kafka; install Maven (on Debian: maven)")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as work:
        pom = Path(work) / "pom.xml"
        pom.write_bytes(resources.files("reloop_stream.log").joinpath("broker_pom.xml").read_bytes())
        command = [maven, "-B", "-q", "-f", str(pom), "dependency:copy-dependencies", "-DincludeScope=runtime"]
        done = subprocess.run(
            [*command, f"-DoutputDirectory={work}/libs"],
            stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8", errors="replace", timeout=MAVEN_TIMEOUT_S,
            check=False,
        )  # fmt: skip
        if done.returncode:
            raise BrokerError(f"Maven could not download Kafka {KAFKA_VERSION}:\n{done.stdout[-2000:]}")
        # Another process may have been quicker.
        with contextlib.suppress(OSError):
            os.rename(f"{work}/libs", folder)
    return folder


def free_ports(n: int) -> list[int]:
    """As many, each another: they are held until all are found."""
    with contextlib.ExitStack() as held:
        probes = [held.enter_context(socket.socket()) for _ in range(n)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]


def _die_with_parent() -> None:
    os.setsid()  # Ctrl-C in the terminal is for the parent, which then stops the broker in order
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Broker:
    """One broker. It can be killed and started again on the same data and port.

    folder: for its data and its log; a new one is formatted. port: 0 takes a free one.
    secured: a second listener, on a port of its own, that asks for TLS or a password; the first one always is open.
    """

    def __init__(self, folder: Path, port: int = 0, secured: SecuredListener | None = None) -> None:
        self.folder = folder
        self.secured = secured
        found, self._controller, self._secured_port = free_ports(3)
        self.port = port or found
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def bootstrap(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def address(self) -> str:
        """As `open_log` takes it."""
        return f"kafka://{self.bootstrap}"

    @property
    def secured_address(self) -> str:
        return f"kafka://127.0.0.1:{self._secured_port}"

    @property
    def client_settings(self) -> dict[str, str]:
        """What a client needs to be let in at the secured listener."""
        assert self.secured is not None
        found: dict[str, str] = {"security_protocol": self.secured.protocol}
        if self.secured.has_tls:
            found["ssl_cafile"] = str(self.secured.certificate(self.folder))
        if self.secured.has_password:
            found |= {
                "sasl_mechanism": self.secured.mechanism,
                "sasl_plain_username": self.secured.user,
                "sasl_plain_password": self.secured.password,
            }
        return found

    @property
    def pid(self) -> int:
        """The number of its process, which must have been started."""
        assert self._process is not None
        return self._process.pid

    def _properties(self) -> str:
        listeners, protocol, more = f"BROKER://{self.bootstrap}", "", ""
        if self.secured is not None:
            listeners += f",{SECURED}://127.0.0.1:{self._secured_port}"
            protocol = f",{SECURED}:{self.secured.protocol}"
            more = self.secured.properties(self.folder)
        text = PROPERTIES.format(
            listeners=listeners, protocol=protocol, controller=self._controller, data=self.folder / "data"
        )
        return text + more

    def start(self) -> Self:
        """Start, and wait until it answers. Raises BrokerError with the end of its log where it does not."""
        if os.name == "nt":
            raise BrokerError(
                "a broker is not started from here on Windows; use docker-compose.kafka.yml, or one of your own"
            )
        java, classes = _java(), f"{_jars()}/*"
        self.folder.mkdir(parents=True, exist_ok=True)
        config = self.folder / "server.properties"
        data = self.folder / "data"
        config.write_text(self._properties(), encoding="utf-8")
        with open(self.log_file, "ab") as log:
            if not (data / "meta.properties").exists():
                tool = [java, "-cp", classes, "kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c", str(config)]
                if self.secured is not None:
                    tool += self.secured.format_options()
                    if self.secured.has_tls:
                        self.secured.make_certificate(self.folder, java)
                if subprocess.run(tool, stdout=log, stderr=log, check=False).returncode:
                    raise BrokerError(f"{data}: cannot be formatted:\n{self._last_words()}")
            self._process = subprocess.Popen(
                [java, *JAVA_OPTIONS, "-cp", classes, "kafka.Kafka", str(config)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=_die_with_parent,
            )  # fmt: skip
        try:
            self._wait_until_it_answers()
        except BaseException:
            self.kill()
            raise
        return self

    @property
    def log_file(self) -> Path:
        return self.folder / "broker.log"

    def _last_words(self) -> str:
        return self.log_file.read_text(encoding="utf-8", errors="replace")[-2000:]

    def _wait_until_it_answers(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            assert self._process is not None
            if self._process.poll() is not None:
                raise BrokerError(f"the broker ended with {self._process.returncode}:\n{self._last_words()}")
            with contextlib.suppress(OSError, kafka.errors.KafkaError):
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                # Listening is not ready: it is when its metadata names a broker.
                admin = KafkaCluster.make(
                    kafka.KafkaAdminClient, bootstrap_servers=self.bootstrap, bootstrap_timeout_ms=2000
                )
                try:
                    if admin.describe_cluster()["brokers"]:
                        return
                finally:
                    admin.close()
            time.sleep(0.1)
        raise BrokerError(f"the broker did not answer within {START_TIMEOUT_S:g} s:\n{self._last_words()}")

    def stop(self) -> None:
        """Stop in order."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self.kill()

    def kill(self) -> None:
        """End it as a crash would."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def wait(self) -> int:
        """Wait until it ends by itself; its exit status."""
        assert self._process is not None
        return self._process.wait()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m reloop_stream.log.broker",
        description=f"Start an Apache Kafka {KAFKA_VERSION} broker on 127.0.0.1, with this machine's Java and Maven, "
        "and print its address. The first start downloads 44 MB. Ctrl-C stops it.",
        epilog="example: python -m reloop_stream.log.broker --port 9092 --data ./kafka-data",
    )
    parser.add_argument("--port", type=int, default=9092, help="port to listen on; 0 takes a free one (default: 9092)")
    parser.add_argument(
        "--data", type=Path, help="folder that keeps its data (default: a temporary one, removed at the end)"
    )
    chosen = parser.parse_args(arguments)
    temporary = None if chosen.data else tempfile.TemporaryDirectory(prefix="reloop-broker-")
    broker = Broker(chosen.data or Path(temporary.name), chosen.port)  # type: ignore[union-attr]

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    for number in (signal.SIGINT, signal.SIGTERM):  # a shell starts background commands with SIGINT ignored
        signal.signal(number, interrupt)
    try:
        print("starting a broker ...", file=sys.stderr, flush=True)
        with broker:
            print(broker.address, flush=True)
            return 1 if broker.wait() else 0
    except (ReloopError, OSError) as error:
        return say(error, FAILED)
    except KeyboardInterrupt:
        return 0
    finally:
        if temporary is not None:
            temporary.cleanup()


if __name__ == "__main__":
    sys.exit(main())
