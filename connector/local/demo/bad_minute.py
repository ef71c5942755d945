"""What the Edge is told to do, phase by phase.

Promise: a phase lasts its time and until its faults have met the requests that they are meant for, but no longer
than a few seconds more, so that the script always comes to its end. Time is an argument; setting the faults is the
caller's.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

from connector.local.demo.files import TIMEOUT_MS

if TYPE_CHECKING:
    from collections.abc import Sequence

_OVERTIME_S: Final = 5.0
_TIMEOUT_S: Final = TIMEOUT_MS / 1000

Fault = dict[str, Any]


class Mood(Enum):
    """How well the Edge does, for the colours of the screen."""

    WELL = "well"
    ILL = "ill"


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """One stretch of the script."""

    text: str  # what the Edge does right now
    mood: Mood
    seconds: float
    faults: Sequence[Fault] = ()


def make_script(*, quick: bool) -> tuple[Phase, ...]:
    """The phases in their order; `quick` is for tests."""
    calm_s, away_s, retry_after_s = (1.0, 1.5, 1) if quick else (4.0, 5.0, 2)
    well = Phase(text="accepts what is good", mood=Mood.WELL, seconds=calm_s)
    return (well, _away(away_s, retry_after_s), _silent(), _resetting(), _mended(calm_s / 2))


def _away(seconds: float, retry_after_s: int) -> Phase:
    effect = {"kind": "status", "code": "EXEG-0201-503", "retry_after": retry_after_s}
    return Phase(
        text=f"answers 503 to everything, Retry-After: {retry_after_s}",
        mood=Mood.ILL,
        seconds=seconds,
        faults=[{"select": {"seconds": seconds}, "effect": effect}],
    )


def _silent() -> Phase:
    """Time-outs. The first requests are accepted, unless there is a flaw in them; their sender cannot know."""
    return Phase(
        text="accepts some requests, but never answers them",
        mood=Mood.ILL,
        seconds=_TIMEOUT_S + 0.5,
        faults=[
            {"select": {"requests": 4}, "effect": {"kind": "hang"}, "accept_first": True},
            {"select": {"requests": 1}, "effect": {"kind": "hang"}},
        ],
    )


def _resetting() -> Phase:
    return Phase(
        text="resets the connection of four requests",
        mood=Mood.ILL,
        seconds=1.0,
        faults=[{"select": {"requests": 4}, "effect": {"kind": "reset"}}],
    )


def _mended(seconds: float) -> Phase:
    return Phase(text="is well again: accepts what is good", mood=Mood.WELL, seconds=seconds)


class Script:
    """Where the demo stands in its phases. Times are monotonic seconds."""

    def __init__(self, phases: Sequence[Phase]) -> None:
        self._phases = phases
        self._place = -1
        self._since = 0.0
        self._total_s = sum(phase.seconds for phase in phases)

    @property
    def phase(self) -> Phase | None:
        """The phase that goes on; None before the first one."""
        return self._phases[self._place] if self._place >= 0 else None

    @property
    def is_last(self) -> bool:
        """Whether no other phase follows."""
        return self._place == len(self._phases) - 1

    def is_due(self, now: float, *, faults_over: bool) -> bool:
        """Whether the next phase is due."""
        phase = self.phase
        if phase is None or self.is_last:
            return phase is None
        seconds = now - self._since
        return seconds >= phase.seconds and (faults_over or seconds >= phase.seconds + _OVERTIME_S)

    def move_on(self, now: float) -> Phase:
        """Begin the next phase."""
        self._place += 1
        self._since = now
        return self._phases[self._place]

    def progress(self, now: float) -> float:
        """How much of the script is behind us, from 0 to 1; a phase in overtime stands still."""
        phase = self.phase
        if phase is None:
            return 0.0
        before = sum(each.seconds for each in self._phases[: self._place])
        return min(1.0, (before + min(phase.seconds, now - self._since)) / self._total_s)
