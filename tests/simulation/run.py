"""One seed from its plan to its outcome."""

from __future__ import annotations

import asyncio
import logging
import random
from dataclasses import dataclass
from typing import Final

import structlog

from tests.simulation.plan import draw_plan
from tests.simulation.world import World
from tests.virtual_time import Stuck, run_virtually

_ROUNDS: Final = 5  # of cancelling: some tasks wait for others once more before they end


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one seed went."""

    seed: int
    digest: str
    failures: tuple[str, ...]
    lines: tuple[str, ...]
    seconds: float
    duplicates: int


def simulate(seed: int, *, is_loud: bool = False) -> Outcome:
    """Run one seed; `is_loud` puts the connector's own log lines among those of the trace."""
    configured = structlog.get_config()
    try:
        return run_virtually(_simulate(seed, is_loud=is_loud))
    except Stuck:
        return Outcome(seed, "", ("everybody waits for ever",), (), 0.0, 0)
    finally:
        structlog.configure(**configured)


async def _simulate(seed: int, *, is_loud: bool) -> Outcome:
    rng = random.Random(seed)
    world = World(draw_plan(rng), rng)
    trace, oracle = world.trace, world.oracle
    structlog.configure(
        processors=[trace.take_log_line],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO if is_loud else logging.CRITICAL),
    )
    try:
        await world.run()
    except Exception as failure:  # noqa: BLE001 - whatever it is, the seed's number and its trace are wanted
        oracle.fail(f"the simulation itself broke: {failure!r}")
    outcome = Outcome(seed, trace.digest, tuple(oracle.failures), tuple(trace.lines), world.now, oracle.duplicates)
    await _clear_away(world)
    return outcome


async def _clear_away(world: World) -> None:
    """End what is still under way; it has nothing more to say."""
    asyncio.get_running_loop().set_exception_handler(lambda _loop, _context: None)
    for member in world.members:
        member.kill()
    for _ in range(_ROUNDS):
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        if left:
            await asyncio.wait(left, timeout=1)
