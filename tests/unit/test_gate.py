"""When a request may leave: places, pauses, holds, and waits that end early."""

from __future__ import annotations

import asyncio

import pytest

from connector.core.pacing import Allowance, Concurrency
from connector.gate import EndpointPause, Gate
from tests.virtual_time import virtually


def _gate(most: int = 2, pause: EndpointPause | None = None) -> Gate:
    clock = asyncio.get_running_loop().time
    return Gate(
        concurrency=Concurrency(most),
        pause=pause or EndpointPause(),
        allowance=Allowance(10.0),
        probe_interval_s=30.0,
        clock=clock,
    )


@virtually
async def test_places_go_first_come_first_served() -> None:
    """With all places taken the others stand in line, and a newcomer does not pass them."""
    gate, order = _gate(most=1), []
    assert await gate.places.take()

    async def visitor(name: str) -> None:
        assert await gate.places.take()
        order.append(name)
        await asyncio.sleep(1)
        gate.places.leave()

    visitors = [asyncio.create_task(visitor(name)) for name in "abc"]
    await asyncio.sleep(0)
    gate.places.leave()
    await visitor("d")
    await asyncio.gather(*visitors)
    assert order == ["a", "b", "c", "d"]


@virtually
async def test_a_lowered_limit_admits_nobody_until_enough_have_left() -> None:
    """After a failure the line waits until fewer are under way than the new limit."""
    gate = _gate(most=4)
    for _ in range(4):
        await gate.places.take()
    assert not gate.places.is_crowded
    gate.failed(started_at=0.0, retry_after_s=None)
    assert gate.places.is_crowded
    waiting = asyncio.create_task(gate.places.take())
    for _ in range(2):
        gate.places.leave()
        await asyncio.sleep(0)
        assert not waiting.done()
    gate.places.leave()
    assert await waiting


@virtually
async def test_successes_admit_from_the_line() -> None:
    """When the limit grows somebody in the line is let in without anybody leaving."""
    gate = _gate(most=2)
    gate.failed(started_at=0.0, retry_after_s=None)
    await gate.places.take()
    waiting = asyncio.create_task(gate.places.take())
    await asyncio.sleep(0)
    gate.succeeded()
    assert await waiting


@virtually
async def test_a_cancelled_wait_takes_no_place() -> None:
    """Cancelled in the line, or in the very moment of being let in: the place is there for the next one."""
    gate = _gate(most=1)
    await gate.places.take()
    early, late = asyncio.create_task(gate.places.take()), asyncio.create_task(gate.places.take())
    await asyncio.sleep(0)
    early.cancel()
    await asyncio.sleep(0)
    gate.places.leave()
    late.cancel()
    await asyncio.wait([early, late])
    assert await gate.places.take()


@virtually
async def test_a_cut_ends_every_wait() -> None:
    """Who sleeps, waits behind a hold or stands in line looks again; nobody in line is given a place by it."""
    gate = _gate(most=1)
    await gate.places.take()
    gate.close("cause", "prober")
    sleeping, shut = asyncio.create_task(gate.sleep(None)), asyncio.create_task(gate.wait("somebody"))
    in_line = asyncio.create_task(gate.places.take())
    await asyncio.sleep(5)
    assert not any(task.done() for task in (sleeping, shut, in_line))
    gate.cut()
    await asyncio.gather(sleeping, shut)
    assert await in_line is False
    assert asyncio.get_running_loop().time() == pytest.approx(5)
    gate.places.leave()
    assert await gate.places.take()


@virtually
async def test_a_pause_is_the_endpoints() -> None:
    """What one route was told by Retry-After holds for every route of the endpoint, and only until then."""
    pause = EndpointPause()
    one, two = _gate(pause=pause), _gate(pause=pause)
    one.failed(started_at=0.0, retry_after_s=20.0)
    one.failed(started_at=0.0, retry_after_s=5.0)
    assert one.is_blocked(None)
    assert two.is_blocked(None)
    await two.wait("somebody")
    assert asyncio.get_running_loop().time() == pytest.approx(20)
    assert not one.is_blocked(None)


@virtually
async def test_only_the_prober_passes_a_hold() -> None:
    """A second cause changes nothing, and only the one who probes releases."""
    gate = _gate()
    assert gate.close("first", "prober")
    assert not gate.close("second", "other")
    assert gate.is_blocked("prober")
    await gate.wait("prober")
    assert asyncio.get_running_loop().time() == pytest.approx(30)
    assert not gate.is_blocked("prober")
    assert gate.is_blocked("other")
    assert gate.open("other") is None
    assert gate.open("prober") == pytest.approx(30)
    assert not gate.is_blocked("other")
    assert gate.open("prober") is None


@virtually
async def test_a_pause_binds_the_prober_too() -> None:
    """Retry-After is honoured while a route is held."""
    gate = _gate()
    gate.close("cause", "prober")
    gate.failed(started_at=0.0, retry_after_s=10.0)
    assert gate.is_blocked("prober")


@virtually
async def test_failing_ends_with_a_success() -> None:
    """A fault or a hold marks the endpoint as failing until an answer shows it at work."""
    gate = _gate()
    gate.failed(started_at=0.0, retry_after_s=None)
    assert gate.is_failing
    gate.succeeded()
    assert not gate.is_failing
    gate.close("cause", "prober")
    gate.open("prober")
    assert gate.is_failing


@virtually
async def test_a_failed_probe_hands_the_probe_on() -> None:
    """Whoever asks first after a failed probe is the next to try, an interval later."""
    gate = _gate()
    gate.close("cause", "first")
    await gate.wait("first")
    gate.hand_on_probe("first")
    assert gate.is_blocked("second")
    assert gate.is_prober("second")
    assert gate.is_blocked("first")
    await gate.wait("second")
    assert not gate.is_blocked("second")


@virtually
async def test_requests_keep_the_allowance() -> None:
    """At 10 units a second, the units of 50 requests of 8 leave over 39 seconds, whoever asks."""
    gate = _gate()
    for _ in range(50):
        await gate.keep_pace(8)
    assert asyncio.get_running_loop().time() == pytest.approx(49 * 0.8 - 0.1)


@virtually
async def test_a_pause_that_ends_while_it_is_looked_at_ends() -> None:
    """Time goes on between two looks at the clock: who was shut out by the first does not wait for ever."""
    times = iter([0.0, 4.9999, 5.0001])
    gate = Gate(
        concurrency=Concurrency(1),
        pause=EndpointPause(),
        allowance=Allowance(10.0),
        probe_interval_s=30.0,
        clock=lambda: next(times),
    )
    gate.failed(started_at=0.0, retry_after_s=5.0)
    assert gate.is_blocked("who")
    await gate.wait("who")
