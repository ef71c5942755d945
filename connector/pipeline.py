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
from connector.membership import Membership

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from connector.core.key_order import Step
    from connector.model import Event, Record, Rejection
    from connector.ports import Source
    from connector.progress import Progress
    from connector.route import Route
    from connector.telemetry import Telemetry

_POLL_S: Final = 0.03  # `consume` waits all of it when little comes: it is what a quiet topic adds to latency
_POLL_BYTES: Final = 8 * 1024 * 1024  # what one poll may bring: with records of 1 MB a thousand would be too many
_LEAST_POLL_BYTES: Final = 1024 * 1024  # where there is less room: polls of a few small records would cost too much
_LARGE_RECORD_BYTES: Final = 1024 * 1024  # what the first poll expects: what a topic takes unless it is told otherwise
_BURIAL_BYTES: Final = 4096  # what a dead letter under way costs beside its record
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
        self._tasks: set[asyncio.Task[None]] = set()
        self._mean_record_bytes = 0.0  # not known yet
        self._failure: BaseException | None = None
        self._stopping_since: float | None = None
        self.has_left = True
        """False when Kafka's client did not end in time: its thread would keep the process from ending."""

    async def run(self) -> StopReport:
        """Run until `stop` is called, or until something fails that no waiting mends.

        Raises:
            SourceFatal: Kafka's client cannot go on.
            Defect: the connector broke a rule of its own.
        """
        await self._source.start(self.membership)
        try:
            while self._stopping_since is None:
                await self._turn()
            return await self._drain()
        except BaseException as failure:
            self._failure = self._failure or failure
            await self._leave(_ABORT_S)
            raise

    def stop(self) -> None:
        """Ask for a graceful stop: read no more, finish what is in flight, commit, leave."""
        if self._stopping_since is None:
            self._stopping_since = self._now()
            self.membership.is_ending = True
            self.membership.finish(self.membership.owners)

    @property
    def owners(self) -> tuple[PartitionOffsets, ...]:
        """The partitions that this member owns."""
        return tuple(self.membership.owners)

    async def _turn(self) -> None:
        self._raise_failure()
        if self._backpressure.should_wait(self._now()):
            await self._progress.wait(_POLL_S)
        else:
            for owner, records in await self._source.poll(self._most_records(), self._poll_s()):
                self._admit(owner, records)
        now = self._now()
        self._flush(now)
        self._commits.start_if_due(self.membership.owners, now)
        self._backpressure.balance(self.membership.owners, now)

    def _raise_failure(self) -> None:
        failure = self._failure or self.membership.fatal
        if failure is not None:
            raise failure

    def _most_records(self) -> int:
        """How many records one poll may bring: by what they cost of late, no more bytes than there is room for."""
        room = max(route.room_bytes for route in self._routes)
        most_bytes = min(_POLL_BYTES, max(room, _LEAST_POLL_BYTES))
        record_bytes = self._mean_record_bytes or _LARGE_RECORD_BYTES
        return min(self._settings.max_poll_records, int(most_bytes / record_bytes) + 1)

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
            self._note_size(size + _burial_bytes(rejected), len(fresh))
        for batch in route.batcher.add(events, self._now()):
            self._dispatch(route, batch)
        if rejected:
            self._spawn(self._bury(route, rejected))
        if skipped:
            route.outcomes.skip(skipped)

    def _note_size(self, size: int, count: int) -> None:
        """Note what records cost: at once where they grow, or the next poll would bring a thousand of 1 MB."""
        mean = max(1.0, size / count)
        self._mean_record_bytes = max(mean, self._mean_record_bytes + (mean - self._mean_record_bytes) / 16)

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
        size = _burial_bytes(rejected)
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

    # Stop

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
            # A poll may sit in a rebalance for longer than there is time.
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


def _burial_bytes(rejected: Sequence[tuple[Event, Rejection]]) -> int:
    """What records cost while their dead letters are written; the producer makes a copy of each."""
    return sum(2 * event.beside_bytes + _BURIAL_BYTES for event, _ in rejected)
