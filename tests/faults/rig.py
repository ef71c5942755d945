"""The rig: Kafka, a local Edge, a producer with a ledger, and connectors, each a process of its own.

Promise: `settled` and `until` wait for something to be true, in bounded time, and fail at once when a connector ends
that nobody stopped; `findings` adds everything up. Nothing here is faulted by itself: a test does that.
"""

from __future__ import annotations

import re
import socket
import sys
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import AlterConfigOpType, ConfigEntry, ConfigResource
from confluent_kafka.admin._resource import ResourceType
from confluent_kafka.cimpl import NewTopic

from tests.faults.child import Child
from tests.faults.edge_process import COMMAND, HOST, EdgeControl
from tests.faults.events import Kind, all_good
from tests.faults.feed import Feed
from tests.faults.oracle import Findings, reconcile, unexplained_duplicates
from tests.parts import join

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.kafka.client import Kafka
    from tests.parts import Whole

DATASTREAM = "11111111-2222-3333-4444-555555555555"
OTHER_DATASTREAM = "99999999-2222-3333-4444-555555555555"
PARTITIONS = 6
CONNECTOR = str(Path(sys.executable).with_name("xdm-connector"))

Settings = dict[str, Any]
"""A part of the configuration, laid over the rig's own."""

QUICK: Settings = {
    "kafka": {"heartbeat.interval.ms": 300, "session.timeout.ms": 6000},
    "consume": {"revoke_timeout_ms": 5000},
}
"""A group that forms and notices a death as fast as the broker allows."""

_TIMEOUT_S = 60.0
_POLL_S = 0.05


