"""The allowance of request units, as a smooth token bucket.

Promise: over any second no more than the allowance and one second's saving is granted. A request unit is an 8
KB fragment of a request times its upstream services (published).
Pure but for its own level; time is an argument in milliseconds.
"""

from __future__ import annotations

import math

_FRAGMENT_BYTES = 8_192


def count_units(body_bytes: int, upstreams: int = 1) -> int:
    """Price one request; an empty one costs a fragment too."""
    return max(1, math.ceil(body_bytes / _FRAGMENT_BYTES)) * upstreams


class Allowance:
    """One bucket that holds at most one second's worth of request units."""

    def __init__(self, units_per_second: float, now_ms: float) -> None:
        self._rate = units_per_second
        self._level = units_per_second
        self._filled_ms = now_ms

    def take(self, units: int, now_ms: float) -> int:
        """Take units; returns 0, or the whole seconds to wait (at least 1) where they are not there.

        A request dearer than a whole second's allowance passes on a full bucket and leaves it in debt: else
        it could never pass.
        """
        gained = (now_ms - self._filled_ms) / 1000 * self._rate
        self._level = min(self._rate, self._level + gained)
        self._filled_ms = now_ms
        needed = min(units, self._rate)
        if self._level < needed:
            return max(1, math.ceil((needed - self._level) / self._rate))
        self._level -= units
        return 0
