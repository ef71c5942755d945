"""After a crash, of the connector or of the broker, nothing is lost, and what comes twice is bounded."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.integration.rig import QUICK

if TYPE_CHECKING:
    from tests.integration.rig import Rig, Settings
    from tests.kafka.broker import Cluster

KILLS = 3
STATIC: Settings = {"kafka": {"group.instance.id": "the-only-one"}}
"""A member that comes back under its name gets its partitions at once; others wait for the session time-out."""

MAX_OPEN_BYTES = 1_048_576
MAX_POLL_RECORDS = 200
MAX_IN_FLIGHT = 4
COMMIT_INTERVAL_MS = 100
LATENCY_MS = 100
EVENTS_PER_REQUEST = 50
SMALLEST_EVENT_BYTES = 500

BOUNDED: Settings = {
    "edge": {"max_in_flight": MAX_IN_FLIGHT},
    "consume": {
        "max_open_bytes": MAX_OPEN_BYTES,
        "max_poll_records": MAX_POLL_RECORDS,
        "commit_interval_ms": COMMIT_INTERVAL_MS,
    },
}


@pytest.mark.parametrize("identity", [{}, STATIC], ids=["dynamic", "static"])
def test_kill_9_loses_nothing_and_repeats_no_more_than_was_open(slow_rig: Rig, identity: Settings) -> None:
    """Killed in mid-flow again and again: lost 0; each kill repeats at most what was open plus one interval."""
    rig = slow_rig
    batches: Settings = {"routes": [rig.route(batch={"max_events": EVENTS_PER_REQUEST})]}
    rig.send(8_000)
    for _ in range(KILLS):
        before = rig.edge.accepted_count()
        connector = rig.start(QUICK, BOUNDED, batches, identity)
        rig.until_accepted(before + 1_000)
        connector.kill()
    assert rig.edge.accepted_count() < 8_000, "the flow ended before the kills"

    rig.start(QUICK, identity)
    rig.until_settled()

    print("DUP", rig.findings().duplicate_count, KILLS * most_repeated_by_a_kill())
    rig.findings().assert_clean(max_duplicates=KILLS * most_repeated_by_a_kill())


def most_repeated_by_a_kill() -> int:
    """Events that a kill can repeat: what was open, and what was settled since the last confirmed commit."""
    most_open = MAX_OPEN_BYTES // SMALLEST_EVENT_BYTES + MAX_POLL_RECORDS
    # One interval until the commit is sent and, generously, one more until it is confirmed.
    answers = MAX_IN_FLIGHT * (2 * COMMIT_INTERVAL_MS // LATENCY_MS + 1)
    return most_open + answers * EVENTS_PER_REQUEST


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
    findings = rig.findings()
    print("DUP", findings.duplicate_count)
    findings.assert_clean(max_duplicates=15_000)
