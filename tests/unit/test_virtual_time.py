"""The clock that other tests rely on."""

from __future__ import annotations

import asyncio

import pytest

from tests.virtual_time import Stuck, run_virtually


def test_hours_pass_at_once_and_in_order() -> None:
    """Sleeps end in the order of their lengths, each at its own moment."""

    async def main() -> list[tuple[str, float]]:
        loop, seen = asyncio.get_running_loop(), []

        async def sleeper(name: str, seconds: float) -> None:
            await asyncio.sleep(seconds)
            seen.append((name, round(loop.time(), 6)))

        await asyncio.gather(sleeper("six hours", 21_600), sleeper("one second", 1), sleeper("a blink", 0))
        return seen

    assert run_virtually(main()) == [("a blink", 0), ("one second", 1), ("six hours", 21_600)]


def test_timeouts_follow_the_virtual_clock() -> None:
    """A deadline ends a wait at its moment."""

    async def main() -> float:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(90):
                await asyncio.Event().wait()
        return asyncio.get_running_loop().time()

    assert run_virtually(main()) == pytest.approx(90)


def test_a_wait_that_nothing_can_end_is_an_error() -> None:
    """A test that would hang fails instead."""

    async def main() -> None:
        await asyncio.Event().wait()

    with pytest.raises(Stuck):
        run_virtually(main())
