"""Closes batches by bytes (exact), by count and by age.

Promise: no batch's body is longer than `max_bytes` or holds more than `max_events`; events leave in the order in
which they came; none is lost or doubled. The check comes before an event is added, never after. Where the route's own
limit is lowered, only an event that is larger by itself exceeds it, and goes alone, or what was in the open batch
before.

Not promised: timing. The batcher is passive: it says when it is due, and its owner, the event loop, waits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from connector.core.body_limit import BodyLimit

if TYPE_CHECKING:
    from collections.abc import Iterable

    from connector.model import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchLimits:
    """When a batch is full or old enough."""

    max_bytes: int  # of the whole body, envelope included
    max_events: int
    linger_s: float  # from the first event to the moment the batch is due
    overhead_bytes: int  # of the envelope, without the commas between events


class Batcher:
    """The batch that one route is filling."""

    __slots__ = ("_bytes", "_due_at", "_events", "_limits", "body_limit")

    def __init__(self, limits: BatchLimits) -> None:
        self._limits = limits
        self._events: list[Event] = []
        self._bytes = limits.overhead_bytes
        self._due_at: float | None = None
        self.body_limit = BodyLimit(limits.max_bytes)

    def add(self, events: Iterable[Event], now: float) -> list[list[Event]]:
        """Add events and return the batches that became full, oldest first; `now` is in monotonic seconds.

        Raises:
            ValueError: an event does not fit a body even alone; decoding has to reject those.
        """
        limits = self._limits
        max_bytes, max_events, overhead = self.body_limit.at(now), limits.max_events, limits.overhead_bytes
        closed: list[list[Event]] = []
        batch, size = self._events, self._bytes
        for event in events:
            cost = len(event.fragment) + 1  # the comma before it; the first event has none
            if batch and (size + cost > max_bytes or len(batch) >= max_events):
                closed.append(batch)
                batch, size = [], overhead
            if not batch:
                cost -= 1
                self._due_at = now + limits.linger_s
                if size + cost > limits.max_bytes:
                    raise ValueError(f"an event of {cost} bytes cannot fit a body of {limits.max_bytes}")
            batch.append(event)
            size += cost
        self._events, self._bytes = batch, size
        return closed

    @property
    def due_at(self) -> float | None:
        """When the open batch has lingered long enough, or None while there is none."""
        return self._due_at

    @property
    def count(self) -> int:
        """How many events wait in the open batch."""
        return len(self._events)

    def flush(self) -> list[Event]:
        """Close the open batch whatever its size and return it; empty if there is none."""
        batch = self._events
        self._events, self._bytes, self._due_at = [], self._limits.overhead_bytes, None
        return batch
