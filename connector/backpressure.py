"""When to read, and from which partitions.

Promise: a route that is full or held is not read from, while polling goes on, so the group membership outlives an
outage of any length, and other routes are undisturbed.

A pause throws away what the client has read ahead, so a fullness of a moment is waited out when there is nothing else
to read.

Owner: the event loop.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from connector.core.offsets import PartitionOffsets
    from connector.ports import Source
    from connector.route import Route
    from connector.telemetry import Telemetry

_BRIEF_S: Final = 0.5


class Backpressure:
    """Decides what is read; pauses and resumes the routes' partitions."""

    def __init__(self, routes: Sequence[Route], source: Source, telemetry: Telemetry) -> None:
        self._routes = routes
        self._source = source
        self._telemetry = telemetry
        self._full_since: float | None = None

    def should_wait(self, now: float) -> bool:
        """Whether to read nothing for a moment: every route is full, and has been only for a short while."""
        if not all(route.is_full and not route.is_paused for route in self._routes):
            self._full_since = None
            return False
        if self._full_since is None:
            self._full_since = now
        return now - self._full_since < _BRIEF_S

    def balance(self, owners: Mapping[PartitionOffsets, Route], now: float) -> None:
        """Pause the partitions of routes that stay full, resume those of routes that have room again."""
        is_brief = self._full_since is not None and now - self._full_since < _BRIEF_S
        for route in self._routes:
            if route.is_paused and route.has_room:
                route.is_paused = False
                self._source.resume(owned_by(route, owners))
                self._telemetry.consumption_resumed(route.settings.name)
            elif route.is_full and not route.is_paused and not is_brief:
                route.is_paused = True
                self._source.pause(owned_by(route, owners))
                self._telemetry.consumption_paused(route.settings.name, "held" if route.gate.is_held else "full")


def owned_by(route: Route, owners: Mapping[PartitionOffsets, Route]) -> list[PartitionOffsets]:
    """The partitions whose records go through a route."""
    return [owner for owner, its_route in owners.items() if its_route is route]
