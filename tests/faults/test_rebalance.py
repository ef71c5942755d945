"""Members come and go while events flow, and nothing is lost or comes twice."""

from __future__ import annotations

import time
from itertools import pairwise
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from tests.faults.commit_log import assert_commits_follow_verdicts
from tests.faults.edge_process import slow
from tests.faults.members import BY_COORDINATOR, BY_PROTOCOL, EAGER, FEW, quick, until_shared
from tests.faults.rig import PARTITIONS
from tests.faults.steady import SteadyFeed, Stream

if TYPE_CHECKING:
    from tests.faults.child import Child
    from tests.faults.rig import Rig, Settings

EVENTS = 40_000

STORM: dict[str, Any] = {"events_per_s": 300.0, "bad_kinds": (), "bad_every": 1}
STORM_MEMBERS = 4
LONGEST_STANDSTILL_S = 15.0
"""No event is accepted for at most this long: a rebalance under each protocol, several of them in a row at the worst,
on a machine that starts a process at the same time."""

HANDS_OFF: Settings = {"consume": {"revoke_timeout_ms": 3000}}
"""A rebalance that waits half as long as the group's session lasts."""


@BY_PROTOCOL
def test_members_join_and_leave_in_mid_flow(rig: Rig, protocol: Settings) -> None:
    """Scale out/in: 1, 4 and 1 members; each hand-over waits for the answers, and no event comes twice."""
    settings = (*quick(rig, protocol), FEW)
    rig.edge.set_faults(slow(100))
    rig.send(EVENTS)
    first = rig.start(*settings)
    rig.until_accepted(1_000)

    others = [rig.start(*settings) for _ in range(3)]
    until_shared(rig, [first, *others])
    accepted = rig.edge.accepted_count()
    rig.until_accepted(accepted + 2_000)
    for member in others:
        member.terminate()
    assert [member.wait() for member in others] == [0, 0, 0]
    until_shared(rig, [first])

    assert rig.edge.accepted_count() < EVENTS, "the flow ended before the members had come and gone"
    rig.edge.set_faults()
    rig.until_settled()
    assert first.stop() == 0
    rig.findings().assert_clean(max_duplicates=0)
    assert_commits_follow_verdicts(rig)


def test_members_that_come_and_go_all_the_time(rig: Rig) -> None:
    """Rebalance storm: for ten seconds somebody joins or leaves every few seconds, under the eager protocol."""
    _storm(rig, EAGER, seconds=10.0)


@pytest.mark.long
@BY_PROTOCOL
def test_members_that_come_and_go_for_minutes(rig: Rig, protocol: Settings) -> None:
    """Rebalance storm: for five minutes somebody joins or leaves every few seconds."""
    _storm(rig, protocol, seconds=300.0)


def _storm(rig: Rig, protocol: Settings, *, seconds: float) -> None:
    """Lost 0, no event twice, no commit behind another, and never a standstill of `LONGEST_STANDSTILL_S`."""
    rng = Random(6)
    settings = (*quick(rig, protocol), FEW)
    rig.edge.set_faults(slow(50))
    members: list[Child] = [rig.start(*settings)]
    until_shared(rig, members)
    feed = SteadyFeed(rig.feed, [Stream(topic=rig.topic, partitions=PARTITIONS, **STORM)])
    feed.start()
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if len(members) == 1 or (len(members) < STORM_MEMBERS and rng.random() < 0.5):
            members.append(rig.start(*settings))
        else:
            _stop(rig, members.pop(rng.randrange(len(members))))
        time.sleep(rng.uniform(1.0, 3.0))
    feed.stop()
    rig.until_settled()

    for member in members:
        _stop(rig, member)
    rig.findings().assert_clean(max_duplicates=0)
    assert_commits_follow_verdicts(rig)
    accepted_ms = sorted(line["t_ms"] for line in rig.edge.ledger() if line["fate"] == "accepted")
    standstill_ms = max(after - before for before, after in pairwise(accepted_ms))
    assert standstill_ms < LONGEST_STANDSTILL_S * 1000


def _stop(rig: Rig, member: Child) -> None:
    """Stop a member that may have been started just now: until it listens, a signal ends it like any process."""
    rig.until_logged(member, "connector_started")
    assert member.stop() == 0


@BY_COORDINATOR
def test_a_hand_over_does_not_wait_for_an_endpoint_that_hangs(rig: Rig, protocol: Settings) -> None:
    """Slow drain at revoke: what hangs is given up in time, told in one line, and comes twice at most once each."""
    settings = (*quick(rig, protocol), HANDS_OFF)
    rig.edge.set_faults({"effect": {"kind": "hang"}, "accept_first": True})
    rig.send(1_000)
    first = rig.start(*settings)
    rig.until_accepted(1_000)

    second = rig.start(*settings)
    rig.until_logged(first, "partitions_revoked")
    rig.edge.set_faults()
    rig.until_settled()

    revoked = first.lines("partitions_revoked")
    assert len(revoked) == 1
    taken = 1_000 // PARTITIONS * len(revoked[0]["partitions"])
    assert taken <= revoked[0]["abandoned"] == revoked[0]["cut_off"] <= taken + PARTITIONS
    assert revoked[0]["seconds"] < 4
    assert not first.lines("partitions_lost")
    assert [first.stop(), second.stop()] == [0, 0]
    rig.findings().assert_clean(max_duplicates=1_000)
    assert_commits_follow_verdicts(rig)
