"""The pace of one endpoint: its routes wait here for their request units.

Promise: in the common case, nobody waiting and units there, a request passes without a future, a task or a timer. Who
waits is served in a fair order by one timer, and every wait can be cut or cancelled: nothing is taken then.

Owner: the event loop. One `Pace` serves all routes of one endpoint.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from connector.core.allowance import Allowance, Ticket

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from connector.core.rate import Rate

_TICK_S: Final = 0.001  # of the event loop's timers: a shorter one would be due at once, over and over


class Pace:
    """What one endpoint may be sent, and when."""

    __slots__ = ("_allowance", "_clock", "_rate", "_timer")

    def __init__(self, rate: Rate, *, clock: Callable[[], float]) -> None:
        self._rate = rate
        self._allowance: Allowance[asyncio.Future[bool]] = Allowance(rate)
        self._clock = clock
        self._timer: asyncio.TimerHandle | None = None

    @property
    def paused_until(self) -> float:
        """The moment, in monotonic seconds, before which the endpoint wants no request from anybody."""
        return self._rate.paused_until

    @property
    def units_per_s(self) -> float:
        """The request units a second that may be spent now; 0 in a pause."""
        return self._rate.at(self._clock())

    @property
    def full_units_per_s(self) -> float:
        """This member's part of the allowance in request units a second, whatever the endpoint says of it now."""
        return self._rate.units_per_s * self._rate.share

    @property
    def share(self) -> float:
        """This member's part of the endpoint's allowance."""
        return self._rate.share

    def take_at_once(self, units: int) -> bool:
        """Take units if nobody has to wait for them."""
        return self._allowance.take(units, self._clock())

    async def take(self, route: Hashable, units: int) -> bool:
        """Wait in the line for units; False if the wait was cut, and nothing is taken then."""
        granted: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        ticket = Ticket(route, units, granted)
        self._allowance.line_up(ticket)
        if self._timer is None:
            self._serve()
        try:
            return await granted
        except asyncio.CancelledError:
            if granted.done() and not granted.cancelled() and granted.result():
                self._allowance.give_back(ticket)  # they were had while we were being cancelled
            else:
                self._allowance.leave_line(ticket)
            self._serve()
            raise

    def cut(self, route: Hashable) -> None:
        """End every wait of a route now."""
        for ticket in self._allowance.clear_line(route):
            if not ticket.waiter.done():
                ticket.waiter.set_result(False)
        self._serve()

    def pause(self, until: float) -> None:
        """The endpoint wants no request before a moment; after it the rate ramps up."""
        self._allowance.pause(until, self._clock())
        self._serve()

    def lower(self, *, started_at: float) -> None:
        """The endpoint said that the allowance is used up."""
        self._allowance.lower(started_at=started_at, now=self._clock())
        self._serve()

    def set_share(self, share: float) -> None:
        """Change this member's part of the allowance."""
        self._allowance.share(share, self._clock())
        self._serve()

    def _serve(self) -> None:
        """Let those pass whose units are there, and set the timer for the next one."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        now = self._clock()
        while (ticket := self._allowance.next(now)) is not None:
            if ticket.waiter.done():  # cancelled, and not yet awake to say so
                self._allowance.give_back(ticket)
            else:
                ticket.waiter.set_result(True)
        wait_s = self._allowance.wait_s(now)
        if wait_s is not None:
            self._timer = asyncio.get_running_loop().call_later(max(wait_s, _TICK_S), self._serve)
