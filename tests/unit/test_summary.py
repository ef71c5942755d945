"""The summary tells routes apart, and what waits behind a hold is in the lag."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import structlog

from connector.assembly import assemble
from connector.model import Rejection
from connector.ports import Extent, Start
from connector.summary import Summary
from connector.telemetry import Telemetry
from connector.telemetry_kafka import REMINDER_S
from tests.builders import FakeRecord
from tests.unit.config_sample import SAMPLE, load
from tests.virtual_time import virtually

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from connector.assembly import Assembly
    from connector.core.offsets import PartitionOffsets

Lines = list[Any]
EARLIEST, END = 3, 105
SECOND_ROUTE = {"name": "app", "topics": [r"^xdm\.app"], "datastream_id": "d"}


class SourceOfExtents:
    """A source that knows where partitions end, but for those of one topic."""

    def __init__(self, *_: object, **__: object) -> None: ...

    def pause(self, owners: Iterable[PartitionOffsets]) -> None: ...

    async def extents(self, owners: Sequence[PartitionOffsets]) -> list[Extent | None]:
        return [None if owner.topic == "xdm.app.silent" else Extent(EARLIEST, END) for owner in owners]


@pytest.fixture
def logged() -> Iterator[Lines]:
    """What was logged during the test."""
    with structlog.testing.capture_logs() as lines:
        yield lines


def _assembly(monkeypatch: pytest.MonkeyPatch) -> Assembly:
    monkeypatch.setattr("connector.assembly.KafkaSource", SourceOfExtents)
    return assemble(load({**SAMPLE, "routes": [*SAMPLE["routes"], SECOND_ROUTE]}))


def _last(lines: Lines) -> dict[str, Any]:
    return dict([line for line in lines if line["event"] == "summary"][-1])


@virtually
async def test_each_route_has_its_rate_its_lag_and_its_hold(monkeypatch: pytest.MonkeyPatch, logged: Lines) -> None:
    """One route flows while the other is held with its first record unsettled; the totals alone would hide it."""
    assembly = _assembly(monkeypatch)
    at_zero, unread, silent = (
        Start("xdm.app.a", 0, 0, 0),
        Start("xdm.app.b", 0, None, None),
        Start("xdm.app.silent", 0, 7, 7),
    )
    starts = [Start("xdm.web", 0, 100, 100), at_zero, unread, silent]
    await assembly.pipeline.membership.assigned(starts)
    summary = asyncio.create_task(Summary(assembly, interval_s=10).run())
    await asyncio.sleep(1)
    assembly.telemetry.events_accepted("web", 1000, late=0)
    assembly.routes[1].gate.close("http_404", "prober")
    await asyncio.sleep(10)
    assert _last(logged)["routes"] == {
        "web": {"events_per_s": 100.0, "lag": END - 100},
        "app": {"events_per_s": 0.0, "lag": END + END - EARLIEST, "held": "http_404"},
    }
    assert (_last(logged)["lag"], _last(logged)["held"]) == (END - 100 + END + END - EARLIEST, ["app"])
    assembly.routes[1].gate.open("prober")
    await asyncio.sleep(10)
    assert _last(logged)["routes"]["web"] == {"events_per_s": 0.0, "lag": END - 100}
    assert "held" not in _last(logged)["routes"]["app"]
    assert assembly.telemetry.routes["app"].lag == END + END - EARLIEST
    summary.cancel()


def test_dead_letters_for_one_reason_are_told_every_ten_minutes_with_their_number(logged: Lines) -> None:
    """A topic always carries some bad events: told more often they would bury the rest. A new reason is news."""
    now = [0.0]
    telemetry = Telemetry(["web"], clock=lambda: now[0])
    for _ in range(int(REMINDER_S) + 1):
        telemetry.event_dead_lettered("web", FakeRecord(), Rejection(stage="decode", reason="not_json", title="t"))
        now[0] += 1
    telemetry.event_dead_lettered("web", FakeRecord(), Rejection(stage="decode", reason="too_deep", title="t"))
    assert [(line["reason"], line.get("occurrences")) for line in logged] == [
        ("not_json", None),
        ("not_json", REMINDER_S),
        ("too_deep", None),
    ]
    assert all("xdm.error" in line["remedy"] for line in logged)


@virtually
async def test_log_lines_that_are_missing_are_told_when_lines_can_be_written_again(
    monkeypatch: pytest.MonkeyPatch, logged: Lines
) -> None:
    """While the log takes nothing this line would be missing too; each loss is told once."""
    output = SimpleNamespace(dropped_lines=0, is_stuck=False)
    monkeypatch.setattr("connector.summary.log_output", lambda: output)
    summary = Summary(_assembly(monkeypatch), interval_s=10)

    async def told() -> list[int]:
        logged.clear()
        await summary.tell()
        return [line["count"] for line in logged if line["event"] == "log_lines_dropped"]

    assert await told() == []
    output.dropped_lines, output.is_stuck = 7, True
    assert await told() == []
    output.is_stuck = False
    assert await told() == [7]
    assert await told() == []
    output.dropped_lines = 9
    assert await told() == [2]
