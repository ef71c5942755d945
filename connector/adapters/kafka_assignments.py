"""Which partitions are ours, under which assignment, and what was handed over last.

Promise: whatever arrives for an assignment that is over finds no entry here. Owned by the Kafka thread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from confluent_kafka import OFFSET_BEGINNING, TopicPartition

from connector.model import offset_of
from connector.ports import Slice

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from confluent_kafka import Message

    from connector.core.offsets import PartitionOffsets
    from connector.ports import Commit

Key = tuple[str, int]
"""Topic and partition."""


class Assignments:
    """The partitions of one member."""

    def __init__(self) -> None:
        self._owners: dict[Key, PartitionOffsets] = {}
        self._positions: dict[Key, int] = {}  # the next offset to hand over: where to seek after a mishap
        self._committing: dict[tuple[Key, int, str], PartitionOffsets] = {}  # by offset and note: for whom it is sent
        self._just_taken: set[Key] = set()
        self._paused: set[Key] = set()

    def begin_poll(self) -> None:
        """Forget which partitions were taken during the poll before."""
        self._just_taken.clear()

    def take(self, owner: PartitionOffsets, start: int | None) -> TopicPartition:
        """Take a partition over, without a start from its first record; returns from where the client has to read."""
        key = _place(owner)
        self._owners[key] = owner
        self._positions[key] = OFFSET_BEGINNING if start is None else start
        self._just_taken.add(key)
        self._paused.discard(key)
        return TopicPartition(*key, self._positions[key])

    def skip_to(self, owner: PartitionOffsets, offset: int) -> TopicPartition:
        """Go on at another offset under the same assignment; returns from where the client has to read."""
        self._positions[_place(owner)] = offset
        return TopicPartition(*_place(owner), offset)

    def owner(self, topic: str | None, partition: int | None) -> PartitionOffsets | None:
        """The offsets object of the current assignment, None if the partition is not ours."""
        return self._owners.get((topic, partition))  # type: ignore[arg-type] # None is in no key

    def owners_of(self, partitions: Iterable[TopicPartition]) -> list[PartitionOffsets]:
        """The offsets objects of those partitions that are ours."""
        return [self._owners[key] for key in map(_key, partitions) if key in self._owners]

    @property
    def owners(self) -> tuple[PartitionOffsets, ...]:
        """The offsets objects of all partitions that are ours."""
        return tuple(self._owners.values())

    def partitions_of(self, owners: Iterable[PartitionOffsets]) -> list[TopicPartition]:
        """The partitions of those assignments that are not over."""
        return [TopicPartition(*_place(owner)) for owner in owners if self.is_current(owner)]

    def pause(self, owners: Iterable[PartitionOffsets]) -> list[TopicPartition]:
        """Note that partitions are read no more for now; returns those of them that are ours."""
        partitions = self.partitions_of(owners)
        self._paused.update(map(_key, partitions))
        return partitions

    def resume(self, owners: Iterable[PartitionOffsets]) -> list[TopicPartition]:
        """Note that partitions are read again; returns those of them that are ours."""
        partitions = self.partitions_of(owners)
        self._paused.difference_update(map(_key, partitions))
        return partitions

    def is_paused(self, owner: PartitionOffsets) -> bool:
        """Whether a partition is not read for now, so that no fetch brings news of it."""
        return _place(owner) in self._paused

    def is_current(self, owner: PartitionOffsets) -> bool:
        """Whether this assignment is the one under which the partition is ours now."""
        return self._owners.get(_place(owner)) is owner

    def forget(self, partitions: Iterable[TopicPartition]) -> None:
        """Let partitions go."""
        for key in map(_key, partitions):
            self._owners.pop(key, None)
            self._positions.pop(key, None)
            self._just_taken.discard(key)
            self._paused.discard(key)

    def positions(self) -> list[TopicPartition]:
        """Where each partition has to go on so that nothing is left out."""
        return [TopicPartition(*key, offset) for key, offset in self._positions.items()]

    def position(self, owner: PartitionOffsets) -> TopicPartition:
        """Where one partition that is ours has to go on."""
        return TopicPartition(*_place(owner), self._positions[_place(owner)])

    def slices_of(self, messages: Iterable[Message]) -> tuple[list[Slice], list[Message]]:
        """Group records by partition, and set faults apart; records of partitions that are not ours are left out."""
        slices: list[Slice] = []
        faults: list[Message] = []
        topic: str | None = None
        partition: int | None = -1
        append: Callable[[Message], None] | None = None
        for message in messages:
            if message.partition() != partition or message.topic() != topic:
                topic, partition = message.topic(), message.partition()
                owner = self.owner(topic, partition)
                append = None
                if owner is not None:
                    records: list[Message] = []
                    slices.append(Slice(owner, records))
                    append = records.append
            if message.error() is not None:
                faults.append(message)
            elif append is not None:
                append(message)
        return [part for part in slices if part.records], faults

    def hand_over(self, slices: Sequence[Slice]) -> tuple[list[Slice], list[TopicPartition]]:
        """Note what is handed over; returns that, and where to seek for what is held back.

        Records of a partition that was taken within this very poll are held back: they may have been gathered under
        the assignment before, from another position, and taken for the first ones of the new assignment they would
        hide all that lies between.
        """
        kept: list[Slice] = []
        again: dict[Key, int] = {}
        for part in slices:
            key = (part.owner.topic, part.owner.partition)
            if key in self._just_taken:
                again[key] = self._positions[key]
                continue
            self._positions[key] = offset_of(part.records[-1]) + 1
            kept.append(part)
        return kept, [TopicPartition(*key, offset) for key, offset in again.items()]

    def targets_of(self, commits: Iterable[Commit]) -> list[TopicPartition]:
        """What may be committed: the broker would take a commit for a partition that is not ours any more."""
        owned = [commit for commit in commits if self.is_current(commit.owner)]
        return [TopicPartition(*_place(commit.owner), commit.offset, commit.note) for commit in owned]

    def begin_commit(self, commits: Iterable[Commit]) -> list[TopicPartition]:
        """The same, of commits whose ends are heard later, when their partitions may belong to others."""
        targets = self.targets_of(commits)
        self._committing.update({_commit_key(target): self._owners[_key(target)] for target in targets})
        return targets

    def end_commit(self, partition: TopicPartition) -> PartitionOffsets | None:
        """For whom the commit was that ended, under whatever assignment; None if that was told already.

        The client tells what it sent, note included. Of two commits that say the same the later one may be told how
        the earlier one ended, which is no less true of it.
        """
        return self._committing.pop(_commit_key(partition), None)


def _place(owner: PartitionOffsets) -> Key:
    return owner.topic, owner.partition


def _key(partition: TopicPartition) -> Key:
    return partition.topic, partition.partition


def _commit_key(target: TopicPartition) -> tuple[Key, int, str]:
    return _key(target), target.offset, target.metadata or ""
