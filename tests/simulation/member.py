"""One process of the connector: the pipeline as the assembly joins it, between simulated ends.

A kill cuts it off from both ends at once: whatever its code still does reaches nobody. A freeze is SIGSTOP as the
outside sees it: nothing leaves it and nothing reaches it until it goes on.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from connector.assembly import Outside, join
from connector.sending import Surroundings
from connector.telemetry import Telemetry
from tests.simulation.source import SimulatedSource

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Mapping

    from connector.core.codes import NoAnswer
    from connector.core.verdict import Answer
    from connector.model import Record, Rejection
    from connector.pipeline import StopReport
    from connector.ports import ResponseSink, Write
    from tests.simulation.oracle import Entry, Place
    from tests.simulation.world import World

T = TypeVar("T")

UNIX_AT_START_S = 1_760_000_000.0


class _NoCredentials:
    async def headers(self) -> Mapping[str, str]:
        return {}

    async def renew(self, refused: Mapping[str, str]) -> None:  # noqa: ARG002 - the port's signature
        return None


class _Edge:
    def __init__(self, world: World, member: Member) -> None:
        self._world = world
        self._member = member

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer | NoAnswer:  # noqa: ARG002 - the port's
        return await self._world.edge.post(self._member, url, body)


class _Letters:
    def __init__(self, world: World, member: Member) -> None:
        self._world = world
        self._member = member

    def letter(self, route: str, datastream: str, record: Record, rejection: Rejection) -> Write:  # noqa: ARG002 - the port's
        return partial(self._world.letters.write, self._member, record, rejection)


class Member:
    """One process, from its start to its end."""

    def __init__(self, world: World, name: str) -> None:
        self.name = name
        self.is_dead = False
        self.held: list[Callable[[], None]] = []
        """What reaches the process when it goes on."""
        self.stopped_at: float | None = None
        self._heard_at: dict[Place, float] = {}
        self._thawed_at = 0.0
        self.report: StopReport | None = None
        self._world = world
        self._awake = asyncio.Event()
        self._awake.set()
        self._never: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.source = SimulatedSource(world, self)
        clock = asyncio.get_running_loop().time
        telemetry = Telemetry([route.name for route in world.config.routes], clock=clock)
        self.inside = join(
            world.config,
            Outside(
                source=self.source,
                surroundings=Surroundings(
                    edge=_Edge(world, self),
                    credentials=_NoCredentials(),
                    telemetry=telemetry,
                    monotonic_s=clock,
                    unix_s=lambda: UNIX_AT_START_S + clock(),
                ),
                dead_letters=_Letters(world, self),
                responses=_no_responses,
                jitter=world.rng.random,
            ),
        )
        self._task = asyncio.create_task(self._run())
        self._background: list[asyncio.Task[Any]] = []
        if self.inside.shares is not None:
            self._background.append(asyncio.create_task(self.inside.shares.run()))

    async def _run(self) -> None:
        try:
            self.report = await self.inside.pipeline.run()
        except asyncio.CancelledError:
            return
        except BaseException as failure:  # noqa: BLE001 - whatever it is, a process must not end by itself
            self._world.oracle.fail(f"{self.name} ended with {failure!r}")
        if self.source.is_revoking:
            self._world.oracle.fail(f"{self.name} ended while a revoke waited, and without its last commit")
        for task in self._background:
            task.cancel()
        self._world.ended(self)
        self.is_dead = True

    @property
    def has_ended(self) -> bool:
        """Whether the process is gone."""
        return self._task.done() or self.is_dead

    @property
    def is_awake(self) -> bool:
        """Whether it runs."""
        return self._awake.is_set() and not self.is_dead

    async def awake(self) -> None:
        """Wait until the process runs; for ever in one that was killed."""
        if self.is_dead:
            await asyncio.shield(self._never)
        while not self._awake.is_set():
            await self._awake.wait()
            if self.is_dead:
                await asyncio.shield(self._never)

    def hear(self, entries: Iterable[Entry]) -> None:
        """Note that an answer for these has come."""
        self._heard_at.update((entry.place, self._world.now) for entry in entries)

    def idle_since(self, places: Iterable[Place]) -> float:
        """When it last heard an answer for these partitions, or went on after a freeze."""
        return max(self._thawed_at, *(self._heard_at.get(place, 0.0) for place in places))

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Start what goes on outside of the process."""
        self._world.spawn(work)

    def run_on(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Start what goes on for as long as the process lives, whoever waits for it."""
        task = asyncio.ensure_future(work)
        self._background.append(task)
        task.add_done_callback(self._background.remove)
        return task

    def kill(self) -> None:
        """End the process at once."""
        self.is_dead = True
        self.held.clear()
        for task in (self._task, *tuple(self._background)):
            task.cancel()

    def freeze(self) -> None:
        """Stop the process from running."""
        self._awake.clear()

    def thaw(self) -> None:
        """Let it go on."""
        if self.is_dead or self._awake.is_set():
            return
        self._awake.set()
        self._thawed_at = self._world.now
        held, self.held = self.held, []
        for event in held:
            event()

    def stop(self) -> None:
        """Ask for a graceful stop."""
        if self.stopped_at is None:
            self.stopped_at = self._world.now
            self.inside.pipeline.stop()


def _no_responses(topic: str, setting: str) -> ResponseSink:
    raise AssertionError(f"no route has responses, yet {setting} names {topic}")
