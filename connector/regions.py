"""Sends a visitor's requests to the region that the last answer to one of them named.

Promise: a hint that leads nowhere any more costs one request more and is forgotten. It must not look like a wrong
address, which holds the route.

Owner: the event loop. One `Regions` serves one route.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from connector.core.handles import handles_of_type
from connector.core.location_hints import HINT_TYPE, LocationHints
from connector.core.verdict import Answer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from connector.core.codes import NoAnswer
    from connector.ports import Edge
    from connector.request import Request, RouteTarget


class Regions:
    """The endpoint of one route, region by region."""

    def __init__(self, target: RouteTarget, edge: Edge, *, monotonic_s: Callable[[], float]) -> None:
        self._target = target
        self._edge = edge
        self._now = monotonic_s
        self._hints = LocationHints()

    async def post(self, request: Request, body: bytes, headers: Mapping[str, str]) -> Answer | NoAnswer:
        """Send to the region of the event's key; to any, if there is none or it does not exist any more."""
        key = request.events[0].record.key()
        hint = self._hints.hint(key, self._now())
        answer = await self._edge.post(self._target.url_for(hint) + request.request_id, body, headers)
        if hint is None or not isinstance(answer, Answer) or answer.status != 404:
            return answer
        self._hints.forget(key)
        return await self._edge.post(self._target.url + request.request_id, body, headers)

    def learn(self, request: Request, handles: Sequence[bytes]) -> None:
        """Remember the region that an answer names."""
        found = handles_of_type(handles, HINT_TYPE)
        if found and request.positions:
            self._hints.learn(request.events[0].record.key(), found, self._now())
