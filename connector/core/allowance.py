"""The request units of one endpoint: an even token bucket, and a fair line of those who wait for it.

Promise: over any stretch of time the units that leave are at most the rate's worth of that stretch, a tenth of a
second's worth ahead, and one request. Any two routes that both wait through a stretch get units that differ by at most
one request of each; requests have sizes, so no order does better. A route that does not wait costs the others nothing
and saves nothing up. Within a route it is first come, first served.

Not promised: waiting; `pace.py` does that.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Hashable

    from connector.core.rate import Rate

W = TypeVar("W")

_AHEAD_S: Final = 0.1  # what an idle moment saves up
_ROUNDING: Final = 1e-6  # units: a timer that was set for the very moment may see it a rounding error too early


@dataclass(frozen=True, slots=True, eq=False)
class Ticket(Generic[W]):
    """A request's place in the line."""

    route: Hashable
    units: int
    waiter: W


@dataclass(slots=True)
class _Line(Generic[W]):
    """Those of one route who wait."""

    tag: int = 0
    """The units that the route had, counted from where the others stood when it last began to wait."""
    tickets: deque[Ticket[W]] = field(default_factory=deque)


class Allowance(Generic[W]):
    """The allowance of one endpoint, for all of its routes. Times are monotonic seconds.

    The order is start-time fair queueing: who had least is next. Tags count request units.
    """

    __slots__ = ("_filled_at", "_level", "_lines", "_rate", "_tag", "_waiting")

    def __init__(self, rate: Rate) -> None:
        self._rate = rate
        self._level = 0.0  # units; below zero what left was a part of a request ahead of its time
        self._filled_at = float("-inf")
        self._lines: dict[Hashable, _Line[W]] = {}
        self._tag = 0  # of the one who left last
        self._waiting = 0

    def take(self, units: int, now: float) -> bool:
        """Take units if they are there and nobody waits for them."""
        if self._waiting or not self._is_open(now):
            return False
        self._level -= units
        return True

    def line_up(self, ticket: Ticket[W]) -> None:
        """Wait for units."""
        line = self._lines.setdefault(ticket.route, _Line())
        if not line.tickets:
            line.tag = max(line.tag, self._tag)  # what it did not use while it did not wait is gone
        line.tickets.append(ticket)
        self._waiting += 1

    def next(self, now: float) -> Ticket[W] | None:
        """Let the next in line have its units, if they are there."""
        if not self._waiting or not self._is_open(now):
            return None
        line = min((line for line in self._lines.values() if line.tickets), key=lambda line: line.tag)
        ticket = line.tickets.popleft()
        self._waiting -= 1
        self._level -= ticket.units
        self._tag = line.tag
        line.tag += ticket.units
        return ticket

    def wait_s(self, now: float) -> float | None:
        """How long until `next` is worth asking, in seconds; None if nobody waits."""
        if not self._waiting:
            return None
        if now < self._rate.paused_until:
            return self._rate.paused_until - now
        self._fill(now)
        return max(0.0, -self._level / self._rate.at(now))

    def give_back(self, ticket: Ticket[W]) -> None:
        """Give units back that were had and will not be spent."""
        self._level += ticket.units
        self._lines[ticket.route].tag -= ticket.units

    def leave_line(self, ticket: Ticket[W]) -> None:
        """Wait no more; nothing happens to one who does not wait."""
        tickets = self._lines[ticket.route].tickets
        if ticket in tickets:
            tickets.remove(ticket)
            self._waiting -= 1

    def clear_line(self, route: Hashable) -> list[Ticket[W]]:
        """Nobody of a route waits any more; returns those who did."""
        line = self._lines.get(route)
        if line is None:
            return []
        tickets, line.tickets = list(line.tickets), deque()
        self._waiting -= len(tickets)
        return tickets

    # What changes the rate: all that was earned at the old one is counted before.

    def share(self, part: float, now: float) -> None:
        """Change this member's part of the rate."""
        self._fill(now)
        self._rate.share = part

    def pause(self, until: float, now: float) -> None:
        """The endpoint wants nothing before a moment. What was saved up is gone."""
        self._fill(now)
        self._rate.pause(until, now)
        if self._rate.paused_until > now:
            self._level = min(self._level, 0.0)
            self._filled_at = self._rate.paused_until

    def lower(self, *, started_at: float, now: float) -> None:
        """The endpoint refused a request because the allowance is used up."""
        self._fill(now)
        self._rate.lower(started_at=started_at, now=now)

    def _is_open(self, now: float) -> bool:
        self._fill(now)
        return self._level >= -_ROUNDING and now >= self._rate.paused_until

    def _fill(self, now: float) -> None:
        """Count what was earned since the last time, at the mean of the rates then and now."""
        passed_s = now - self._filled_at
        if passed_s > 0:
            rate = mean = self._rate.at(now)
            if self._filled_at < self._rate.steady_from:
                mean = (rate + self._rate.at(self._filled_at)) / 2
            self._level = min(self._level + passed_s * mean, rate * _AHEAD_S)
            self._filled_at = now
