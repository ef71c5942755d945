"""One simulated run: members, Kafka, Edge and dead-letter topic under one virtual clock, driven by one seed.

First the plan's faults, for some seconds; then a quiet phase, in which everything has to come to its end by itself
within a bounded time; then a graceful stop.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from tests.simulation.config import build_config
from tests.simulation.edge import SimulatedEdge
from tests.simulation.faults import Faults
from tests.simulation.kafka import Group, PartitionLog
from tests.simulation.letters import SimulatedLetters
from tests.simulation.member import Member
from tests.simulation.oracle import Oracle
from tests.simulation.plan import SESSION_S
from tests.simulation.records import Producer
from tests.simulation.trace import Trace

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Coroutine, Iterable, Mapping

    from tests.simulation.oracle import Place
    from tests.simulation.plan import Plan

_SETTLES_WITHIN_S: Final = 240.0
_STOPS_WITHIN_S: Final = 30.0
_AT_ONCE_S: Final = 0.1


class World:
    """Everything of one run."""

    def __init__(self, plan: Plan, rng: random.Random) -> None:
        self._loop = asyncio.get_running_loop()
        self.rng = rng
        self.plan = plan
        self.config = build_config(self.plan)
        self.trace = Trace(self._loop.time)
        self.oracle = Oracle(self.trace, self._loop.time)
        self.logs: dict[Place, PartitionLog] = {
            (topic, number): PartitionLog() for topic, count in self.plan.topics.items() for number in range(count)
        }
        self.group = Group(self.logs, self.oracle, self.trace, self.rng)
        self.group.is_eager = self.plan.is_eager
        self.group.most_note_bytes = self.plan.most_note_bytes
        self.group.topic_ids = {topic: f"{topic}-id-1" for topic in self.plan.topics}
        self.edge = SimulatedEdge(self)
        self.letters = SimulatedLetters(self)
        self.session_s = SESSION_S
        self.members: list[Member] = []
        self.is_quiet = False
        self._faults = Faults(self)
        self._producer = Producer(self.plan, self.oracle, self.rng)
        self.away_since: float | None = None
        self._started = 0
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def now(self) -> float:
        """Virtual seconds since the beginning."""
        return self._loop.time()

    @property
    def brokers_away(self) -> bool:
        """Whether no broker answers."""
        return self.away_since is not None

    @property
    def brokers_away_for(self) -> float:
        """For how long, in seconds."""
        return 0.0 if self.away_since is None else self.now - self.away_since

    def faults(self, share: float) -> float:
        """How often something goes wrong; never in the quiet phase."""
        return 0.0 if self.is_quiet else share

    def draw(self, shares: Mapping[str, float]) -> str | None:
        """Which fault it is this time, if any."""
        if self.is_quiet or not shares:
            return None
        at = self.rng.random()
        for kind, share in shares.items():
            at -= share
            if at < 0:
                return kind
        return None

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Start what belongs to no process."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self.oracle.fail(f"the simulation itself broke: {task.exception()!r}")

    # ---- The course of a run ----

    async def run(self) -> None:
        """Live through the plan, come to rest, stop."""
        for _ in range(self.plan.members):
            self.start_member()
        self.spawn(self._produce())
        for act in self.plan.acts:
            await asyncio.sleep(max(0.0, act.at - self.now))
            if self.oracle.failures:
                return
            self._faults.do(act)
        await asyncio.sleep(max(0.0, self.plan.lasts_s - self.now))
        await self._rest()
        if not self.oracle.failures:
            await self._stop()
        if not self.oracle.failures:
            self.oracle.check_end()

    async def _produce(self) -> None:
        """Write the records in bursts over the time of the plan."""
        left, rng = self.plan.records, self.rng
        bursts = rng.choice((1, 5, 20))
        places = list(self.logs)
        for burst in range(bursts):
            for _ in range(left // (bursts - burst)):
                place = rng.choice(places)
                self._producer.write(place, self.logs[place])
                left -= 1
            await asyncio.sleep(0.8 * self.plan.lasts_s / bursts)

    async def _rest(self) -> None:
        """No more faults: all that was written has to be settled and committed."""
        self.is_quiet = True
        self.trace.note("world", "no more faults")
        self._faults.mend()
        if not self.running:
            self.start_member()
        deadline = self.now + _SETTLES_WITHIN_S
        while left := self.oracle.open_entries(self.group.committed_offset):
            if self.now > deadline:
                self.oracle.fail("not settled: " + ", ".join(f"{entry.name} ({entry.kind})" for entry in left))
            if self.oracle.failures:
                return
            if not self.running:
                self.start_member()
            if self.oracle.has_poison(self.group.committed_offset) and self._lacks_company():
                self._keep_company()
            await asyncio.sleep(0.5)

    def _lacks_company(self) -> bool:
        return int(self.now) % 5 == 0 or not self.oracle.has_open_company()

    def _keep_company(self) -> None:
        """Go on writing: that one event alone fails shows only beside others that get through."""
        for place, log in self.logs.items():
            for _ in range(3):
                self._producer.write(place, log, kind="company")

    async def _stop(self) -> None:
        self.trace.note("world", "everybody stops")
        members = self.running
        for member in members:
            member.stop()
        deadline = self.now + _STOPS_WITHIN_S
        while self.now < deadline and any(not member.has_ended for member in members):  # noqa: ASYNC110 - virtual time
            await asyncio.sleep(0.1)  # of virtual time
        has_time = self.config.shutdown.grace_ms > 2000  # a poll and a commit may take half a second each
        for member in members:
            report = member.report
            if report is None or (has_time and (report.cut_off_records or report.uncommitted_partitions)):
                self.oracle.fail(f"{member.name} did not stop as it should: {report}")

    def later(self, seconds: float, work: Callable[..., None], *arguments: object) -> None:
        """Do something after some time, whatever becomes of the members."""
        self._loop.call_later(seconds, work, *arguments)

    # ---- Members ----

    @property
    def running(self) -> list[Member]:
        """The processes that have not ended."""
        return [member for member in self.members if not member.has_ended]

    def start_member(self) -> None:
        """Start one more process."""
        self._started += 1
        self.members.append(Member(self, f"m{self._started}"))

    def ended(self, member: Member) -> None:
        """A process is gone; the group finds out when it has not heard of it for some time, unless it left."""
        if member.source.id is not None:
            self.later(self.session_s, self.group.expel, member.source.id)

    def check_release(self, member: Member, begun_at: Mapping[Place, float], *, waited_s: float) -> None:
        """A member lets partitions go; what is under way for them may be left only when the time is up."""
        revoke_s, grace_s = self.config.consume.revoke_timeout_ms / 1000, self.config.shutdown.grace_ms / 1000
        stopped_at = member.stopped_at
        if member.is_dead:
            return  # nothing of this leaves the process
        is_time_up = waited_s >= revoke_s or (stopped_at is not None and self.now - stopped_at >= grace_s)
        self._check_patience(member, begun_at, waited_s)
        for flight in self.edge.flights:
            if flight.sender != member.source.id:
                continue  # another process, or this one before it lost what it had
            # Not at the same moment: what left just before a topic's new beginning belongs to the old topic.
            left = [entry for entry in flight.entries if flight.sent_at > begun_at.get(entry.place, self.now)]
            if left and not is_time_up:
                self.oracle.fail(f"{member.name} lets go of {left[0].name} under way after {waited_s:.3f} s")
            self.oracle.excuse(left)

    def _check_patience(self, member: Member, places: Iterable[Place], waited_s: float) -> None:
        """Nobody keeps a partition for longer than its events are under way; what only waits is given up at once."""
        idle_s = min(waited_s, self.now - member.idle_since(places))
        flights = [flight for flight in self.edge.flights if flight.member is member and not flight.is_answered]
        under_way = {entry.place for flight in flights for entry in flight.entries}
        if idle_s > _AT_ONCE_S and under_way.isdisjoint(places):
            self.oracle.fail(f"{member.name} let {idle_s:.3f} s of a revoke pass with nothing of it under way")
