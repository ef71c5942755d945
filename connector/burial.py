"""Writes dead letters, however long that takes.

Promise: a rejected record is settled when the broker has confirmed its dead letter, never before; while the topic
cannot be written the route holds, and nothing is dropped.

Owner: the event loop. One `Burial` serves one route.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type

from connector.ports import DeadLetterFailed

if TYPE_CHECKING:
    from collections.abc import Iterable

    from connector.core.retry import WaitForEdge
    from connector.gate import Gate
    from connector.model import Event, Rejection
    from connector.outcomes import Outcomes
    from connector.ports import DeadLetters


class _Abandoned(Exception):  # noqa: N818 - not an error: the assignment ends before the dead letter is written
    """A dead letter is not worth another try."""


class Burial:
    """Dead-letters the rejected records of one route."""

    def __init__(
        self, datastream_id: str, dead_letters: DeadLetters, outcomes: Outcomes, gate: Gate, wait: WaitForEdge
    ) -> None:
        self._datastream_id = datastream_id
        self._dead_letters = dead_letters
        self._outcomes = outcomes
        self._gate = gate
        self._wait = wait

    async def bury(self, rejected: Iterable[tuple[Event, Rejection]]) -> None:
        """Write a dead letter for each record, and settle each when the broker has confirmed it."""
        async with asyncio.TaskGroup() as burials:
            for event, rejection in rejected:
                burials.create_task(self._bury(event, rejection))

    async def _bury(self, event: Event, rejection: Rejection) -> None:
        tries = AsyncRetrying(
            retry=retry_if_exception_type(DeadLetterFailed),
            wait=self._wait,
            sleep=partial(self._rest, event),
            before_sleep=partial(self._failed, event),
        )
        try:
            await tries(self._write, event, rejection, tries.statistics)
        except _Abandoned:
            self._outcomes.abandon([event])
        else:
            self._outcomes.telemetry.event_dead_lettered(self._outcomes.route, event.record, rejection)
            self._outcomes.settle([event])
        finally:
            self._outcomes.release(event)

    async def _write(self, event: Event, rejection: Rejection, statistics: dict[str, object]) -> None:
        """One try; when the partition is about to leave, one is all there is time for."""
        owner = event.owner
        if owner.is_closed or (owner.is_leaving and statistics["attempt_number"] != 1):
            raise _Abandoned
        await self._dead_letters.write(self._outcomes.route, self._datastream_id, event.record, rejection)

    async def _rest(self, event: Event, seconds: float) -> None:
        """Wait before another try, unless there will be none."""
        if not event.owner.is_leaving:
            await self._gate.sleep(seconds)

    def _failed(self, event: Event, state: RetryCallState) -> None:
        """Hold the route: going on would only pile up what waits for the topic."""
        failure = state.outcome.exception() if state.outcome else None
        if isinstance(failure, DeadLetterFailed):
            self._outcomes.telemetry.dead_letter_failed(self._outcomes.route, failure.cause, failure.remedy)
            cause = f"dead_letter_{failure.cause}"
            self._outcomes.hold(event, cause, meaning="A dead letter cannot be written.", remedy=failure.remedy)
