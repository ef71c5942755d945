"""One line every few seconds that says how things stand, and the figures that the status server shows too."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from connector.assembly import Assembly


class Summary:
    """Tells what happened since the last time. Owned by the event loop."""

    def __init__(self, assembly: Assembly, *, interval_s: float) -> None:
        self._assembly = assembly
        self._interval_s = interval_s
        self._totals_before: dict[str, int] = {}
        self._told_at = 0.0
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
        now = asyncio.get_running_loop().time()
        seconds, self._told_at = max(now - self._told_at, 0.001), now
        totals = self._totals()
        since = {name: total - self._totals_before.get(name, 0) for name, total in totals.items()}
        self._totals_before = totals
        routes = self._assembly.routes
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
            lag=await self._lag(),
            watermark_age_s=round(self._watermark_age_s(now), 1),
            held=[route.settings.name for route in routes if route.gate.is_held],
            braked=[route.settings.name for route in routes if route.gate.is_braked],
        )

    def _totals(self) -> dict[str, int]:
        names = ("accepted", "dead_lettered", "requests", "request_bytes", "resends", "possible_duplicates")
        counts = [route.counts for route in self._assembly.routes]
        return {name: sum(getattr(count, name) for count in counts) for name in names}

    async def _lag(self) -> int:
        """Records that wait behind the watermarks of the partitions that are ours."""
        owners = self._assembly.pipeline.owners
        ends = await self._assembly.source.ends(owners)
        pairs = zip(owners, ends, strict=True)
        return sum(max(0, end - owner.watermark) for owner, end in pairs if end is not None and owner.watermark)

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
