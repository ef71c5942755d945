"""Which partitions are ours: taken over, handed on, lost.

Promise: each assignment of a partition has an offsets object of its own, and the one before is closed, so that what
still arrives for it changes nothing. A revoke finishes or abandons what is in flight within one deadline and says what
may be committed; a loss commits nothing.

Owner: the event loop. The source asks from the Kafka thread and waits for the answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from connector.commits import Commits, committable
from connector.core.delivered import Delivered
from connector.core.offsets import PartitionOffsets
from connector.core.settled import restore
from connector.ports import SourceFatal, Start

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from confluent_kafka import KafkaError

    from connector.ports import Commit, Source
    from connector.progress import Progress
    from connector.route import Route
    from connector.telemetry import Telemetry


class Membership:
    """This member's part in the group, as the source's `AssignmentListener`."""

    def __init__(
        self,
        routes: Sequence[Route],
        source: Source,
        *,
        commits: Commits,
        telemetry: Telemetry,
        progress: Progress,
        revoke_timeout_s: float,
        monotonic_s: Callable[[], float],
        flush: Callable[[], None],
    ) -> None:
        self._routes = routes
        self._source = source
        self._commits = commits
        self._telemetry = telemetry
        self._progress = progress
        self._revoke_timeout_s = revoke_timeout_s
        self._now = monotonic_s
        self._flush = flush
        self._generation = 0
        self._delivered = Delivered()
        self.owners: dict[PartitionOffsets, Route] = {}
        """The partitions of this member, with the route that their records take."""
        self.on_change: Callable[[], None] = lambda: None
        """Called after partitions came or went."""
        self.fatal: SourceFatal | None = None
        """Why Kafka's client cannot go on."""
        self.is_ending = False
        """The process stops: what is assigned now is not read any more."""
        self._may_wait = True

    async def assigned(self, starts: Sequence[Start]) -> Sequence[PartitionOffsets]:
        """Begin a new assignment for each partition."""
        for start in starts:
            if start.ignored:
                self._telemetry.commit_note_ignored(start.topic, start.partition, start.ignored)
            if start.is_recreated:
                self._telemetry.topic_recreated(start.topic, start.partition)
        owners = [self._begin(start) for start in starts]
        self._telemetry.partitions_assigned(owners)
        self._telemetry.records_skipped({owner: start.skipped for owner, start in zip(owners, starts, strict=True)})
        self._source.pause([owner for owner in owners if owner.is_leaving or self.owners[owner].is_paused])
        self._commits.start([owner for owner in owners if owner.committed is None])  # after a crash it may be another
        self.on_change()
        return owners

    def _begin(self, start: Start) -> PartitionOffsets:
        self._generation += 1
        place = (start.topic, start.partition)
        known = self._delivered.recall(*place, identity=start.identity, committed=start.committed)
        owner = PartitionOffsets(
            *place,
            generation=self._generation,
            start=start.offset,
            committed=start.committed,
            identity=start.identity,
            restored=(*start.settled, *known),
        )
        owner.unread_note = start.unread_note
        owner.is_leaving = self.is_ending
        self.owners[owner] = self._route_for(start.topic)
        return owner

    async def repositioned(self, owner: PartitionOffsets, earliest: int) -> PartitionOffsets:
        """Go on at another offset, because the next record is gone.

        Ahead of what was read, it is a gap like any other, and what is in memory is still delivered: nobody else
        has it any more. Behind it, the topic was made anew, and its offsets mean other records now.
        """
        self._telemetry.offset_out_of_range(owner, position=owner.next_offset, earliest=earliest)
        if owner.next_offset is not None and earliest >= owner.next_offset:
            owner.skip_to(earliest)
            return owner
        return self._begin_anew(owner, Start(owner.topic, owner.partition, earliest, None))

    async def recreated(self, owner: PartitionOffsets, identity: str) -> PartitionOffsets:
        """Begin at the beginning, as the topic was deleted and made anew; what waits of the old one is given up."""
        self._telemetry.topic_recreated(owner.topic, owner.partition)
        return self._begin_anew(owner, Start(owner.topic, owner.partition, None, None, identity=identity))

    def _begin_anew(self, owner: PartitionOffsets, start: Start) -> PartitionOffsets:
        self._let_go([owner])
        self._delivered.forget(owner)
        return self._begin(start)

    def identified(self, owner: PartitionOffsets, identity: str) -> None:
        """Note the topic's id, from now on in commits too, and what only the id tells to be settled."""
        note = restore(owner.unread_note, identity=identity, committed=owner.origin or 0)
        known = self._delivered.recall(owner.topic, owner.partition, identity=identity, committed=owner.origin)
        owner.identify(identity, (*note.ranges, *known))

    def _route_for(self, topic: str) -> Route:
        """The first route in the file's order that reads the topic; a topic that came later may suit more than one."""
        route, *others = [route for route in self._routes if route.reads(topic)]
        if others:
            self._telemetry.topic_claimed_twice(topic, [each.settings.name for each in (route, *others)])
        return route

    async def revoked(self, owners: Sequence[PartitionOffsets]) -> Sequence[Commit]:
        """Finish what is in flight for these partitions, or abandon it at the deadline."""
        started = self._now()
        self.finish(owners)
        await self._until_drained(owners, started + self._revoke_timeout_s)
        commits = committable(owners)
        abandoned = sum(owner.open_count for owner in owners)
        cut_off = sum(owner.under_way_count for owner in owners)
        self._let_go(owners)
        seconds = self._now() - started
        self._telemetry.partitions_revoked(owners, abandoned=abandoned, cut_off=cut_off, seconds=seconds)
        return commits

    async def lost(self, owners: Sequence[PartitionOffsets]) -> None:
        """Forget partitions that somebody else may own by now."""
        self._let_go(owners)
        self._telemetry.partitions_lost(owners)

    def source_fault(self, error: KafkaError) -> None:
        """Report a fault of Kafka's client; a fatal one ends the run."""
        self._telemetry.source_fault(error)
        if error.fatal():
            self.fatal = self.fatal or SourceFatal(error.str())

    def finish(self, owners: Iterable[PartitionOffsets]) -> None:
        """Hurry: send what lingers, and end every wait for another try."""
        for owner in owners:
            owner.is_leaving = True
        self._flush()
        for route in self._routes:
            route.gate.cut()

    def end_waits(self) -> None:
        """Let a revoke wait for nothing any more, also one under way: there is no time left to finish anything."""
        self._may_wait = False
        self._progress.note()

    async def _until_drained(self, owners: Sequence[PartitionOffsets], deadline: float) -> None:
        while self._may_wait and not all(owner.is_drained for owner in owners) and self._now() < deadline:
            await self._progress.wait(deadline - self._now())

    def _let_go(self, owners: Sequence[PartitionOffsets]) -> None:
        for owner in owners:
            self._delivered.remember(owner)
            owner.close()
            self.owners.pop(owner, None)
            self._commits.forget(owner)
        for route in self._routes:
            route.gate.cut()
        self.on_change()

    def commit_ended(self, owner: PartitionOffsets, offset: int, error: KafkaError | None) -> None:
        """Note how a commit ended."""
        self._commits.ended(owner, offset, error)
