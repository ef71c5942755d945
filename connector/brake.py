"""The brake on dead letters: a route where almost everything is bad waits for a person.

Promise: a dead letter over the limit is neither written nor settled; it waits, its route is held, and both go on when
a person releases the brake, by a command or by a restart. No probe releases it, nor does the end of another hold. A
wait ends at once when its partition leaves.

Not promised: a count over all members of the group. Each has its own, which a restart begins anew.

Owner: the event loop. One `RouteBrake` serves one route.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from connector.core.brake import Brake, BrakeLimits

if TYPE_CHECKING:
    from connector.core.brake import Trip
    from connector.gate import Gate
    from connector.model import Event, Rejection
    from connector.telemetry import Telemetry

_REMEDY: Final = (
    "Look at the newest dead letters, whose xdm.error headers say what is wrong, and mend the producer, the schema or "
    "the datastream. Then release the route: xdm-connector release --config FILE --route {route}, or restart. If this "
    "share is right for these topics, raise dead_letter.brake.max_share_percent."
)


class RouteBrake:
    """Holds one route before it fills the dead-letter topic."""

    def __init__(self, route: str, limits: BrakeLimits, gate: Gate, telemetry: Telemetry) -> None:
        self._route = route
        self._remedy = _REMEDY.format(route=route)
        self._gate = gate
        self._telemetry = telemetry
        self._brake = Brake(limits)
        self.waiting = 0
        """Dead letters that wait for the release."""

    @property
    def trip(self) -> Trip | None:
        """What the brake was pulled for; None while it is off."""
        return self._brake.trip

    def note(self, *, decoded: int = 0, accepted: int = 0) -> None:
        """Count events that were decoded, or accepted by the Edge."""
        self._brake.note(decoded=decoded, accepted=accepted)

    async def admit(self, event: Event, rejection: Rejection) -> bool:
        """Wait until a dead letter may be written; False if its record's partition leaves before."""
        owner = event.owner
        while not owner.is_closed and not self._may_pass(rejection):
            if owner.is_leaving:
                return False
            self.waiting += 1
            try:
                await self._gate.sleep(None)
            finally:
                self.waiting -= 1
        return not owner.is_closed

    def _may_pass(self, rejection: Rejection) -> bool:
        was_on = self.trip is not None
        if self._brake.admit(rejection.stage, rejection.reason):
            return True
        if not was_on and self.trip is not None:
            self._gate.is_braked = True
            self._telemetry.brake_applied(self._route, self.trip, self._remedy)
        return False

    def remind(self) -> None:
        """Tell again, now and then, that the brake is on."""
        if self.trip is not None:
            self._telemetry.brake_applied(self._route, self.trip, self._remedy, is_reminder=True)

    def release(self) -> bool:
        """Release the brake because a person says so; False if it was off. What waits goes on."""
        if self._brake.release() is None:
            return False
        self._gate.is_braked = False
        self._telemetry.brake_released(self._route, "command", is_held=self._gate.is_held)
        self._gate.cut()
        return True
