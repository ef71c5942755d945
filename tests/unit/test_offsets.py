"""The cases of offsets that have a story; `tests/property/test_offsets.py` has the search."""

from __future__ import annotations

import pytest

from connector.core.offsets import PartitionOffsets, open_records, runs
from tests.builders import FakeRecord, event_at, owner_at


def _records(*offsets: int) -> list[FakeRecord]:
    return [FakeRecord(offset_number=offset) for offset in offsets]


def test_the_watermark_waits_for_the_lowest_open_offset() -> None:
    """Whatever settles above an open offset, only what is below it may be committed."""
    owner = owner_at(10)
    owner.open(10, 20)
    owner.settle(12, 20)
    owner.settle(10, 11)
    assert (owner.watermark, owner.committable, owner.open_count) == (11, 11, 1)
    owner.settle(11, 12)
    assert (owner.watermark, owner.settled_ranges, owner.is_drained) == (20, (), True)


def test_a_million_settled_records_are_one_pair_of_numbers() -> None:
    """What is settled above an open record costs memory by ranges, not by records."""
    owner = owner_at(0)
    owner.open(0, 1_000_001)
    for first in range(1, 1_000_001, 1000):
        owner.settle(first, first + 1000)
    assert owner.settled_ranges == ((1, 1_000_001),)


def test_what_is_gone_is_settled_with_what_was_restored_below_it() -> None:
    """No record may follow that would close the gap, and no note may speak of what lies below the watermark."""
    owner = PartitionOffsets("xdm.web", 0, generation=1, start=10, committed=10, restored=[(12, 15), (30, 35)])
    owner.skip_to(20)
    assert (owner.watermark, owner.next_offset, owner.settled_ranges) == (20, 20, ((30, 35),))
    owner.skip_to(5)
    assert (owner.watermark, owner.next_offset) == (20, 20)
    unread = owner_at(None)
    unread.skip_to(20)
    assert unread.watermark is None


def test_gaps_do_not_hold_the_watermark() -> None:
    """Offsets that no record has (compacted, or transaction markers) are settled with their neighbours."""
    owner = owner_at(5)
    owner.open(7, 8)
    owner.open(20, 21)
    assert (owner.watermark, owner.open_count) == (7, 2)
    owner.settle(7, 8)
    assert owner.watermark == 20
    owner.settle(20, 21)
    assert owner.watermark == 21


def test_an_unknown_start_is_the_first_record() -> None:
    """Where only the first record tells the start, nothing is committable before it."""
    owner = PartitionOffsets("xdm.web", 0, generation=1, start=None)
    assert (owner.watermark, owner.committable, owner.is_drained) == (None, None, True)
    owner.open(100, 101)
    assert owner.watermark == 100
    owner.settle(100, 101)
    assert owner.committable == 101


def test_a_start_without_a_commit_is_committable_at_once() -> None:
    """A group without a commit may commit where it begins; one that has committed there need not."""
    assert PartitionOffsets("xdm.web", 0, generation=1, start=7).committable == 7
    assert owner_at(7).committable is None


def test_a_closed_assignment_changes_nothing_more() -> None:
    """What settles after the partition went to somebody else moves nothing, and nothing is committable."""
    owner = owner_at(0)
    owner.open(0, 10)
    owner.settle(0, 3)
    owner.close()
    assert owner.settle(3, 10) is False
    assert (owner.watermark, owner.committable, owner.is_leaving, owner.is_closed) == (3, None, True, True)


@pytest.mark.parametrize(("first", "end"), [(4, 5), (9, 12), (10, 10), (12, 11)])
def test_opening_twice_or_nothing_is_refused(first: int, end: int) -> None:
    """Opening an offset again would hide a record."""
    owner = owner_at(0)
    owner.open(0, 10)
    with pytest.raises(ValueError, match="cannot open"):
        owner.open(first, end)
    assert owner.next_offset == 10


@pytest.mark.parametrize(("first", "end"), [(9, 11), (10, 11)])
def test_settling_what_was_not_opened_is_refused(first: int, end: int) -> None:
    """A commit must never pass a record that was not read."""
    owner = owner_at(0)
    owner.open(0, 10)
    with pytest.raises(ValueError, match="cannot settle"):
        owner.settle(first, end)
    assert owner.watermark == 0
    with pytest.raises(ValueError, match="cannot settle"):
        owner_at(None).settle(0, 1)


def test_abandoned_records_count_as_drained_but_stay_open() -> None:
    """A stop does not wait for what was given up, and never commits it."""
    owner = owner_at(0)
    owner.open(0, 5)
    owner.settle(0, 3)
    assert not owner.is_drained
    owner.abandon(2)
    assert (owner.is_drained, owner.open_count, owner.watermark) == (True, 2, 3)


def test_runs_of_a_batch() -> None:
    """Adjacent offsets of one owner are one run; a gap, a step back or another owner begins a new one."""
    one, two = owner_at(0), owner_at(0, partition=1)
    places = [(one, 3), (one, 4), (two, 5), (two, 6), (one, 5), (one, 7), (one, 6)]
    found = list(runs([event_at(owner, offset) for owner, offset in places]))
    assert found == [(one, 3, 5), (two, 5, 7), (one, 5, 6), (one, 7, 8), (one, 6, 7)]
    assert list(runs([])) == []


def test_records_are_opened_as_they_come() -> None:
    """Records of a poll are opened, with gaps between them or without."""
    owner = owner_at(3)
    records = _records(3, 4, 5)
    assert open_records(owner, records) is records
    gapped = _records(8, 9, 12)
    assert open_records(owner, gapped) is gapped
    assert (owner.watermark, owner.open_count, owner.next_offset) == (3, 6, 13)
    owner.settle(3, 6)
    owner.settle(8, 10)
    assert owner.watermark == 12
    assert open_records(owner, []) == []


def test_records_that_come_again_are_left_out() -> None:
    """A record that was handed over before is open or settled already; delivering it again would double it."""
    owner = owner_at(0)
    open_records(owner, _records(0, 1, 2, 3))
    again = _records(2, 3, 4, 6)
    assert [record.offset() for record in open_records(owner, again)] == [4, 6]
    assert list(open_records(owner, _records(1, 2))) == []
    assert (owner.next_offset, owner.open_count) == (7, 6)
