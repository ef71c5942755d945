"""What must go on once everything is mended, and what must be given up only once."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING

import orjson
import pytest
import structlog

from connector.core.verdict import Answer
from connector.route import Route, RouteSettings
from tests.builders import open_events, owner_at
from tests.unit.delivery_scene import Scene, Sent, accepted, problem, status
from tests.virtual_time import run_virtually, virtually

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with structlog.testing.capture_logs():
        yield


@virtually
async def test_a_hold_outlives_no_prober_that_leaves_in_a_pause() -> None:
    """A probe is told to wait, and its partition leaves in that pause: nobody else is there to probe."""
    answers = iter([problem("0400-403"), status(503, retry_after="120")])
    scene = Scene(lambda _: next(answers, accepted()))
    owner = owner_at(0)
    delivery = scene.start(open_events(owner, [0]))
    await scene.edge.until_sent(2)
    await asyncio.sleep(1)
    assert scene.gate.hold is not None
    owner.is_leaving = True
    scene.gate.cut()
    await delivery
    assert scene.lacks_prober, "whoever comes next probes"


@virtually
async def test_a_suspect_whose_partition_left_is_given_up_once() -> None:
    """A batch of two partitions fails, one of them leaves, and the rest of it comes under suspicion."""
    leaves, stays, others = owner_at(0, partition=0), owner_at(100, partition=1), owner_at(1000, partition=2)
    scene = Scene(lambda sent: accepted() if 100 not in sent.offsets else status(500))
    delivery = scene.start([*open_events(leaves, [0]), *open_events(stays, [100])])
    await scene.edge.until_sent(1)
    await asyncio.sleep(0.2)
    leaves.is_leaving = True
    scene.gate.cut()
    while not delivery.done():
        await scene.deliver(open_events(others, [others.next_offset or 0]))
        await asyncio.sleep(0.3)
    assert list(scene.dead_letters.written) == [100]
    assert [sent.offsets for sent in scene.edge.sent if 0 in sent.offsets] == [(0, 100)]
    assert scene.telemetry.routes["web"].abandoned == 1
    assert leaves.open_count == 1, "it is open for whoever owns its partition next"


@pytest.mark.parametrize("answer", [problem("0400-403"), status(503)])
def test_nobody_leaves_late_for_a_mate_that_waits(answer: Answer) -> None:
    """One event of a batch probes, or half of it waits for another try, and a partition of the rest is to leave."""

    async def main() -> None:
        scene = Scene(
            lambda sent: accepted() if sent.at > 1000 else problem("0104-422") if len(sent.offsets) > 2 else answer
        )
        leaves, stays = owner_at(0, partition=0), owner_at(100, partition=1)
        delivery = scene.start([*open_events(stays, [100, 101]), *open_events(leaves, [0, 1])])
        await asyncio.sleep(50)
        leaves.is_leaving = True
        scene.gate.cut()
        await asyncio.sleep(0.2)
        assert (leaves.is_drained, leaves.watermark) == (True, 0)
        await delivery
        assert (stays.watermark, scene.dead_letters.written) == (102, {})
        assert not {0, 1} & set(scene.edge.accepted)
        assert scene.telemetry.routes["web"].abandoned == 2

    run_virtually(main())


@virtually
async def test_nobody_leaves_late_for_a_mate_under_way() -> None:
    """A mate's request takes as long as the revoke may: what comes after it in the search is not sent any more."""
    scene = Scene(lambda sent: problem("0104-422") if len(sent.offsets) > 2 else accepted())
    leaves, stays = owner_at(0, partition=0), owner_at(100, partition=1)
    delivery = scene.start([*open_events(stays, [100, 101]), *open_events(leaves, [0, 1])])
    await scene.edge.until_sent(1)
    scene.edge.latency_s = 20.0
    await scene.edge.until_sent(2)
    leaves.is_leaving = True
    scene.routes["web"].delivery.give_up_leaving()
    assert (leaves.is_drained, stays.is_drained) == (True, False)
    await delivery
    assert sorted(scene.edge.accepted) == [100, 101]
    assert scene.telemetry.routes["web"].abandoned == 2


@virtually
async def test_what_a_207_reports_does_not_wait_for_its_mates() -> None:
    """It was accepted: if it stayed open until the search ends, its next owner would send it again."""

    def script(sent: Sent) -> Answer:
        if len(sent.offsets) > 2:
            return problem("0104-422")
        if 0 in sent.offsets:
            error = {"type": "https://ns.adobe.com/aep/errors/EXEG-0201-503", "report": {"eventIndex": 0}}
            return Answer(status=207, body=orjson.dumps({"requestId": "r", "errors": [error]}))
        return status(503) if sent.at < 1000 else accepted()

    scene = Scene(script, dead_letters_reported=True)
    leaves, stays = owner_at(0, partition=0), owner_at(100, partition=1)
    delivery = scene.start([*open_events(leaves, [0, 1]), *open_events(stays, [100, 101])])
    await asyncio.sleep(100)
    assert (leaves.watermark, list(scene.dead_letters.written)) == (2, [0])
    await delivery
    assert stays.watermark == 102


@virtually
async def test_a_stop_does_not_wait_for_request_units() -> None:
    """With a small allowance what has a place and no units is given up, and not sent at the allowance's pace."""
    scene, owner = Scene(lambda _: accepted(), most=100, units_per_s=2.0), owner_at()
    work = asyncio.gather(*(scene.start([event]) for event in open_events(owner, range(100))))
    await asyncio.sleep(10)
    sent = len(scene.edge.sent)
    owner.is_leaving = True
    scene.gate.cut()
    await work
    assert len(scene.edge.sent) == sent < 50
    assert (owner.is_drained, owner.watermark) == (True, sent)


