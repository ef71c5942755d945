"""The offsets of a partition agree with sets of offsets, whatever is opened and settled in whatever order."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from connector.core.offsets import PartitionOffsets, runs
from tests.builders import event_at, owner_at


class OffsetsMachine(RuleBasedStateMachine):
    """Opens with gaps, settles in any order and grouping, abandons and closes; the model keeps plain sets."""

    def __init__(self) -> None:
        super().__init__()
        self.owner = PartitionOffsets("xdm.web", 0, generation=1, start=None)
        self.floor: int | None = None  # the first offset of all
        self.opened: set[int] = set()
        self.settled: set[int] = set()
        self.next_offset: int | None = None
        self.abandoned = 0
        self.highest_watermark: int | None = None
        self.is_closed = False

    @precondition(lambda self: not self.is_closed and self.next_offset is None)
    @rule(start=st.one_of(st.none(), st.integers(0, 50)))
    def begin(self, start: int | None) -> None:
        """Start over at an offset, or where the first record will tell."""
        self.owner = PartitionOffsets("xdm.web", 0, generation=2, start=start)
        self.floor = self.next_offset = start

    @precondition(lambda self: not self.is_closed)
    @rule(gap=st.sampled_from([0, 0, 0, 1, 2, 40]), count=st.integers(1, 12))
    def open(self, gap: int, count: int) -> None:
        """Open records, perhaps above offsets that were compacted away."""
        first = (7 if self.next_offset is None else self.next_offset) + gap
        self.owner.open(first, first + count)
        if self.floor is None:
            self.floor = first
        self.opened.update(range(first, first + count))
        self.next_offset = first + count

    @precondition(lambda self: self.opened)
    @rule(data=st.data())
    def settle(self, data: st.DataObject) -> None:
        """Settle some opened offsets, in any order, grouped as they come; some of them a second time."""
        offsets = data.draw(st.lists(st.sampled_from(sorted(self.opened)), max_size=20))
        events = [event_at(self.owner, offset) for offset in offsets]
        for owner, first, end in runs(events):
            assert owner.settle(first, end) is not self.is_closed
        if not self.is_closed:
            self.settled.update(offsets)

    @precondition(lambda self: self.opened - self.settled)
    @rule(count=st.integers(1, 5))
    def abandon(self, count: int) -> None:
        """Give up open records."""
        self.owner.abandon(count)
        self.abandoned += count

    @rule(offset=st.integers(0, 100))
    def refuse_to_open_again(self, offset: int) -> None:
        """What was opened cannot be opened again, and nothing changes."""
        if self.next_offset is not None and offset < self.next_offset:
            with pytest.raises(ValueError, match="cannot open"):
                self.owner.open(offset, self.next_offset + 1)

    @precondition(lambda self: not self.is_closed)
    @rule(beyond=st.integers(1, 3))
    def refuse_to_settle_unread(self, beyond: int) -> None:
        """What was never opened cannot be settled."""
        end = (self.next_offset or 0) + beyond
        with pytest.raises(ValueError, match="cannot settle"):
            self.owner.settle(end - 1, end)

    @precondition(lambda self: len(self.opened) > 20)
    @rule()
    def close(self) -> None:
        """End the assignment."""
        self.owner.close()
        self.is_closed = True

    @invariant()
    def watermark_is_the_models(self) -> None:
        """The watermark is the lowest open offset, or the next one where none is open."""
        unsettled = self.opened - self.settled
        expected = min(unsettled, default=self.next_offset)
        assert self.owner.watermark == expected
        assert self.owner.open_count == len(unsettled)
        assert self.owner.is_drained is (len(unsettled) <= self.abandoned)

    @invariant()
    def watermark_never_goes_back(self) -> None:
        """What was committable once stays settled."""
        watermark = self.owner.watermark
        if self.highest_watermark is not None:
            assert watermark is not None
            assert watermark >= self.highest_watermark
        self.highest_watermark = watermark

    @invariant()
    def ranges_are_the_settled_offsets_above(self) -> None:
        """The ranges hold exactly what is settled above the watermark, gaps included, sorted and apart."""
        ranges = self.owner.settled_ranges
        assert all(first < end for first, end in ranges)
        assert all(low[1] < high[0] for low, high in pairwise(ranges))
        if self.owner.watermark is None or self.next_offset is None:
            assert ranges == ()
            return
        held = {offset for first, end in ranges for offset in range(first, end)}
        above = set(range(self.owner.watermark, self.next_offset)) - (self.opened - self.settled)
        assert held == above
        assert all(self.owner.is_settled(offset) is (offset in self.settled) for offset in self.opened)

    @invariant()
    def committable_is_the_watermark_until_closed(self) -> None:
        """Only the watermark is ever committable, and nothing once the assignment is over."""
        expected = None if self.is_closed else self.owner.watermark
        assert self.owner.committable == expected
        assert self.owner.is_leaving is self.is_closed


TestOffsets = OffsetsMachine.TestCase
TestOffsets.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)


@settings(max_examples=200, deadline=None)
@given(places=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 30)), max_size=40))
def test_runs_round_trip(places: list[tuple[int, int]]) -> None:
    """Runs, spelled out again, are the events in the order given, and adjacent ones share a run."""
    owners = [owner_at(0, partition=number) for number in range(3)]
    found = list(runs([event_at(owners[number], offset) for number, offset in places]))
    assert [(owner.partition, offset) for owner, first, end in found for offset in range(first, end)] == places
    for (owner, _, end), (next_owner, first, _) in pairwise(found):
        assert owner is not next_owner or end != first


@settings(max_examples=100, deadline=None)
@given(count=st.integers(1, 60), data=st.data())
def test_any_order_ends_at_the_same_watermark(count: int, data: st.DataObject) -> None:
    """Settled one by one in any order, the watermark waits for the lowest and ends above the highest."""
    owner = owner_at(100)
    owner.open(100, 100 + count)
    order = data.draw(st.permutations(range(100, 100 + count)))
    left = set(order)
    for offset in order:
        owner.settle(offset, offset + 1)
        left.remove(offset)
        assert owner.watermark == min(left, default=100 + count)
    assert owner.settled_ranges == ()
