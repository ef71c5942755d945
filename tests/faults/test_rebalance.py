"""Members come and go while events flow, and nothing is lost or comes twice."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.faults.edge_process import slow

if TYPE_CHECKING:
    from tests.faults.child import Child
    from tests.faults.rig import Rig, Settings

CLASSIC: Settings = {}
KIP_848: Settings = {"kafka": {"group.protocol": "consumer"}}


@pytest.mark.parametrize("protocol", [CLASSIC, KIP_848], ids=["cooperative-sticky", "kip-848"])
def test_a_second_member_joins_and_leaves_in_mid_flow(rig: Rig, protocol: Settings) -> None:
    """With default settings a hand-over in either direction waits for the answers: no event comes twice."""
    # Fetches so small that there is always something under way of every partition.
    few: Settings = {
        "kafka": {"max.partition.fetch.bytes": 32_768},
        "edge": {"max_in_flight": 2},
        "consume": {"max_open_bytes": 2_097_152},
    }
    rig.edge.set_faults(slow(150))
    rig.send(40_000)
    first = rig.start(few, protocol)
    rig.until_accepted(1_000)

    second = rig.start(few, protocol)
    rig.until("the second member's share", lambda: _assigned_count(second))
    accepted = rig.edge.accepted_count()
    rig.until_accepted(accepted + 3_000)
    assert second.stop() == 0
    rig.until("the return of its share", lambda: _assigned_count(first) >= 9)

    accepted = rig.edge.accepted_count()
    assert accepted < 40_000, "the flow ended before the members had come and gone"
    rig.edge.set_faults()
    rig.until_settled()
    assert first.stop() == 0
    assert second.lines("events_abandoned") == []
    rig.findings().assert_clean(max_duplicates=0)


def _assigned_count(member: Child) -> int:
    """How many partitions a member was given so far, those given again counted again."""
    return sum(len(line["partitions"]) for line in member.lines("partitions_assigned"))
