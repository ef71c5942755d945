"""What settled here is not delivered again when a partition comes back, unless its offsets mean other records."""

from __future__ import annotations

import pytest

from connector.core.delivered import Delivered
from connector.core.offsets import PartitionOffsets, leave_out_restored, open_records
from connector.core.settled import restore
from tests.builders import FakeRecord

TOPIC_ID = "0123456789abcdefABCDEF"


def owner_of(**more: object) -> PartitionOffsets:
    return PartitionOffsets("xdm.web", 3, generation=1, **{"identity": TOPIC_ID, "start": 10, **more})  # type: ignore[arg-type] # as named


def lost() -> Delivered:
    """A memory of a partition of which 10 to 14 and 17 settled, and 10 was committed."""
    owner = owner_of(committed=10)
    owner.open(10, 20)
    owner.settle(10, 15)
    owner.settle(17, 18)
    delivered = Delivered()
    delivered.remember(owner)
    owner.close()
    return delivered


@pytest.mark.parametrize("committed", [10, 12, 17])
def test_what_settled_and_was_not_committed_is_recalled(committed: int) -> None:
    """Be the commit where it was, or moved on by another owner."""
    delivered = lost()
    assert delivered.recall("xdm.web", 3, identity=TOPIC_ID, committed=committed) == ((10, 15), (17, 18))
    assert delivered.recall("xdm.web", 3, identity=TOPIC_ID, committed=committed) == (), "it is told once"


@pytest.mark.parametrize(
    ("identity", "committed"), [("another topic's id, 22", 10), ("", 10), (TOPIC_ID, 9), (TOPIC_ID, None)]
)
def test_it_is_void_for_another_topic_and_for_an_offset_that_was_moved_back(
    identity: str, committed: int | None
) -> None:
    """A topic made anew has other records there; a person who moves the offset back wants them again."""
    assert lost().recall("xdm.web", 3, identity=identity, committed=committed) == ()


def test_what_the_broker_confirms_after_the_end_counts() -> None:
    """The answer to the last commit is heard when the partition is given away; below it a person moved the offset."""
    owner = owner_of(committed=10)
    owner.open(10, 20)
    owner.settle(10, 20)
    delivered = Delivered()
    delivered.remember(owner)
    owner.close()
    owner.committed = 20
    assert delivered.recall("xdm.web", 3, identity=TOPIC_ID, committed=15) == ()


def test_a_topic_without_an_id_is_not_remembered() -> None:
    """It could not be told from another one of its name; nor is there anything to keep where nothing settled."""
    delivered = Delivered()
    nameless, idle = owner_of(identity=""), owner_of()
    nameless.open(10, 12)
    nameless.settle(10, 11)
    delivered.remember(nameless)
    delivered.remember(idle)
    assert delivered.recall("xdm.web", 3, identity="", committed=10) == ()
    assert delivered.recall("xdm.web", 3, identity=TOPIC_ID, committed=10) == ()


def test_a_partition_can_be_forgotten() -> None:
    """Its offsets mean other records from now on."""
    delivered = lost()
    delivered.forget(owner_of())
    assert delivered.recall("xdm.web", 3, identity=TOPIC_ID, committed=10) == ()


def test_restored_offsets_are_read_and_left_out() -> None:
    """They settle as soon as they are read again, and never earlier: what lies between is new."""
    owner = owner_of(restored=[(5, 12), (14, 16), (18, 19)])
    assert (owner.watermark, owner.settled_ranges) == (10, ((10, 12), (14, 16), (18, 19)))

    records = open_records(owner, [FakeRecord(offset_number=offset) for offset in range(10, 15)])
    fresh = leave_out_restored(owner, records)

    assert [record.offset() for record in fresh] == [12, 13]
    assert (owner.watermark, owner.open_count, owner.restored) == (12, 2, ((15, 16), (18, 19)))
    assert owner.settled_ranges == ((14, 16), (18, 19))
    owner.settle(12, 14)
    assert (owner.watermark, owner.settled_ranges) == (15, ((15, 16), (18, 19)))

    records = open_records(owner, [FakeRecord(offset_number=offset) for offset in (16, 17, 20)])
    assert [record.offset() for record in leave_out_restored(owner, records)] == [16, 17, 20]
    assert (owner.watermark, owner.open_count, owner.restored) == (16, 3, ())


def test_what_is_restored_and_not_read_yet_stands_in_the_note() -> None:
    """Also where it begins at the watermark: who commits before it has read anything must not forget the rest."""
    owner = owner_of(committed=10, restored=[(10, 12), (14, 16)])
    assert restore(owner.note, identity=TOPIC_ID, committed=10).ranges == ((10, 12), (14, 16))


def test_a_commit_is_due_when_its_note_changed() -> None:
    """One slow event holds the watermark; what settles above it is committed all the same, and once."""
    owner = owner_of(committed=10)
    owner.open(10, 20)
    assert owner.committable is None
    owner.settle(12, 14)
    assert owner.committable == 10
    assert owner.note.startswith(f"xdm1 {TOPIC_ID} 10 ")
    owner.noted = owner.settled_ranges
    assert owner.committable is None

    owner.settle(14, 15)
    owner.takes_notes = False
    assert owner.committable is None
    assert owner.note == ""
    owner.settle(10, 11)
    assert owner.committable == 11
    assert owner.note == ""
