"""Where a cluster's nodes listen, what they tell clients about it, and the rest of their configuration.

Promise: ports that are chosen here stay free for the process that they were chosen for, as far as that can be had.
"""

from __future__ import annotations

import random
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

HOST = "127.0.0.1"

# Below every system's range of ephemeral ports: a killed node finds its port free when it starts again, and a
# client that keeps trying a closed port cannot be connected to itself by chance.
_PORTS = range(20_000, 32_000)


@dataclass(frozen=True, slots=True)
class Ports:
    """The ports of one node, and the one that clients of its far listener are told."""

    broker: int
    controller: int
    far: int
    advertised: int


def choose_ports(count: int, advertise: Callable[[int], int] | None) -> list[Ports]:
    """Free ports for so many nodes; the far ones are advertised as `advertise` says, or as themselves."""
    free = iter(free_ports(3 * count))
    triples = [(next(free), next(free), next(free)) for _ in range(count)]
    return [
        Ports(broker, controller, far, advertise(far) if advertise is not None else far)
        for broker, controller, far in triples
    ]


def server_properties(node: int, ports: Ports, voters: str, count: int) -> dict[str, object]:
    """One node's server.properties, but for its directory."""
    near = f"PLAINTEXT://{HOST}:{ports.broker},CONTROLLER://{HOST}:{ports.controller}"
    in_sync = max(1, count - 1)
    return {
        "process.roles": "broker,controller",
        "node.id": node,
        "controller.quorum.voters": voters,
        "listeners": f"{near},FAR://{HOST}:{ports.far}",
        "advertised.listeners": f"{near},FAR://{HOST}:{ports.advertised}",
        "controller.listener.names": "CONTROLLER",
        "inter.broker.listener.name": "PLAINTEXT",
        "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,FAR:PLAINTEXT",
        "auto.create.topics.enable": "false",
        "default.replication.factor": count,
        "min.insync.replicas": in_sync,
        "offsets.topic.num.partitions": 4,
        "offsets.topic.replication.factor": count,
        "transaction.state.log.num.partitions": 4,
        "transaction.state.log.replication.factor": count,
        "transaction.state.log.min.isr": in_sync,
        "share.coordinator.state.topic.replication.factor": count,
        "share.coordinator.state.topic.min.isr": in_sync,
        "group.initial.rebalance.delay.ms": 0,
        # Lower bounds alone: a test's own group may form and time out within seconds with `group.protocol: consumer`.
        "group.consumer.min.heartbeat.interval.ms": 200,
        "group.consumer.min.session.timeout.ms": 3000,
        # A killed node may register again only when its former session has expired: shorter than 9 seconds.
        "broker.session.timeout.ms": 6000,
        "broker.heartbeat.interval.ms": 1000,
    }


def free_ports(count: int) -> list[int]:
    """Ports that nothing listens on, and that the system gives to nobody by itself."""
    taken: list[socket.socket] = []
    for port in random.SystemRandom().sample(_PORTS, len(_PORTS)):
        if len(taken) == count:
            break
        listener = socket.socket()
        try:
            listener.bind((HOST, port))
        except OSError:
            listener.close()
            continue
        taken.append(listener)
    ports = [listener.getsockname()[1] for listener in taken]
    for listener in taken:
        listener.close()
    return ports
