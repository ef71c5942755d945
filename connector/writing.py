"""Writes a record for an event until it is confirmed, however long that takes.

Promise: `until_confirmed` says True only when the broker has the record. While it cannot be written the route holds,
and it is tried again without end; it is given up only when the event's assignment ends, and the event is abandoned
then.

Not promised: to settle the event; whoever asked does that.

Owner: the event loop. One `Writing` serves one kind of record of one route.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type

from connector.ports import WriteFailed

if TYPE_CHECKING:
    from collections.abc import Callable

    from connector.core.retry import WaitForEdge
    from connector.gate import Gate
    from connector.model import Event
    from connector.outcomes import Outcomes
    from connector.ports import Write


class _Abandoned(Exception):  # noqa: N818 - not an error: the assignment ends before the record is written
    """A record is not worth another try."""


class Writing:
    """Writes one kind of record for the events of one route."""

    def __init__(
        self,
        kind: str,
        meaning: str,
        outcomes: Outcomes,
        gate: Gate,
        wait: WaitForEdge,
        *,
        tell: Callable[[str, str, str], None],
    ) -> None:
        """`kind` begins the cause of a hold and `meaning` explains it; `tell` hears route, cause and remedy."""
        self._kind = kind
        self._meaning = meaning
        self._outcomes = outcomes
        self._gate = gate
        self._wait = wait
        self._tell = tell

    async def until_confirmed(
        self, event: Event, write: Write, *, on_failure: Callable[[], None] | None = None
    ) -> bool:
        """Write for an event until that is confirmed; False if its assignment ends before, and it is abandoned.

        `on_failure` is called once, before the long wait that begins with the first failure. The first try does not go
        through tenacity: it is made for every record and has to be cheap.
        """
        try:
            if not event.owner.is_closed:
                await write()
                if self._gate.hold is not None:
                    self._gate.adopt_probe(event, self._kind)
                    self._outcomes.release(event)
                return True
        except WriteFailed as failure:
            if on_failure is not None:
                on_failure()
            if await self._try_on(event, write, failure):
                return True
        self._outcomes.abandon([event])
        return False

    async def _try_on(self, event: Event, write: Write, failure: WriteFailed) -> bool:
        """Go on after the first try failed; False if that is not worth it any more."""
        tries = AsyncRetrying(
            retry=retry_if_exception_type(WriteFailed),
            wait=self._wait,
            sleep=partial(self._rest, event),
            before_sleep=partial(self._failed, event),
        )
        try:
            async for attempt in tries:
                with attempt:
                    if attempt.retry_state.attempt_number == 1:
                        raise failure
                    await self._try_again(event, write)
        except _Abandoned:
            self._gate.hand_on_probe(event)
            return False
        self._outcomes.release(event)
        return True

    async def _try_again(self, event: Event, write: Write) -> None:
        """Another try, unless the partition is about to leave: one try is all there is time for then."""
        if event.owner.is_leaving:
            raise _Abandoned
        await write()

    async def _rest(self, event: Event, seconds: float) -> None:
        """Wait before another try, unless there will be none."""
        if not event.owner.is_leaving:
            await self._gate.sleep(seconds)

    def _failed(self, event: Event, state: RetryCallState) -> None:
        """Hold the route: going on would only pile up what waits for the topic."""
        failure = state.outcome.exception() if state.outcome else None
        if isinstance(failure, WriteFailed):
            self._tell(self._outcomes.route, failure.cause, failure.remedy)
            cause = f"{self._kind}_{failure.cause}"
            self._outcomes.hold(event, cause, meaning=self._meaning, remedy=failure.remedy)
