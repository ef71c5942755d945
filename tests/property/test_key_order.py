"""Events of one key leave one after another, whatever ends when, and every one leaves once or is given up once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from connector.core.key_order import KeyOrder, Step
from connector.core.offsets import PartitionOffsets
from connector.model import Event
from tests.builders import FakeRecord, owner_at

if TYPE_CHECKING:
    from collections.abc import Sequence

_KEYS = (None, b"", b"a", b"b", b"c")
_PARTITIONS = 2

Key = tuple[PartitionOffsets, bytes]


def open_event(owner: PartitionOffsets, key: bytes | None) -> Event:
    """The next event of a partition, its offset opened."""
    offset = owner.next_offset or 0
    owner.open(offset, offset + 1)
    record = FakeRecord(partition_number=owner.partition, offset_number=offset, key_bytes=key)
    return Event(record, offset, b"{}", owner)


class OrderMachine(RuleBasedStateMachine):
    """Adds events to two partitions, ends them in any order, ends assignments and begins others."""

    def __init__(self) -> None:
        super().__init__()
        self.most_out = 3
        self.order = KeyOrder(self.most_out)
        self.owners = [owner_at(0, partition=number) for number in range(_PARTITIONS)]
        self.added: list[Event] = []
        self.out: list[Event] = []
        self.left: list[Event] = []
        self.given_up: list[Event] = []
        self.unsettled: list[Event] = []  # those that were out and did not settle

    def take(self, step: Step) -> None:
        """Hold a step against all that was before it."""
        for event in step.leaving:
            self.check_turn(event)
            self.out.append(event)
            self.left.append(event)
        for event in step.given_up:
            assert event.owner.is_leaving, "only an assignment that ends gives up"
            event.owner.abandon(1)
            self.given_up.append(event)

    def check_turn(self, event: Event) -> None:
        """It comes behind all of its key, none of which is out or stays behind."""
        key = event.record.key()
        if key is None:
            return
        place = (event.owner.partition, key)
        assert place not in [(other.owner.partition, other.record.key()) for other in self.out]
        before = [other for other in self.added if _is_earlier(other, event)]
        assert all(event.owner.is_settled(other.offset) for other in before)

    @rule(partition=st.integers(0, _PARTITIONS - 1), key=st.sampled_from(_KEYS))
    def add(self, partition: int, key: bytes | None) -> None:
        """Another event comes."""
        event = open_event(self.owners[partition], key)
        self.added.append(event)
        self.take(self.order.add(event))

    @precondition(lambda self: self.out)
    @rule(data=st.data())
    def settle(self, data: st.DataObject) -> None:
        """One that is out is accepted, or its dead letter is confirmed."""
        event = self.out.pop(data.draw(st.integers(0, len(self.out) - 1)))
        if not event.owner.settle(event.offset, event.offset + 1):
            self.unsettled.append(event)
        self.take(self.order.end(event))

    @precondition(lambda self: any(event.owner.is_leaving for event in self.out))
    @rule(data=st.data())
    def abandon(self, data: st.DataObject) -> None:
        """One that is out is given up, because its assignment ends."""
        event = data.draw(st.sampled_from([event for event in self.out if event.owner.is_leaving]))
        self.out.remove(event)
        event.owner.abandon(1)
        self.unsettled.append(event)
        self.take(self.order.end(event))

    @rule(partition=st.integers(0, _PARTITIONS - 1))
    def leave(self, partition: int) -> None:
        """A partition is about to be handed on."""
        self.owners[partition].is_leaving = True
        self.take(self.order.drop_ending())

    @precondition(lambda self: len(self.added) > 8)
    @rule(partition=st.integers(0, _PARTITIONS - 1))
    def reassign(self, partition: int) -> None:
        """An assignment is over, and the partition is read again from its watermark under another."""
        owner = self.owners[partition]
        self.owners[partition] = owner_at(owner.watermark, partition=partition)
        owner.close()

    @precondition(lambda self: self.added)
    @rule()
    def drain(self) -> None:
        """A stop: everything that is out settles, and nothing is left."""
        for owner in self.owners:
            owner.is_leaving = True
        self.take(self.order.drop_ending())
        while self.out:
            event = self.out.pop(0)
            if not event.owner.settle(event.offset, event.offset + 1):
                self.unsettled.append(event)
            self.take(self.order.end(event))
        assert (self.order.count, self.order.key_count) == (0, 0)
        assert len(self.left) + len(self.given_up) == len(self.added)
        self.check_no_hole()
        self.owners = [owner_at(owner.next_offset, partition=owner.partition) for owner in self.owners]

    def check_no_hole(self) -> None:
        """What was given up lies above all that was accepted, unless something else had to be left behind."""
        for owner in {event.owner for event in self.given_up}:
            broken = [event.offset for event in self.unsettled if event.owner is owner]
            settled = [event.offset for event in self.left if owner.is_settled(event.offset) and event.owner is owner]
            if not broken and not owner.is_closed:
                lowest = min(event.offset for event in self.given_up if event.owner is owner)
                assert lowest > max(settled, default=-1)

    @invariant()
    def each_is_in_one_place(self) -> None:
        """Nothing is lost or doubled."""
        assert len(self.out) <= self.most_out
        assert len(set(map(id, self.left))) == len(self.left)
        assert not {id(event) for event in self.left} & {id(event) for event in self.given_up}
        assert self.order.count == len(self.added) - len(self.given_up) - (len(self.left) - len(self.out))

    @invariant()
    def no_key_is_kept_for_nothing(self) -> None:
        """Only the keys of events that have not ended are remembered."""
        done = {id(event) for event in [*self.left, *self.given_up]} - {id(event) for event in self.out}
        open_ = [event for event in self.added if id(event) not in done and event.record.key() is not None]
        assert self.order.key_count == len({(event.owner.partition, event.record.key()) for event in open_})


def _is_earlier(other: Event, event: Event) -> bool:
    is_of_the_same = other.owner is event.owner and other.record.key() == event.record.key()
    return is_of_the_same and other.offset < event.offset


TestOrder = OrderMachine.TestCase
TestOrder.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


@settings(max_examples=100, deadline=None)
@given(keys=st.lists(st.sampled_from(_KEYS), max_size=60), most_out=st.integers(1, 8), data=st.data())
def test_all_leave_in_the_order_of_their_keys(keys: Sequence[bytes | None], most_out: int, data: st.DataObject) -> None:
    """While nothing is handed on, every event leaves once, its key's in order, and no place stays empty for nothing."""
    order, owner = KeyOrder(most_out), owner_at()
    events = [open_event(owner, key) for key in keys]
    left = [event for arrived in events for event in order.add(arrived).leaving]
    out = list(left)
    while out:
        event = out.pop(data.draw(st.integers(0, len(out) - 1)))
        owner.settle(event.offset, event.offset + 1)
        step = order.end(event)
        assert not step.given_up
        out += step.leaving
        left += step.leaving
        waiting = [other for other in events if other not in left]
        busy = {other.record.key() for other in out} - {None}
        assert len(out) == most_out or all(other.record.key() in busy for other in waiting)
    for key in set(keys) - {None}:
        offsets = [event.offset for event in left if event.record.key() == key]
        assert offsets == [event.offset for event in events if event.record.key() == key]
    assert sorted(event.offset for event in left) == list(range(len(keys)))
    assert (order.count, order.key_count) == (0, 0)