@virtually
async def test_what_a_gateway_never_lets_through_keeps_no_place() -> None:
    """More such events than the route has places, each tried without end."""
    poison = set(range(0, 4000, 200))
    scene = Scene(lambda sent: status(502) if poison & set(sent.offsets) else accepted())
    owner, others = owner_at(0), owner_at(5000, partition=1)
    deliveries = [scene.start(open_events(owner, range(first, first + 10))) for first in range(0, 4000, 10)]
    while not (owner.open_count == len(poison) and scene.telemetry.routes["web"].in_flight == 0):
        deliveries.append(scene.start(open_events(others, [others.next_offset or 0])))
        await asyncio.sleep(1)
        assert scene.now < 3600, "their mates wait"
    await asyncio.sleep(300)
    for _ in range(300):
        started = scene.now
        await scene.deliver(open_events(others, [others.next_offset or 0]))
        assert scene.now - started < 1, "a good event waits for those that fail"
        await asyncio.sleep(1)
    poison.clear()
    await asyncio.wait(deliveries, timeout=3600)
    assert owner.is_drained, "each of them is still tried"


@virtually
async def test_an_outage_is_probed_gently_however_many_are_under_suspicion() -> None:
    """A hundred events that a gateway does not let through, and then it lets nobody through for an hour."""
    lets_pass = range(1000, 100_000)
    scene = Scene(lambda sent: accepted() if min(sent.offsets) in lets_pass else status(502))
    owner, others = owner_at(0), owner_at(1000, partition=1)
    deliveries = [scene.start(open_events(owner, range(first, first + 20))) for first in range(0, 100, 20)]
    while scene.telemetry.routes["web"].isolations < 5 * 19:  # each batch is in single events
        await scene.deliver(open_events(others, [others.next_offset or 0]))
        await asyncio.sleep(0.2)
    lets_pass = range(0)
    began = scene.now
    deliveries += [scene.start(open_events(others, [others.next_offset or 0])) for _ in range(8)]
    await asyncio.sleep(3600)
    assert len(scene.edge.sent_between(began + 60, began + 3600)) < 1000
    for delivery in deliveries:
        delivery.cancel()


@virtually
async def test_a_part_of_the_endpoint_that_is_down_for_a_minute_blames_nobody() -> None:
    """One visitor of a hundred meets 500 while all others get through: it looks like a poison, but for its end."""
    scene = Scene(
        lambda sent: status(500) if sent.at < 60 and any(offset % 100 == 0 for offset in sent.offsets) else accepted(),
        most=64,
        lone_failure_s=120.0,
    )
    owner = owner_at(0)
    deliveries = []
    for event in open_events(owner, range(2000)):
        deliveries.append(scene.start([event]))
        await asyncio.sleep(0.05)
    await asyncio.gather(*deliveries)
    assert (owner.watermark, scene.dead_letters.written) == (2000, {})


@virtually
async def test_the_time_that_one_event_fails_begins_with_the_first_answer_that_may_be_its_doing() -> None:
    """Ten minutes of 503 before a minute of 500 are no evidence against the event that waited them out."""

    def script(sent: Sent) -> Answer:
        if 0 not in sent.offsets or sent.at > 660:
            return accepted()
        return status(503) if sent.at < 600 else status(500)

    scene = Scene(script, most=64, lone_failure_s=120.0, jitter=lambda: 0.1)
    owner, others = owner_at(0), owner_at(1000, partition=1)
    delivery = scene.start(open_events(owner, [0]))
    while not delivery.done():
        await scene.deliver(open_events(others, [others.next_offset or 0]))
        await asyncio.sleep(0.2)
    assert (owner.watermark, scene.dead_letters.written) == (1, {})


@virtually
async def test_one_event_that_a_firewall_refuses_gets_company() -> None:
    """It is the first of the only batch under way: what is read after it has to show that the route works."""
    scene = Scene(lambda sent: status(403) if 0 in sent.offsets else accepted())
    owner, others = owner_at(0), owner_at(1000, partition=1)
    parts = dict.fromkeys(("batcher", "delivery", "burial", "outcomes", "counts"))
    settings = RouteSettings(
        name="web", topics=(), max_open_bytes=1, event_overhead_bytes=0, skips_tombstones=False, ordered_at_once=None
    )
    route = Route(settings, decoder=SimpleNamespace(decode=None), gate=scene.gate, **parts)  # type: ignore[arg-type]
    deliveries = [scene.start(open_events(owner, range(10)))]
    while not owner.is_drained:
        route.under_way = sum(not delivery.done() for delivery in deliveries)
        if not route.is_full:
            deliveries.append(scene.start(open_events(others, [others.next_offset or 0])))
        await asyncio.sleep(60)
        assert scene.now < 3 * 3600, "held for good"
    await asyncio.gather(*deliveries)
    assert list(scene.dead_letters.written) == [0]
    assert scene.gate.hold is None


@virtually
async def test_a_held_route_is_read_only_for_company() -> None:
    """A few batches are enough to find out whether it still has to be held; the brake asks nobody."""
    scene = Scene(lambda _: problem("0003-400"))
    parts = dict.fromkeys(("batcher", "delivery", "burial", "outcomes", "counts"))
    settings = RouteSettings(
        name="web", topics=(), max_open_bytes=100, event_overhead_bytes=0, skips_tombstones=False, ordered_at_once=None
    )
    route = Route(settings, decoder=SimpleNamespace(decode=None), gate=scene.gate, **parts)  # type: ignore[arg-type]
    scene.gate.close("cause", object())
    assert not route.is_full
    route.under_way = 8
    assert route.is_full
    route.under_way, scene.gate.is_braked = 0, True
    assert route.is_full
