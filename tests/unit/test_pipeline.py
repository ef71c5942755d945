"""From a poll to a commit, through a revoke, a loss and a stop: nothing is passed over, and little comes twice."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
import structlog
from confluent_kafka import KafkaError

from connector.core.batcher import Batcher, BatchLimits
from connector.core.decode import Decoder, DecodeRules, Shape
from connector.core.envelope import COLLECT
from connector.pipeline import Pipeline, PipelineSettings, StopReport
from connector.progress import Progress
from connector.route import Route, RouteSettings
from connector.sending import Defect
from tests.builders import FakeRecord, fragment_of
from tests.unit.delivery_scene import Scene, Sent, accepted, problem, status
from tests.unit.scripted_source import ScriptedSource
from tests.virtual_time import virtually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from connector.core.codes import NoAnswer
    from connector.core.settled import Range
    from connector.core.verdict import Answer
    from connector.ports import Slice

_REVOKE_S = 20.0
_GRACE_S = 25.0
_LINGER_S = 10.0
_COMMIT_S = 0.5
_TEN = [fragment_of(offset) for offset in range(10)]


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with structlog.testing.capture_logs():
        yield


class Running:
    """A pipeline with one route and one partition, at work."""

    def __init__(
        self,
        script: Callable[[Sent], Answer | NoAnswer] = lambda _: accepted(),
        *,
        values: Sequence[bytes | None] = _TEN,
        settled: tuple[Range, ...] = (),
        committed: int | None = 0,
        max_events: int = 5,
    ) -> None:
        self.scene = Scene(script)
        records = (FakeRecord(offset_number=at, value_bytes=value) for at, value in enumerate(values))
        self.source = ScriptedSource(records, settled, committed)
        limits = BatchLimits(
            max_bytes=64_000, max_events=max_events, linger_s=_LINGER_S, overhead_bytes=COLLECT.overhead_bytes
        )
        rules = DecodeRules(
            shape=Shape.AUTO, needs_primary_identity=False, derive_missing_id=True, max_fragment_bytes=60_000
        )
        settings = RouteSettings(
            name="web", topics=("xdm.web",), max_open_bytes=10**6, event_overhead_bytes=100, skips_tombstones=True
        )
        parts = self.scene.routes["web"]
        self.route = Route(
            settings,
            decoder=Decoder(rules),
            batcher=Batcher(limits),
            delivery=parts.delivery,
            burial=parts.burial,
            outcomes=parts.outcomes,
            gate=parts.gate,
            counts=self.scene.telemetry.routes["web"],
        )
        self.pipeline = Pipeline(
            PipelineSettings(
                max_poll_records=1000, commit_interval_s=_COMMIT_S, revoke_timeout_s=_REVOKE_S, grace_s=_GRACE_S
            ),
            source=self.source,
            routes=[self.route],
            telemetry=self.scene.telemetry,
            progress=Progress(),
            monotonic_s=asyncio.get_running_loop().time,
        )
        self.run: asyncio.Task[StopReport] = asyncio.create_task(self.pipeline.run())

    @property
    def accepted(self) -> list[int]:
        """The offsets of the events that the endpoint accepted."""
        return sorted(self.scene.edge.accepted)

    async def revoke(self) -> tuple[list[int], float]:
        """Take the partition away; returns what is committed then, and how long that took in seconds."""
        began = self.scene.now
        commits = await self.source.listener.revoked([self.source.owner])
        return [commit.offset for commit in commits], self.scene.now - began

    async def stop(self) -> StopReport:
        """Stop it and wait for the end."""
        self.pipeline.stop()
        return await self.run


@virtually
async def test_what_is_settled_is_committed_within_a_moment() -> None:
    """Full batches leave at once, the rest when it has lingered; the commit follows, and no byte counts as open."""
    running = Running(values=_TEN[:7])
    await asyncio.sleep(2 * _COMMIT_S)
    assert (running.accepted, running.source.commits) == ([0, 1, 2, 3, 4], [5])
    await asyncio.sleep(_LINGER_S)
    assert (running.accepted, running.source.commits, running.source.owner.committed) == (list(range(7)), [5, 7], 7)
    assert running.route.open_bytes == 0
    assert (await running.stop()).open_records == 0


@virtually
async def test_what_settled_under_an_earlier_assignment_is_not_delivered() -> None:
    """It is read, and counts at once."""
    running = Running(settled=((2, 5), (7, 8)))
    report = await _after(running, 1.0)
    assert running.accepted == [0, 1, 5, 6, 8, 9]
    assert (report.open_records, running.source.owner.committed) == (0, 10)


@virtually
async def test_a_start_that_nobody_committed_is_committed_before_anything_else() -> None:
    """After a crash before the first verdict the group goes on from there, and not at what is the latest then."""
    running = Running(lambda _: status(503), committed=None)
    await asyncio.sleep(_COMMIT_S / 10)
    assert running.source.commits == [0]
    await running.stop()


async def _after(running: Running, seconds: float) -> StopReport:
    await asyncio.sleep(seconds)
    return await running.stop()


@virtually
async def test_every_record_has_its_verdict() -> None:
    """Tombstones that are skipped, records that are no event, and events."""
    running = Running(values=[fragment_of(0), None, b"no JSON", fragment_of(3)])
    report = await _after(running, 1.0)
    assert (running.accepted, set(running.scene.dead_letters.written)) == ([0, 3], {2})
    assert (report.open_records, running.source.owner.committed, running.route.open_bytes) == (0, 4, 0)


@virtually
async def test_a_commit_that_failed_is_tried_again_on_a_quiet_topic() -> None:
    """Nothing new comes, and the broker has it in the end."""
    running = Running()
    running.source.errors = [KafkaError(KafkaError.REQUEST_TIMED_OUT)] * 3
    await asyncio.sleep(6 * _COMMIT_S)
    assert (running.source.commits, running.source.owner.committed) == ([5] * 4, 5)
    await running.stop()


# A revoke


@virtually
async def test_a_revoke_finishes_what_lingers_and_what_is_under_way() -> None:
    """All of it is delivered once and committed, and nobody waits for the deadline."""
    running = Running(values=_TEN[:7])
    running.scene.edge.latency_s = 3.0
    await running.scene.edge.until_sent(1)
    commits, seconds = await running.revoke()
    assert (commits, running.accepted) == ([7], list(range(7)))
    assert seconds < 7.0
    assert (await running.stop()).open_records == 0


@virtually
async def test_a_revoke_waits_for_no_other_try() -> None:
    """What failed and waits is given up at once, for whoever owns the partition next."""
    running = Running(lambda sent: status(503) if 7 in sent.offsets else accepted())
    await asyncio.sleep(100.0)
    commits, seconds = await running.revoke()
    assert (commits, running.source.commits) == ([], [5])
    assert seconds <= running.scene.edge.latency_s
    assert running.scene.telemetry.routes["web"].abandoned == 5


@virtually
async def test_a_revoke_has_a_deadline() -> None:
    """An answer that takes longer comes for nobody: the next owner delivers again."""
    running = Running()
    running.scene.edge.latency_s = 100.0
    await running.scene.edge.until_sent(2)
    commits, seconds = await running.revoke()
    assert (commits, round(seconds)) == ([], _REVOKE_S)
    await asyncio.sleep(100.0)
    assert running.accepted == list(range(10))
    assert (running.source.owner.watermark, running.source.owner.committed) == (0, 0)
    assert running.scene.telemetry.routes["web"].late_answers == 10
    await running.stop()


@virtually
async def test_a_lost_partition_commits_nothing_and_admits_nothing() -> None:
    """Neither what settled before nor what arrives later changes anything."""
    running = Running(values=_TEN[:5])
    await running.scene.edge.until_sent(1)
    owner = running.source.owner
    await running.source.listener.lost([owner])
    running.source.records = [FakeRecord(offset_number=5, value_bytes=fragment_of(5))]
    await asyncio.sleep(2 * _LINGER_S)
    assert (running.accepted, running.source.commits) == ([0, 1, 2, 3, 4], [])
    assert (owner.watermark, owner.next_offset) == (0, 5)
    await running.stop()


# A stop


@virtually
async def test_a_stop_finishes_and_commits_before_it_leaves() -> None:
    """Also where the first commit fails, and answers take a while."""
    running = Running(values=_TEN[:7])
    running.scene.edge.latency_s = running.source.answers_after_s = 2.0
    running.source.errors = [KafkaError(KafkaError.REQUEST_TIMED_OUT)]
    await running.scene.edge.until_sent(1)
    report = await running.stop()
    assert (report.open_records, report.cut_off_records, report.uncommitted_partitions) == (0, 0, 0)
    assert (running.accepted, running.source.owner.committed) == (list(range(7)), 7)
    assert report.seconds < _GRACE_S


@virtually
async def test_a_stop_has_a_deadline_and_tells_what_it_cut_off() -> None:
    """What is under way then may come twice."""
    running = Running()
    running.scene.edge.latency_s = 100.0
    await running.scene.edge.until_sent(2)
    report = await running.stop()
    assert (report.open_records, report.cut_off_records, round(report.seconds)) == (10, 10, _GRACE_S)


@virtually
async def test_a_stop_that_has_no_time_left_ends_a_revoke_too() -> None:
    """The Kafka thread is in the revoke: were that to wait on, there would be no last commit, and no leaving."""
    running = Running()
    running.scene.edge.latency_s = 100.0
    await running.scene.edge.until_sent(2)
    stop = asyncio.create_task(running.stop())
    await asyncio.sleep(_GRACE_S - 1.0)
    _, seconds = await running.revoke()
    assert round(seconds, 1) == 1.0
    await stop


@virtually
async def test_a_defect_ends_the_run() -> None:
    """What no waiting mends is not waited for, and nothing is committed past it."""
    running = Running(lambda sent: problem("0109-408") if 0 in sent.offsets else accepted())
    with pytest.raises(Defect):
        async with asyncio.timeout(_GRACE_S):
            await running.run
    assert running.source.owner.watermark == 0


@virtually
async def test_a_stop_does_not_wait_for_a_poll_that_sits_in_a_rebalance() -> None:
    """The brokers may not say for minutes where a partition begins; what is in flight still ends, within the grace."""
    running = Running()
    await asyncio.sleep(1.0)
    poll = running.source.poll

    async def sit(max_records: int, timeout_s: float) -> list[Slice]:
        await asyncio.sleep(240.0)
        return await poll(max_records, timeout_s)

    running.source.poll = sit  # type: ignore[method-assign] # the coordinator is away
    await asyncio.sleep(1.0)
    began = running.scene.now
    report = await running.stop()
    assert (running.accepted, report.open_records) == (list(range(10)), 0)
    assert running.scene.now - began < _GRACE_S + 1
