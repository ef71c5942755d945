"""Writes dead letters, however long that takes.

Promise: a rejected record is settled when the broker has confirmed its dead letter, never before; while the topic
cannot be written the route holds, and nothing is dropped. What the brake does not let through waits (`brake.py`).

Owner: the event loop. One `Burial` serves one route.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from connector.writing import Writing

if TYPE_CHECKING:
    from collections.abc import Iterable

    from connector.core.retry import WaitForEdge
    from connector.gate import Gate
    from connector.model import Event, Rejection
    from connector.outcomes import Outcomes
    from connector.ports import DeadLetters


class Burial:
    """Dead-letters the rejected records of one route."""

    def __init__(
        self, datastream_id: str, dead_letters: DeadLetters, outcomes: Outcomes, gate: Gate, wait: WaitForEdge
    ) -> None:
        self._datastream_id = datastream_id
        self._dead_letters = dead_letters
        self._outcomes = outcomes
        self._writing = Writing(
            "dead_letter",
            "A dead letter cannot be written.",
            outcomes,
            gate,
            wait,
            tell=outcomes.telemetry.dead_letter_failed,
        )

    async def bury(self, rejected: Iterable[tuple[Event, Rejection]]) -> None:
        """Write a dead letter for each record, and settle each when the broker has confirmed it."""
        async with asyncio.TaskGroup() as burials:
            for event, rejection in rejected:
                burials.create_task(self._bury(event, rejection))

    async def _bury(self, event: Event, rejection: Rejection) -> None:
        if not await self._outcomes.brake.admit(event, rejection):
            self._outcomes.abandon([event])
            return
        route = self._outcomes.route
        letter = self._dead_letters.letter(route, self._datastream_id, event.record, rejection)
        if await self._writing.until_confirmed(event, letter):
            self._outcomes.telemetry.event_dead_lettered(route, event.record, rejection)
            self._outcomes.settle([event])
