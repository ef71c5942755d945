"""How large the bodies of one route may be: the setting, or less for a while after something refused a larger one.

Promise: never more than `most`. What a refusal taught is forgotten after ten minutes: a limit that was lowered by a
fault of a moment must not waste the allowance for good, and to learn it again costs one refused request.

Not promised: that one event fits; an event that is larger than the lowered limit is still worth a try alone.
"""

from __future__ import annotations

from typing import Final

LOWERED_S: Final = 600.0
_LEAST_BYTES: Final = 1024


class BodyLimit:
    """The limit of one route, in bytes of a body. Times are monotonic seconds."""

    __slots__ = ("_lowered", "_until", "most")

    def __init__(self, most: int) -> None:
        self.most = most
        self._lowered = most
        self._until = float("-inf")

    def at(self, now: float) -> int:
        """The most bytes that a body may have now."""
        return self._lowered if now < self._until else self.most

    def lower(self, refused: int, now: float) -> int | None:
        """Learn that a body of so many bytes was too large: the new limit, or None if it is as low already."""
        limit = max(_LEAST_BYTES, refused // 2)
        if limit >= self.at(now):
            return None
        self._lowered, self._until = limit, now + LOWERED_S
        return limit
