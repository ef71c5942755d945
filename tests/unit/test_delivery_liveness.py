"""What must go on once everything is mended, and what must be given up only once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
import structlog

from tests.builders import open_events, owner_at
from tests.unit.delivery_scene import Scene, accepted, problem, status
from tests.virtual_time import virtually

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
    assert scene.gate.hold is None, "held for good: nothing is read any more, so nobody comes to probe"


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
