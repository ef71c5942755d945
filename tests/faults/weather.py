"""What befalls a route's requests in an outage: spells of one fault after the other, drawn from a seed.

Promise: pure. The same seed gives the same spells, and before any kind of fault comes again each of them was there
once. Which request meets a spell of less than everybody is the Edge's draw and differs from run to run.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from random import Random

Fault = dict[str, Any]

_SHARES: Final = (0.3, 0.7, 1.0)


def status(**what: object) -> Fault:
    """The fault that answers a status or a published code."""
    return {"effect": {"kind": "status", **what}}


BATTERING: Final[Mapping[str, Fault | None]] = {
    "calm": None,
    "unavailable": status(code="EXEG-0201-503"),
    "bad gateway": status(code="EXEG-0202-502"),
    "gateway time-out": status(status=504),
    "throttled": status(status=429),
    "unexpected": status(code="EXEG-0001-500"),
    "hang": {"effect": {"kind": "hang"}},
    "accepted, then a hang": {"effect": {"kind": "hang"}, "accept_first": True},
    "early reset": {"effect": {"kind": "reset", "when": "before_body"}},
    "accepted, then a reset": {"effect": {"kind": "reset"}, "accept_first": True},
    "half an answer": {"effect": {"kind": "half_body"}},
    "accepted, then half an answer": {"effect": {"kind": "half_body"}, "accept_first": True},
    "an empty 202": {"effect": {"kind": "foreign", "body": "empty_202"}},
    "a page": {"effect": {"kind": "foreign", "body": "html_200"}},
    "a redirect": {"effect": {"kind": "foreign", "body": "redirect_302"}},
}
"""Every passing fault that stops nobody but its own route."""

WAITING: Final[Mapping[str, Fault | None]] = {
    **BATTERING,
    "unavailable for seconds": status(code="EXEG-0201-503", retry_after=2),
    "throttled until a date": status(status=429, retry_after={"date_in_seconds": 3}),
    "unavailable for nonsense": status(code="EXEG-0201-503", retry_after="soon"),
}
"""As `BATTERING`, and `Retry-After` of every kind, which stops all routes of an endpoint."""

TOKENLESS: Final[Mapping[str, Fault]] = {
    "unavailable": status(status=503),
    "reset": {"effect": {"kind": "reset"}},
    "a page": {"effect": {"kind": "foreign", "body": "html_200"}},
}
"""How a token endpoint can be down."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spell:
    """One kind of weather, up to a moment in seconds from the outage's beginning."""

    name: str
    until_s: float
    fault: Fault | None


def forecast(rng: Random, kinds: Mapping[str, Fault | None], datastream: str, seconds: float) -> list[Spell]:
    """The spells over one datastream: all kinds in a random order, and anew, until the outage is over."""
    spells: list[Spell] = []
    until_s = 0.0
    names = _shuffled(rng, kinds)
    while until_s < seconds:
        name = next(names)
        until_s += seconds * rng.uniform(1 / 40, 1 / 20)
        fault = kinds[name]
        if fault is not None:
            share = rng.choice(_SHARES)
            fault = {"name": name, "select": {"datastream": datastream, "share": share}, **fault}
        spells.append(Spell(name=name, until_s=until_s, fault=fault))
    return spells


def spell_at(spells: Sequence[Spell], elapsed_s: float) -> Spell:
    """The spell of a moment; the last one lasts."""
    return next((spell for spell in spells if elapsed_s < spell.until_s), spells[-1])


def _shuffled(rng: Random, kinds: Mapping[str, object]) -> Iterator[str]:
    while True:
        yield from rng.sample(list(kinds), len(kinds))
