"""What deliveries do to their route: settle and abandon events, hold and release the route.

Promise: each of these is told and counted once, here, whoever does it.

Owner: the event loop. One `Outcomes` serves one route.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from connector.core.offsets import runs

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from connector.brake import RouteBrake
    from connector.core.offsets import PartitionOffsets
    from connector.gate import Gate
    from connector.model import Event
    from connector.progress import Progress
    from connector.telemetry import Telemetry


class Outcomes:
    """The effects of one route's verdicts."""

    def __init__(self, route: str, gate: Gate, telemetry: Telemetry, progress: Progress, brake: RouteBrake) -> None:
        self.route = route
        self.brake = brake
        self.telemetry = telemetry
        self._gate = gate
        self._progress = progress

    def accept(self, accepted: Iterable[tuple[PartitionOffsets, int, int]], count: int) -> None:
        """Settle `count` accepted events, given as (owner, first, end) runs."""
        self.telemetry.events_accepted(self.route, count, late=self._settle(accepted))

    def settle(self, events: Sequence[Event]) -> None:
        """Settle events that have their verdict by other ways than an acceptance."""
        self._settle(runs(events))

    def skip(self, tombstones: Sequence[Event]) -> None:
        """Settle records that carry nothing to deliver."""
        self._settle(runs(tombstones))
        self.telemetry.tombstones_skipped(self.route, len(tombstones))

    def abandon(self, events: Sequence[Event]) -> None:
        """Give up events whose assignment ends; they stay open for whoever owns their partition next."""
        for event in events:
            event.owner.abandon(1)
        if events:
            self.telemetry.events_abandoned(self.route, len(events))
            self._progress.note()

    def hold(self, prober: object, cause: str, *, meaning: str, remedy: str) -> None:
        """Hold the route; `prober` finds out when that can end."""
        is_new = self._gate.close(cause, prober)
        held_s = self._gate.held_s
        self.telemetry.route_held(self.route, cause, meaning=meaning, remedy=remedy, is_new=is_new, held_s=held_s)

    def release(self, prober: object) -> None:
        """Release the route if it is `prober` who probes."""
        held_s = self._gate.open(prober)
        if held_s is not None:
            self.telemetry.route_released(self.route, seconds=held_s)

    def _settle(self, settled: Iterable[tuple[PartitionOffsets, int, int]]) -> int:
        """Settle runs; returns how many events belong to an assignment that is over."""
        late = 0
        for owner, first, end in settled:
            if not owner.settle(first, end):
                late += end - first
        self._progress.note()
        return late
