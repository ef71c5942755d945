"""After a crash, of the connector or of the broker, nothing is lost, and what comes twice is bounded."""

from __future__ import annotations

import time
from random import Random
from typing import TYPE_CHECKING

import pytest

from tests.faults.commit_log import assert_commits_follow_verdicts
from tests.faults.edge_process import slow
from tests.faults.events import Kind
from tests.faults.rig import QUICK

if TYPE_CHECKING:
    from tests.faults.rig import Rig, Settings
    from tests.kafka.broker import Cluster

KILLS = 2
RANDOM_KILLS = 50
STATIC: Settings = {"kafka": {"group.instance.id": "the-only-one"}}
"""A member that comes back under its name gets its partitions at once; others wait for the session time-out."""

MAX_IN_FLIGHT = 4
EVENTS_PER_REQUEST = 50
COMMIT_INTERVAL_MS = 200
LATENCY_MS = 100
OPEN_EVENTS = MAX_IN_FLIGHT * EVENTS_PER_REQUEST

MOST_REPEATED = OPEN_EVENTS * (1 + 2 * COMMIT_INTERVAL_MS // LATENCY_MS)
"""What a kill may repeat: the events in flight, and what settled since the last commit: an interval until it was sent
and, generously, another until it was confirmed. What settled above an open event is in the commit's note."""

SETTINGS: Settings = {
    "edge": {"max_in_flight": MAX_IN_FLIGHT},
    "consume": {"commit_interval_ms": COMMIT_INTERVAL_MS},
}


@pytest.mark.parametrize("identity", [{}, STATIC], ids=["dynamic", "static"])
def test_kill_9_loses_nothing_and_repeats_little(rig: Rig, identity: Settings) -> None:
    """Killed in mid-flow again and again: lost 0; each kill repeats at most `MOST_REPEATED`."""
    batches: Settings = {"routes": [rig.route(batch={"max_events": EVENTS_PER_REQUEST})]}
    rig.edge.set_faults(slow(LATENCY_MS))
    rig.send(8_000)
    for _ in range(KILLS):
        before = rig.edge.accepted_count()
        connector = rig.start(QUICK, identity, SETTINGS, batches)
        rig.until_accepted(before + 1_000)
        connector.kill()
    assert rig.edge.accepted_count() < 8_000, "the flow ended before the kills"

    rig.edge.set_faults()
    rig.start(QUICK, identity)
    rig.until_settled()

    rig.findings().assert_clean(max_duplicates=KILLS * MOST_REPEATED)


@pytest.mark.long
def test_kill_9_at_random_points(rig: Rig) -> None:
    """kill -9 random: before the first record, between an acceptance and its commit, wherever; lost 0, few repeated."""
    rng = Random(8)
    batches: Settings = {"routes": [rig.route(batch={"max_events": EVENTS_PER_REQUEST})]}
    rig.edge.set_faults(slow(LATENCY_MS))
    for _ in range(RANDOM_KILLS):
        rig.send(3_000)
        connector = rig.start(QUICK, STATIC, SETTINGS, batches)
        rig.until_logged(connector, "partitions_assigned")
        time.sleep(rng.uniform(0.0, 1.2))
        connector.kill()

    rig.edge.set_faults()
    rig.start(QUICK, STATIC)
    rig.until_settled()

    rig.findings().assert_clean(max_duplicates=RANDOM_KILLS * MOST_REPEATED)
    assert_commits_follow_verdicts(rig)


def test_a_search_for_bad_events_does_not_hold_the_commits_back(rig: Rig) -> None:
    """A search is finished before new batches are begun: a kill meanwhile repeats as little as any other."""
    twice_as_fast: Settings = {"consume": {"commit_interval_ms": COMMIT_INTERVAL_MS // 2}}
    batches: Settings = {"routes": [rig.route(batch={"max_events": EVENTS_PER_REQUEST})]}
    rig.edge.set_faults(slow(LATENCY_MS / 2))
    rig.send(8_000, one_percent_unnamed)
    connector = rig.start(QUICK, STATIC, SETTINGS, batches, twice_as_fast)
    rig.until_accepted(5_000)
    connector.kill()

    rig.edge.set_faults()
    rig.start(QUICK, STATIC)
    rig.until_settled()

    rig.findings().assert_clean(max_duplicates=MOST_REPEATED, max_repeated_dead_letters=MOST_REPEATED // 100)


def one_percent_unnamed(number: int) -> Kind:
    """One event in a hundred is refused without a hint which one it is."""
    return Kind.UNNAMED if number % 100 == 50 else Kind.GOOD


def test_a_broker_that_is_killed_and_comes_back_loses_nothing(crash_rig: Rig, kafka_cluster: Cluster) -> None:
    """kill -9 of the only broker in mid-flow, and its restart: the connector goes on by itself, lost 0."""
    rig = crash_rig
    rig.edge.set_faults(slow(LATENCY_MS))
    rig.send(15_000)
    connector = rig.start({"edge": {"max_in_flight": 4}})
    rig.until_accepted(3_000)

    kafka_cluster.nodes[0].kill()
    kafka_cluster.start()
    rig.send(1_000)
    rig.edge.set_faults()

    rig.until_settled()
    assert connector.stop() == 0
    rig.findings().assert_clean(max_duplicates=0)
