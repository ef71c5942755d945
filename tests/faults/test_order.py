"""On a route with `order: key`, the events of one key arrive one after another, whatever goes wrong."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import pytest

from connector.app import ExitCode
from tests.faults.events import Kind, make_record
from tests.faults.rig import PARTITIONS, QUICK

if TYPE_CHECKING:
    from tests.faults.feed import Sent
    from tests.faults.rig import Rig, Settings

_KEYS = 4  # in each partition
_TIMES = {"delay": {"kind": "uniform", "min_ms": 1, "max_ms": 60}}
_FAULTS = (
    {"select": {"share": 0.1}, "effect": {"kind": "status", "code": "EXEG-0201-503"}, **_TIMES},
    {"select": {"share": 0.02}, "effect": {"kind": "status", "status": 429, "retry_after": 1}},
    {"select": {"share": 0.03}, "effect": {"kind": "reset"}, "accept_first": True, **_TIMES},
    {"select": {"share": 0.02}, "delay": {"kind": "fixed", "ms": 600}},
    _TIMES,
)


def _key(number: int) -> bytes:
    """Few keys, each in every partition."""
    return b"visitor-%d" % (number // PARTITIONS % _KEYS)


def _one_in_fifty_bad(number: int) -> Kind:
    """Some events are refused, and dead-lettered."""
    return Kind.NAMED if number % 50 == 20 else Kind.GOOD


@pytest.mark.long
def test_each_key_keeps_its_order_through_faults(rig: Rig) -> None:
    """First attempts and acceptances of a key are in the order of its offsets; the keys overtake each other."""
    rig.edge.set_faults(*_FAULTS)
    rig.send(600, _one_in_fifty_bad, key=_key)
    connector = rig.start(_ordered(rig))

    rig.until_settled()

    assert connector.stop() == ExitCode.STOPPED
    findings = rig.findings()
    findings.assert_clean(max_duplicates=findings.duplicate_count)
    assert not rig.unexplained(findings)
    assert len(rig.kafka.read_all(rig.dead_letter_topic)) == rig.feed.count(Kind.NAMED)
    _assert_in_order(rig)
    offsets = [place[1] for place in _requests(rig) if place[0] == 0]
    assert offsets != sorted(offsets), "keys of one partition do not wait for each other"


def test_a_stop_in_mid_flow_keeps_the_order_and_doubles_nothing(rig: Rig) -> None:
    """What waits below an accepted event is delivered before the end, so the next start repeats nothing."""
    rig.edge.set_faults(_TIMES)
    rig.send(1_200, key=_key)
    first = rig.start(QUICK, _ordered(rig))
    rig.until_accepted(300)

    assert first.stop() == ExitCode.STOPPED

    assert rig.edge.accepted_count() < 1_200
    rig.start(QUICK, _ordered(rig))
    rig.until_settled()
    rig.findings().assert_clean(max_duplicates=0)
    _assert_in_order(rig)


def _ordered(rig: Rig) -> Settings:
    return {
        "routes": [rig.route(endpoint="interact", order="key")],
        "edge": {"retry": {"initial_ms": 20, "max_ms": 200}},
    }


def _requests(rig: Rig) -> list[tuple[int, int, bytes | None]]:
    """The requests that were decided, in order: partition, offset and key of the one event in each."""
    by_id = {_identity(sent): sent for sent in rig.feed.sent}
    found = [by_id[identity] for request in rig.edge.ledger() for identity in request["ids"]]
    return [(sent.partition, sent.offset, sent.key) for sent in found]


def _identity(sent: Sent) -> str:
    event = make_record(sent.run, sent.number, sent.kind).event
    return str(event["xdm"].get("_id", sent.derived_id))


def _assert_in_order(rig: Rig) -> None:
    """No request of a key comes after one of a later event, so no first attempt does, nor any acceptance."""
    lines: dict[tuple[int, bytes | None], list[int]] = defaultdict(list)
    for partition, offset, key in _requests(rig):
        lines[partition, key].append(offset)
    assert len(lines) == PARTITIONS * _KEYS
    for offsets in lines.values():
        assert offsets == sorted(offsets)