def test_the_oldest_of_those_that_may_leaves_first() -> None:
    """One that waited for its key goes before those that came after it: the watermark waits for it."""
    order, owner = KeyOrder(1), owner_at()
    first, second, third, last = (open_event(owner, key) for key in (b"a", b"a", b"b", None))
    assert order.add(first).leaving == [first]
    assert [order.add(event) for event in (second, third, last)] == [Step(), Step([]), Step([])]
    left: list[Event] = []
    for event in (first, second, third, last):
        owner.settle(event.offset, event.offset + 1)
        left += order.end(event).leaving
    assert left == [second, third, last]


def test_an_assignment_that_ends_fills_its_holes_and_no_more() -> None:
    """What waits below something that went out still leaves; what waits above is given up at once."""
    order, owner = KeyOrder(8), owner_at()
    low, hole, high, above = (open_event(owner, key) for key in (b"a", b"a", b"b", b"a"))
    for event in (low, hole, high, above):
        order.add(event)
    owner.is_leaving = True
    assert order.drop_ending() == Step([], [above])
    owner.settle(low.offset, low.offset + 1)
    assert order.end(low).leaving == [hole]


def test_nothing_is_sent_for_a_hole_that_stays() -> None:
    """Once something is left behind, all above it comes again: nothing more of it is sent."""
    order, owner = KeyOrder(8), owner_at()
    low, other, behind_other, high = (open_event(owner, key) for key in (b"a", b"b", b"b", b"c"))
    for event in (low, other, behind_other, high):
        order.add(event)
    owner.is_leaving = True
    assert order.drop_ending() == Step([], [])
    owner.abandon(1)
    assert order.end(low).given_up == [behind_other]
