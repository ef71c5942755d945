"""A line in front of a limited number of places, first come, first served.

Promise: never more places are taken than the limit allows at that moment; who waits gets a place in turn, or is told
that the line was cut. A limit that falls takes nothing away: places are given out again when enough have come back.

Owner: the event loop.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Line:
    """Places, and those who wait for one."""

    __slots__ = ("_in_use", "_limit", "_waiting")

    def __init__(self, limit: Callable[[], int]) -> None:
        self._limit = limit
        self._in_use = 0
        self._waiting: deque[asyncio.Future[bool]] = deque()

    @property
    def has_free_place(self) -> bool:
        """Whether a place can be had without waiting."""
        return not self._waiting and self._in_use < self._limit()

    @property
    def is_crowded(self) -> bool:
        """Whether more places are taken than the limit, which was lowered meanwhile, allows."""
        return self._in_use > self._limit()

    async def take(self) -> bool:
        """Wait for a place; False if the wait was cut."""
        if self.has_free_place:
            self._in_use += 1
            return True
        place: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.append(place)
        try:
            return await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled() and place.result():
                self.leave()  # it was given to us while we were being cancelled
            raise

    def leave(self) -> None:
        """Give a place back, for the next one in the line if the limit still allows it."""
        self._in_use -= 1
        self.admit()

    def admit(self) -> None:
        """Give out the places that are free; call it when the limit may have grown."""
        while self._waiting and self._in_use < self._limit():
            place = self._waiting.popleft()
            if not place.done():
                self._in_use += 1
                place.set_result(True)

    def cut(self) -> None:
        """Send everybody away who waits, to look again at whether waiting is still right."""
        for place in self._waiting:
            if not place.done():
                place.set_result(False)
        self._waiting.clear()
