"""Batches hold every event once, in order, leave in time, and never grow beyond their limits, to the byte."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from connector.core.batcher import Batcher, BatchLimits
from connector.core.envelope import COLLECT, INTERACT, Envelope
from tests.builders import event_at, owner_at

if TYPE_CHECKING:
    from collections.abc import Sequence

    from connector.model import Event

_OWNER = owner_at()
_LINGER_S = 0.5  # as all times here a multiple of 1/8, so that sums are exact
_envelopes = st.sampled_from([COLLECT, INTERACT, Envelope(b"", b"")])


def _events(sizes: list[int]) -> list[Event]:
    """Events of the given sizes, numbered through."""
    return [event_at(_OWNER, number, b"x" * size) for number, size in enumerate(sizes)]


def _limits(envelope: Envelope, room: int, max_events: int) -> BatchLimits:
    overhead = envelope.overhead_bytes
    return BatchLimits(max_bytes=overhead + room, max_events=max_events, linger_s=_LINGER_S, overhead_bytes=overhead)


class BatcherMachine(RuleBasedStateMachine):
    """Adds, flushes, waits and learns of smaller bodies; the model keeps the events and the moments they came."""

    @initialize(
        envelope=_envelopes,
        room=st.one_of(st.integers(40, 130), st.integers(2000, 6000)),
        max_events=st.integers(1, 9),
    )
    def begin(self, envelope: Envelope, room: int, max_events: int) -> None:
        """A route whose bodies have room for `room` bytes of events."""
        self.envelope, self.room, self.max_events = envelope, room, max_events
        self.batcher = Batcher(_limits(envelope, room, max_events))
        self.now = 0.0
        self.came: list[Event] = []
        self.came_at: list[float] = []
        self.limit_then: list[int] = []  # by event: how large a body might be when it came
        self.left = 0  # how many of them left in a batch
        self.lowered: tuple[int, float] | None = None  # the limit and until when

    @property
    def limit(self) -> int:
        """How large a body may be now."""
        most = self.envelope.overhead_bytes + self.room
        return self.lowered[0] if self.lowered and self.now < self.lowered[1] else most

    @property
    def waiting(self) -> list[Event]:
        """What came and did not leave."""
        return self.came[self.left :]

    def size(self, events: Sequence[Event]) -> int:
        """The bytes of a body with these events."""
        return len(self.envelope.body([event.fragment for event in events]))

    @rule(data=st.data(), count=st.integers(0, 12))
    def add(self, data: st.DataObject, count: int) -> None:
        """Add events of any size that fits a body alone."""
        most = data.draw(st.sampled_from([5, self.room // 3, self.room]))
        self._add([data.draw(st.integers(1, most)) for _ in range(count)])

    @rule(over=st.sampled_from([-1, 0, 1]), is_first=st.booleans())
    def add_to_the_brim(self, over: int, is_first: bool) -> None:
        """Make the open batch's body, or that of a new one, as long as it may be, or one byte less or more."""
        if is_first:
            self.flush()
            self._add([1])
        size = self.limit - self.size(self.waiting) - bool(self.waiting) + over
        assume(1 <= size <= self.room)
        self._add([size])

    def _add(self, sizes: list[int]) -> None:
        first = len(self.came)
        events = [event_at(_OWNER, first + number, b"x" * size) for number, size in enumerate(sizes)]
        self.came += events
        self.came_at += [self.now] * len(events)
        self.limit_then += [self.limit] * len(events)
        for batch in self.batcher.add(events, self.now):
            self._leave(batch)
            is_full = len(batch) == self.max_events or self.size([*batch, self.waiting[0]]) > self.limit
            assert is_full, "it was closed too early"

    def _leave(self, batch: list[Event]) -> None:
        """Check a batch that leaves: it holds the events that came first, and no more than it may."""
        assert batch, "there is nothing in it"
        assert batch == self.waiting[: len(batch)]
        self.left += len(batch)
        self._fits(batch)

    def _fits(self, batch: Sequence[Event]) -> None:
        assert len(batch) <= self.max_events
        assert self.size(batch) <= self.envelope.overhead_bytes + self.room
        if len(batch) > 1:
            assert self.size(batch) <= self.limit_then[batch[-1].offset]

    @rule()
    def flush(self) -> None:
        """Close the open batch: all that waits leaves."""
        batch = self.batcher.flush()
        assert batch == self.waiting
        if batch:
            self._leave(batch)

    @rule(eighths=st.integers(1, 8), is_watched=st.booleans())
    def wait(self, eighths: int, is_watched: bool) -> None:
        """Let time pass; whoever watches flushes what is due."""
        self.now += eighths / 8
        due_at = self.batcher.due_at
        if is_watched and due_at is not None and due_at <= self.now:
            self.flush()

    @rule(refused=st.integers(1000, 6000))
    def lower(self, refused: int) -> None:
        """A body of that size was too large for something on its way."""
        lowered = self.batcher.body_limit.lower(refused, self.now)
        if lowered is not None:
            assert lowered < self.limit
            self.lowered = (lowered, self.now + 600.0)

    @rule()
    def outlast(self) -> None:
        """After ten minutes the route's bodies are as large as before."""
        self.now += 600.0

    @invariant()
    def the_open_batch_is_what_waits(self) -> None:
        """Nothing is lost, and nothing in it has to leave before it is due."""
        assert self.batcher.count == len(self.waiting)
        self._fits(self.waiting)

    @invariant()
    def due_a_linger_after_the_oldest(self) -> None:
        """No event waits longer than a linger for its batch, and without one nothing is due."""
        assert self.batcher.due_at == (self.came_at[self.left] + _LINGER_S if self.waiting else None)


TestBatcher = BatcherMachine.TestCase
TestBatcher.settings = settings(max_examples=120, stateful_step_count=30, deadline=None)


@settings(max_examples=200, deadline=None)
@given(sizes=st.lists(st.integers(1, 60), min_size=1, max_size=30), envelope=_envelopes)
def test_a_batch_that_fits_exactly_stays_whole(sizes: list[int], envelope: Envelope) -> None:
    """With room for exactly these events they are one batch; with one byte less they are two."""
    assume(len(sizes) > 1)
    events = _events(sizes)
    room = len(envelope.body([event.fragment for event in events])) - envelope.overhead_bytes
    whole = Batcher(_limits(envelope, room, 100))
    assert whole.add(events, 0.0) == []
    tight = Batcher(_limits(envelope, room - 1, 100))
    assert [len(batch) for batch in tight.add(events, 0.0)] == [len(events) - 1]
