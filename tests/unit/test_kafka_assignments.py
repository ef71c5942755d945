"""What arrives for an assignment that is over finds nothing, and what was held back is read again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from confluent_kafka import OFFSET_BEGINNING, TopicPartition

from connector.adapters.kafka_assignments import Assignments
from connector.ports import Commit, Slice
from tests.builders import FakeRecord, owner_at

if TYPE_CHECKING:
    from collections.abc import Iterable

    from connector.core.offsets import PartitionOffsets

TOPIC = "xdm.web"


def taken(*owners: PartitionOffsets) -> Assignments:
    """Assignments of a poll before this one."""
    assignments = Assignments()
    for owner in owners:
        assignments.take(owner, owner.watermark)
    assignments.begin_poll()
    return assignments


def read(owner: PartitionOffsets, *offsets: int) -> Slice:
    return Slice(owner, [FakeRecord(partition_number=owner.partition, offset_number=offset) for offset in offsets])


def places(partitions: Iterable[TopicPartition]) -> list[tuple[str, int, int]]:
    return [(found.topic, found.partition, found.offset) for found in partitions]


@pytest.mark.parametrize(("start", "from_where"), [(7, 7), (0, 0), (None, OFFSET_BEGINNING)])
def test_a_partition_begins_where_it_was_told(start: int | None, from_where: int) -> None:
    """The start that was chosen is where the client reads; without one it is the very first record."""
    assignments, owner = Assignments(), owner_at(start)
    target = assignments.take(owner, owner.watermark)
    assert places([target]) == places(assignments.positions()) == [(TOPIC, 0, from_where)]
    assert assignments.owner(TOPIC, 0) is owner


def test_a_new_assignment_replaces_the_old_one() -> None:
    """Of two assignments of a partition only the later one is current."""
    old, new = owner_at(0), owner_at(5)
    assignments = taken(old)
    assignments.take(new, new.watermark)
    assert assignments.owner(TOPIC, 0) is new
    assert not assignments.is_current(old)
    assert assignments.is_current(new)
    assert assignments.partitions_of([old]) == []
    assert places(assignments.positions()) == [(TOPIC, 0, 5)]


def test_a_partition_that_left_is_nobodys() -> None:
    """After a revoke neither owner, position nor commit is left; other partitions are not touched."""
    gone, kept = owner_at(0), owner_at(3, partition=1)
    assignments = taken(gone, kept)
    assignments.forget([TopicPartition(TOPIC, 0), TopicPartition("xdm.unknown", 0)])
    assert assignments.owner(TOPIC, 0) is None
    assert assignments.owners_of([TopicPartition(TOPIC, 0), TopicPartition(TOPIC, 1)]) == [kept]
    assert places(assignments.positions()) == [(TOPIC, 1, 3)]
    assert places(assignments.begin_commit([Commit(gone, 2, ""), Commit(kept, 4, "")])) == [(TOPIC, 1, 4)]
    assert assignments.owner(None, None) is None


def test_what_is_handed_over_moves_the_position() -> None:
    """A mishap after this seeks to one past the last record that was handed over, compacted gaps included."""
    owner = owner_at(0)
    assignments = taken(owner)
    slices = [read(owner, 0, 1, 2), read(owner, 3, 9)]
    assert assignments.hand_over(slices) == (slices, [])
    assert places(assignments.positions()) == [(TOPIC, 0, 10)]
    assert places([assignments.position(owner)]) == [(TOPIC, 0, 10)]


def test_records_of_a_partition_taken_in_this_poll_are_read_again() -> None:
    """They may stem from another position, and would hide all that lies between; others pass."""
    new, old = owner_at(4), owner_at(0, partition=1)
    assignments = taken(old)
    assignments.take(new, new.watermark)
    kept, again = assignments.hand_over([read(new, 90, 91), read(old, 0), read(new, 92)])
    assert kept == [read(old, 0)]
    assert places(again) == [(TOPIC, 0, 4)]
    assert (TOPIC, 0, 4) in places(assignments.positions())

    assignments.begin_poll()
    assert assignments.hand_over([read(new, 4)]) == ([read(new, 4)], [])


def test_a_commit_is_told_to_the_assignment_that_asked_for_it() -> None:
    """Of commits that overlap each is told once, and to its own assignment, in whatever order they end."""
    old, new = owner_at(0), owner_at(5)
    assignments = taken(old)
    assert places(assignments.begin_commit([Commit(old, 5, "a note")])) == [(TOPIC, 0, 5)]
    assignments.forget([TopicPartition(TOPIC, 0)])
    assignments.take(new, new.watermark)
    assignments.begin_commit([Commit(new, 8, "")])
    assignments.begin_commit([Commit(new, 9, "")])
    assert assignments.end_commit(TopicPartition(TOPIC, 0, 9)) is new
    assert assignments.end_commit(TopicPartition(TOPIC, 0, 5, "a note")) is old
    assert assignments.end_commit(TopicPartition(TOPIC, 0, 8)) is new
    assert assignments.end_commit(TopicPartition(TOPIC, 0, 8)) is None


def test_a_late_answer_to_the_same_offset_is_not_taken_for_the_commit_of_now() -> None:
    """What the earlier assignment wrote with it was another note: the broker may still refuse ours."""
    old, new = owner_at(0), owner_at(5)
    assignments = taken(old)
    assignments.begin_commit([Commit(old, 5, "a note")])
    assignments.take(new, new.watermark)
    assignments.begin_commit([Commit(new, 5, "another note")])
    assert assignments.end_commit(TopicPartition(TOPIC, 0, 5, "a note")) is old
    assert assignments.end_commit(TopicPartition(TOPIC, 0, 5, "another note")) is new


def test_a_last_commit_is_for_partitions_that_are_ours() -> None:
    """Its end is heard at once, while they are, so that nothing is remembered of it."""
    gone, kept = owner_at(0), owner_at(3, partition=1)
    assignments = taken(gone, kept)
    assignments.forget([TopicPartition(TOPIC, 0)])
    targets = assignments.targets_of([Commit(gone, 2, ""), Commit(kept, 4, "a note")])
    assert [(target.partition, target.offset, target.metadata) for target in targets] == [(1, 4, "a note")]
    assert assignments.end_commit(targets[0]) is None


def test_a_partition_taken_and_lost_in_one_poll_leaves_no_trace() -> None:
    """A partition that comes and goes within one poll is not held back when it comes once more."""
    owner = owner_at(0)
    assignments = Assignments()
    assignments.take(owner, owner.watermark)
    assignments.forget([TopicPartition(TOPIC, 0)])
    assert assignments.positions() == []
