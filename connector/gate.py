"""When a request of one route may leave.

Promise: no request leaves while its route is held (but the one that probes), none before the moment that Retry-After
named, and no more at once than the endpoint bears. Every wait here ends early when it is cut.

Owner: the event loop.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from connector.line import Budget, Line

if TYPE_CHECKING:
    from collections.abc import Callable

    from connector.core.answer_room import AnswerRoom
    from connector.core.pacing import Concurrency
    from connector.pace import Pace


@dataclass(slots=True)
class Hold:
    """Why a route is held, and whose request probes whether it still has to be."""

    cause: str
    prober: object | None  # None: the next one who asks may probe
    since: float  # monotonic seconds, as is the next
    probe_at: float  # not before


class Gate:
    """The gate of one route."""

    __slots__ = (
        "_clock",
        "_concurrency",
        "_cut",
        "_pace",
        "_probe_interval_s",
        "hold",
        "is_braked",
        "is_failing",
        "places",
        "room",
        "searches",
        "suspects",
    )

    def __init__(
        self,
        *,
        concurrency: Concurrency,
        pace: Pace,
        probe_interval_s: float,
        clock: Callable[[], float],
        budget: Budget | None = None,
        room: AnswerRoom | None = None,
    ) -> None:
        self._concurrency = concurrency
        self._pace = pace
        self._probe_interval_s = probe_interval_s
        self._clock = clock
        self._cut = asyncio.Event()
        self.room = room
        """Where answers are kept for a while: how many fit into memory. None where they are not."""
        limit = (lambda: concurrency.limit) if room is None else (lambda: min(concurrency.limit, room.places))
        self.places = Line(limit, budget)
        """For the requests under way."""
        self.searches = Line(lambda: max(1, concurrency.limit // 2))
        """For batches with many events at fault, while they are found: a burst leaves room for good ones."""
        self.suspects = Line(lambda: max(1, concurrency.limit // 2))
        """For single events under suspicion, which rest without a place: in an outage only so many are tried."""
        self.hold: Hold | None = None
        self.is_braked = False
        """Whether the brake on dead letters is on: nobody probes that, and no probe ends it."""
        self.is_failing = False
        """Whether the last answer was a fault, or led to a hold: new requests are not worth a try at a stop."""

    @property
    def is_held(self) -> bool:
        """Whether the route waits for a person, for whatever cause."""
        return self.is_braked or self.hold is not None

    def is_blocked(self, who: object) -> bool:
        """Whether `who` has to wait before it may ask for a place; of a held route only the prober may pass."""
        now = self._clock()
        if self.hold is not None and self.hold.prober is None:
            self.hold.prober = who  # also in a pause: nothing is read of a held route, so nobody else may ever come
        if now < self._pace.paused_until or self.is_braked:
            return True
        return self.hold is not None and (self.hold.prober is not who or now < self.hold.probe_at)

    async def wait(self, who: object) -> None:
        """Wait until it is worth looking at `is_blocked` again."""
        until = self._pace.paused_until
        if self.hold is not None and self.hold.prober is who:
            until = max(until, self.hold.probe_at)
        left = until - self._clock()
        if left > 0:
            await self.sleep(left)
        elif self.is_braked:
            await self.sleep(None)  # the release cuts it
        elif self.hold is not None and self.hold.prober is not None and self.hold.prober is not who:
            await self.sleep(None)  # the hold's end cuts it
        # Else the moment has come since `is_blocked` was asked: nobody would cut a sleep without an end.

    def adopt_probe(self, prober: object, kind: str) -> None:
        """Let `prober` speak for the one who was given up, if the hold's cause is of its kind."""
        if self.hold is not None and self.hold.prober is None and self.hold.cause.startswith(kind):
            self.hold.prober = prober

    def is_prober(self, who: object) -> bool:
        """Whether the route is held and `who` probes."""
        return self.hold is not None and self.hold.prober is who

    async def sleep(self, seconds: float | None) -> None:
        """Sleep, for ever where `seconds` is None, or until somebody cuts."""
        try:
            async with asyncio.timeout(seconds):
                await self._cut.wait()
        except TimeoutError:
            return

    def cut(self) -> None:
        """Wake everybody who sleeps or stands in line here now, to look again at whether waiting is still right."""
        self._cut.set()
        self._cut = asyncio.Event()
        self.places.cut()
        self.searches.cut()
        self.suspects.cut()
        self._pace.cut(self)

    def take_units_at_once(self, units: int) -> bool:
        """Take request units if nobody has to wait for them."""
        return self._pace.take_at_once(units)

    async def take_units(self, units: int) -> bool:
        """Wait for request units of the endpoint's allowance; False if the wait was cut, and nothing is taken then."""
        return self._pace.take_at_once(units) or await self._pace.take(self, units)

    def succeeded(self, *, started_at: float) -> None:
        """An answer, to a request that left at `started_at`, shows the endpoint at work."""
        self.is_failing = False
        self._concurrency.succeeded(started_at=started_at, now=self._clock())
        self.places.admit()
        self.searches.admit()
        self.suspects.admit()

    def failed(
        self, *, started_at: float, retry_after_s: float | None, is_resend: bool = False, is_spent: bool = False
    ) -> None:
        """A passing fault: fewer at once, and nobody before the moment that the endpoint named.

        Where the endpoint says that the allowance is spent (429), fewer in a second too.
        """
        now = self._clock()
        self.is_failing = True
        self._concurrency.failed(started_at=started_at, now=now, is_resend=is_resend)
        if is_spent:
            self._pace.lower(started_at=started_at)
        if retry_after_s is not None:
            self._pace.pause(now + retry_after_s)

    def close(self, cause: str, prober: object) -> bool:
        """Hold the route; `prober` alone may pass, after an interval. False if it was held already."""
        now = self._clock()
        if self.hold is None:
            self.hold = Hold(cause, prober, since=now, probe_at=now + self._probe_interval_s)
            self.is_failing = True
            return True
        if self.hold.prober in (None, prober):
            self.hold.cause = cause  # what the last probe met is what is to be mended now
        return False

    @property
    def held_s(self) -> float:
        """How long the route has been held, in seconds."""
        return 0.0 if self.hold is None else self._clock() - self.hold.since

    def hand_on_probe(self, prober: object) -> None:
        """A probe failed: the next in line tries after an interval, or `prober` itself if nobody else waits.

        Were it always the same request, one that a firewall refuses for its own sake would hold the route for good.
        """
        if self.hold is not None and self.hold.prober is prober:
            self.hold.prober = None
            self.hold.probe_at = self._clock() + self._probe_interval_s
            self.cut()

    def open(self, prober: object) -> float | None:
        """Release the hold if `prober` is the one who probes; how long it lasted in seconds, else None."""
        if self.hold is None or self.hold.prober is not prober:
            return None
        held_s = self._clock() - self.hold.since
        self.hold = None
        self.cut()
        return held_s
