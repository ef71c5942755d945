"""Members of a group against an endpoint with an allowance, on virtual time: how much of it is used, and what it costs.

The endpoint answers 429 with Retry-After beyond its allowance. Answers take about a tenth of a second.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from connector.core.pacing import Concurrency
from connector.core.rate import PLANNED_PART, Rate
from connector.gate import Gate
from connector.pace import Pace
from tests.virtual_time import run_virtually

if TYPE_CHECKING:
    from collections.abc import Callable

_UNITS: Final = 8  # of a full request
_PLACES: Final = 128  # the default of edge.max_in_flight


def _now() -> float:
    return asyncio.get_running_loop().time()


@dataclass
class SimulatedEdge:
    """A token bucket, as gateways are, with a quarter of a second's worth of patience. Counts what it did by second."""

    units_per_s: float
    latency_s: Callable[[], float]
    patience_s: float = 0.25
    filled_at: float = float("-inf")
    level: float = 0.0
    accepted: dict[int, int] = field(default_factory=dict)  # units, by second
    refused: dict[int, int] = field(default_factory=dict)  # requests, by second
    requests: dict[int, int] = field(default_factory=dict)

    async def post(self, units: int) -> bool:
        """Send one request; False for a 429."""
        latency_s = self.latency_s()
        await asyncio.sleep(latency_s / 2)
        now = _now()
        is_accepted = self._take(units, now)
        self.requests[int(now)] = self.requests.get(int(now), 0) + 1
        if is_accepted:
            self.accepted[int(now)] = self.accepted.get(int(now), 0) + units
        else:
            self.refused[int(now)] = self.refused.get(int(now), 0) + 1
        await asyncio.sleep(latency_s / 2)
        return is_accepted

    def _take(self, units: int, now: float) -> bool:
        self.level = min(self.units_per_s * self.patience_s, self.level + (now - self.filled_at) * self.units_per_s)
        self.filled_at = now
        if self.level < 0:
            return False
        self.level -= units
        return True

    def used(self, start_s: int, end_s: int) -> float:
        """The part of the allowance that was used within whole seconds."""
        return sum(self.accepted.get(second, 0) for second in range(start_s, end_s)) / (
            self.units_per_s * (end_s - start_s)
        )

    def refusals(self, start_s: int, end_s: int) -> float:
        """The part of the requests that was refused within whole seconds."""
        seconds = range(start_s, end_s)
        return sum(self.refused.get(second, 0) for second in seconds) / max(
            1, sum(self.requests.get(second, 0) for second in seconds)
        )


@dataclass
class StrictEdge(SimulatedEdge):
    """One that counts by the second of its clock. It overlooks what is saved up at a start."""

    def _take(self, units: int, now: float) -> bool:
        return now < 1 or self.accepted.get(int(now), 0) + units <= self.units_per_s


@dataclass
class SimulatedRoute:
    """A route with a backlog that never ends, or with a request now and then."""

    gate: Gate
    edge: SimulatedEdge
    units: int = _UNITS
    sent: int = 0
    longest_wait_s: float = 0.0

    async def deliver_for_ever(self) -> None:
        """One of many that deliver side by side, as batches do."""
        while True:
            await self.deliver()

    async def deliver(self) -> None:
        """One request until it is accepted."""
        came_at = _now()
        while not await self._try():
            pass
        self.longest_wait_s = max(self.longest_wait_s, _now() - came_at)

    async def _try(self) -> bool:
        while self.gate.is_blocked(self):
            await self.gate.wait(self)
        if not await self.gate.places.take():
            return False
        try:
            assert await self.gate.take_units(self.units)
            started_at = _now()
            self.sent += 1
            is_accepted = await self.edge.post(self.units)
        finally:
            self.gate.places.leave()
        if is_accepted:
            self.gate.succeeded(started_at=started_at)
        else:
            self.gate.failed(started_at=started_at, retry_after_s=1.0, is_spent=True)
        return is_accepted


def _spread(seed: int) -> Callable[[], float]:
    """About 100 ms, with a tail."""
    chance = random.Random(seed)
    return lambda: 0.06 + chance.expovariate(1 / 0.04)


def _route(edge: SimulatedEdge, pace: Pace, *, places: int = _PLACES, units: int = _UNITS) -> SimulatedRoute:
    gate = Gate(concurrency=Concurrency(places), pace=pace, probe_interval_s=30.0, clock=_now)
    return SimulatedRoute(gate, edge, units)


