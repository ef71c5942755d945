"""Members that die, sleep, or are taken for somebody else: nothing is lost, and commits follow verdicts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from connector.app import ExitCode
from tests.faults.commit_log import assert_commits_follow_verdicts
from tests.faults.edge_process import slow
from tests.faults.members import COOPERATIVE, KIP_848, SESSION_MS, owned, quick, until_shared

if TYPE_CHECKING:
    from tests.faults.rig import Rig, Settings

MAX_IN_FLIGHT = 4
EVENTS_PER_REQUEST = 50
LATENCY_MS = 100
NARROW: Settings = {"edge": {"max_in_flight": MAX_IN_FLIGHT}, "consume": {"commit_interval_ms": 200}}
BY_COORDINATOR = pytest.mark.parametrize("protocol", [COOPERATIVE, KIP_848], ids=["classic", "kip-848"])


@BY_COORDINATOR
def test_a_member_that_slept_through_its_session_commits_nothing_for_what_it_lost(rig: Rig, protocol: Settings) -> None:
    """Zombie: stopped for twice its session's time-out, its partitions taken over, it goes on and changes nothing."""
    settings = (*quick(rig, protocol), NARROW, {"routes": [rig.route(batch={"max_events": EVENTS_PER_REQUEST})]})
    rig.edge.set_faults(slow(LATENCY_MS))
    rig.send(30_000)
    zombie = rig.start(*settings)
    rig.until_accepted(500)
    other = rig.start(*settings)
    until_shared(rig, [zombie, other])
    lost = owned(zombie)

    zombie.freeze()
    rig.until("the other member's take-over", lambda: len(owned(other)) == 6)
    accepted = rig.edge.accepted_count()
    rig.until_accepted(accepted + 1_000)
    rig.until("time", lambda: True)
    zombie.thaw()

    rig.until("the loss", lambda: zombie.lines("partitions_lost") or zombie.lines("partitions_revoked"))
    until_shared(rig, [zombie, other])
    rig.edge.set_faults()
    rig.until_settled()
    assert [zombie.stop(), other.stop()] == [0, 0]
    findings = rig.findings()
    print("DUP", findings.duplicate_count, lost)
    findings.assert_clean(max_duplicates=2 * MAX_IN_FLIGHT * EVENTS_PER_REQUEST)
    assert_commits_follow_verdicts(rig)


@BY_COORDINATOR
def test_two_with_one_name(rig: Rig, protocol: Settings) -> None:
    settings = (*quick(rig, protocol), NARROW, {"kafka": {"group.instance.id": "the-only-one"}})
    rig.edge.set_faults(slow(LATENCY_MS))
    rig.send(5_000)
    first = rig.start(*settings)
    rig.until_accepted(500)
    first.may_end()
    second = rig.start(*settings)
    second.may_end()
    rig.until("one ends", lambda: first.exit_code is not None or second.exit_code is not None, timeout_s=30)
    for c in (first, second):
        print(c.name, c.exit_code)
        print("\n".join(l[:600] for l in c.text().splitlines() if '"debug"' not in l and '"summary"' not in l))
    rig.edge.set_faults()
    rig.until_settled()
    rig.findings().assert_clean(max_duplicates=1000)
    assert_commits_follow_verdicts(rig)
