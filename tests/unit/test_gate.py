"""When a request may leave: places, pauses, holds, and waits that end early."""

from __future__ import annotations

import asyncio

import pytest

from connector.core.pacing import Concurrency
from connector.core.rate import Rate
from connector.gate import Gate
from connector.pace import Pace
from tests.virtual_time import virtually


def _pace(units_per_s: float = 10.0) -> Pace:
    return Pace(Rate(units_per_s), clock=asyncio.get_running_loop().time)


def _gate(most: int = 2, pace: Pace | None = None) -> Gate:
    clock = asyncio.get_running_loop().time
    return Gate(concurrency=Concurrency(most), pace=pace or _pace(), probe_interval_s=30.0, clock=clock)


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
    gate.succeeded(started_at=0.0)
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
    pace = _pace()
    one, two = _gate(pace=pace), _gate(pace=pace)
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
    gate.succeeded(started_at=0.0)
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
        await gate.take_units(8)
    assert asyncio.get_running_loop().time() == pytest.approx(49 * 0.8 - 0.1)


@virtually
async def test_two_routes_share_the_allowance() -> None:
    """A route with a hundred requests in line does not keep one with a single request waiting behind them."""
    pace = _pace()
    busy, quiet = _gate(pace=pace), _gate(pace=pace)
    tasks = [asyncio.create_task(busy.take_units(10)) for _ in range(100)]
    await asyncio.sleep(3)
    await quiet.take_units(10)
    assert asyncio.get_running_loop().time() < 5.1
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


@virtually
async def test_a_request_passes_at_once_while_nobody_waits() -> None:
    """The common case takes one step: no future, no timer, nothing to wait for."""
    gate = _gate(pace=_pace(1000.0))
    with pytest.raises(StopIteration):
        gate.take_units(8).send(None)


@virtually
async def test_a_cut_ends_a_wait_for_units_and_takes_none() -> None:
    """Who is cut has nothing; another route's wait goes on; and the units are there for whoever is next."""
    pace = _pace()
    one, other = _gate(pace=pace), _gate(pace=pace)
    await one.take_units(100)
    cut = [asyncio.create_task(one.take_units(100)) for _ in range(3)]
    waiting = asyncio.create_task(other.take_units(10))
    await asyncio.sleep(1)
    one.cut()
    assert await asyncio.gather(*cut) == [False] * 3
    assert await waiting
    assert asyncio.get_running_loop().time() == pytest.approx(100 / 10 - 0.1)
    assert await one.take_units(10)
    assert asyncio.get_running_loop().time() == pytest.approx(110 / 10 - 0.1)


@virtually
async def test_a_cancelled_wait_takes_no_units() -> None:
    """Cancelled in the line, or in the very moment of being served: the units are there for the next one."""
    gate = _gate()
    await gate.take_units(10)
    early, late, last = (asyncio.create_task(gate.take_units(10)) for _ in range(3))
    await asyncio.sleep(0.5)
    early.cancel()
    await asyncio.sleep(0.3999)
    loop = asyncio.get_running_loop()
    loop.call_at(0.9 + 1e-9, late.cancel)  # right behind the timer that serves it
    await asyncio.wait([early, late])
    assert late.cancelled()
    assert await last
    assert loop.time() == pytest.approx(0.9, abs=0.002)


@virtually
async def test_nobody_leaves_in_a_pause() -> None:
    """What stood in line when Retry-After came waits for its end too, and then leaves at the pace of a ramp."""
    gate = _gate(most=100, pace=_pace(1000.0))
    left: list[float] = []

    async def send() -> None:
        await gate.take_units(100)
        left.append(asyncio.get_running_loop().time())

    tasks = [asyncio.create_task(send()) for _ in range(40)]
    await asyncio.sleep(0.05)
    gate.failed(started_at=0.0, retry_after_s=20.0, is_spent=True)
    before = len(left)
    await asyncio.gather(*tasks)
    assert before <= 2
    assert left[before] >= 20.0
    assert sum(20 <= at < 21 for at in left) <= 2
    assert left[-1] > 25


@virtually
async def test_a_spent_allowance_lowers_the_rate() -> None:
    """A 429 lowers the rate of the endpoint, for all of its routes; other faults do not."""
    pace = _pace(1000.0)
    gate = _gate(pace=pace)
    gate.failed(started_at=0.0, retry_after_s=None)
    assert pace.units_per_s == 1000
    gate.failed(started_at=0.0, retry_after_s=None, is_resend=True, is_spent=True)
    assert pace.units_per_s == pytest.approx(800)


@virtually
async def test_a_larger_share_is_felt_by_those_who_wait() -> None:
    """After a rebalance nobody sits out a wait that was right for the smaller share."""
    pace = _pace(100.0)
    gate = _gate(pace=pace)
    pace.set_share(0.01)
    await gate.take_units(100)
    waiting = asyncio.create_task(gate.take_units(1))
    await asyncio.sleep(1)
    pace.set_share(1.0)
    await waiting
    assert asyncio.get_running_loop().time() < 2.1


@virtually
async def test_a_cancelled_wait_that_is_served_before_it_wakes_gives_its_units_on() -> None:
    """Between the cancellation and its effect the line may come to it; the next one has the units then."""
    pace = _pace()
    gate, loop = _gate(pace=pace), asyncio.get_running_loop()
    await gate.take_units(10)
    early, last = (asyncio.create_task(gate.take_units(10)) for _ in range(2))
    await asyncio.sleep(0.1)
    assert pace._timer is not None
    loop.call_at(pace._timer.when() - 5e-10, early.cancel)  # in the same turn as the timer that serves it
    assert await last
    assert loop.time() == pytest.approx(0.9, abs=0.002)
    assert early.cancelled()


@virtually
async def test_a_cancelled_wait_leaves_no_timer() -> None:
    """Nobody waits, so nothing wakes up for them; neither does it after a cut."""
    pace = _pace()
    gate = _gate(pace=pace)
    await gate.take_units(1000)
    waiting = asyncio.create_task(gate.take_units(10))
    await asyncio.sleep(1)
    waiting.cancel()
    await asyncio.wait([waiting])
    assert pace._timer is None
    waiting = asyncio.create_task(gate.take_units(10))
    await asyncio.sleep(1)
    gate.cut()
    assert not await waiting
    assert pace._timer is None


@virtually
async def test_a_pause_that_ends_while_it_is_looked_at_ends() -> None:
    """Time goes on between two looks at the clock: who was shut out by the first does not wait for ever."""
    times = iter([0.0, 4.9999, 5.0001])
    gate = Gate(
        concurrency=Concurrency(1),
        pace=_pace(10.0),
        probe_interval_s=30.0,
        clock=lambda: next(times),
    )
    gate.failed(started_at=0.0, retry_after_s=5.0)
    assert gate.is_blocked("who")
    await gate.wait("who")
