"""Whether one more dead letter may be written, or whether so many are bad that something else must be wrong.

Promise: among any `window_events` verdicts in a row of one stage, a release not among them, there are at most
`min_events` dead letters or `max_share_percent` of them, whichever is more, in whatever order the verdicts come.
Noting accepted events costs the same for one as for a thousand.

The two stages are counted apart. In an outage records are still read and decoded while the Edge accepts nothing: were
the rejections of the one held against the acceptances of the other, a few bad records would pull the brake.

Not promised: a memory. A restart, and each member of the group, begins with empty windows.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class BrakeLimits:
    """How many dead letters are still taken for bad events rather than for a fault of everything."""

    window_events: int
    min_events: int
    max_share_percent: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Trip:
    """What the brake was pulled for. The event that pulled it is counted in."""

    stage: str
    dead_letters: int
    events: int
    reason: str  # the most frequent one

    @property
    def share_percent(self) -> float:
        """The share of the recent events that would be dead letters."""
        return round(100 * self.dead_letters / self.events, 1)


class Brake:
    """The brake of one route, on or off."""

    __slots__ = ("_accepted", "_decoded", "_limits", "trip")

    def __init__(self, limits: BrakeLimits) -> None:
        self._limits = limits
        self.trip: Trip | None = None
        """What it was pulled for; None while it is off."""
        self._decoded = _Window(limits.window_events)
        self._accepted = _Window(limits.window_events)

    def note(self, *, decoded: int = 0, accepted: int = 0) -> None:
        """Count events that were decoded, or accepted by the Edge."""
        if decoded:
            self._decoded.add(None, decoded)
        if accepted:
            self._accepted.add(None, accepted)

    def admit(self, stage: str, reason: str) -> bool:
        """Whether a dead letter may be written, which then counts; if not, the brake is on until it is released."""
        if self.trip is not None:
            return False
        window = self._decoded if stage == "decode" else self._accepted
        dead_letters, events = window.with_one_more()
        limits = self._limits
        if dead_letters > limits.min_events and dead_letters * 100 > limits.max_share_percent * events:
            self.trip = Trip(
                stage=stage, dead_letters=dead_letters, events=events, reason=window.most_frequent_with(reason)
            )
            return False
        window.add(reason, 1)
        return True

    def release(self) -> Trip | None:
        """Begin anew, with empty windows; returns what the brake was pulled for, None if it was off."""
        trip, self.trip = self.trip, None
        if trip is not None:
            self._decoded = _Window(self._limits.window_events)
            self._accepted = _Window(self._limits.window_events)
        return trip


class _Window:
    """The last verdicts of one stage, as runs of equal ones, oldest first; the reason is None where it was good."""

    __slots__ = ("_by_reason", "_dead_letters", "_events", "_most", "_runs")

    def __init__(self, window_events: int) -> None:
        self._most = window_events
        self._runs: deque[tuple[str | None, int]] = deque()
        self._events = 0
        self._dead_letters = 0
        self._by_reason: dict[str, int] = {}

    def add(self, reason: str | None, count: int) -> None:
        """Add equal verdicts, and forget as many of the oldest as are too many now."""
        if self._runs and self._runs[-1][0] == reason:
            self._runs[-1] = (reason, self._runs[-1][1] + count)
        else:
            self._runs.append((reason, count))
        self._count(reason, count)
        while self._events > self._most:
            oldest, length = self._runs[0]
            gone = min(length, self._events - self._most)
            if gone == length:
                self._runs.popleft()
            else:
                self._runs[0] = (oldest, length - gone)
            self._count(oldest, -gone)

    def with_one_more(self) -> tuple[int, int]:
        """How many dead letters of how many events there would be with one more dead letter."""
        if self._events < self._most:
            return self._dead_letters + 1, self._events + 1
        return self._dead_letters + (self._runs[0][0] is None), self._events

    def most_frequent_with(self, reason: str) -> str:
        """The reason met most often, `reason` counted once more."""
        counts = {**self._by_reason, reason: self._by_reason.get(reason, 0) + 1}
        return max(counts, key=counts.__getitem__)

    def _count(self, reason: str | None, change: int) -> None:
        self._events += change
        if reason is not None:
            self._dead_letters += change
            left = self._by_reason.get(reason, 0) + change
            if left:
                self._by_reason[reason] = left
            else:
                del self._by_reason[reason]
