"""Keeps a fault that repeats from filling the log.

Promise: the first time something happens is told at once; while it goes on it is told once per interval, with how
often it happened since; what has been quiet for long enough counts as new again. Memory is bounded: beyond a number of
kinds, which only codes that an answer makes up can reach, all further ones are told as if they were one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Hashable


_MOST_KINDS: Final = 1000


class RollUp:
    """Which repetitions to tell."""

    __slots__ = ("_interval_s", "_told")

    def __init__(self, interval_s: float) -> None:
        self._interval_s = interval_s
        self._told: dict[Hashable, tuple[float, int]] = {}  # when last told, how many kept back since

    def note(self, kind: Hashable, now: float) -> int | None:
        """How many occurrences to tell now, this one included; None to keep quiet. `now` in monotonic seconds."""
        if kind not in self._told and len(self._told) >= _MOST_KINDS:
            kind = None
        told_at, kept_back = self._told.get(kind, (-self._interval_s, 0))
        if now - told_at < self._interval_s:
            self._told[kind] = (told_at, kept_back + 1)
            return None
        self._told[kind] = (now, 0)
        return kept_back + 1

    def forget(self, kind: Hashable) -> None:
        """Tell the next occurrence at once."""
        self._told.pop(kind, None)
