"""How many records are read in one go, and how many of them are decoded in one go.

Promise: a poll brings no more bytes than there is room for, as far as records resemble those before; it first expects
large ones. Decoding gives others their turn on the event loop every twentieth of a second. Mostly a whole poll takes
less; but a thousand records that are made to be slow to decode would run out the deadline of each request that is under
way meanwhile, and what those carry would be sent twice.
"""

from __future__ import annotations

from typing import Final

_POLL_BYTES: Final = 8 * 1024 * 1024  # what one poll may bring: with records of 1 MB a thousand would be too many
_LEAST_POLL_BYTES: Final = 1024 * 1024  # where there is less room: polls of a few small records would cost too much
_LARGE_RECORD_BYTES: Final = 1024 * 1024  # what the first poll expects: what a topic takes unless told otherwise
_FALL: Final = 16  # records that are smaller count as one of so many

_MOST: Final = 512
_LEAST: Final = 8
_LONG_S: Final = 0.05
_SHORT_S: Final = 0.01


class PollSize:
    """The number of records that the next poll may bring, from what those before cost."""

    __slots__ = ("_mean_bytes", "_most")

    def __init__(self, most: int) -> None:
        self._most = most
        self._mean_bytes = 0.0  # not known yet

    def records(self, room_bytes: int) -> int:
        """How many records fit into so much room."""
        most_bytes = min(_POLL_BYTES, max(room_bytes, _LEAST_POLL_BYTES))
        return min(self._most, int(most_bytes / (self._mean_bytes or _LARGE_RECORD_BYTES)) + 1)

    def note(self, size: int, count: int) -> None:
        """Note what records cost: at once where they grow, or the next poll would bring a thousand of 1 MB."""
        mean = max(1.0, size / count)
        self._mean_bytes = max(mean, self._mean_bytes + (mean - self._mean_bytes) / _FALL)


class Portions:
    """The number of records that are decoded next, from how long those before took."""

    __slots__ = ("_spent_s", "size")

    def __init__(self) -> None:
        self.size = 128
        """Records."""
        self._spent_s = 0.0

    def note(self, seconds: float, records: int) -> bool:
        """Note how long it took to take in so many records; returns whether it is time for others."""
        if seconds > _LONG_S:
            self.size = max(_LEAST, min(self.size, records) // 2)
        elif seconds < _SHORT_S and records >= self.size:
            self.size = min(_MOST, self.size * 2)
        self._spent_s += seconds
        if self._spent_s <= _LONG_S:
            return False
        self._spent_s = 0.0
        return True
