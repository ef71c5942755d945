"""Whether an endpoint answers slower than it used to.

Promise: a few float operations for each answer; one judgement for each round. What stays slow becomes the new normal
after some rounds, and a difference that is too small to mean queueing is never a rise.
"""

from __future__ import annotations

from typing import Final

_ROUND_ANSWERS: Final = 8  # the mean of fewer says little
_WEIGHT: Final = 1 / 16  # of a round in what is remembered
_DEVIATIONS: Final = 2.5
_SLACK_S: Final = 0.02  # a busy event loop or a garbage collection costs milliseconds
_SLACK_PART: Final = 0.2  # of the past mean


class Latency:
    """Compares each round's mean latency with those before. A round takes about one mean latency.

    Times are monotonic seconds. The past is an exponentially weighted mean of the rounds' means, and so is their
    deviation from it.
    """

    __slots__ = ("_began_at", "_count", "_deviation_s", "_ends_at", "_mean_s", "_sum_s")

    def __init__(self) -> None:
        self._mean_s: float | None = None
        self._deviation_s = 0.0
        self._began_at = self._ends_at = float("-inf")
        self._count = 0
        self._sum_s = 0.0

    def has_risen(self, *, started_at: float, now: float) -> bool:
        """Note an answer; whether it ends a round that was slower than the past.

        What was sent before the round began was in the queues of the round before, and would be counted twice.
        """
        if started_at < self._began_at:
            return False
        self._sum_s += now - started_at
        self._count += 1
        if self._count < _ROUND_ANSWERS or now < self._ends_at:
            return False
        mean_s = self._sum_s / self._count
        self._count, self._sum_s = 0, 0.0
        has_risen = self._remember(mean_s)
        self._began_at = now
        self._ends_at = now + 2 * mean_s  # the first answer to what is sent from now on takes one of them
        return has_risen

    def _remember(self, mean_s: float) -> bool:
        """Judge a round by the past, then let it be part of the past, whatever it was."""
        if self._mean_s is None:
            self._mean_s, self._deviation_s = mean_s, mean_s / 4
            return False
        difference_s = mean_s - self._mean_s
        bound_s = _DEVIATIONS * self._deviation_s + max(_SLACK_S, _SLACK_PART * self._mean_s)
        self._deviation_s += (abs(difference_s) - self._deviation_s) * _WEIGHT
        self._mean_s += difference_s * _WEIGHT
        return difference_s > bound_s
