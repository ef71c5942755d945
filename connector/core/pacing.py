"""How many requests may be under way at once, and how many request units may leave in a second.

Promise: the limit stays between 1 and `most`; a round of failures halves it once, not once per request; and it grows
back by one for each full round of successes. Over any stretch of time the units that leave are at most the allowance
of that stretch, a tenth of a second's worth ahead, and one request.

Not promised: waiting; `gate.py` does that.
"""

from __future__ import annotations

from typing import Final

UNIT_BYTES: Final = 8192
_AHEAD_S: Final = 0.1  # what an idle moment saves up


def request_units(size_bytes: int, upstreams: int) -> int:
    """What a request costs: one unit for each started 8 KB and each upstream service of the datastream (published)."""
    return -(-size_bytes // UNIT_BYTES) * upstreams


class Allowance:
    """The request units that one endpoint may be sent in a second, spread evenly. Times are monotonic seconds."""

    __slots__ = ("_free_at", "_units_per_s")

    def __init__(self, units_per_s: float) -> None:
        self._units_per_s = units_per_s
        self._free_at = float("-inf")

    def reserve(self, units: int, now: float) -> float:
        """Take units; how long to wait before they may leave, in seconds. First come, first served."""
        leaves_at = max(self._free_at, now - _AHEAD_S)
        self._free_at = leaves_at + units / self._units_per_s
        return max(0.0, leaves_at - now)


class Concurrency:
    """Additive increase, multiplicative decrease. Times are monotonic seconds."""

    __slots__ = ("_has_succeeded", "_limit", "_lowered_at", "_most")

    def __init__(self, most: int) -> None:
        self._most = most
        self._limit = float(most)
        self._lowered_at = float("-inf")
        self._has_succeeded = False  # since it was last lowered

    @property
    def limit(self) -> int:
        """How many requests may be under way now."""
        return int(self._limit)

    def succeeded(self) -> None:
        """Note an answer that shows the endpoint at work."""
        self._has_succeeded = True
        if self._limit < self._most:
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
        self._limit = max(1.0, self._limit / 2)
        self._lowered_at = now
