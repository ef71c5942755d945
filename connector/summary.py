"""One line every few seconds that says how things stand, and the figures that the status server shows too."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from connector.logs import log_output

if TYPE_CHECKING:
    from connector.assembly import Assembly
    from connector.route import Route


class Summary:
    """Tells what happened since the last time. Owned by the event loop."""

    def __init__(self, assembly: Assembly, *, interval_s: float) -> None:
        self._assembly = assembly
        self._interval_s = interval_s
        self._totals_before: dict[str, int] = {}
        self._accepted_before: dict[str, int] = {}
        self._told_at = 0.0
        self._dropped_lines_told = 0
        self._moved_at: dict[tuple[str, int], tuple[int | None, float]] = {}

    async def run(self) -> None:
        """Tell at each interval, for ever."""
        self._told_at = asyncio.get_running_loop().time()
        while True:
            await asyncio.sleep(self._interval_s)
            await self.tell()

    async def tell(self) -> None:
        """Tell now, and remind of brakes that wait for a person."""
        for route in self._assembly.routes:
            route.outcomes.brake.remind()
        self._tell_dropped_lines()
        now = asyncio.get_running_loop().time()
        seconds, self._told_at = max(now - self._told_at, 0.001), now
        totals = self._totals()
        since = {name: total - self._totals_before.get(name, 0) for name, total in totals.items()}
        self._totals_before = totals
        routes = self._assembly.routes
        await self._look_at_routes(seconds)
        self._assembly.telemetry.summary(
            events_per_s=round(since["accepted"] / seconds, 1),
            kb_per_s=round(since["request_bytes"] / seconds / 1000, 1),
            requests_per_s=round(since["requests"] / seconds, 1),
            accepted=totals["accepted"],
            dead_lettered=totals["dead_lettered"],
            resends=since["resends"],
            possible_duplicates=totals["possible_duplicates"],
            in_flight=sum(route.counts.in_flight for route in routes),
            open_bytes=sum(route.open_bytes for route in routes),
            lag=sum(route.counts.lag for route in routes),
            watermark_age_s=round(self._watermark_age_s(now), 1),
            held=[route.settings.name for route in routes if route.gate.is_held],
            braked=[route.settings.name for route in routes if route.gate.is_braked],
            routes={route.settings.name: _figures(route) for route in routes},
        )

    def _tell_dropped_lines(self) -> None:
        """Tell of log lines that are missing, once lines can be written again: this one would be missing too."""
        output = log_output()
        if output is not None and output.dropped_lines > self._dropped_lines_told and not output.is_stuck:
            count, self._dropped_lines_told = output.dropped_lines - self._dropped_lines_told, output.dropped_lines
            self._assembly.telemetry.log_lines_dropped(count)

    def _totals(self) -> dict[str, int]:
        names = ("accepted", "dead_lettered", "requests", "request_bytes", "resends", "possible_duplicates")
        counts = [route.counts for route in self._assembly.routes]
        return {name: sum(getattr(count, name) for count in counts) for name in names}

    async def _look_at_routes(self, seconds: float) -> None:
        """Note each route's rate, and its lag: the records behind the watermarks of the partitions that are ours."""
        owners = self._assembly.pipeline.owners
        extents = await self._assembly.source.extents(owners)
        behind = [
            # Of what was paused before its first record came there is no watermark: all of it waits.
            (owner.topic, max(0, extent.end - (extent.earliest if owner.watermark is None else owner.watermark)))
            for owner, extent in zip(owners, extents, strict=True)
            if extent is not None
        ]
        for route in self._assembly.routes:
            name, counts = route.settings.name, route.counts
            counts.lag = sum(records for topic, records in behind if route.reads(topic))
            route.events_per_s = round((counts.accepted - self._accepted_before.get(name, 0)) / seconds, 1)
            self._accepted_before[name] = counts.accepted

    def _watermark_age_s(self, now: float) -> float:
        """How long the watermark that has waited longest stands still although records above it are open."""
        before, self._moved_at = self._moved_at, {}
        oldest = 0.0
        for owner in self._assembly.pipeline.owners:
            key = (owner.topic, owner.partition)
            watermark, moved_at = before.get(key, (None, now))
            if owner.is_drained or owner.watermark != watermark:
                moved_at = now
            self._moved_at[key] = (owner.watermark, moved_at)
            oldest = max(oldest, now - moved_at)
        return oldest


def _figures(route: Route) -> dict[str, object]:
    """What tells routes apart; why one waits only where it does, so that a quiet line stays short."""
    figures: dict[str, object] = {"events_per_s": route.events_per_s, "lag": route.counts.lag}
    return {**figures, "held": route.held_by} if route.held_by else figures
