"""The switch: which request meets which fault.

Promise: faults can be set at any moment, several at once; for each request the first that matches wins and is
counted. Time is an argument in milliseconds, chance a `Random`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from connector.local.edge.faults import OauthErrorEffect

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random

    from connector.local.edge.faults import Fault


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """What the switch looks at in a request; `body` is empty where nobody needs it."""

    path: str
    datastream: str | None
    is_event_endpoint: bool
    body: bytes = b""


@dataclass(slots=True)
class _Active:
    fault: Fault
    set_ms: float
    matched: int = 0

    def is_over(self, now_ms: float) -> bool:
        select = self.fault.select
        if select.requests is not None and self.matched >= select.requests:
            return True
        return select.seconds is not None and now_ms >= self.set_ms + select.seconds * 1000

    def meets(self, candidate: Candidate) -> bool:
        select = self.fault.select
        is_for_tokens = isinstance(self.fault.effect, OauthErrorEffect)
        if is_for_tokens and candidate.is_event_endpoint:
            return False
        if select.path is None and not is_for_tokens and not candidate.is_event_endpoint:
            return False
        if select.path is not None and select.path not in candidate.path:
            return False
        if select.datastream is not None and select.datastream != candidate.datastream:
            return False
        return select.when_event_contains is None or select.when_event_contains.encode() in candidate.body


class FaultSwitch:
    """The active faults, settable while the Edge runs."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._active: list[_Active] = []

    def replace(self, faults: Sequence[Fault], now_ms: float) -> None:
        """Make these the active faults; an empty list ends all."""
        self._active = [_Active(fault, now_ms) for fault in faults]

    def needs_body(self) -> bool:
        """Tell whether picking has to wait for the body."""
        return any(active.fault.select.when_event_contains is not None for active in self._active)

    def pick(self, candidate: Candidate, now_ms: float) -> Fault | None:
        """Pick the first fault that meets this request, and count it. Ask once per request."""
        for active in self._active:
            if active.is_over(now_ms) or not active.meets(candidate):
                continue
            if self._rng.random() < active.fault.select.share:
                active.matched += 1
                return active.fault
        return None

    def describe(self, now_ms: float) -> list[dict[str, object]]:
        """List all faults that were set, with how many requests each has met and whether it is over."""
        return [
            {
                "fault": active.fault.model_dump(exclude_none=True),
                "matched": active.matched,
                "over": active.is_over(now_ms),
            }
            for active in self._active
        ]
