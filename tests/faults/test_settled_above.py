"""One slow event holds the watermark, and costs nobody a second delivery: what is settled above it is known."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.faults.events import POISON_FAULT, Kind
from tests.faults.rig import QUICK
from tests.faults.test_crash import LATENCY_MS, MOST_REPEATED, SETTINGS, STATIC

if TYPE_CHECKING:
    from tests.faults.rig import Rig, Settings

UNAVAILABLE_FOR_IT = {**POISON_FAULT, "effect": {"kind": "status", "code": "EXEG-0201-503"}}
SLOW = {"delay": {"kind": "fixed", "ms": LATENCY_MS}}
EVENTS = 8_000


def one_early(number: int) -> Kind:
    """One of the first events is the slow one."""
    return Kind.POISON if number == 20 else Kind.GOOD


@pytest.mark.parametrize("is_killed", [True, False], ids=["kill -9", "sigterm"])
def test_what_settled_above_a_waiting_event_is_not_delivered_again(rig: Rig, *, is_killed: bool) -> None:
    """Kill -9, or SIGTERM, while the watermark of a partition waits: the next owner takes over what lies above it."""
    batches: Settings = {"routes": [rig.route(batch={"max_events": 50})]}
    rig.edge.set_faults(UNAVAILABLE_FOR_IT, SLOW)
    rig.send(EVENTS, one_early)
    first = rig.start(QUICK, STATIC, SETTINGS, batches)
    rig.until_accepted(EVENTS - 300)
    if is_killed:
        first.kill()
    else:
        assert first.stop() == 0
    assert min(rig.committed().values()) <= 20 // 6, "no watermark waits for the slow event"

    rig.edge.set_faults({**POISON_FAULT, "name": "poison"}, SLOW)
    second = rig.start(QUICK, STATIC, SETTINGS, batches)
    rig.until_settled()

    assert second.lines("partitions_assigned")[0]["settled_above"] > 500
    rig.findings().assert_clean(max_duplicates=MOST_REPEATED if is_killed else 0)
