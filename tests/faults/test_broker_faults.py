"""Faults of the brokers: killed one by one, all gone, or behind a network that swallows everything.

In all of them the connector goes on by itself, and bad events go to the dead-letter topic as ever.
"""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

import pytest

from connector.app import ExitCode
from tests.faults.edge_process import slow
from tests.faults.events import Kind
from tests.faults.rig import PARTITIONS, QUICK
from tests.faults.steady import SteadyFeed, Stream

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.faults.child import Child
    from tests.faults.conftest import ProxiedKafka
    from tests.faults.rig import Rig, Settings
    from tests.kafka.broker import Cluster

EVENTS_PER_S = 150.0
BAD_KINDS = (Kind.NOT_JSON, Kind.NAMED, Kind.UNNAMED)
BAD_EVERY = 100

FLOWS = 300
"""So many events accepted while something is away show that the others carry the flow."""

IN_FLIGHT = 4
EVENTS_PER_REQUEST = 50
LATENCY_MS = 50
OPEN = IN_FLIGHT * EVENTS_PER_REQUEST
"""What is in flight when partitions are lost: an answer that comes later settles nothing, so it may come again."""

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


def until_it_runs(rig: Rig) -> None:
    """Wait until everything that a fault may disturb is going on: deliveries, dead letters and commits."""
    rig.until("commits", lambda: sum(rig.committed().values()) > FLOWS)
    rig.until("dead letters", lambda: any(rig.kafka.end_offsets(rig.dead_letter_topic).values()))


def end(rig: Rig, feed: SteadyFeed, connector: Child) -> None:
    """End the flow, and the connector when everything is settled."""
    feed.stop()
    rig.until_settled(timeout_s=120.0)
    assert connector.stop() == ExitCode.STOPPED


def assert_repeats(rig: Rig, committed: Mapping[int, int]) -> None:
    """Nothing is lost or wrong, and nothing comes twice but what lay above the commits that were the last ones."""
    above = [sent for sent in rig.feed.sent if sent.offset >= committed.get(sent.partition, 0)]
    findings = rig.findings()
    known = {sent.number for sent in above}
    assert {int(name.rpartition("-")[2]) for name in findings.duplicates if name.startswith(rig.group)} <= known
    bad = sum(sent.kind is not Kind.GOOD for sent in above)
    findings.assert_clean(max_duplicates=OPEN, max_repeated_dead_letters=bad)


@pytest.mark.long
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
    rig.until("other leaders", partial(_does_not_lead, rig, coordinator))
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
        rig.until("other leaders", partial(_does_not_lead, rig, number))
        until_it_flows(rig)
        kafka_trio.start()
        rig.until("all in sync", lambda: rig.kafka.in_sync_counts(rig.topic) == {3}, timeout_s=120.0)

    end(rig, feed, connector)
    assert connector.lines("partitions_lost") == []
    rig.findings().assert_clean()


@pytest.mark.long
@pytest.mark.parametrize("away_s", [0, 180], ids=["a-session", "minutes"])
def test_all_brokers_are_gone(crash_rig: Rig, kafka_cluster: Cluster, away_s: float) -> None:
    """All brokers gone: for longer than the session, so that the member loses its partitions; it goes on by itself.

    What the Edge accepted and the group could not commit comes again at most once.
    """
    rig = crash_rig
    connector = rig.start(QUICK, small_requests(rig))
    rig.edge.set_faults(slow(LATENCY_MS))
    rig.send(5_000, some_bad)
    until_it_runs(rig)

    kafka_cluster.nodes[0].kill()
    rig.until_logged(connector, "partitions_lost")
    time.sleep(away_s)
    assert connector.exit_code is None
    kafka_cluster.start()
    committed = rig.committed()
    rig.send(1_000, some_bad)

    rig.until_settled(timeout_s=120.0)
    assert connector.stop() == ExitCode.STOPPED
    assert_repeats(rig, committed)


def _does_not_lead(rig: Rig, node: int) -> bool:
    return node not in rig.kafka.leaders_of(rig.topic).values()


def some_bad(number: int) -> Kind:
    """A few bad events of each kind."""
    return BAD_KINDS[number // BAD_EVERY % len(BAD_KINDS)] if number % BAD_EVERY == 1 else Kind.GOOD


HOLE: Settings = {"kafka": {"socket.timeout.ms": 5000}}
SESSION_S = 6
SOCKET_TIMEOUT_S = 5


@pytest.mark.long
def test_the_network_swallows_everything(proxied_rig: Rig, proxied_kafka: ProxiedKafka) -> None:
    """Broker black hole: connections hang, old and new ones, until the group has given the member up.

    Afterwards it is back within the session, the socket's time-out and half a minute; what it had in memory and could
    not commit comes again at most once.
    """
    rig, proxy = proxied_rig, proxied_kafka.proxy
    far: Settings = {"kafka": {"bootstrap.servers": proxied_kafka.cluster.far_servers}}
    connector = rig.start(QUICK, HOLE, far, small_requests(rig))
    feed = flow(rig)
    until_it_runs(rig)

    proxy.swallow()
    rig.until_logged(connector, "partitions_lost")
    committed = rig.committed()
    proxy.forward()
    until_it_flows(rig, timeout_s=SESSION_S + SOCKET_TIMEOUT_S + 30)

    end(rig, feed, connector)
    assert_repeats(rig, committed)


@pytest.mark.long
def test_the_network_forgets_every_connection(proxied_rig: Rig, proxied_kafka: ProxiedKafka) -> None:
    """Broker black hole: for a moment only, after which every connection there was is dead and nobody says so.

    With default settings the client gives them up before the session ends: no partition is lost, nothing comes twice.
    """
    rig, proxy = proxied_rig, proxied_kafka.proxy
    connector = rig.start({"kafka": {"bootstrap.servers": proxied_kafka.cluster.far_servers}}, small_requests(rig))
    feed = flow(rig)
    until_it_runs(rig)

    proxy.swallow()
    proxy.forward()
    until_it_flows(rig, timeout_s=60.0)

    end(rig, feed, connector)
    assert connector.lines("partitions_lost") == []
    rig.findings().assert_clean()
