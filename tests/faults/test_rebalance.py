"""Members come and go while events flow, and nothing is lost or comes twice."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.faults.commit_log import assert_commits_follow_verdicts
from tests.faults.edge_process import slow
from tests.faults.members import FEW, PROTOCOLS, owned, quick, until_shared

if TYPE_CHECKING:
    from tests.faults.rig import Rig, Settings

BY_PROTOCOL = pytest.mark.parametrize("protocol", PROTOCOLS.values(), ids=PROTOCOLS)
EVENTS = 40_000


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
        assert member.stop() == 0
    until_shared(rig, [first])

    assert rig.edge.accepted_count() < EVENTS, "the flow ended before the members had come and gone"
    rig.edge.set_faults()
    rig.until_settled()
    assert first.stop() == 0
    assert not owned(first)
    rig.findings().assert_clean(max_duplicates=0)
    assert_commits_follow_verdicts(rig)
