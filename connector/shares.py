"""Keeps each endpoint's part of the allowance in step with the partitions that this member owns.

Promise: the part moves with each change of the assignment, by what is known of the topics then, and again when the
brokers have said how many partitions there are now. While they say nothing, the last answer counts; before the first
one, everything is ours, because a member alone must not crawl.

Owner: the event loop.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Final

from connector.core.share import share_of

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from connector.core.offsets import PartitionOffsets
    from connector.pace import Pace
    from connector.ports import PartitionCounts
    from connector.route import Route
    from connector.telemetry import Telemetry

_REFRESH_S: Final = 60.0  # a topic may grow, or a new one may match an expression, without a rebalance of ours
_AGAIN_S: Final = 5.0  # after the brokers said nothing


class Shares:
    """The parts of the allowance that this member may spend."""

    def __init__(
        self,
        paces: Mapping[str, Pace],
        endpoints: Mapping[Route, str],
        owners: Collection[PartitionOffsets],
        *,
        source: PartitionCounts,
        telemetry: Telemetry,
    ) -> None:
        self._paces = paces  # by endpoint
        self._endpoints = endpoints  # of each route, in the file's order
        self._owners = owners  # as they are at any time
        self._source = source
        self._telemetry = telemetry
        self._known: Mapping[str, int] = {}
        self._changed = asyncio.Event()

    def assignment_changed(self) -> None:
        """Partitions came or went: move now, and ask the brokers anew."""
        self._move()
        self._changed.set()

    async def run(self) -> None:
        """Ask the brokers after each change of the assignment, and now and then, for ever."""
        await self._changed.wait()  # before the first assignment there is nothing to ask for, nor anybody to ask
        while True:
            self._changed.clear()
            known = await self._source.partition_counts(self._reads)
            if known is not None:
                self._known = known
                self._move()
            try:
                async with asyncio.timeout(_AGAIN_S if known is None else _REFRESH_S):
                    await self._changed.wait()
            except TimeoutError:
                continue

    def _move(self) -> None:
        owned = Counter(owner.topic for owner in self._owners)
        for endpoint, pace in self._paces.items():
            share = share_of(self._of(endpoint, owned), self._of(endpoint, self._known))
            if share is not None and share != pace.share:
                pace.set_share(share)
                self._telemetry.share_changed(endpoint, share, units_per_s=pace.full_units_per_s)

    def _of(self, endpoint: str, counts: Mapping[str, int]) -> Mapping[str, int]:
        """What of the counts belongs to the topics that an endpoint's routes read."""
        return {topic: count for topic, count in counts.items() if self._endpoint_for(topic) == endpoint}

    def _endpoint_for(self, topic: str) -> str | None:
        """The endpoint of the route that the topic's records take: the first one in the file's order that reads it."""
        return next((endpoint for route, endpoint in self._endpoints.items() if route.reads(topic)), None)

    def _reads(self, topic: str) -> bool:
        return self._endpoint_for(topic) is not None
