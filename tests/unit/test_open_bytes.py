"""What is read and not settled is counted by what it takes in memory, and reading waits for room."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import orjson
import pytest

from connector.core.answer_room import AnswerRoom
from connector.core.batcher import Batcher, BatchLimits
from connector.core.decode import Decoder, DecodeRules, Shape
from connector.core.envelope import COLLECT
from connector.core.pacing import Concurrency
from connector.core.rate import Rate
from connector.gate import Gate
from connector.pace import Pace
from connector.pipeline import Pipeline, PipelineSettings
from connector.ports import Slice, Start
from connector.progress import Progress
from connector.route import Route, RouteSettings
from tests.builders import FakeRecord, fragment_of
from tests.unit.delivery_scene import Scene, accepted, status
from tests.virtual_time import virtually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from connector.core.offsets import PartitionOffsets
    from connector.ports import AssignmentListener, Commit, Extent

_MB = 1024 * 1024
_OVERHEAD_BYTES = 100


class Backlog:
    """One partition with as many records of one kind as anybody asks for, up to a number."""

    def __init__(self, make: Callable[[int], FakeRecord], count: int) -> None:
        self.read = 0
        self.polls: list[int] = []
        self.owner: PartitionOffsets | None = None
        self._make = make
        self._count = count
        self._is_paused = False

    async def start(self, listener: AssignmentListener) -> None:
        [self.owner] = await listener.assigned([Start("xdm.web", 0, 0, 0)])

    async def poll(self, max_records: int, timeout_s: float) -> list[Slice]:
        assert self.owner is not None
        end = self.read if self._is_paused else min(self._count, self.read + max_records)
        records = [self._make(offset) for offset in range(self.read, end)]
        self.polls.append(len(records))
        self.read = end
        await asyncio.sleep(0.001 if records else timeout_s)
        return [Slice(self.owner, records)] if records else []

    def commit(self, commits: Sequence[Commit]) -> None: ...

    def pause(self, owners: Iterable[PartitionOffsets]) -> None:
        self._is_paused |= bool(list(owners))

    def resume(self, owners: Iterable[PartitionOffsets]) -> None:
        self._is_paused &= not list(owners)

    async def extents(self, owners: Sequence[PartitionOffsets]) -> list[Extent | None]:
        return [None for _ in owners]

    async def close(self, timeout_s: float) -> bool:
        return timeout_s > 0


class Reading:
    """A pipeline with one route that reads a backlog."""

    def __init__(self, scene: Scene, backlog: Backlog, *, max_open_bytes: int = 8 * _MB, linger_s: float = 0.2) -> None:
        parts = scene.routes["web"]
        limits = BatchLimits(
            max_bytes=64_000, max_events=1000, linger_s=linger_s, overhead_bytes=COLLECT.overhead_bytes
        )
        rules = DecodeRules(
            shape=Shape.AUTO, needs_primary_identity=False, derive_missing_id=False, max_fragment_bytes=60_000
        )
        settings = RouteSettings(
            name="web", topics=("xdm.web",), max_open_bytes=max_open_bytes, event_overhead_bytes=_OVERHEAD_BYTES,
            skips_tombstones=True,
        )  # fmt: skip
        self.route = Route(
            settings, decoder=Decoder(rules), batcher=Batcher(limits), delivery=parts.delivery, burial=parts.burial,
            outcomes=parts.outcomes, gate=parts.gate, counts=scene.telemetry.routes["web"],
        )  # fmt: skip
        self.pipeline = Pipeline(
            PipelineSettings(max_poll_records=1000, commit_interval_s=0.5, revoke_timeout_s=1.0, grace_s=1.0),
            source=backlog,
            routes=[self.route],
            telemetry=scene.telemetry,
            progress=Progress(),
            monotonic_s=asyncio.get_running_loop().time,
        )
        self._run = asyncio.create_task(self.pipeline.run())

    async def stop(self) -> None:
        """Stop the pipeline, whatever is open."""
        self.pipeline.stop()
        await self._run


def plain(offset: int) -> FakeRecord:
    """A record that is sent as it is."""
    return FakeRecord(offset_number=offset, value_bytes=fragment_of(offset))


def bare(offset: int) -> FakeRecord:
    """A record that has to be wrapped, so that its fragment is not its value."""
    return FakeRecord(offset_number=offset, value_bytes=b'{"_id":"%d","a":"%s"}' % (offset, b"x" * 5_000))


def laden(offset: int) -> FakeRecord:
    """A small record with a large header."""
    return FakeRecord(offset_number=offset, value_bytes=fragment_of(offset), header_list=(("h", b"x" * 100_000),))


def huge(offset: int) -> FakeRecord:
    """A record that is rejected for its size."""
    return FakeRecord(offset_number=offset, value_bytes=orjson.dumps({"xdm": {"_id": str(offset), "a": "x" * _MB}}))


@pytest.mark.parametrize(
    ("make", "count", "least", "most"),
    [
        (plain, 10, 10 * _OVERHEAD_BYTES, 10 * (_OVERHEAD_BYTES + 50)),
        (bare, 10, 10 * 10_000, 10 * 10_300),
        (laden, 10, 10 * 100_000, 10 * 101_000),
    ],
    ids=["as it was read", "value and fragment", "headers"],
)
@virtually
async def test_an_open_event_counts_with_all_that_it_keeps(
    make: Callable[[int], FakeRecord], count: int, least: int, most: int
) -> None:
    """Also while it lingers in a batch that is not sent; settled, it counts no more."""
    scene = Scene(lambda _: accepted())
    reading = Reading(scene, Backlog(make, count), linger_s=30.0)
    await asyncio.sleep(20.0)
    assert least <= reading.route.open_bytes <= most
    await asyncio.sleep(20.0)
    assert reading.route.open_bytes == 0
    assert len(scene.edge.accepted) == count
    await reading.stop()


@pytest.mark.parametrize("make", [plain, bare, laden], ids=["small", "value and fragment", "headers"])
@virtually
async def test_reading_waits_for_room_in_an_outage(make: Callable[[int], FakeRecord]) -> None:
    """Whatever the records are made of, no more is open than may be and one poll brings."""
    scene = Scene(lambda _: status(503))
    backlog = Backlog(make, 100_000)
    reading = Reading(scene, backlog, max_open_bytes=4 * _MB)
    await asyncio.sleep(60.0)
    assert 3 * _MB < reading.route.open_bytes <= 6 * _MB
    read = backlog.read
    await asyncio.sleep(600.0)
    assert backlog.read == read
    await reading.stop()


@virtually
async def test_rejected_megabytes_are_read_a_few_at_a_time() -> None:
    """After the first poll, which knows no better, they count twice each: the producer of dead letters makes a copy."""
    scene = Scene(lambda _: accepted())
    backlog = Backlog(huge, 150)
    reading = Reading(scene, backlog)
    await asyncio.sleep(60)
    assert len(scene.dead_letters.written) == 150
    first, *others = backlog.polls
    assert first <= 9
    assert max(others) <= 5
    await reading.stop()


@virtually
async def test_a_batch_that_leaves_no_room_is_not_waited_for() -> None:
    """Where the batch that is being filled is all that is open, it goes before it has lingered long enough."""
    scene = Scene(lambda _: accepted())
    backlog = Backlog(laden, 500)
    reading = Reading(scene, backlog, max_open_bytes=_MB, linger_s=3600.0)
    await asyncio.sleep(60.0)
    assert backlog.read == 500
    assert len(scene.edge.accepted) >= 480
    await reading.stop()


@virtually
async def test_answers_that_are_kept_take_places() -> None:
    """No more requests are under way than their answers fit into memory, and never none."""
    clock = asyncio.get_running_loop().time
    room = AnswerRoom(30 * _MB)
    pace = Pace(Rate(10.0), clock=clock)
    gate = Gate(concurrency=Concurrency(100), pace=pace, probe_interval_s=30.0, clock=clock, room=room)
    for _ in range(200):
        room.note(1_000)
    taken = 0
    while gate.places.take_at_once():
        taken += 1
    assert taken == 100
    for _ in range(100):
        gate.places.leave()
    room.note(5 * _MB)
    assert gate.places.take_at_once()
    assert not gate.places.take_at_once()
