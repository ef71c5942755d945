"""A line in front of a limited number of places, first come, first served.

Promise: never more places are taken than the limit allows at that moment; who waits gets a place in turn, or is told
that the line was cut. A limit that falls takes nothing away: places are given out again when enough have come back.
Lines that share a budget never take more than it together, and what comes back goes round among those that wait.

Owner: the event loop.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Budget:
    """What several lines may take together."""

    __slots__ = ("_in_use", "_lines", "_most")

    def __init__(self, most: int) -> None:
        self._most = most
        self._in_use = 0
        self._lines: deque[Line] = deque()  # the next one to be served first

    @property
    def has_room(self) -> bool:
        """Whether one more place may be taken."""
        return self._in_use < self._most

    def add(self, line: Line) -> None:
        """Let a line share in it."""
        self._lines.append(line)

    def count(self, places: int) -> None:
        """Note that places were taken, or given back where negative."""
        self._in_use += places

    def admit(self) -> None:
        """Give out what came back, one place to each line in turn."""
        idle = 0
        while self.has_room and idle < len(self._lines):
            line = self._lines[0]
            self._lines.rotate(-1)
            idle = 0 if line.admit_one() else idle + 1


class Line:
    """Places, and those who wait for one."""

    __slots__ = ("_budget", "_in_use", "_limit", "_waiting")

    def __init__(self, limit: Callable[[], int], budget: Budget | None = None) -> None:
        self._limit = limit
        self._budget = budget
        if budget is not None:
            budget.add(self)
        self._in_use = 0
        self._waiting: deque[asyncio.Future[bool]] = deque()

    @property
    def has_free_place(self) -> bool:
        """Whether a place can be had without waiting."""
        return not self._waiting and self._is_open

    @property
    def is_crowded(self) -> bool:
        """Whether more places are taken than the limit, which was lowered meanwhile, allows."""
        return self._in_use > self._limit()

    def take_at_once(self) -> bool:
        """Take a place if one is free and nobody waits for it."""
        if not self.has_free_place:
            return False
        self._count(1)
        return True

    async def take(self, *, is_first: bool = False) -> bool:
        """Wait for a place, before all others if `is_first`; False if the wait was cut."""
        if self.take_at_once():
            return True
        place: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        if is_first:
            self._waiting.appendleft(place)
        else:
            self._waiting.append(place)
        try:
            return await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled() and place.result():
                self.leave()  # it was given to us while we were being cancelled
            raise

    def leave(self) -> None:
        """Give a place back, for the next one in the line if the limit still allows it."""
        self._count(-1)
        self.admit()

    def admit(self) -> None:
        """Give out the places that are free; call it when the limit may have grown."""
        if self._budget is not None:
            self._budget.admit()
            return
        while self.admit_one():
            pass

    def admit_one(self) -> bool:
        """Give out one place, if there is one and somebody waits for it."""
        while self._waiting and self._is_open:
            place = self._waiting.popleft()
            if not place.done():
                self._count(1)
                place.set_result(True)
                return True
        return False

    @property
    def _is_open(self) -> bool:
        return self._in_use < self._limit() and (self._budget is None or self._budget.has_room)

    def _count(self, places: int) -> None:
        self._in_use += places
        if self._budget is not None:
            self._budget.count(places)

    def cut(self) -> None:
        """Send everybody away who waits, to look again at whether waiting is still right."""
        for place in self._waiting:
            if not place.done():
                place.set_result(False)
        self._waiting.clear()
