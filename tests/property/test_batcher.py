"""Batches hold every event once, in order, and never grow beyond their limits, to the byte."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from connector.core.batcher import Batcher, BatchLimits
from connector.core.envelope import COLLECT, INTERACT, Envelope
from tests.builders import event_at, owner_at

if TYPE_CHECKING:
    from connector.model import Event

_OWNER = owner_at()
_envelopes = st.sampled_from([COLLECT, INTERACT, Envelope(b"", b"")])
_sizes = st.lists(st.lists(st.integers(1, 40), max_size=12), max_size=8)


def _events(polls: list[list[int]]) -> list[list[Event]]:
    """Events of the given sizes, poll by poll, numbered through."""
    numbers = iter(range(10_000))
    return [[event_at(_OWNER, next(numbers), b"x" * size) for size in sizes] for sizes in polls]


def _limits(envelope: Envelope, room: int, max_events: int) -> BatchLimits:
    overhead = envelope.overhead_bytes
    return BatchLimits(max_bytes=overhead + room, max_events=max_events, linger_s=0.2, overhead_bytes=overhead)


@settings(max_examples=400, deadline=None)
@given(envelope=_envelopes, polls=_sizes, room=st.integers(40, 130), max_events=st.integers(1, 9), flush=st.integers())
def test_keeps_every_event_and_every_limit(
    envelope: Envelope, polls: list[list[int]], room: int, max_events: int, flush: int
) -> None:
    """Nothing is lost, doubled or reordered, and no body is too long or holds too many, flushed when you like."""
    batcher = Batcher(_limits(envelope, room, max_events))
    batches: list[list[Event]] = []
    for number, events in enumerate(_events(polls)):
        batches += batcher.add(events, now=0.0)
        if flush >> (number % 8) & 1:
            batches.append(batcher.flush())
    batches = [batch for batch in [*batches, batcher.flush()] if batch]
    assert [event.offset for batch in batches for event in batch] == list(range(sum(map(len, polls))))
    for batch in batches:
        assert len(batch) <= max_events
        assert len(envelope.body([event.fragment for event in batch])) <= envelope.overhead_bytes + room


@settings(max_examples=400, deadline=None)
@given(envelope=_envelopes, polls=_sizes, room=st.integers(40, 130), max_events=st.integers(1, 9))
def test_closes_no_batch_too_early(envelope: Envelope, polls: list[list[int]], room: int, max_events: int) -> None:
    """A batch closes only when the next event would have broken a limit: the sizes are exact, not estimates."""
    batcher = Batcher(_limits(envelope, room, max_events))
    batches = [batch for events in _events(polls) for batch in batcher.add(events, now=0.0)]
    batches = [*batches, batcher.flush()]
    for batch, after in pairwise(batches):
        body = envelope.body([event.fragment for event in [*batch, after[0]]])
        assert len(batch) == max_events or len(body) > envelope.overhead_bytes + room


@settings(max_examples=300, deadline=None)
@given(polls=_sizes, max_events=st.integers(1, 9))
def test_is_due_a_linger_after_the_first_event(polls: list[list[int]], max_events: int) -> None:
    """The open batch is due one linger after the poll that brought its first event; without one nothing is due."""
    batcher = Batcher(_limits(COLLECT, 130, max_events))
    came_at: dict[int, float] = {}
    for number, events in enumerate(_events(polls)):
        now = number * 0.05
        came_at.update((event.offset, now) for event in events)
        batcher.add(events, now)
        first_open = sum(map(len, polls[: number + 1])) - batcher.count
        if batcher.count == 0:
            assert batcher.due_at is None
        else:
            assert batcher.due_at is not None
            assert math.isclose(batcher.due_at, came_at[first_open] + 0.2)
    batcher.flush()
    assert (batcher.due_at, batcher.count) == (None, 0)


@settings(max_examples=200, deadline=None)
@given(sizes=st.lists(st.integers(1, 60), min_size=1, max_size=30), envelope=_envelopes)
def test_a_batch_that_fits_exactly_stays_whole(sizes: list[int], envelope: Envelope) -> None:
    """With room for exactly these events they are one batch; with one byte less they are two."""
    assume(len(sizes) > 1)
    events = _events([sizes])[0]
    room = len(envelope.body([event.fragment for event in events])) - envelope.overhead_bytes
    whole = Batcher(_limits(envelope, room, 100))
    assert whole.add(events, 0.0) == []
    tight = Batcher(_limits(envelope, room - 1, 100))
    assert [len(batch) for batch in tight.add(events, 0.0)] == [len(events) - 1]
