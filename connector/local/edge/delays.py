"""How long an answer is delayed: always the same, evenly between two bounds, or with a heavy tail.

Promise: a delay never leaves its bounds; chance is an argument. Waiting is the caller's.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

if TYPE_CHECKING:
    from random import Random

_LATENCY = re.compile(r"(\d+(?:\.\d+)?)(?:([-~])(\d+(?:\.\d+)?))?", re.ASCII)


class Strict(BaseModel):
    """A part of a fault: of exactly the types and members that are described."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class FixedDelay(Strict):
    """Always the same."""

    kind: Literal["fixed"]
    ms: float = Field(ge=0)

    def draw_ms(self, rng: Random) -> float:  # noqa: ARG002 - one contract for all delays
        """Draw one delay."""
        return self.ms


class UniformDelay(Strict):
    """Anything between two bounds."""

    kind: Literal["uniform"]
    min_ms: float = Field(ge=0)
    max_ms: float = Field(ge=0)

    @model_validator(mode="after")
    def check_order(self) -> Self:
        """Refuse bounds in the wrong order."""
        if self.max_ms < self.min_ms:
            raise ValueError("max_ms is less than min_ms")
        return self

    def draw_ms(self, rng: Random) -> float:
        """Draw one delay."""
        return rng.uniform(self.min_ms, self.max_ms)


class HeavyTailDelay(Strict):
    """Mostly near the median, now and then many times it (log-normal), never over the maximum."""

    kind: Literal["heavy_tail"]
    median_ms: float = Field(gt=0)
    max_ms: float = Field(gt=0)
    sigma: float = Field(1.0, gt=0, le=5)

    def draw_ms(self, rng: Random) -> float:
        """Draw one delay."""
        return min(self.max_ms, self.median_ms * rng.lognormvariate(0.0, self.sigma))


Delay = FixedDelay | UniformDelay | HeavyTailDelay


def read_latency(text: str) -> Delay:
    """Read a latency in milliseconds: `20`, `5-50` (evenly) or `20~2000` (median and maximum of a heavy tail).

    Raises:
        ValueError: it is none of these, or its bounds contradict each other.
    """
    found = _LATENCY.fullmatch(text.strip())
    if found is None:
        raise ValueError("expected milliseconds such as 20, 5-50 (evenly) or 20~2000 (heavy tail)")
    first, second = float(found[1]), float(found[3] or 0)
    match found[2]:
        case None:
            return FixedDelay(kind="fixed", ms=first)
        case "-":
            return UniformDelay(kind="uniform", min_ms=first, max_ms=second)
        case _:
            return HeavyTailDelay(kind="heavy_tail", median_ms=first, max_ms=second)
