"""After a crash, of the connector or of the broker, nothing is lost, and what comes twice is bounded."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.integration.events import Kind
from tests.integration.rig import QUICK

if TYPE_CHECKING:
    from tests.integration.rig import Rig, Settings
    from tests.kafka.broker import Cluster

KILLS = 3
STATIC: Settings = {"kafka": {"group.instance.id": "the-only-one"}}
"""A member that comes back under its name gets its partitions at once; others wait for the session time-out."""

MAX_IN_FLIGHT = 4
EVENTS_PER_REQUEST = 50
COMMIT_INTERVAL_MS = 200
LATENCY_MS = 100  # of `slow_rig`
OPEN_EVENTS = MAX_IN_FLIGHT * EVENTS_PER_REQUEST

MOST_REPEATED = OPEN_EVENTS * (2 + 2 * COMMIT_INTERVAL_MS // LATENCY_MS)
"""What a kill may repeat: the events in flight, as many that settled out of order above one of those, and what settled
since the last commit: an interval until it was sent and, generously, another until it was confirmed."""

SEARCH_REQUESTS = 8
"""The most that one bad event of fifty costs: the refusal, six halvings, and the rest together."""

MOST_PASSED_IN_A_SEARCH = OPEN_EVENTS * SEARCH_REQUESTS
"""What others deliver meanwhile, above the watermark that waits for the bad event."""

SETTINGS: Settings = {
    "edge": {"max_in_flight": MAX_IN_FLIGHT},
    "consume": {"commit_interval_ms": COMMIT_INTERVAL_MS},
}


@pytest.mark.parametrize("identity", [{}, STATIC], ids=["dynamic", "static"])
def test_kill_9_loses_nothing_and_repeats_little(slow_rig: Rig, identity: Settings) -> None:
    """Killed in mid-flow again and again: lost 0; each kill repeats at most `MOST_REPEATED`."""
    rig = slow_rig
    settings = {**SETTINGS, "routes": [rig.route(batch={"max_events": EVENTS_PER_REQUEST})]}
    rig.send(8_000)
    for _ in range(KILLS):
        before = rig.edge.accepted_count()
        connector = rig.start(QUICK, settings, identity)
        rig.until_accepted(before + 1_000)
        connector.kill()
    assert rig.edge.accepted_count() < 8_000, "the flow ended before the kills"

    rig.start(QUICK, identity)
    rig.until_settled()

    rig.findings().assert_clean(max_duplicates=KILLS * MOST_REPEATED)


def test_a_search_for_bad_events_does_not_hold_the_commits_back(slow_rig: Rig) -> None:
    """A kill while bad events are searched for repeats what arrived during a search, not the whole backlog."""
    rig = slow_rig
    settings = {**SETTINGS, "routes": [rig.route(batch={"max_events": EVENTS_PER_REQUEST})]}
    rig.send(12_000, one_percent_unnamed)
    connector = rig.start(QUICK, settings, STATIC)
    rig.until_accepted(6_000)
    connector.kill()

    rig.start(QUICK, STATIC)
    rig.until_settled()

    print("DUP", rig.findings().duplicate_count)
    rig.findings().assert_clean(max_duplicates=MOST_REPEATED + MOST_PASSED_IN_A_SEARCH)


def one_percent_unnamed(number: int) -> Kind:
    """One event in a hundred is refused without a hint which one it is."""
    return Kind.UNNAMED if number % 100 == 50 else Kind.GOOD


def test_a_broker_that_is_killed_and_comes_back_loses_nothing(crash_rig: Rig, kafka_cluster: Cluster) -> None:
    """kill -9 of the only broker in mid-flow, and its restart: the connector goes on by itself, lost 0."""
    rig = crash_rig
    rig.edge.set_faults({"delay": {"kind": "fixed", "ms": 100}})
    rig.send(15_000)
    connector = rig.start({"edge": {"max_in_flight": 4}})
    rig.until_accepted(3_000)

    kafka_cluster.nodes[0].kill()
    kafka_cluster.start()
    rig.send(1_000)

    rig.until_settled()
    assert connector.stop() == 0
    rig.findings().assert_clean(max_duplicates=0)
