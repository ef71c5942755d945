"""The bucket of request units: how much leaves over any stretch of time, and to whom it goes."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.core.allowance import Allowance, Ticket
from connector.core.rate import Rate

_UNITS = st.integers(1, 64)
_ROUTES = st.sampled_from("abc")


@dataclass
class Left:
    """One request that left."""

    at: float
    route: str
    units: int


@dataclass
class Bench:
    """An allowance whose waiters are served at the moments that it names, as a timer would."""

    allowance: Allowance[int]
    now: float = 0.0
    left: list[Left] = field(default_factory=list)
    waiting: list[Ticket[int]] = field(default_factory=list)

    def ask(self, route: str, units: int) -> None:
        """A request comes."""
        if self.allowance.take(units, self.now):
            self.left.append(Left(self.now, route, units))
            return
        ticket = Ticket(route, units, len(self.waiting))
        self.waiting.append(ticket)
        self.allowance.line_up(ticket)

    def pass_time(self, until: float) -> None:
        """Serve all who may leave until a moment."""
        while True:
            while (ticket := self.allowance.next(self.now)) is not None:
                self.left.append(Left(self.now, str(ticket.route), ticket.units))
            wait_s = self.allowance.wait_s(self.now)
            if wait_s is None or self.now + wait_s > until:
                self.now = until
                return
            self.now += max(wait_s, 1e-9)

    def drain(self) -> None:
        """Serve all who wait."""
        while (wait_s := self.allowance.wait_s(self.now)) is not None:
            self.pass_time(self.now + wait_s + 1.0)


@given(
    requests=st.lists(st.tuples(_ROUTES, _UNITS, st.floats(0, 0.5)), min_size=1, max_size=150),
    units_per_s=st.floats(1, 10_000),
)
def test_no_stretch_of_time_sees_more_units_than_its_allowance(
    requests: list[tuple[str, int, float]], units_per_s: float
) -> None:
    """However requests come, between any two of them no more leaves than the time allows, and a tenth of a second."""
    bench = Bench(Allowance(Rate(units_per_s)))
    for route, units, gap_s in requests:
        bench.pass_time(bench.now + gap_s)
        bench.ask(route, units)
    bench.drain()
    assert len(bench.left) == len(requests)
    for i, start in enumerate(bench.left):
        total = 0
        for end in bench.left[i:]:
            assert total <= units_per_s * (end.at - start.at + 0.1) + 1e-5 * (1 + total)
            total += end.units


@given(
    steps=st.lists(
        st.tuples(st.sampled_from(["lower", "pause", "share"]), st.floats(0, 3), st.floats(0.05, 1)), max_size=30
    ),
    units=_UNITS,
)
def test_the_bound_holds_while_the_rate_moves(steps: list[tuple[str, float, float]], units: int) -> None:
    """Pauses, refusals and rebalances only ever take away from the full allowance; nothing leaves in a pause."""
    rate = Rate(200.0)
    bench, pauses = Bench(Allowance(rate)), []
    for step, gap_s, part in steps:
        for _ in range(20):
            bench.ask("a", units)
        bench.pass_time(bench.now + gap_s)
        if step == "lower":
            bench.allowance.lower(started_at=bench.now, now=bench.now)
        elif step == "pause":
            bench.allowance.pause(bench.now + part, bench.now)
            pauses.append((bench.now, bench.now + part))
        else:
            bench.allowance.share(part, bench.now)
    bench.pass_time(bench.now + 10)
    for i, start in enumerate(bench.left):
        assert not any(begin < start.at < end - 1e-6 for begin, end in pauses)
        total = 0
        for end_ in bench.left[i:]:
            assert total <= 200 * (end_.at - start.at + 0.1) + 1e-5 * (1 + total)
            total += end_.units


@given(st.lists(_UNITS, min_size=1, max_size=30), st.lists(_UNITS, min_size=1, max_size=30), st.data())
def test_two_routes_that_wait_get_the_same(one: list[int], other: list[int], data: st.DataObject) -> None:
    """Over any stretch in which both wait, their units differ by one request of each at most; a third one may come
    and go."""
    bench = Bench(Allowance(Rate(1000.0)))
    assert bench.allowance.take(500, 0.0)
    for units in one:
        bench.ask("a", units)
    for units in other:
        bench.ask("b", units)
    for units, gap_s in data.draw(st.lists(st.tuples(_UNITS, st.floats(0, 0.2)), max_size=30)):
        bench.ask("c", units)
        bench.pass_time(bench.now + gap_s)
    bench.drain()
    both = _while_both_wait(bench.left, len(one), len(other))
    bound = max(one) + max(other)
    for i in range(len(both)):
        balance = 0
        for left in both[i:]:
            balance += {"a": left.units, "b": -left.units}.get(left.route, 0)
            assert abs(balance) <= bound


def _while_both_wait(left: list[Left], one: int, other: int) -> list[Left]:
    counts: Counter[str] = Counter()
    for place, each in enumerate(left):
        counts[each.route] += 1
        if counts["a"] == one or counts["b"] == other:
            return left[: place + 1]
    return left


@given(st.integers(1, 64), st.integers(2, 5))
def test_equal_requests_take_turns(units: int, routes: int) -> None:
    """Where all requests cost the same, the routes that wait are served in turn, whoever asked for more."""
    bench = Bench(Allowance(Rate(100.0)))
    assert bench.allowance.take(100, 0.0)
    for number in range(routes):
        for _ in range(10 + 20 * number):
            bench.ask(str(number), units)
    bench.drain()
    turns = [left.route for left in bench.left[: 10 * routes]]
    assert all(len(set(turns[i : i + routes])) == routes for i in range(0, len(turns), routes)), turns


def test_few_are_not_starved_by_many() -> None:
    """One request of a quiet route leaves next, although a hundred of another came before it."""
    bench = Bench(Allowance(Rate(80.0)))
    for _ in range(100):
        bench.ask("busy", 8)
    bench.pass_time(3.0)
    bench.ask("quiet", 8)
    before = len(bench.left)
    bench.drain()
    assert "quiet" in {left.route for left in bench.left[before : before + 2]}


def test_an_idle_route_saves_nothing_up() -> None:
    """What a held route did not use went to the others; it is not owed anything when it comes back."""
    bench = Bench(Allowance(Rate(80.0)))
    for _ in range(200):
        bench.ask("busy", 8)
    bench.pass_time(10.0)
    used = sum(left.units for left in bench.left)
    assert used == pytest.approx(80 * 10.1 + 8, abs=8), "it has all of the allowance while the other one is held"
    before = len(bench.left)
    for _ in range(50):
        bench.ask("held", 8)
    bench.pass_time(13.0)
    turns = Counter(left.route for left in bench.left[before:])
    assert abs(turns["busy"] - turns["held"]) <= 1


def test_who_leaves_the_line_leaves_no_trace() -> None:
    """Units of one who waits no more go to the next one; units that were had and not spent come back."""
    bench = Bench(Allowance(Rate(10.0)))
    for route in "abab":
        bench.ask(route, 10)
    bench.allowance.leave_line(bench.waiting[0])
    bench.allowance.leave_line(bench.waiting[0])
    assert [ticket.route for ticket in bench.allowance.clear_line("b")] == ["b"]
    assert bench.allowance.clear_line("nobody") == []
    bench.pass_time(5.0)
    assert [left.route for left in bench.left] == ["a", "a"]
    assert bench.allowance.wait_s(5.0) is None


def test_units_that_were_not_spent_come_back() -> None:
    """Who had units and cannot use them leaves them to whoever asks next."""
    bench = Bench(Allowance(Rate(10.0)))
    bench.ask("a", 30)
    bench.ask("a", 10)
    bench.now = 3.0
    ticket = bench.allowance.next(bench.now)
    assert ticket is bench.waiting[0]
    assert not bench.allowance.take(10, bench.now)
    bench.allowance.give_back(ticket)
    assert bench.allowance.take(10, bench.now)


def test_in_order_within_a_route() -> None:
    """First come, first served."""
    bench = Bench(Allowance(Rate(100.0)))
    for units in range(1, 30):
        bench.ask("a", units)
    bench.drain()
    assert all(before.units < after.units for before, after in pairwise(bench.left))


@pytest.mark.parametrize("is_asked_for_meanwhile", [True, False])
def test_nothing_is_saved_up_over_a_pause(is_asked_for_meanwhile: bool) -> None:
    """At the end of a pause one request leaves, and the next one waits for its turn in the ramp."""
    allowance: Allowance[int] = Allowance(Rate(1000.0))
    assert allowance.take(1, 0.0)
    allowance.pause(5.0, 0.1)
    if is_asked_for_meanwhile:
        assert not allowance.take(8, 4.99)
    assert allowance.take(8, 5.0)
    assert not allowance.take(8, 5.05)
    assert allowance.take(8, 5.09)
