"""The loop: poll, admit, batch, dispatch, settle, commit; rebalance; drain.

One event's way: `_turn` polls it, `_admit` opens its offset before anything can fail, its route decodes it and puts
it into a batch, `_dispatch` starts the batch's delivery, which settles it when it has its verdict; `_commit` commits
the watermark that follows.

Promise: an offset is open before its record is looked at, and is committed only after its verdict and those of all
below it. Memory is bounded by the routes' open bytes: what is full is paused, and polling goes on, so that the group
membership outlives an outage of any length.

Owner: the event loop, which owns all state here. No locks.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from connector.backpressure import Backpressure
from connector.commits import Commits, committable
from connector.core.offsets import PartitionOffsets, leave_out_restored, open_records
from connector.core.portions import PollSize, Portions
from connector.membership import Membership

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from connector.core.key_order import Step
    from connector.model import Event, Record, Rejection
    from connector.ports import Slice, Source
    from connector.progress import Progress
    from connector.route import Route
    from connector.telemetry import Telemetry

_POLL_S: Final = 0.03  # `consume` waits all of it when little comes: it is what a quiet topic adds to latency
_ABORT_S: Final = 5.0  # after a failure: enough to hand the partitions on with what is settled


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineSettings:
    """Bounds and intervals, in seconds where not said otherwise."""

    max_poll_records: int
    commit_interval_s: float
    revoke_timeout_s: float
    grace_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StopReport:
    """How a stop ended. What is open or uncommitted is read again by whoever comes next."""

    open_records: int
    cut_off_records: int  # of the open ones, those that were under way when time was up: they may come twice
    uncommitted_partitions: int
    seconds: float


class Pipeline:
    """Moves records from the source to their verdicts, and offsets back."""

    def __init__(
        self,
        settings: PipelineSettings,
        *,
        source: Source,
        routes: Sequence[Route],
        telemetry: Telemetry,
        progress: Progress,
        monotonic_s: Callable[[], float],
    ) -> None:
        self._settings = settings
        self._source = source
        self._routes = tuple(routes)
        self._telemetry = telemetry
        self._progress = progress
        self._now = monotonic_s
        self._commits = Commits(source, telemetry, interval_s=settings.commit_interval_s)
        self._backpressure = Backpressure(self._routes, source, telemetry)
        self.membership = Membership(
            self._routes,
            source,
            commits=self._commits,
            telemetry=telemetry,
            progress=progress,
            revoke_timeout_s=settings.revoke_timeout_s,
            monotonic_s=monotonic_s,
            flush=self._flush_all,
        )
        self._portions = Portions()
        self._tasks: set[asyncio.Task[None]] = set()
        self._poll_size = PollSize(settings.max_poll_records)
        self._failure: BaseException | None = None
        self._stopping_since: float | None = None
        self._stop_asked: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.has_left = True  # False when Kafka's client did not end in time: its thread keeps the process from ending

    async def run(self) -> StopReport:
        """Run until `stop` is called, or until something fails that no waiting mends.

        Raises:
            SourceFatal: Kafka's client cannot go on.
            Defect: the connector broke a rule of its own.
        """
        await self._source.start(self.membership)
        try:
            await self._read_on()
            return await self._drain()
        except BaseException as failure:
            self._failure = self._failure or failure
            await self._leave(_ABORT_S)
            raise

    def stop(self) -> None:
        """Ask for a graceful stop: read no more, finish what is in flight, commit, leave."""
        if self._stopping_since is None:
            self._stopping_since = self._now()
            self._stop_asked.set_result(None)
            self.membership.is_ending = True
            self.membership.finish(self.membership.owners)

    @property
    def owners(self) -> tuple[PartitionOffsets, ...]:
        """The partitions that this member owns."""
        return tuple(self.membership.owners)

    async def _read_on(self) -> None:
        """Read until a stop, which does not wait for longer than it may: a poll may sit in a rebalance for minutes."""
        reading = asyncio.ensure_future(self._read())
        try:
            await asyncio.wait({reading, self._stop_asked}, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.wait({reading}, timeout=self._settings.grace_s)
            if reading.done():
                reading.result()
        finally:
            reading.cancel()

    async def _read(self) -> None:
        while self._stopping_since is None:
            await self._turn()

    async def _turn(self) -> None:
        self._raise_failure()
        if self._backpressure.should_wait(self._now()):
            await self._progress.wait(_POLL_S)
        else:
            most = self._poll_size.records(max(route.room_bytes for route in self._routes))
            for part in await self._source.poll(most, self._poll_s()):
                await self._take_in(part)
        now = self._now()
        self._flush(now)
        self._commits.start_if_due(self.membership.owners, now)
        self._backpressure.balance(self.membership.owners, now)

    async def _take_in(self, part: Slice) -> None:
        """Admit records in portions, between which those under way get their turn."""
        first = 0
        while first < len(part.records):
            began = self._now()
            records = part.records[first : first + self._portions.size]
            self._admit(part.owner, records)
            first += len(records)
            if self._portions.note(self._now() - began, len(records)):
                await asyncio.sleep(0)

    def _raise_failure(self) -> None:
        failure = self._failure or self.membership.fatal
        if failure is not None:
            raise failure

    def _poll_s(self) -> float:
        """How long to wait for records: no longer than the first batch may linger."""
        due = [route.batcher.due_at for route in self._routes if route.batcher.due_at is not None]
        return min([_POLL_S, *(max(0.001, at - self._now()) for at in due)])

    def _admit(self, owner: PartitionOffsets, records: Sequence[Record]) -> None:
        """Open the records' offsets, then decode them, and send off the batches that became full."""
        route = self.membership.owners.get(owner)
        if route is None:
            return  # the partition left between the poll and now; its next owner reads them
        fresh = open_records(owner, records)
        if len(fresh) < len(records):
            self._telemetry.records_seen_again(owner, len(records) - len(fresh))
        if owner.restored:
            fresh = leave_out_restored(owner, fresh)
        events, rejected, skipped = route.decode(owner, fresh)
        size = route.open_bytes_of(events)
        route.open_bytes += size  # from here on, as they may wait for a batch
        if fresh:
            self._poll_size.note(size + route.burial_bytes_of(rejected), len(fresh))
        for batch in route.batcher.add(events, self._now()):
            self._dispatch(route, batch)
        if rejected:
            self._spawn(self._bury(route, rejected))
        if skipped:
            route.outcomes.skip(skipped)

    def _flush(self, now: float) -> None:
        """Send off the batches that have lingered long enough, or leave no room for others."""
        for route in self._routes:
            due_at = route.batcher.due_at
            if due_at is not None and (due_at <= now or route.is_clogged):
                self._dispatch(route, route.batcher.flush())

    def _flush_all(self) -> None:
        """Send off what lingers, and give up what only waits for others of its key."""
        for route in self._routes:
            batch = route.batcher.flush()
            if batch:
                self._dispatch(route, batch)
            route.delivery.give_up_leaving()
            if route.order is not None:
                self._go_on(route, route.order.drop_ending())

    def _dispatch(self, route: Route, batch: list[Event]) -> None:
        """Start a batch's delivery, or put it behind others of its key."""
        if route.order is None:
            self._spawn(self._deliver(route, batch, route.open_bytes_of(batch)))
        else:
            self._go_on(route, route.order.add(*batch))

    def _go_on(self, route: Route, step: Step) -> None:
        """Deliver the events of an ordered route whose turn has come; give up those whose turn will not come."""
        for event in step.leaving:
            self._spawn(self._deliver(route, [event], route.open_bytes_of([event])))
        if step.given_up:
            route.open_bytes -= route.open_bytes_of(step.given_up)
            route.outcomes.abandon(step.given_up)

    async def _deliver(self, route: Route, batch: list[Event], size: int) -> None:
        route.under_way += 1
        try:
            await route.delivery.deliver(batch)
        finally:
            route.under_way -= 1
            route.open_bytes -= size
        if route.order is not None:  # not after a failure: the event has no verdict, and none of its key may follow
            self._go_on(route, route.order.end(*batch))

    async def _bury(self, route: Route, rejected: list[tuple[Event, Rejection]]) -> None:
        """Dead-letter what was rejected before a request."""
        size = route.burial_bytes_of(rejected)
        route.open_bytes += size
        route.under_way += len(rejected)
        try:
            await route.burial.bury(rejected)
        finally:
            route.under_way -= len(rejected)
            route.open_bytes -= size

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self._failure = self._failure or task.exception()
        self._progress.note()

    async def _drain(self) -> StopReport:
        """Stop in numbered steps, all of them under one deadline.

        1. Read no more, but keep polling, so that a rebalance under way can end.
        2. Wait until everything in flight is settled or abandoned.
        3. Commit, again if need be, until the broker has it.
        4. Leave the group, which hands the partitions on.
        """
        started = self._stopping_since or self._now()
        deadline = started + self._settings.grace_s
        self._source.pause(self.membership.owners)
        while self._now() < deadline and not self._is_done():
            self._raise_failure()
            self.membership.finish(())
            self._commits.start(self.membership.owners)
            poll = asyncio.ensure_future(self._source.poll(1, _POLL_S))
            await asyncio.wait({poll}, timeout=deadline - self._now())
            if poll.done():
                poll.result()
        left = tuple(self.membership.owners)
        report = StopReport(
            open_records=sum(owner.open_count for owner in left),
            cut_off_records=sum(owner.under_way_count for owner in left),
            uncommitted_partitions=len(committable(left)),
            seconds=self._now() - started,
        )
        await self._leave(max(1.0, deadline - self._now()))
        return report

    async def _leave(self, timeout_s: float) -> None:
        """Leave the group now: what is not settled is open for whoever comes next."""
        for task in tuple(self._tasks):
            task.cancel()
        self.membership.end_waits()
        self.has_left = await self._source.close(timeout_s)

    def _is_done(self) -> bool:
        return all(owner.is_drained and owner.committable is None for owner in self.membership.owners)