async def _run_members(edge: SimulatedEdge, *, members: int, seconds: float, units: int) -> list[SimulatedRoute]:
    """Members with equal shares of 6,000 units a second, each with more to send than it may."""
    rates = [Rate(6000 * PLANNED_PART, 1 / members) for _ in range(members)]
    routes = [_route(edge, Pace(rate, clock=_now), units=units) for rate in rates]
    await _busy_for(seconds, routes, 160 // members)
    return routes


async def _busy_for(seconds: float, routes: list[SimulatedRoute], batches: int) -> None:
    tasks = [asyncio.create_task(route.deliver_for_ever()) for route in routes for _ in range(batches)]
    await asyncio.sleep(seconds)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


def test_four_members_use_the_allowance_and_hardly_meet_its_end() -> None:
    """Each keeps its quarter: together they use nearly everything, and nobody coordinates them."""
    edge = SimulatedEdge(6000, _spread(1))
    run_virtually(_run_members(edge, members=4, seconds=20, units=2 * _UNITS))
    assert edge.used(5, 20) >= 0.95
    assert edge.refusals(0, 20) < 0.001


def test_four_members_pass_a_strict_count_by_the_second() -> None:
    """Where not one unit more is accepted in any second of the clock, they still use nearly everything."""
    edge = StrictEdge(6000, _spread(2))
    run_virtually(_run_members(edge, members=4, seconds=20, units=2 * _UNITS))
    assert edge.used(5, 20) >= 0.95
    assert edge.refusals(5, 20) < 0.001


def test_an_allowance_that_others_use_is_found() -> None:
    """Half of what is configured is there: the members settle on it, and only try for more now and then."""
    edge = SimulatedEdge(3000, _spread(3))
    run_virtually(_run_members(edge, members=4, seconds=180, units=8 * _UNITS))
    assert edge.used(60, 180) >= 0.75
    assert edge.refusals(60, 180) < 0.05


def test_a_single_member_finds_it_too() -> None:
    """Although it stands still as a whole for each Retry-After."""
    edge = SimulatedEdge(3000, _spread(4))
    run_virtually(_run_members(edge, members=1, seconds=180, units=8 * _UNITS))
    assert edge.used(60, 180) >= 0.75
    assert edge.refusals(60, 180) < 0.05


def test_one_member_reaches_the_allowance_at_100_ms() -> None:
    """75 requests have to be under way for that: the default leaves room."""
    edge = SimulatedEdge(6000, lambda: 0.1)
    run_virtually(_run_members(edge, members=1, seconds=8, units=_UNITS))
    assert edge.used(2, 8) >= PLANNED_PART - 0.001
    assert edge.refusals(0, 8) == 0


def test_one_of_two_routes_reaches_the_allowance_while_the_other_one_is_held() -> None:
    """A route that cannot send costs nobody anything; when it comes back it has its half."""
    edge = SimulatedEdge(6000, lambda: 0.1)

    async def run() -> list[int]:
        pace = Pace(Rate(6000 * PLANNED_PART), clock=_now)
        web, app = (_route(edge, pace, places=96) for _ in range(2))
        app.gate.close("cause", "nobody who asks")
        running = asyncio.create_task(_busy_for(9, [web, app], 110))
        await asyncio.sleep(5)
        before = web.sent
        assert app.sent == 0
        app.gate.open("nobody who asks")
        await running
        return [web.sent - before, app.sent]

    web_sent, app_sent = run_virtually(run())
    assert edge.used(2, 5) >= PLANNED_PART - 0.001
    assert edge.used(6, 9) >= PLANNED_PART - 0.001
    assert abs(web_sent - app_sent) < 0.1 * app_sent


def test_a_busy_route_does_not_keep_a_quiet_one_waiting() -> None:
    """A request of a route that sends little leaves nearly at once, however many of the other one stand in line."""
    edge = SimulatedEdge(6000, lambda: 0.1)

    async def run() -> SimulatedRoute:
        pace = Pace(Rate(6000 * PLANNED_PART), clock=_now)
        busy, quiet = _route(edge, pace), _route(edge, pace)
        running = asyncio.create_task(_busy_for(6, [busy], 160))
        for _ in range(10):
            await asyncio.sleep(0.5)
            await quiet.deliver()
        await running
        return quiet

    assert run_virtually(run()).longest_wait_s < 0.1 + 0.005
    assert edge.used(2, 6) >= PLANNED_PART - 0.001
