"""Memory stays within what the settings say, whatever waits in Kafka and however slow the endpoint is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from connector.app import ExitCode
from tests.bench.procfs import peak_rss_bytes
from tests.faults.edge_process import slow
from tests.faults.events import Kind, all_good
from tests.faults.rig import QUICK

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.faults.child import Child
    from tests.faults.rig import Rig, Settings

_MB = 1024 * 1024
_PROCESS_BYTES = 100 * _MB  # the interpreter, libraries and threads
_OPEN_BYTES = 8 * _MB
_AHEAD_BYTES = 4 * _MB
_FETCH_BYTES = 4 * _MB
_IN_FLIGHT = 16

BUDGET_BYTES = _PROCESS_BYTES + 3 * (_OPEN_BYTES + _AHEAD_BYTES + _FETCH_BYTES) // 2 + _IN_FLIGHT * 64_000
"""What config/reference.md says of `consume.max_open_bytes`, for the settings below."""

TIGHT: Settings = {
    "kafka": {
        "queued.max.messages.kbytes": _AHEAD_BYTES // 1024,
        "fetch.max.bytes": _FETCH_BYTES,
        "message.max.bytes": 1_000_000,
    },
    "edge": {"max_in_flight": _IN_FLIGHT},
    "consume": {"max_open_bytes": _OPEN_BYTES},
    "dead_letter": {"brake": {"max_share_percent": 100}},
}


def mixed(number: int) -> Kind:
    """Everything that is large in its own way, and small events."""
    return (Kind.LARGE, Kind.HUGE, Kind.LADEN, Kind.GOOD, Kind.GOOD)[number % 5]


def assert_within_budget(connector: Child) -> None:
    """The most memory that the process had so far is what its settings allow."""
    peak = peak_rss_bytes(connector.pid)
    assert peak <= BUDGET_BYTES, f"{peak / _MB:.0f} MB, and {BUDGET_BYTES / _MB:.0f} MB are allowed"


@pytest.mark.parametrize(
    ("kinds", "count", "slow_ms"),
    [
        pytest.param(lambda _: Kind.HUGE, 150, 0, id="rejected megabytes", marks=pytest.mark.long),
        pytest.param(lambda _: Kind.LADEN, 1000, 20, id="headers", marks=pytest.mark.long),
        pytest.param(mixed, 400, 20, id="mixed", marks=pytest.mark.long),
        pytest.param(lambda _: Kind.HUGE, 1000, 0, id="rejected megabytes, many", marks=pytest.mark.long),
        pytest.param(lambda _: Kind.LARGE, 5000, 100, id="large events", marks=pytest.mark.long),
        pytest.param(mixed, 5000, 100, id="mixed, many", marks=pytest.mark.long),
        pytest.param(all_good, 2_000_000, 20, id="a long backlog", marks=pytest.mark.long),
    ],
)
def test_memory_does_not_grow_with_what_waits(
    rig: Rig, kinds: Callable[[int], Kind], count: int, slow_ms: float
) -> None:
    """Memory squeeze: large records, all of which are read, with a slow endpoint."""
    rig.edge.set_faults(*([slow(slow_ms)] if slow_ms else []))
    rig.send(count, kinds)
    connector = rig.start(QUICK, TIGHT)
    rig.until_settled(timeout_s=400)

    assert_within_budget(connector)
    assert connector.stop() == ExitCode.STOPPED
    rig.findings().assert_clean(max_duplicates=0)


def test_memory_does_not_grow_in_an_outage(rig: Rig) -> None:
    """Memory squeeze: the endpoint is away while megabytes wait; what is held back is bounded, and goes on."""
    rig.edge.set_faults({"effect": {"kind": "status", "status": 503}})
    rig.send(400, lambda number: (Kind.LARGE, Kind.LADEN)[number % 2])
    connector = rig.start(QUICK, TIGHT, {"edge": {"retry": {"max_ms": 500}}})
    rig.until_logged(connector, "consumption_paused")
    rig.until_logged(connector, "summary", len(connector.lines("summary")) + 3)
    open_bytes = [line["open_bytes"] for line in connector.lines("summary")]
    # One poll may bring as much again: records that follow heavier ones are taken for heavy for a while.
    assert _OPEN_BYTES / 2 < max(open_bytes) <= 2 * _OPEN_BYTES
    rig.edge.set_faults()
    rig.until_settled()

    assert_within_budget(connector)
    assert connector.stop() == ExitCode.STOPPED
    rig.findings().assert_clean(max_duplicates=0)


def test_memory_does_not_grow_with_answers(rig: Rig) -> None:
    """Memory squeeze: half a megabyte for each event on its way to the responses topic, with many at once."""
    answers = rig.kafka.create_topic("responses", partitions=3)
    rig.send(300, lambda _: Kind.TALKED_ABOUT)
    route = rig.route(endpoint="interact", responses={"topic": answers})
    connector = rig.start(QUICK, TIGHT, {"edge": {"max_in_flight": 128}, "routes": [route]})
    rig.until_settled()

    assert_within_budget(connector)
    assert connector.stop() == ExitCode.STOPPED
    rig.findings().assert_clean(max_duplicates=0)
    assert sum(rig.kafka.end_offsets(answers).values()) == 300
