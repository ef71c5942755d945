"""What can befall a group of connectors, their brokers and the Edge, drawn from a seed.

Promise: pure. The same seed gives the same troubles at the same moments; who is there to be hit is up to the run.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from random import Random

    from tests.faults.weather import Fault

KINDS: Final = {
    "kill a member": 4,
    "stop a member": 3,
    "freeze a member": 2,
    "one member more": 2,
    "kill a broker": 3,
    "freeze a broker": 1,
    "kill two brokers": 1,
    "weather": 8,
}
"""Each kind of trouble, and how often it comes compared with the others."""

_PAUSES_S: Final = (0.5, 5.0)  # between the beginnings of two troubles
_LONGEST_S: Final = {"freeze a member": 14.0, "kill a broker": 10.0, "freeze a broker": 10.0, "one member more": 15.0}
_LONGEST_OTHERWISE_S: Final = 6.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """One fault, its beginning in seconds from the start, and how long it lasts."""

    kind: str
    at_s: float
    seconds: float
    target: int
    fault: tuple[str, Fault] | None  # the weather over the Edge

    def __str__(self) -> str:
        what = self.fault[0] if self.fault else f"no. {self.target}"
        return f"{self.at_s:7.1f} s  {self.kind} ({what}) for {self.seconds:.1f} s"


def draw(rng: Random, weather: dict[str, Fault], seconds: float) -> list[Trouble]:
    """The troubles of a run of so many seconds, in order; all of them end within it."""
    found: list[Trouble] = []
    at_s = rng.uniform(*_PAUSES_S)
    while at_s < seconds:
        kind = rng.choices(list(KINDS), list(KINDS.values()))[0]
        lasts_s = rng.uniform(0.2, _LONGEST_S.get(kind, _LONGEST_OTHERWISE_S))
        name = rng.choice(list(weather))
        share = {"select": {"share": rng.choice((0.3, 0.7, 1.0))}}
        fault = (name, {"name": name, **weather[name], **share}) if kind == "weather" else None
        target = rng.randrange(1_000)
        found.append(Trouble(kind=kind, at_s=at_s, seconds=min(lasts_s, seconds - at_s), target=target, fault=fault))
        at_s += rng.uniform(*_PAUSES_S)
    return found
