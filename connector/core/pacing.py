"""What a request costs, and how many requests may be under way at once.

Promise: the limit stays between 1 and `most`; a round of failures halves it once, not once per request; a round that
was slower than the past lowers it by a tenth; and it grows back by one for each full round of successes.

Not promised: waiting; `gate.py` does that. How many units may leave in a second is for `allowance.py`.
"""

from __future__ import annotations

from typing import Final

from connector.core.latency import Latency

UNIT_BYTES: Final = 8192
_AFTER_FAILURE: Final = 0.5  # what is left of the limit
_AFTER_RISE: Final = 0.9  # milder: a slower answer is still an answer


def request_units(size_bytes: int, upstreams: int) -> int:
    """What a request costs: one unit for each started 8 KB and each upstream service of the datastream (published)."""
    return -(-size_bytes // UNIT_BYTES) * upstreams


class Concurrency:
    """Additive increase, multiplicative decrease. Times are monotonic seconds."""

    __slots__ = ("_has_succeeded", "_latency", "_limit", "_lowered_at", "_most")

    def __init__(self, most: int) -> None:
        self._most = most
        self._limit = float(most)
        self._lowered_at = float("-inf")
        self._has_succeeded = False  # since a failure last lowered it
        self._latency = Latency()

    @property
    def limit(self) -> int:
        """How many requests may be under way now."""
        return int(self._limit)

    def succeeded(self, *, started_at: float, now: float) -> None:
        """Note an answer that shows the endpoint at work, to a request that began at `started_at`."""
        self._has_succeeded = True
        if self._latency.has_risen(started_at=started_at, now=now):
            self._limit = max(1.0, self._limit * _AFTER_RISE)
        elif self._limit < self._most:
            self._limit = min(float(self._most), self._limit + 1 / self._limit)

    def failed(self, *, started_at: float, now: float, is_resend: bool) -> None:
        """Note a passing fault of a request that began at `started_at`.

        Requests that began before the limit was last lowered say nothing new: sixty that fail together are one
        event, and would otherwise bring the limit to the ground at the first hiccup. Nor does one that fails again
        while others succeed: it may be at fault itself, and must not slow them down.
        """
        if started_at < self._lowered_at or (is_resend and self._has_succeeded):
            return
        self._has_succeeded = False
        self._limit = max(1.0, self._limit * _AFTER_FAILURE)
        self._lowered_at = now
