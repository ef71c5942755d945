"""How many request units an endpoint may be sent in a second, now.

Promise: never more than the allowance times this member's share; nothing while the endpoint asked for a pause, and
after it a ramp instead of a leap; a fifth less for each second in which the allowance turned out to be used up, and
all of it again after a minute in which it did not.

Not promised: waiting, and counting what was sent; `allowance.py` counts.
"""

from __future__ import annotations

from typing import Final

PLANNED_PART: Final = 0.98
"""What is planned of an allowance. Requests take different times to arrive, so more of them come in one second than
left in one: at all of it, an endpoint that counts strictly by the second would refuse some in every other second."""

_RAMP_S: Final = 10.0  # all who were told to wait come back at the same moment
_RAMP_FROM: Final = 0.1
_LOWERED: Final = 0.8
_LOWEST: Final = 0.02
_LOWER_AGAIN_S: Final = 1.0  # the published allowance is one of a second
_PLATEAU: Final = 0.9  # of the rate that was refused: a refusal comes late, when what the endpoint saved up is spent
_RECOVERY_S: Final = 60.0
_PLATEAU_S: Final = _RECOVERY_S / 2


class Rate:
    """The rate of one endpoint. Times are monotonic seconds.

    An organisation's allowance is used by others too, and nobody says how much of it is left. So the part that may be
    used is searched for: a little below the rate that was refused is a plateau. The rate is back near it within
    seconds, stays there for about half a minute, and only then tries for more, faster and faster.
    """

    __slots__ = (
        "_lowered_at",
        "_lowered_to",
        "_plateau",
        "_recovers_from",
        "paused_until",
        "share",
        "steady_from",
        "units_per_s",
    )

    def __init__(self, units_per_s: float, share: float = 1.0) -> None:
        self.units_per_s = units_per_s
        """The allowance of everybody together."""
        self.share = share
        """This member's part of it."""
        self.paused_until = float("-inf")
        """Before this moment the endpoint wants no request."""
        self.steady_from = float("-inf")
        """From this moment on the rate does not move by itself."""
        self._lowered_at = self._recovers_from = float("-inf")
        self._lowered_to = self._plateau = 1.0

    def at(self, now: float) -> float:
        """The request units a second that may be spent now."""
        full = self.units_per_s * self.share
        if now >= self.steady_from:
            return full
        if now < self.paused_until:
            return 0.0
        ramp = min(1.0, _RAMP_FROM + (1 - _RAMP_FROM) * (now - self.paused_until) / _RAMP_S)
        return full * ramp * self._part(now)

    def pause(self, until: float, now: float) -> None:
        """The endpoint wants nothing before a moment; recovering stands still until then."""
        begins_at = max(now, self.paused_until)
        if until <= begins_at:
            return
        self._recovers_from += until - begins_at
        self.paused_until = until
        self.steady_from = max(self._recovers_from + _RECOVERY_S, until + _RAMP_S)

    def lower(self, *, started_at: float, now: float) -> None:
        """The allowance was used up when a request arrived that began at `started_at`.

        However many meet it, it is one event in a second; and what began before the rate was lowered says nothing new.
        """
        if started_at < self._lowered_at or now < self._lowered_at + _LOWER_AGAIN_S:
            return
        used = self._part(now)
        self._lowered_to = max(_LOWEST, used * _LOWERED)
        self._plateau = max(_LOWEST, used * _PLATEAU)
        self._lowered_at, self._recovers_from = now, max(now, self.paused_until)
        self.steady_from = max(self._recovers_from + _RECOVERY_S, self.paused_until + _RAMP_S)

    def _part(self, now: float) -> float:
        """What the search allows of the full rate: a cubic that is flat on the plateau."""
        away = min(1.0, (now - self._recovers_from) / _PLATEAU_S - 1)
        if away < 0:
            return self._plateau + (self._plateau - self._lowered_to) * max(-1.0, away) ** 3
        return self._plateau + (1 - self._plateau) * away**3
