"""The pipeline delivers the events of one key one after another, and gives back what would be out of order."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from random import Random
from typing import TYPE_CHECKING

from connector.core.batcher import Batcher, BatchLimits
from connector.core.decode import Decoder, DecodeRules, Shape
from connector.core.envelope import INTERACT
from connector.core.verdict import Answer
from connector.pipeline import Pipeline, PipelineSettings, StopReport
from connector.progress import Progress
from connector.route import Route, RouteSettings
from tests.builders import FakeRecord, fragment_of
from tests.unit.delivery_scene import Scene, Sent, problem, status
from tests.unit.scripted_source import ScriptedSource
from tests.virtual_time import virtually

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from connector.core.codes import NoAnswer
    from connector.core.offsets import PartitionOffsets

_PLACES = 8
_OVERHEAD_BYTES = 100


def accepted() -> Answer:
    """200, as interact says it."""
    return Answer(status=200, body=b'{"handle":[]}')


class OrderedRoute:
    """A pipeline with one route that keeps the order of keys; the records' keys are given, their offsets follow."""

    def __init__(self, keys: Sequence[bytes | None], script: Callable[[Sent], Answer | NoAnswer]) -> None:
        self.scene = Scene(script, kind="interact", most=_PLACES)
        self.source = ScriptedSource(
            FakeRecord(offset_number=offset, key_bytes=key, value_bytes=fragment_of(offset))
            for offset, key in enumerate(keys)
        )
        self.progress = Progress()
        parts = self.scene.routes["web"]
        limits = BatchLimits(max_bytes=64_000, max_events=1, linger_s=0.0, overhead_bytes=INTERACT.overhead_bytes)
        self.route = Route(
            RouteSettings(
                name="web",
                topics=("xdm.web",),
                max_open_bytes=1_000_000,
                event_overhead_bytes=_OVERHEAD_BYTES,
                skips_tombstones=True,
                ordered_at_once=_PLACES,
            ),
            decoder=Decoder(
                DecodeRules(
                    shape=Shape.AUTO, needs_primary_identity=False, derive_missing_id=True, max_fragment_bytes=60_000
                )
            ),
            batcher=Batcher(limits),
            delivery=parts.delivery,
            burial=parts.burial,
            outcomes=parts.outcomes,
            gate=parts.gate,
            counts=self.scene.telemetry.routes["web"],
        )
        self.pipeline = Pipeline(
            PipelineSettings(max_poll_records=1000, commit_interval_s=0.5, revoke_timeout_s=20.0, grace_s=25.0),
            source=self.source,
            routes=[self.route],
            telemetry=self.scene.telemetry,
            progress=self.progress,
            monotonic_s=asyncio.get_running_loop().time,
        )
        self.run: asyncio.Task[StopReport] = asyncio.create_task(self.pipeline.run())

    @property
    def owner(self) -> PartitionOffsets:
        """The partition's offsets, once it is assigned."""
        return self.source.owner

    @property
    def sent(self) -> list[int]:
        """The offsets of the requests so far."""
        return [sent.offsets[0] for sent in self.scene.edge.sent]

    async def until_settled(self, count: int) -> None:
        """Wait until everything below an offset is settled."""
        await self.scene.edge.until_sent(1)
        async with asyncio.timeout(300.0):
            while self.owner.watermark != count:
                await self.progress.wait(300.0)

    async def stop(self) -> StopReport:
        """Stop it and wait for the end."""
        self.pipeline.stop()
        return await self.run


@virtually
async def test_keys_keep_their_order_whatever_is_answered() -> None:
    """With faults and answers that overtake each other, each key's requests and acceptances are in order."""
    rng, took = Random(7), list[int]()
    keys = [rng.choice([None, b"a", b"b", b"c", b"d", b"e"]) for _ in range(300)]

    def script(sent: Sent) -> Answer:
        ordered.scene.edge.latency_s = rng.expovariate(5.0)
        if rng.random() < 0.2:
            return status(503)
        took.extend(sent.offsets)
        return accepted()

    ordered = OrderedRoute(keys, script)
    await ordered.until_settled(len(keys))
    assert ordered.scene.edge.most_at_once == _PLACES
    assert ordered.sent != sorted(ordered.sent)
    for key in {*keys} - {None}:
        ours = [offset for offset, its_key in enumerate(keys) if its_key == key]
        assert [offset for offset in took if offset in ours] == ours
        assert all(first <= later for first, later in pairwise([offset for offset in ordered.sent if offset in ours]))
    assert sorted(took) == list(range(len(keys)))
    assert (await ordered.stop()).open_records == 0
    assert ordered.route.open_bytes == 0


