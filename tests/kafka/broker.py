"""Apache Kafka itself, started from its jars for a test, a fault or a benchmark.

Promise: `start_kafka()` gives one or three KRaft nodes on free ports of 127.0.0.1 that already accept
clients, and leaves neither process nor data behind, whatever ends the test run: even a kill -9 of it. A node
can be killed and started again on the same data and ports. Nothing is installed: the jars are resolved once
by Maven and kept in `.cache/`, next to the brokers' data while they run.
Not here: topics, groups and records (`client.py`).
"""

from __future__ import annotations

import base64
import contextlib
import signal
import subprocess
import tempfile
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from tests.guard import Guard
from tests.kafka.addresses import HOST, Ports, choose_ports, server_properties
from tests.kafka.installation import CACHE, java_program, resolve_jars, why_no_kafka

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

_NOTHING: Mapping[str, object] = {}

START_TIMEOUT_S = 90.0
STOP_TIMEOUT_S = 15.0


@contextlib.contextmanager
def start_kafka(
    *, nodes: int = 1, advertise: Callable[[int], int] | None = None, properties: Mapping[str, object] = _NOTHING
) -> Iterator[Cluster]:
    """Start a cluster of `nodes` (1 or 3), and stop it and delete its data at the end of the block.

    `properties` are the brokers' own, laid over those that they get here. Each node has a second listener, for clients
    that come by another way: they begin at `far_servers`. Told the port of one, `advertise` returns the port to name to
    those clients, such as a proxy's.

    Raises:
        RuntimeError: the broker cannot run here, or it ended while starting (with the end of its log).
        TimeoutError: it did not accept clients in time.
    """
    missing = why_no_kafka()
    if missing is not None:
        raise RuntimeError(missing)
    jars = resolve_jars()
    CACHE.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="broker-", dir=CACHE, ignore_cleanup_errors=True) as data:
        cluster = _lay_out(Path(data), jars, choose_ports(nodes, advertise), properties)
        try:
            cluster.start()
            yield cluster
        finally:
            cluster.stop()


@dataclass(frozen=True, slots=True)
class Cluster:
    """The nodes that form one Kafka cluster."""

    nodes: Sequence[KafkaNode]

    @property
    def bootstrap_servers(self) -> str:
        """The addresses of all nodes, as a client wants them."""
        return ",".join(node.address for node in self.nodes)

    @property
    def far_servers(self) -> str:
        """The advertised addresses of all nodes; clients that begin there are sent nowhere else."""
        return ",".join(f"{HOST}:{node.far_port}" for node in self.nodes)

    def start(self) -> None:
        """Start every node that does not run and wait until all of them accept clients."""
        for node in self.nodes:
            node.launch()
        self.wait_until_ready(brokers=len(self.nodes))

    def stop(self) -> None:
        """End every node; the data stays until the block of `start_kafka` ends."""
        for node in reversed(self.nodes):
            node.terminate()
        for node in self.nodes:
            node.stop()

    def wait_until_ready(self, *, brokers: int) -> None:
        """Wait until clients see this many live brokers.

        Raises:
            RuntimeError: no node runs any more.
            TimeoutError: fewer brokers after `START_TIMEOUT_S`.
        """
        deadline = time.monotonic() + START_TIMEOUT_S
        client = AdminClient(
            {"bootstrap.servers": self.bootstrap_servers, "log_level": 0, "reconnect.backoff.max.ms": 250}
        )
        while _count_brokers(client) != brokers:
            client.poll(0.05)
            if not any(node.is_running for node in self.nodes):
                raise RuntimeError(f"Kafka ended while starting:\n{self.nodes[0].log_tail()}")
            if time.monotonic() > deadline:
                raise TimeoutError(f"Kafka accepts no clients:\n{self.nodes[0].log_tail()}")


class KafkaNode:
    """One broker and controller in a JVM of its own, on fixed ports and one data directory."""

    def __init__(self, directory: Path, jars: Path, ports: Ports) -> None:
        self.address = f"{HOST}:{ports.broker}"
        self.far_port = ports.advertised
        self._directory = directory
        self._jars = jars
        self._process: subprocess.Popen[bytes] | None = None
        self._guard: Guard | None = None

    @property
    def is_running(self) -> bool:
        """Whether the JVM lives."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """The JVM's process id, for signals such as SIGSTOP.

        Raises:
            RuntimeError: the node does not run.
        """
        if self._process is None:
            raise RuntimeError("this node does not run")
        return self._process.pid

    def format(self, cluster_id: str, properties: dict[str, object]) -> None:
        """Write the configuration and an empty data directory.

        Raises:
            RuntimeError: Kafka's storage tool refused, with its words.
        """
        self._directory.mkdir(parents=True)
        lines = [f"{key}={value}" for key, value in properties.items()]
        lines.append(f"log.dirs={self._directory / 'data'}")
        self._config.write_text("\n".join(lines), encoding="utf-8")
        tool = ("kafka.tools.StorageTool", "format", "-t", cluster_id, "-c", str(self._config))
        done = subprocess.run(self._java("-Xmx128m", *tool), capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"Kafka's storage could not be formatted:\n{done.stdout}{done.stderr}")

    def launch(self) -> None:
        """Start the JVM if it does not run; the caller waits until clients are accepted."""
        if self.is_running:
            return
        command = self._java("-Xms256m", "-Xmx512m", "kafka.Kafka", str(self._config))
        with self._log.open("ab") as log:
            # A session of its own: Ctrl-C in the terminal ends the tests, and they end the broker in order.
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        self._guard = Guard(self._process.pid, self._directory.parent)

    def kill(self) -> None:
        """Take the node away as a crash does (SIGKILL); `launch` brings it back on the same data."""
        self._end(signal.SIGKILL)

    def terminate(self) -> None:
        """Ask the node to stop and return at once."""
        if self._process is not None:
            self._process.terminate()

    def stop(self) -> None:
        """Stop the node in order, by force after `STOP_TIMEOUT_S`."""
        self._end(signal.SIGTERM)

    def log_tail(self) -> str:
        """The last lines that the broker logged."""
        if not self._log.exists():
            return "(no log)"
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-40:])

    @property
    def _config(self) -> Path:
        return self._directory / "server.properties"

    @property
    def _log(self) -> Path:
        return self._directory / "broker.log"

    def _java(self, *arguments: str) -> list[str]:
        level = "-Dorg.apache.logging.log4j.level=WARN"
        return [java_program(), "-cp", str(self._jars / "*"), level, "-XX:-UsePerfData", *arguments]

    def _end(self, sign: signal.Signals) -> None:
        process, guard = self._process, self._guard
        self._process = self._guard = None
        if process is not None:
            process.send_signal(sign)
            try:
                process.wait(timeout=STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if guard is not None:
            guard.dismiss()


def _lay_out(directory: Path, jars: Path, all_ports: Sequence[Ports], own: Mapping[str, object]) -> Cluster:
    cluster_id = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=").replace("-", "x")
    voters = ",".join(f"{number}@{HOST}:{ports.controller}" for number, ports in enumerate(all_ports, 1))
    nodes = []
    for number, ports in enumerate(all_ports, 1):
        node = KafkaNode(directory / f"node-{number}", jars, ports)
        node.format(cluster_id, {**server_properties(number, ports, voters, len(all_ports)), **own})
        nodes.append(node)
    return Cluster(nodes)


def _count_brokers(client: AdminClient) -> int:
    try:
        return len(client.list_topics(timeout=1.0).brokers)
    except KafkaException:
        return 0
