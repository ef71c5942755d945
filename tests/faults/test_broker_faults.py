"""Faults of the brokers: killed one by one, all gone, or behind a network that swallows everything.

In all of them the connector goes on by itself, and bad events go to the dead-letter topic as ever.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from connector.app import ExitCode
from tests.faults.edge_process import slow
from tests.faults.events import Kind
from tests.faults.rig import PARTITIONS, QUICK
from tests.faults.steady import SteadyFeed, Stream

if TYPE_CHECKING:
    from tests.faults.child import Child
    from tests.faults.conftest import ProxiedKafka
    from tests.faults.rig import Rig, Settings
    from tests.kafka.broker import Cluster

EVENTS_PER_S = 300.0
BAD_KINDS = (Kind.NOT_JSON, Kind.NAMED, Kind.UNNAMED)
BAD_EVERY = 25

FLOWS = 600
"""So many events accepted while something is away show that the others carry the flow."""

IN_FLIGHT = 4
EVENTS_PER_REQUEST = 50
LATENCY_MS = 50

KIP_848: Settings = {"kafka": {"group.protocol": "consumer"}}


def flow(rig: Rig) -> SteadyFeed:
    """Events at a steady rate, a few of them bad, until it is told to stop."""
    rig.edge.set_faults(slow(LATENCY_MS))
    feed = SteadyFeed(
        rig.feed,
        [
            Stream(
                topic=rig.topic,
                partitions=PARTITIONS,
                events_per_s=EVENTS_PER_S,
                bad_kinds=BAD_KINDS,
                bad_every=BAD_EVERY,
            )
        ],
    )
    feed.start()
    return feed


def small_requests(rig: Rig) -> Settings:
    """So few events in a request that there is always something in flight."""
    return {"edge": {"max_in_flight": IN_FLIGHT}, "routes": [rig.route(batch={"max_events": EVENTS_PER_REQUEST})]}


def until_it_flows(rig: Rig, *, timeout_s: float = 60.0) -> None:
    """Wait until many more events were accepted than at the call."""
    enough = rig.edge.accepted_count() + FLOWS
    rig.until(f"{FLOWS} more events accepted", lambda: rig.edge.accepted_count() >= enough, timeout_s=timeout_s)


def end(rig: Rig, feed: SteadyFeed, connector: Child) -> None:
    """End the flow, and the connector when everything is settled."""
    feed.stop()
    rig.until_settled(timeout_s=120.0)
    assert connector.stop() == ExitCode.STOPPED


def test_the_broker_that_coordinates_and_leads_is_killed(trio_rig: Rig, kafka_trio: Cluster) -> None:
    """Broker bounce / coordinator move / leader move: kill -9 of the group's coordinator, which leads partitions too.

    The two others take over; the member keeps its partitions, nothing is lost and nothing comes twice.
    """
    rig = trio_rig
    connector = rig.start(small_requests(rig))
    feed = flow(rig)
    until_it_flows(rig)
    coordinator = rig.kafka.coordinator_of(rig.group)
    assert coordinator in rig.kafka.leaders_of(rig.topic).values()

    kafka_trio.nodes[coordinator - 1].kill()
    rig.until("other leaders", lambda: coordinator not in rig.kafka.leaders_of(rig.topic).values())
    until_it_flows(rig)

    end(rig, feed, connector)
    assert connector.lines("partitions_lost") == []
    rig.findings().assert_clean()


@pytest.mark.long
@pytest.mark.parametrize("protocol", [{}, KIP_848], ids=["classic", "kip-848"])
def test_every_broker_is_bounced_in_turn(trio_rig: Rig, kafka_trio: Cluster, protocol: Settings) -> None:
    """Broker bounce / coordinator move / leader move: each node in turn is killed with kill -9 and comes back.

    One member through all of it: its partitions stay, nothing is lost and nothing comes twice.
    """
    rig = trio_rig
    connector = rig.start(small_requests(rig), protocol)
    feed = flow(rig)
    until_it_flows(rig)
    for number, node in enumerate(kafka_trio.nodes, 1):
        node.kill()
        rig.until("other leaders", lambda down=number: down not in rig.kafka.leaders_of(rig.topic).values())
        until_it_flows(rig)
        kafka_trio.start()
        rig.until("all in sync", lambda: rig.kafka.in_sync_counts(rig.topic) == {3}, timeout_s=120.0)

    end(rig, feed, connector)
    assert connector.lines("partitions_lost") == []
    rig.findings().assert_clean()