@virtually
async def test_a_dead_letter_keeps_its_place_until_it_is_confirmed() -> None:
    """What follows a refused event leaves when the broker has the dead letter, others of the route at once."""
    ordered = OrderedRoute([b"a", b"a", b"b"], lambda sent: problem("0104-422") if sent.offsets == (0,) else accepted())
    ordered.scene.dead_letters.latency_s = 5.0
    await ordered.until_settled(3)
    first, other, second = ordered.scene.edge.sent
    assert [sent.offsets for sent in (first, other, second)] == [(0,), (2,), (1,)]
    assert other.at - first.at < 1.0
    assert second.at - first.at > 5.0
    await ordered.stop()


@virtually
async def test_what_waits_counts_as_open() -> None:
    """An event behind another of its key fills the route as one under way does, until it ends."""
    ordered = OrderedRoute([b"a"] * 5, lambda _: accepted())
    await ordered.scene.edge.until_sent(1)
    each = len(fragment_of(0)) + len(b"a") + _OVERHEAD_BYTES
    assert ordered.route.open_bytes == 5 * each
    await ordered.scene.edge.until_sent(2)
    assert ordered.route.open_bytes == 4 * each
    await ordered.until_settled(5)
    await ordered.stop()
    assert ordered.route.open_bytes == 0


@virtually
async def test_a_stop_in_an_outage_gives_back_what_waits() -> None:
    """An event that is given up takes all behind it along: the next start reads them in their order."""
    ordered = OrderedRoute([b"a", b"a", b"b", b"a", b"b"], lambda _: status(503))
    await ordered.scene.edge.until_sent(6)
    report = await ordered.stop()
    assert (report.open_records, report.cut_off_records) == (5, 0)
    assert report.seconds < 1.0
    assert set(ordered.sent) == {0, 2}
    assert ordered.route.open_bytes == 0


@virtually
async def test_a_stop_gives_back_at_once_what_only_waits() -> None:
    """What lies above everything that was sent is not waited for, however long the answers take."""
    ordered = OrderedRoute([b"a", b"a", b"b", b"a", b"b"], lambda _: accepted())
    await ordered.scene.edge.until_sent(2)
    ordered.pipeline.stop()
    assert ordered.owner.under_way_count == 3
    assert ordered.route.open_bytes == 3 * (len(fragment_of(0)) + len(b"a") + _OVERHEAD_BYTES)
    report = await ordered.run
    assert (report.open_records, ordered.sent) == (2, [0, 2, 1])


@virtually
async def test_a_revoke_settles_what_lies_below_what_was_sent() -> None:
    """A partition that is handed on leaves no hole below an accepted event, and sends nothing beyond that."""
    ordered = OrderedRoute([b"a", b"a", b"b", b"a", b"b"], lambda _: accepted())
    await ordered.scene.edge.until_sent(2)
    committed = await ordered.pipeline.membership.revoked([ordered.owner])
    assert ordered.sent == [0, 2, 1]
    assert [commit.offset for commit in committed] == [3]
    assert ordered.route.open_bytes == 0
    await ordered.stop()


@virtually
async def test_a_lost_partition_sends_nothing_more() -> None:
    """Once somebody else may own it, what waits behind a request under way is given up with its end."""
    ordered = OrderedRoute([b"a", b"a", b"b", b"a", b"b"], lambda _: accepted())
    await ordered.scene.edge.until_sent(2)
    await ordered.pipeline.membership.lost([ordered.owner])
    while ordered.route.open_bytes:
        await ordered.progress.wait(60.0)
    assert ordered.sent == [0, 2]
    await ordered.stop()
