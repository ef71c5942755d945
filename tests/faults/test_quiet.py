"""Nothing is lost, one bad event costs nobody else, and without faults nothing comes twice."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.faults.events import BAD_KINDS, POISON_FAULT, one_percent_bad

if TYPE_CHECKING:
    from tests.faults.rig import Rig

_FAULT_WINDOW = (
    {"select": {"requests": 10}, "effect": {"kind": "status", "code": "EXEG-0201-503", "retry_after": 1}},
    {"select": {"requests": 3}, "effect": {"kind": "hang"}, "accept_first": True},
    {"select": {"requests": 3}, "effect": {"kind": "hang"}},
    {"select": {"requests": 4}, "effect": {"kind": "reset"}, "accept_first": True},
    {"select": {"requests": 4}, "effect": {"kind": "reset", "when": "before_body"}},
    {"select": {"requests": 10}, "effect": {"kind": "status", "status": 429, "retry_after": {"date_in_seconds": 1}}},
    {"select": {"requests": 4}, "effect": {"kind": "half_body"}, "accept_first": True},
)


def test_without_faults_nothing_is_lost_and_nothing_comes_twice(rig: Rig) -> None:
    """40,000 good events arrive exactly once each, whole, and the commits stand at the ends."""
    rig.send(40_000)
    connector = rig.start()

    rig.until_settled()

    assert connector.stop() == 0
    rig.findings().assert_clean(max_duplicates=0)
    assert rig.edge.summary()["times"]["accepted"] == 40_000


def test_bad_events_and_a_bad_minute_cost_nobody_else(rig: Rig) -> None:
    """100,000 events, 1 % of them bad, with faults in the middle: only the bad ones become dead letters."""
    rig.edge.set_faults(POISON_FAULT)
    rig.send(50_000, one_percent_bad)
    connector = rig.start({"edge": {"timeout_ms": 1500, "connect_timeout_ms": 1500, "retry": {"max_ms": 1000}}})
    rig.until_accepted(20_000)

    rig.edge.set_faults(POISON_FAULT, *_FAULT_WINDOW)
    rig.send(50_000, one_percent_bad)
    rig.until("the end of the fault window", lambda: all(fault["over"] for fault in rig.edge.faults()[1:]))
    rig.until_settled()

    assert connector.stop() == 0
    findings = rig.findings()
    findings.assert_clean(max_duplicates=findings.duplicate_count)
    assert findings.duplicates, "events that were accepted without an answer have to come again"
    assert not rig.unexplained(findings)
    assert len(rig.kafka.read_all(rig.dead_letter_topic)) == rig.feed.count(*BAD_KINDS)
