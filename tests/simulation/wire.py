"""The way of a commit to the coordinator and of its answer back: in order, but late, in vain or without an answer."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from confluent_kafka import KafkaError

from tests.simulation.kafka import Committed, kafka_error

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from tests.simulation.kafka import Errors
    from tests.simulation.oracle import Place
    from tests.simulation.world import World

_ON_THE_WAY_S = 0.002
_PASSING = (KafkaError.REBALANCE_IN_PROGRESS, KafkaError.REQUEST_TIMED_OUT, KafkaError.COORDINATOR_NOT_AVAILABLE)


class Wire:
    """One member's connection to the coordinator."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._free_at = 0.0

    async def until_free(self) -> None:
        """Wait until what was sent has arrived."""
        await asyncio.sleep(max(0.0, self._free_at - self._world.now))

    async def commit(self, member: str, offsets: Mapping[Place, Committed]) -> Errors:
        """Send a commit as a member of the group, and wait for the answer."""
        world, rng = self._world, self._world.rng
        fault = world.draw(world.plan.commit_faults)
        there_s = _ON_THE_WAY_S + (rng.uniform(0.1, 1.5) if fault == "late" else 0.0)
        self._free_at = max(self._free_at, world.now) + there_s
        await self.until_free()
        if world.brokers_away or fault == "hangs":
            await asyncio.sleep(rng.uniform(0.5, 3))
            return dict.fromkeys(offsets, kafka_error(KafkaError._WAIT_COORD))
        if fault == "error":
            code = rng.choice((KafkaError.REQUEST_TIMED_OUT, KafkaError.COORDINATOR_NOT_AVAILABLE))
            return dict.fromkeys(offsets, kafka_error(code))
        errors = world.group.commit(member, offsets)
        await asyncio.sleep(_ON_THE_WAY_S)
        if fault == "applied_error":
            return dict.fromkeys(offsets, kafka_error(KafkaError.REQUEST_TIMED_OUT))
        return errors

    async def commit_and_wait(
        self, member: Callable[[], str], offsets: Mapping[Place, Committed], awake: Callable[[], Awaitable[None]]
    ) -> Errors:
        """The last commit before a partition leaves, as `kafka_last_commit` does it; returns what went wrong."""
        errors: Errors = {}
        for _ in range(5 if offsets else 0):
            errors = await self.commit(member(), offsets)
            await awake()
            codes = {error.code() for error in errors.values()}
            if KafkaError.OFFSET_METADATA_TOO_LARGE in codes:
                offsets = {place: Committed(what.offset) for place, what in offsets.items() if place in errors}
            elif codes.isdisjoint(_PASSING):
                break
            else:
                await asyncio.sleep(0.2)
        return errors
