"""Members that sleep, die under their name, or share it: nothing is lost, and no commit passes a verdict."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from connector.app import ExitCode
from tests.faults.commit_log import assert_commits_follow_verdicts
from tests.faults.edge_process import slow
from tests.faults.members import BY_COORDINATOR, KIP_848, SESSION_MS, owned, quick, until_shared
from tests.faults.rig import PARTITIONS

if TYPE_CHECKING:
    from tests.faults.child import Child
    from tests.faults.rig import Rig, Settings

MAX_IN_FLIGHT = 4
EVENTS_PER_REQUEST = 50
LATENCY_MS = 100
COMMIT_INTERVAL_MS = 200
OPEN_EVENTS = MAX_IN_FLIGHT * EVENTS_PER_REQUEST

MOST_REPEATED = OPEN_EVENTS * (2 + 2 * COMMIT_INTERVAL_MS // LATENCY_MS)
"""What a member may repeat that did not let go in order: as after a kill (`test_crash.py`)."""

NARROW: Settings = {"edge": {"max_in_flight": MAX_IN_FLIGHT}, "consume": {"commit_interval_ms": COMMIT_INTERVAL_MS}}
CLASSIC: Settings = {}
LONG_SESSION_MS = 15_000
"""Longer than a process takes to start on a busy machine."""

STATIC: Settings = {"kafka": {"group.instance.id": "the-only-one"}}


def _settings(rig: Rig, protocol: Settings, *layers: Settings, session_ms: int = SESSION_MS) -> tuple[Settings, ...]:
    batches: Settings = {"routes": [rig.route(batch={"max_events": EVENTS_PER_REQUEST})]}
    return (*quick(rig, protocol, session_ms=session_ms), NARROW, batches, *layers)


@BY_COORDINATOR
def test_a_member_that_slept_through_its_session_changes_nothing_of_what_it_lost(rig: Rig, protocol: Settings) -> None:
    """Zombie: stopped for twice its session's time-out, its partitions taken over, it goes on and commits nothing."""
    settings = _settings(rig, protocol)
    rig.edge.set_faults(slow(4 * LATENCY_MS))  # what is sent lasts beyond the sleep
    rig.send(30_000)
    zombie = rig.start(*settings)
    rig.until_accepted(500)
    other = rig.start(*settings)
    until_shared(rig, [zombie, other])

    slept_at = time.monotonic()
    zombie.freeze()
    rig.until("the take-over by the other member", lambda: len(owned(other)) == PARTITIONS)
    rig.until("twice the session", lambda: time.monotonic() > slept_at + 2 * SESSION_MS / 1000)
    zombie.thaw()
    until_shared(rig, [zombie, other])

    assert rig.edge.accepted_count() < 30_000, "the flow ended before the zombie was back"
    rig.edge.set_faults()
    rig.until_settled()
    assert zombie.lines("partitions_lost")
    assert [zombie.stop(), other.stop()] == [ExitCode.STOPPED, ExitCode.STOPPED]
    rig.findings().assert_clean(max_duplicates=MOST_REPEATED)
    assert_commits_follow_verdicts(rig)


@pytest.mark.long
@pytest.mark.parametrize("protocol", [CLASSIC, KIP_848], ids=["classic", "kip-848"])
@pytest.mark.parametrize("is_quick", [True, False], ids=["within-the-session", "after-the-session"])
def test_a_member_that_died_comes_back_under_its_name(rig: Rig, protocol: Settings, *, is_quick: bool) -> None:
    """Static membership: after kill -9 a restart goes on by itself, whether the session before has ended or not."""
    session_ms = LONG_SESSION_MS if is_quick else SESSION_MS
    settings = _settings(rig, protocol, STATIC, session_ms=session_ms)
    rig.edge.set_faults(slow(LATENCY_MS))
    rig.send(8_000)
    first = rig.start(*settings)
    rig.until_accepted(2_000)
    first.kill()
    died_at = time.monotonic()
    if not is_quick:
        rig.until("the end of the session", lambda: time.monotonic() > died_at + SESSION_MS / 1000 + 2)

    second = rig.start(*settings)
    rig.until_logged(second, "partitions_assigned")
    rig.edge.set_faults()
    rig.until_settled()

    refusals = [line for line in second.lines("source_fault") if line["cause"] == "UNRELEASED_INSTANCE_ID"]
    assert bool(refusals) == (is_quick and protocol is KIP_848)
    assert second.stop() == ExitCode.STOPPED
    rig.findings().assert_clean(max_duplicates=MOST_REPEATED)
    assert_commits_follow_verdicts(rig)


def test_the_newer_one_of_a_name_fences_the_older_one(rig: Rig) -> None:
    """Two connectors with the same group.instance.id, classic: the older one ends with code 3 and says why; lost 0."""
    older, newer = _two_of_a_name(rig, {})

    assert older.wait() == ExitCode.KAFKA

    assert "group.instance.id" in older.lines("connector_failed")[0]["text"]
    rig.edge.set_faults()
    rig.until_settled()
    assert newer.stop() == ExitCode.STOPPED
    rig.findings().assert_clean(max_duplicates=MOST_REPEATED)
    assert_commits_follow_verdicts(rig)


@pytest.mark.long
def test_the_newer_one_of_a_name_gives_up(rig: Rig) -> None:
    """Two connectors with the same group.instance.id, KIP-848: the newer one asks for 75 s and ends with code 3."""
    older, newer = _two_of_a_name(rig, KIP_848)
    rig.until("the end of the newer one", lambda: newer.exit_code is not None, timeout_s=120)

    assert newer.exit_code == ExitCode.KAFKA

    assert "instance ID" in newer.lines("connector_failed")[0]["text"]
    rig.edge.set_faults()
    rig.until_settled()
    assert older.stop() == ExitCode.STOPPED
    rig.findings().assert_clean(max_duplicates=0)
    assert_commits_follow_verdicts(rig)


def _two_of_a_name(rig: Rig, protocol: Settings) -> tuple[Child, Child]:
    """Start one in mid-flow, and another one under its name; one of them will end by itself."""
    settings = _settings(rig, protocol, STATIC)
    rig.edge.set_faults(slow(LATENCY_MS))
    rig.send(30_000)
    older = rig.start(*settings)
    rig.until_accepted(1_000)
    newer = rig.start(*settings)
    older.may_end()
    newer.may_end()
    return older, newer
