"""Faults on demand, as JSON: who meets a fault, how long it waits, what it does.

For example, for half a minute every second request to collect is accepted and answered 503 after a while:

    {"faults": [{"name": "bad minute",
                 "select": {"share": 0.5, "seconds": 30, "path": "collect"},
                 "delay": {"kind": "uniform", "min_ms": 5, "max_ms": 50},
                 "effect": {"kind": "status", "code": "EXEG-0201-503", "retry_after": 2},
                 "accept_first": true}]}

Promise: a fault that is not well described is refused with the place and the reason. Values only: which
request meets which fault is decided in `edge_fault_switch`, what then happens to it in `edge_serve`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from connector.local.edge.problems import CODE_PATTERN

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random

_TAGGED = frozenset({"effect", "delay"})  # pydantic puts the kind behind these into its locations


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Selector(_Strict):
    """Who meets the fault: all that is given must hold. Without `path`: requests to collect and interact."""

    share: float = Field(1.0, ge=0, le=1)
    requests: int | None = Field(None, ge=1)  # the next so many that match
    seconds: float | None = Field(None, gt=0)  # from the moment it is set
    path: str | None = Field(None, min_length=1)  # part of the request's path
    datastream: str | None = Field(None, min_length=1)
    when_event_contains: str | None = Field(None, min_length=1)  # as it stands in the body's bytes


class FixedDelay(_Strict):
    """Always the same."""

    kind: Literal["fixed"]
    ms: float = Field(ge=0)

    def draw_ms(self, rng: Random) -> float:  # noqa: ARG002 - one contract for all delays
        """Draw one delay."""
        return self.ms


class UniformDelay(_Strict):
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


class HeavyTailDelay(_Strict):
    """Mostly near the median, now and then many times it (log-normal), never over the maximum."""

    kind: Literal["heavy_tail"]
    median_ms: float = Field(gt=0)
    max_ms: float = Field(gt=0)
    sigma: float = Field(1.0, gt=0, le=5)

    def draw_ms(self, rng: Random) -> float:
        """Draw one delay."""
        return min(self.max_ms, self.median_ms * rng.lognormvariate(0.0, self.sigma))


class DateRetryAfter(_Strict):
    """Retry-After as an HTTP date, so many seconds from the answer; negative lies in the past."""

    date_in_seconds: int


HeaderText = Annotated[str, Field(pattern=r"^[\x20-\x7e]*$")]  # a line break would end the header
Code = Annotated[str, Field(pattern=f"^{CODE_PATTERN.pattern}$")]


class StatusEffect(_Strict):
    """Answer a status with a problem document: of a published code, or without one."""

    kind: Literal["status"]
    status: int | None = Field(None, ge=400, le=599)
    code: Code | None = None
    detail: str | None = None
    name_events: Literal["none", "matching", "all"] = "none"
    retry_after: int | HeaderText | DateRetryAfter | None = None  # seconds, raw text, or a date

    @model_validator(mode="after")
    def check_status(self) -> Self:
        """Refuse an effect without a status, or with two that differ."""
        if self.status is None and self.code is None:
            raise ValueError("give a status, a code or both")
        if self.status is not None and self.code is not None and not self.code.endswith(f"-{self.status}"):
            raise ValueError(f"status {self.status} is not the status of {self.code}")
        return self


class SlowEffect(_Strict):
    """Nothing but the delay: then the request is decided as always."""

    kind: Literal["slow"] = "slow"


class HangEffect(_Strict):
    """Never answer; the request ends when its sender gives up or the Edge stops."""

    kind: Literal["hang"]


class ResetEffect(_Strict):
    """Reset the connection (RST)."""

    kind: Literal["reset"]
    when: Literal["before_body", "after_body"] = "after_body"


class HalfBodyEffect(_Strict):
    """Promise a whole body, send half of it, close."""

    kind: Literal["half_body"]


class ForeignEffect(_Strict):
    """Answer what did not come from the Edge: a page, an empty 202, a 202 that is not JSON, a redirect."""

    kind: Literal["foreign"]
    body: Literal["html_200", "empty_202", "text_202", "captive_portal", "redirect_302"]


class MultiStatusEffect(_Strict):
    """Accept, and report codes: 207 with `errors[]` and `warnings[]` (published), or another success."""

    kind: Literal["multi_status"]
    status: Literal[200, 202, 207] = 207
    errors: tuple[Code, ...] = Field((), strict=False)
    warnings: tuple[Code, ...] = Field((), strict=False)
    name_events: Literal["none", "matching", "all"] = "all"

    @model_validator(mode="after")
    def check_codes(self) -> Self:
        """Refuse a report of nothing."""
        if not self.errors and not self.warnings:
            raise ValueError("give at least one code in errors or warnings")
        return self


Delay = FixedDelay | UniformDelay | HeavyTailDelay
Effect = StatusEffect | SlowEffect | HangEffect | ResetEffect | HalfBodyEffect | ForeignEffect | MultiStatusEffect


class Fault(_Strict):
    """One fault: whom it meets, how long it waits, what it does.

    `accept_first`: where the request is one that would be accepted, its events are accepted before anything
    else happens, so the sender does not learn of it. A request that would be refused is refused.
    """

    name: str = ""
    select: Selector = Selector()
    delay: Annotated[Delay, Field(discriminator="kind")] | None = None
    effect: Annotated[Effect, Field(discriminator="kind")] = SlowEffect()
    accept_first: bool = False

    @model_validator(mode="after")
    def check_needs(self) -> Self:
        """Refuse what contradicts itself."""
        marker = self.select.when_event_contains
        early = isinstance(self.effect, ResetEffect) and self.effect.when == "before_body"
        if early and (marker or self.accept_first):
            raise ValueError("a reset before_body knows no event: no when_event_contains and no accept_first")
        named = isinstance(self.effect, StatusEffect | MultiStatusEffect) and self.effect.name_events
        if named == "matching" and marker is None:
            raise ValueError("name_events 'matching' needs select.when_event_contains")
        return self


class FaultList(_Strict):
    """The body of a PUT: it replaces all faults."""

    faults: tuple[Fault, ...] = Field(strict=False)


class FaultsNotUnderstoodError(ValueError):
    """The JSON is no list of faults; the text says where and why, a line for each reason."""


def parse_faults(body: bytes) -> Sequence[Fault]:
    """Read `{"faults": [...]}`; raises FaultsNotUnderstoodError."""
    try:
        return FaultList.model_validate_json(body).faults
    except ValidationError as error:
        reasons = [f"{_place(e['loc'])}: {e['msg']}" for e in error.errors(include_url=False)]
        raise FaultsNotUnderstoodError("\n".join(reasons)) from None


def _place(location: tuple[int | str, ...]) -> str:
    """Write a location as `faults[0].effect.status`."""
    text, previous = "", None
    for step in location:
        if previous not in _TAGGED:
            text += f"[{step}]" if isinstance(step, int) else f".{step}"
        previous = step if previous not in _TAGGED else None
    return text.lstrip(".") or "body"
