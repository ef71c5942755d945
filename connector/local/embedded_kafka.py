"""A Kafka broker inside this process, with nothing to install: librdkafka's own mock cluster.

Promise: real clients in any process of this machine can produce, consume, join groups and commit over TCP
on a free port of 127.0.0.1, until the block or the process ends. It is made for demos and tests and keeps
little: everything is in memory, 5 MiB and 100,000 batches per partition, older records vanish silently.
A topic comes into being with 4 partitions when a client first uses it; there is no CreateTopics.

    with EmbeddedKafka() as broker:
        Producer({"bootstrap.servers": broker.bootstrap_servers})

As a process of its own: `python -m connector.local.embedded_kafka`.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import sys
from typing import TYPE_CHECKING, Self

from confluent_kafka import Producer

if TYPE_CHECKING:
    from types import TracebackType

START_TIMEOUT_S = 10.0


class EmbeddedKafka:
    """One embedded broker, from `with` to the end of its block; its records end with it."""

    def __init__(self) -> None:
        self.bootstrap_servers = ""  # known inside the block
        self._host: Producer | None = None

    def __enter__(self) -> Self:
        """Start the broker.

        Raises:
            confluent_kafka.KafkaException: it could not be started.
        """
        # The cluster lives in the client that asked for it. That client is used for nothing else.
        self._host = Producer({"test.mock.num.brokers": 1, "log_level": 0})
        brokers = self._host.list_topics(timeout=START_TIMEOUT_S).brokers.values()
        self.bootstrap_servers = ",".join(f"{broker.host}:{broker.port}" for broker in brokers)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop the broker and close every client's connection."""
        if self._host is not None:
            self._host.close()
            self._host = None


def run_embedded_kafka() -> None:
    """Print one line with the bootstrap address, then serve until SIGTERM, SIGINT or the end of stdin.

    Whoever starts it holds its standard input open: when they are gone, however they went, so is the broker.
    """
    wake, woken = socket.socketpair()
    woken.setblocking(False)  # noqa: FBT003 - the standard library has no keyword here
    signal.set_wakeup_fd(woken.fileno())
    for stop in (signal.SIGTERM, signal.SIGINT):
        signal.signal(stop, lambda _signal, _frame: None)
    with wake, woken, EmbeddedKafka() as broker:
        sys.stdout.write(f"embedded Kafka ready: {broker.bootstrap_servers}\n")
        sys.stdout.flush()
        _wait(wake)
        signal.set_wakeup_fd(-1)


def _wait(wake: socket.socket) -> None:
    stdin = sys.stdin.fileno()
    while True:
        readable, _, _ = select.select([stdin, wake], [], [])
        if wake in readable or not os.read(stdin, 4096):
            return


if __name__ == "__main__":
    run_embedded_kafka()
