"""A signal while the brokers are away or silent ends a connector in time, and costs no event."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from connector.app import ExitCode
from tests.faults.commit_log import assert_commits_follow_verdicts
from tests.faults.edge_process import slow
from tests.faults.members import COOPERATIVE, KIP_848, quick

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.faults.child import Child
    from tests.faults.rig import Rig, Settings
    from tests.kafka.broker import Cluster

GRACE: Settings = {"shutdown": {"grace_ms": 4000}, "edge": {"max_in_flight": 2}}


def _freeze(cluster: Cluster) -> Callable[[], None]:
    """Make the broker silent, its connections open; returns what ends that."""
    pid = cluster.nodes[0].pid
    os.kill(pid, signal.SIGSTOP)
    return lambda: os.kill(pid, signal.SIGCONT)


def _kill(cluster: Cluster) -> Callable[[], None]:
    """Take the broker away; returns what brings it back."""
    cluster.nodes[0].kill()
    return cluster.start


@pytest.mark.long
@pytest.mark.parametrize("protocol", [COOPERATIVE, KIP_848], ids=["classic", "kip-848"])
@pytest.mark.parametrize("take_away", [_freeze, _kill], ids=["silent", "killed"])
def test_a_signal_while_the_brokers_are_away(
    crash_rig: Rig, kafka_cluster: Cluster, protocol: Settings, take_away: Callable[[Cluster], Callable[[], None]]
) -> None:
    """SIGTERM while the broker is away: idle, before the first assignment, in mid-flow, and twice in mid-flow."""
    rig = crash_rig
    settings = (*quick(rig, protocol), GRACE)
    rig.send(1_000)
    idle = rig.start(*settings)
    rig.until_settled()

    bring_back = take_away(kafka_cluster)
    assert idle.stop() == ExitCode.STOPPED
    early = rig.start(*settings)
    rig.until_logged(early, "connector_started")
    assert early.stop() == ExitCode.STOPPED
    bring_back()

    rig.edge.set_faults(slow(200))
    rig.send(10_000)
    busy = _in_mid_flow(rig, settings)
    bring_back = take_away(kafka_cluster)
    rig.until_accepted(rig.edge.accepted_count() + 200)  # which nobody can commit
    assert busy.stop() == ExitCode.UNFINISHED
    bring_back()
    at_risk = _at_risk(rig)

    busy = _in_mid_flow(rig, settings)
    bring_back = take_away(kafka_cluster)
    busy.terminate()
    rig.until_logged(busy, "stop_asked")
    assert busy.stop() == ExitCode.FORCED
    bring_back()
    at_risk += _at_risk(rig)

    rig.edge.set_faults()
    rig.start(*settings)
    rig.until_settled()
    rig.findings().assert_clean(max_duplicates=at_risk)
    assert_commits_follow_verdicts(rig)


def _in_mid_flow(rig: Rig, settings: tuple[Settings, ...]) -> Child:
    accepted = rig.edge.accepted_count()
    connector = rig.start(*settings)
    rig.until_accepted(accepted + 1_000)
    return connector


def _at_risk(rig: Rig) -> int:
    """How many events were accepted and are above the commits: what may come twice."""
    return rig.edge.accepted_count() - sum(rig.committed().values())
