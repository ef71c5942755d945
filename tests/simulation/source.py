"""One member's consumer as the pipeline sees it: `KafkaSource` without its thread, on a simulated Kafka.

What decides is the connector's own: `Assignments` says what is ours, what is held back and what may be committed.
Calls queue up as they do for the one Kafka thread.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

from confluent_kafka import Consumer, TopicPartition

from connector.adapters.kafka_assignments import Assignments
from connector.adapters.kafka_first_sight import FirstSight
from connector.adapters.kafka_starts import _start as find_start
from connector.core.settled import clipped, restore
from connector.ports import Extent, Slice
from tests.simulation.client import Client, place_of
from tests.simulation.kafka import Committed
from tests.simulation.wire import Wire

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from connector.core.offsets import PartitionOffsets
    from connector.core.settled import Range
    from connector.model import Record
    from connector.ports import AssignmentListener, Commit, Start
    from tests.simulation.kafka import Errors
    from tests.simulation.member import Member
    from tests.simulation.oracle import Place
    from tests.simulation.world import World

_IDS_S = 2.0


class SimulatedSource:
    """A consumer of the group."""

    def __init__(self, world: World, member: Member) -> None:
        self._world = world
        self._member = member
        self._thread = asyncio.Lock()
        self._queue: list[Callable[[], None]] = []
        self._answers: list[tuple[Errors, list[TopicPartition]]] = []
        self._assignments = Assignments()
        self._client = Client(world)
        self._ids_at = 0.0
        self._settled: dict[Place, tuple[str, tuple[Range, ...]]] = {}  # with the topic's id, when it was lost
        self._wire = Wire(world)
        self._listener: AssignmentListener
        self.id: str | None = None
        self.is_revoking = False  # whether a revoke waits for what is under way

    # ---- What the pipeline calls ----

    async def start(self, listener: AssignmentListener) -> None:
        self._listener = listener

    async def poll(self, max_records: int, timeout_s: float) -> list[Slice]:
        # Who waits for it may give up; a thread goes on.
        return await asyncio.shield(self._member.run_on(self._poll_on_thread(max_records, timeout_s)))

    async def _poll_on_thread(self, max_records: int, timeout_s: float) -> list[Slice]:
        async with self._thread:
            await self._member.awake()
            self._run_queue()
            slices = await self._poll(max_records, timeout_s)
        self._run_queue()
        return slices

    def commit(self, commits: Sequence[Commit]) -> None:
        self._submit(lambda: self._commit(commits))

    def pause(self, owners: Iterable[PartitionOffsets]) -> None:
        paused = tuple(owners)
        self._submit(lambda: self._client.paused.update(map(place_of, self._assignments.pause(paused))))

    def resume(self, owners: Iterable[PartitionOffsets]) -> None:
        resumed = tuple(owners)
        self._submit(lambda: self._client.paused.difference_update(map(place_of, self._assignments.resume(resumed))))

    async def extents(self, owners: Sequence[PartitionOffsets]) -> list[Extent | None]:
        logs = [self._world.logs[owner.topic, owner.partition] for owner in owners]
        return [Extent(log.earliest, log.end) for log in logs]

    async def partition_counts(
        self,
        reads: Callable[[str], bool],  # noqa: ARG002 - it reads them all
    ) -> Mapping[str, int] | None:
        await self._member.awake()
        return None if self._world.brokers_away else self._world.plan.topics

    async def close(self, timeout_s: float) -> bool:
        if self._member.is_dead:
            return True
        try:
            async with asyncio.timeout(timeout_s), self._thread:
                self._run_queue()
                await self._member.awake()
                if self._is_member:
                    await self._revoke(list(self._client.positions))
                    self._world.group.leave(str(self.id))
        except TimeoutError:
            return False
        return True

    # ---- On the Kafka thread ----

    def _submit(self, work: Callable[[], None]) -> None:
        self._queue.append(work)
        if not self._thread.locked() and self._member.is_awake:
            self._run_queue()

    def _run_queue(self) -> None:
        queue, self._queue = self._queue, []
        for work in queue:
            work()

    @property
    def _is_member(self) -> bool:
        return self.id in self._world.group.members

    async def _poll(self, most: int, timeout_s: float) -> list[Slice]:
        world, rng = self._world, self._world.rng
        self._assignments.begin_poll()
        self._serve()
        await self._note_topic_ids()
        gathered = self._client.gather(most) if rng.random() < 0.3 else []  # and then comes a rebalance, or not
        await self._take_part()
        gathered = gathered or self._client.gather(most)
        await asyncio.sleep(0.001 if gathered else max(timeout_s, world.plan.idle_poll_s))
        await self._member.awake()
        self._serve()
        if rng.random() < world.faults(world.plan.consume_faults):
            world.trace.note(self._member.name, "an exception comes out of consume")
            self._client.seek(self._assignments.positions())
            return []
        slices, again = self._assignments.hand_over(self._slices(gathered or self._client.gather(most)))
        self._client.seek(again)
        await self._reposition()
        if self._client.positions and rng.random() < world.faults(world.plan.seen_again):
            self._client.go_back()
        return slices

    def _slices(self, gathered: list[tuple[Place, list[Record]]]) -> list[Slice]:
        """What was gathered, each with who owns its partition by now."""
        owned = [(self._assignments.owner(*place), records) for place, records in gathered]
        return [Slice(owner, records) for owner, records in owned if owner is not None]

    async def _reposition(self) -> None:
        """Where the next record is gone, ask where to go on."""
        for place in self._client.find_gone():
            owner, earliest = self._assignments.owner(*place), self._world.logs[place].earliest
            if owner is None:
                continue
            successor = await self._listener.repositioned(owner, earliest)
            if successor is owner:
                self._client.seek([self._assignments.skip_to(owner, earliest)])
            else:
                self._world.oracle.broke(place, earliest)
                self._client.begin([self._assignments.take(successor, earliest)])
                self._listener.identified(successor, self._world.group.topic_ids[place[0]])

    async def _note_topic_ids(self) -> None:
        """Now and then the brokers tell the topics' ids."""
        world = self._world
        if world.now < self._ids_at or world.brokers_away:
            return
        self._ids_at = world.now + _IDS_S
        for owner in self._assignments.owners:
            identity = world.group.topic_ids[owner.topic]
            if owner.is_for_another(identity):
                world.trace.note(self._member.name, f"hears that {owner.topic} was made anew")
                world.oracle.broke((owner.topic, owner.partition), 0)
                successor = await self._listener.recreated(owner, identity)
                self._client.begin([self._assignments.take(successor, None)])
            elif owner.identity != identity and not world.draw(world.plan.id_faults):
                self._identify(owner, identity)

    def _identify(self, owner: PartitionOffsets, identity: str) -> None:
        """The id makes a note readable: what was not read yet by then is not delivered again."""
        place = owner.topic, owner.partition
        settled = restore(owner.unread_note, identity=identity, committed=owner.origin or 0).ranges
        self._listener.identified(owner, identity)
        if self._world.group.owners.get(place) == self.id:
            self._world.oracle.remembered(place, clipped(settled, owner.next_offset or 0))

    # ---- Rebalances ----

    async def _take_part(self) -> None:
        world, group = self._world, self._world.group
        if self.id is not None and (not self._is_member or world.brokers_away_for >= world.session_s):
            group.expel(self.id)
            await self._lose()
        if world.brokers_away:
            return
        if self.id is None:
            self.id = group.join(self._member.name)
        release = group.to_release(self.id)
        if release:
            await self._revoke(release)
        if group.joining is not None and self._is_member:
            group.joined(self.id)
        take = group.to_take(self.id) if self._is_member and not world.brokers_away else []
        if take:
            await self._take(take)

    async def _lose(self) -> None:
        self._world.trace.note(self._member.name, "lost its partitions")
        self.id = None
        targets = [TopicPartition(*place) for place in self._client.positions]
        owners = self._assignments.owners_of(targets)
        self._settled = {(owner.topic, owner.partition): (owner.identity, owner.all_settled) for owner in owners}
        if owners:
            await self._listener.lost(owners)
        self._forget(targets)

    async def _take(self, places: list[Place]) -> None:
        world = self._world
        starts = [self._start(place) for place in places]
        said = ", ".join(f"{at.topic}-{at.partition} from {at.offset} and {list(at.settled)}" for at in starts)
        world.trace.note(self._member.name, f"takes {said}")
        owners = await self._listener.assigned(starts)
        self._client.begin(self._assignments.take(owner, at.offset) for owner, at in zip(owners, starts, strict=True))

    def _start(self, place: Place) -> Start:
        """Where a partition begins, by the connector's own reading of the commit."""
        world, group = self._world, self._world.group
        group.owners[place] = str(self.id)
        known = group.committed.get(place)
        identity = "" if world.draw(world.plan.id_faults) else group.topic_ids[place[0]]
        found = TopicPartition(*place) if known is None else TopicPartition(*place, known.offset, known.note)
        start = find_start(cast("Consumer", None), found, identity, FirstSight((), starts_at_latest=False))
        if not identity:
            world.oracle.broke(place, 0 if known is None else known.offset)
        elif start.is_recreated:
            world.oracle.broke(place, 0)
        elif group.last_process.get(place) == self._member.name and self._settled.get(place, ("",))[0] == identity:
            world.oracle.remembered(place, self._settled[place][1])
        self._settled.pop(place, None)
        group.last_process[place] = self._member.name
        return start

    async def _revoke(self, places: list[Place]) -> None:
        world = self._world
        targets = [TopicPartition(*place) for place in places]
        owners = self._assignments.owners_of(targets)
        started = world.now
        world.trace.note(self._member.name, f"has to let go of {', '.join(f'{at[0]}-{at[1]}' for at in places)}")
        if owners:
            self.is_revoking = True
            commits = await self._listener.revoked(owners)
            self.is_revoking = False
            begun_at = {place: self._client.begun_at[place] for place in places}
            world.check_release(self._member, begun_at, waited_s=world.now - started)
            await self._member.awake()
            await self._wire.until_free()
            last = self._assignments.targets_of(commits)
            errors = await self._wire.commit_and_wait(lambda: str(self.id), _offsets(last), self._member.awake)
            self._on_commit(errors, last, lambda target: self._assignments.owner(*place_of(target)))
            for owner in owners:
                world.group.note_last_commit(str(self.id), owner, is_committed=not errors)
        self._forget(targets)
        for place in places:
            world.group.release(str(self.id), place)

    def _forget(self, targets: list[TopicPartition]) -> None:
        self._assignments.forget(targets)
        self._client.forget(targets)

    # ---- Commits ----

    def _commit(self, commits: Sequence[Commit]) -> None:
        targets = self._assignments.begin_commit(commits)
        if targets:
            self._member.spawn(self._send_commit(str(self.id), targets))

    async def _send_commit(self, member: str, targets: list[TopicPartition]) -> None:
        """On the wire from here on: it goes on when the member is killed."""
        errors = await self._wire.commit(member, _offsets(targets))
        self._answers.append((errors, targets))

    def _serve(self) -> None:
        """Callbacks run inside a poll, and the loop hears what they say."""
        answers, self._answers = self._answers, []
        for errors, targets in answers:
            self._on_commit(errors, targets, self._assignments.end_commit)

    def _on_commit(
        self, errors: Errors, ended: list[TopicPartition], owner_of: Callable[[TopicPartition], PartitionOffsets | None]
    ) -> None:
        for target in ended:
            owner = owner_of(target)
            if owner is not None:
                self._listener.commit_ended(owner, target.offset, errors.get(place_of(target)))


def _offsets(targets: Iterable[TopicPartition]) -> dict[Place, Committed]:
    return {place_of(target): Committed(target.offset, target.metadata or "") for target in targets}
