"""Places behind a line, and a budget that several lines share."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from connector.line import Budget, Line
from tests.virtual_time import run_virtually, virtually


@virtually
async def test_a_place_is_taken_at_once_only_while_nobody_waits() -> None:
    """A newcomer does not pass those who stand in line."""
    line = Line(lambda: 1)
    assert line.take_at_once()
    assert not line.take_at_once()
    waiting = asyncio.create_task(line.take())
    await asyncio.sleep(0)
    line.leave()
    assert not line.take_at_once()
    assert await waiting


@virtually
async def test_lines_never_take_more_than_their_budget() -> None:
    """With room in each line the budget still bounds them together, and what one gives back another gets."""
    budget = Budget(3)
    one, other = Line(lambda: 2, budget), Line(lambda: 2, budget)
    assert [one.take_at_once(), one.take_at_once(), one.take_at_once()] == [True, True, False]
    assert [other.take_at_once(), other.take_at_once()] == [True, False]
    waiting = asyncio.create_task(other.take())
    await asyncio.sleep(0)
    one.leave()
    assert await waiting
    assert not one.take_at_once()


@virtually
async def test_what_comes_back_goes_round() -> None:
    """A busy line that waits all the time leaves every other place to the other one."""
    budget = Budget(1)
    lines = {"busy": Line(lambda: 1, budget), "quiet": Line(lambda: 1, budget)}
    order: list[str] = []

    async def visit(name: str) -> None:
        assert await lines[name].take()
        order.append(name)
        await asyncio.sleep(1)
        lines[name].leave()

    await asyncio.gather(*(visit("busy") for _ in range(6)), *(visit("quiet") for _ in range(3)))
    assert order.count("quiet") == 3
    assert order[:7].count("quiet") == 3


@given(
    limits=st.lists(st.integers(1, 4), min_size=1, max_size=4),
    most=st.integers(1, 8),
    visits=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5), st.booleans()), max_size=40),
)
def test_every_place_comes_back(limits: list[int], most: int, visits: list[tuple[int, int, bool]]) -> None:
    """Whoever is cancelled or cut, and when: limits and budget hold, nobody is forgotten, in the end all is free."""

    async def main() -> None:
        budget = Budget(most)
        lines = [Line(lambda limit=limit: limit, budget) for limit in limits]  # type: ignore[misc] # a lambda's default
        inside = [0] * len(lines)

        async def visit(number: int, start_s: int) -> None:
            await asyncio.sleep(start_s)
            while not await lines[number].take():
                pass
            inside[number] += 1
            assert inside[number] <= limits[number]
            assert sum(inside) <= most
            try:
                await asyncio.sleep(1.5)
            finally:
                inside[number] -= 1
                lines[number].leave()

        tasks = []
        for place, start_s, is_cancelled in visits:
            tasks.append(asyncio.create_task(visit(place % len(lines), start_s)))
            if is_cancelled:
                asyncio.get_running_loop().call_later(start_s + 1, tasks[-1].cancel)
        for line in lines:
            asyncio.get_running_loop().call_later(2.2, line.cut)
        await asyncio.gather(*tasks, return_exceptions=True)
        assert all(((task.exception() if not task.cancelled() else None) is None) for task in tasks)
        assert [line.take_at_once() for line in lines[:1]] == [True]
        assert budget.has_room == (most > 1)

    run_virtually(main())
