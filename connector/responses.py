"""Hands on what the Edge answers to accepted events, however long that takes.

Promise: each accepted event gets one record in the responses topic, also where none of the answer's handles is wanted,
and is settled when the broker has confirmed that record, never before; while the topic cannot be written the route
holds, and nothing is dropped.

Not promised: one record only. An event whose response was not confirmed when its assignment ended is delivered and
answered again by its partition's next owner, and what was on its way by then may arrive too.

Owner: the event loop. One `Responses` serves one route.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from connector.core.handles import json_array
from connector.writing import Writing

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from connector.core.retry import WaitForEdge
    from connector.gate import Gate
    from connector.model import Event
    from connector.outcomes import Outcomes
    from connector.ports import ResponseSink


class Responses:
    """Writes the responses of one route."""

    def __init__(
        self,
        datastream_id: str,
        types: frozenset[str],
        sink: ResponseSink,
        outcomes: Outcomes,
        gate: Gate,
        wait: WaitForEdge,
    ) -> None:
        """`types` are those of the handles that are wanted; none means all."""
        self._datastream_id = datastream_id
        self._types = types
        self._sink = sink
        self._room = gate.room
        self._outcomes = outcomes
        self._writing = Writing(
            "responses", "A response cannot be written.", outcomes, gate, wait, tell=outcomes.telemetry.response_failed
        )

    async def respond(
        self, events: Sequence[Event], request_id: str, handles: Sequence[bytes], *, on_failure: Callable[[], None]
    ) -> None:
        """Write the response to the accepted events of one request, and settle each when the broker has confirmed it.

        `on_failure` is called when it begins to wait for the topic. interact takes one event in each request; of more
        the handles would not say which is whose.
        """
        if self._room is not None:
            self._room.note(sum(map(len, handles)))
        text, route = json_array(handles, self._types), self._outcomes.route
        for event in events:
            response = self._sink.response(route, self._datastream_id, event.record, request_id, text)
            if await self._writing.until_confirmed(event, response, on_failure=on_failure):
                self._outcomes.telemetry.response_written(route)
                self._outcomes.accept([(event.owner, event.offset, event.offset + 1)], 1)