class Rig:
    """One test's topics, group, Edge and connectors. The Edge asks for tokens where they have a lifetime."""

    def __init__(self, kafka: Kafka, directory: Path, *, token_lifetime_s: float | None = None) -> None:
        self.kafka = kafka
        self.topic = kafka.create_topic("events", partitions=PARTITIONS)
        self.dead_letter_topic = kafka.create_topic("dead", partitions=2)
        self.group = kafka.unique_name("group")
        self.feed = Feed(kafka.bootstrap_servers, self.group)
        self.connectors: list[Child] = []
        self._directory = directory
        auth = [] if token_lifetime_s is None else [str(token_lifetime_s)]
        self._edge = Child("edge", [*COMMAND, str(self._ledger), *auth], directory / "edge.log")
        self.edge = EdgeControl(self._edge_port(), self._ledger)

    # Processes

    def start(self, *layers: Settings, through: str = 'exec "$@"') -> Child:
        """Start a connector with the rig's configuration, and each layer laid over it in turn.

        `through` is a shell command that becomes the connector (`"$@"`), with other limits or another standard error.
        """
        name = f"connector-{len(self.connectors) + 1}"
        path = self._directory / f"{name}.yaml"
        path.write_text(yaml.safe_dump(self.settings(*layers), sort_keys=False), encoding="utf-8")
        command = ["sh", "-c", through, "sh", CONNECTOR, "run", "--config", str(path)]
        child = Child(name, command, self._directory / f"{name}.log")
        self.connectors.append(child)
        return child

    def settings(self, *layers: Settings) -> Settings:
        """The configuration that `start` writes."""
        settings: Settings = {
            "kafka": {"bootstrap.servers": self.kafka.bootstrap_servers, "group.id": self.group},
            "edge": {"base_url": self.edge.url},
            "routes": [self.route()],
            "dead_letter": {"topic": self.dead_letter_topic},
            "logging": {"level": "debug", "format": "json", "summary_interval_ms": 1000},
        }
        for layer in layers:
            settings = _laid_over(settings, layer)
        return settings

    def route(self, **changes: Any) -> Settings:  # noqa: ANN401 - a part of a configuration
        """The one route of the rig's configuration, changed."""
        return {"name": "web", "topics": [self.topic], "datastream_id": DATASTREAM, **changes}

    def close(self) -> None:
        """End every process."""
        for child in (*self.connectors, self._edge):
            child.kill()

    # Records

    def send(
        self,
        count: int,
        kinds: Callable[[int], Kind] = all_good,
        *,
        topic: str | None = None,
        key: Callable[[int], bytes] | None = None,
    ) -> None:
        """Write events to every partition of the rig's topic, or of another one with as many."""
        self.feed.send([topic or self.topic], count, kinds, partitions=PARTITIONS, key=key)

    def create_topic(self, name: str, *, partitions: int) -> None:
        """Make a topic of this very name, again if it was deleted."""
        new = NewTopic(name, num_partitions=partitions, replication_factor=-1)
        admin = self._admin()  # kept: the answer is lost with it
        admin.create_topics([new], operation_timeout=_TIMEOUT_S)[name].result(_TIMEOUT_S)

    def alter_topic(self, name: str, settings: Mapping[str, str]) -> None:
        """Change settings of a topic."""
        changes = [
            ConfigEntry(key, value, incremental_operation=AlterConfigOpType.SET) for key, value in settings.items()
        ]
        resource = ConfigResource(ResourceType.TOPIC, name, incremental_configs=changes)
        admin = self._admin()  # kept: the answer is lost with it
        admin.incremental_alter_configs([resource])[resource].result(_TIMEOUT_S)

    def alter_group(self, settings: Mapping[str, str]) -> None:
        """Change what the brokers decide for the rig's group, with `group.protocol: consumer`."""
        changes = [
            ConfigEntry(key, value, incremental_operation=AlterConfigOpType.SET) for key, value in settings.items()
        ]
        resource = ConfigResource(ResourceType.GROUP, self.group, incremental_configs=changes)
        admin = self._admin()  # kept: the answer is lost with it
        admin.incremental_alter_configs([resource])[resource].result(_TIMEOUT_S)

    def _admin(self) -> AdminClient:
        return AdminClient({"bootstrap.servers": self.kafka.bootstrap_servers, "log_level": 0})

    # Waiting

    def until(self, what: str, condition: Callable[[], object], *, timeout_s: float = _TIMEOUT_S) -> None:
        """Wait until a condition holds.

        Raises:
            AssertionError: it does not in time, or a connector failed meanwhile.
        """
        deadline = time.monotonic() + timeout_s
        while not condition():
            for child in self.connectors:
                assert child.was_told_to_end or child.exit_code is None, f"{what}: {child.name} ended meanwhile"
            assert time.monotonic() < deadline, f"{what}: not in {timeout_s:.0f} s; {self.state()}"
            time.sleep(_POLL_S)

    def until_accepted(self, count: int) -> None:
        """Wait until the Edge has accepted so many different events."""
        self.until(f"{count} events accepted", lambda: self.edge.accepted_count() >= count)

    def until_logged(self, connector: Child, event: str, count: int = 1) -> None:
        """Wait until a connector has logged an event so often."""
        self.until(f"{connector.name} logs {event}", lambda: len(connector.lines(event)) >= count)

    def until_settled(self, *topics: str, timeout_s: float = _TIMEOUT_S) -> None:
        """Wait until the group has committed the end of each topic, by default of the rig's own."""
        for topic in topics or (self.topic,):
            self.until(f"{topic} committed up to its ends", partial(self._is_settled, topic), timeout_s=timeout_s)

    # Sums

    def committed(self, topic: str | None = None) -> dict[int, int]:
        """What the group has committed in a topic, by default in the rig's own; waits for a coordinator to tell.

        Raises:
            KafkaException: none does in time.
        """
        deadline = time.monotonic() + _TIMEOUT_S
        while True:
            try:
                return self.kafka.committed(self.group, topic or self.topic)
            except KafkaException:  # it is loading, moving or away
                if time.monotonic() > deadline:
                    raise
                time.sleep(_POLL_S)

    def findings(self) -> Findings:
        """Hold what was sent against what arrived. Every connector should have ended or settled."""
        return reconcile(self.feed.sent, self.edge.accepted(), self.dead_letters())

    def dead_letters(self) -> list[Whole]:
        """What the dead-letter topic holds, with parts joined."""
        return join(self.kafka.read_all(self.dead_letter_topic))

    def unexplained(self, findings: Findings) -> dict[str, int]:
        """The duplicates that no ambiguous answer explains."""
        answers = [line for child in self.connectors for line in child.lines("request_answered")]
        return unexplained_duplicates(findings, self.edge.ledger(), answers)

    def state(self) -> str:
        """How things stand, for a failure's text."""
        return f"sent {len(self.feed.sent)}, committed {self.committed()}, edge {self.edge.summary()}"

    def log_tails(self) -> str:
        """The ends of all logs."""
        return "\n".join(child.log_tail() for child in (self._edge, *self.connectors))

    def _is_settled(self, topic: str) -> bool:
        return self.committed(topic) == self.feed.ends(topic)

    @property
    def _ledger(self) -> Path:
        return self._directory / "edge-ledger.jsonl"

    def _edge_port(self) -> int:
        deadline = time.monotonic() + _TIMEOUT_S
        while (ready := re.search(r"ready on http://[^:]+:(\d+)", self._edge.text())) is None:
            assert self._edge.exit_code is None, self._edge.log_tail()
            assert time.monotonic() < deadline, "the local Edge does not start"
            time.sleep(_POLL_S)
        return int(ready[1])


def free_port() -> int:
    """A port of this machine that nobody uses now."""
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        return int(taken.getsockname()[1])


def _laid_over(below: Mapping[str, Any], above: Mapping[str, Any]) -> Settings:
    """Lay one configuration over another; objects unite, everything else replaces."""
    merged = dict(below)
    for name, value in above.items():
        under = merged.get(name)
        both = isinstance(value, dict) and isinstance(under, dict)
        merged[name] = _laid_over(under, value) if both else value  # type: ignore[arg-type] # both are objects
    return merged
