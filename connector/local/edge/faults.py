"""Faults on demand, as JSON: who meets a fault, how long it waits, what it does.

For example, for half a minute every second request to collect is accepted and answered 503 after a while:

    {"faults": [{"name": "bad minute",
                 "select": {"share": 0.5, "seconds": 30, "path": "collect"},
                 "delay": {"kind": "uniform", "min_ms": 5, "max_ms": 50},
                 "effect": {"kind": "status", "code": "EXEG-0201-503", "retry_after": 2},
                 "accept_first": true}]}

`{"code": "0306"}` in the place of an effect answers that code as it is published, a warning such as 0301 too.

Promise: a fault that is not well described is refused with the place and the reason, and so is a code that is not
published, unless `unpublished` says that it is meant. Values only: which request meets which fault is decided in
`fault_switch`, what then happens to it in `serve`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, Self

import orjson
from pydantic import BeforeValidator, Field, ValidationError, model_validator

from connector.local.edge.catalogue import CODE_PATTERN, TITLES, read_code
from connector.local.edge.delays import Delay, Strict

if TYPE_CHECKING:
    from collections.abc import Sequence

_TAGGED = frozenset({"effect", "delay"})  # pydantic puts the kind behind these into its locations


class Selector(Strict):
    """Who meets the fault: all that is given must hold. Without `path`: requests to collect and interact."""

    share: float = Field(1.0, ge=0, le=1)
    requests: int | None = Field(None, ge=1)  # the next so many that match
    seconds: float | None = Field(None, gt=0)  # from the moment it is set
    path: str | None = Field(None, min_length=1)  # part of the request's path
    datastream: str | None = Field(None, min_length=1)
    when_event_contains: str | None = Field(None, min_length=1)  # as it stands in the body's bytes


class DateRetryAfter(Strict):
    """Retry-After as an HTTP date, so many seconds from the answer; negative lies in the past."""

    date_in_seconds: int


HeaderText = Annotated[str, Field(pattern=r"^[\x20-\x7e]*$")]  # a line break would end the header
NameEvents = Literal["none", "first", "matching", "all"]


def _read_code(given: object) -> object:
    """Read a code in any of its short forms; one in full is left for `_check_published`."""
    if not isinstance(given, str | int) or CODE_PATTERN.fullmatch(str(given)):
        return given
    return read_code(given)


Code = Annotated[str, BeforeValidator(_read_code)]


def _check_published(codes: Sequence[str], *, unpublished: bool) -> None:
    """Refuse what is not published; an invention has to be called one."""
    unknown = [code for code in codes if code not in TITLES]
    if unknown and not unpublished:
        raise ValueError(f'{unknown[0]} is not published; "unpublished": true answers it all the same')


class StatusEffect(Strict):
    """Answer a status with a problem document: of a published code, or without one.

    `name_events` is for the codes that name events as `#index`; not given, it is `matching` or `first` for them.
    """

    kind: Literal["status"]
    status: int | None = Field(None, ge=400, le=599)
    code: Code | None = None
    unpublished: bool = False  # a code that is not published is meant, and no slip
    detail: str | None = None
    name_events: NameEvents | None = None
    retry_after: int | HeaderText | DateRetryAfter | None = None  # seconds, raw text, or a date

    @model_validator(mode="after")
    def check_status(self) -> Self:
        """Refuse an effect without a status, or with two that differ."""
        if self.status is None and self.code is None:
            raise ValueError("give a status, a code or both")
        if self.status is not None and self.code is not None and not self.code.endswith(f"-{self.status}"):
            raise ValueError(f"status {self.status} is not the status of {self.code}")
        if self.code is not None:
            _check_published([self.code], unpublished=self.unpublished)
            if self.code.endswith("-200"):
                raise ValueError(f"{self.code} is a warning: give it as the fault's code, or as multi_status")
        return self


class SlowEffect(Strict):
    """Nothing but the delay: then the request is decided as always."""

    kind: Literal["slow"] = "slow"


class HangEffect(Strict):
    """Never answer; the request ends when its sender gives up or the Edge stops."""

    kind: Literal["hang"]


class ResetEffect(Strict):
    """Reset the connection (RST)."""

    kind: Literal["reset"]
    when: Literal["before_body", "after_body"] = "after_body"


class HalfBodyEffect(Strict):
    """Promise a whole body, send half of it, close."""

    kind: Literal["half_body"]


class WrongLengthEffect(Strict):
    """Send a body and a Content-Length that is not its own: `more` than comes, or `less`."""

    kind: Literal["wrong_length"]
    announce: Literal["more", "less"] = "more"


class EndlessBodyEffect(Strict):
    """Answer a body that never ends; the request ends when its sender gives up or the Edge stops."""

    kind: Literal["endless_body"]


class OauthErrorEffect(Strict):
    """Refuse a token with one of OAuth's errors; without a `path` it meets the token endpoint."""

    kind: Literal["oauth_error"]
    error: Literal[
        "invalid_client",
        "invalid_scope",
        "invalid_grant",
        "invalid_request",
        "unauthorized_client",
        "unsupported_grant_type",
    ]


class ForeignEffect(Strict):
    """Answer what did not come from the Edge: a page, an empty 202, a 202 that is not JSON, a redirect."""

    kind: Literal["foreign"]
    body: Literal["html_200", "empty_202", "text_202", "captive_portal", "redirect_302"]


class MultiStatusEffect(Strict):
    """Accept, and report codes: 207 with `errors[]` and `warnings[]` (published), or another success."""

    kind: Literal["multi_status"]
    status: Literal[200, 202, 207] = 207
    errors: tuple[Code, ...] = Field((), strict=False)
    warnings: tuple[Code, ...] = Field((), strict=False)
    unpublished: bool = False
    name_events: NameEvents = "all"

    @model_validator(mode="after")
    def check_codes(self) -> Self:
        """Refuse a report of nothing."""
        if not self.errors and not self.warnings:
            raise ValueError("give at least one code in errors or warnings")
        _check_published([*self.errors, *self.warnings], unpublished=self.unpublished)
        return self


Effect = (
    StatusEffect
    | SlowEffect
    | HangEffect
    | ResetEffect
    | HalfBodyEffect
    | WrongLengthEffect
    | EndlessBodyEffect
    | ForeignEffect
    | MultiStatusEffect
    | OauthErrorEffect
)


class Fault(Strict):
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


class FaultList(Strict):
    """The body of a PUT: it replaces all faults."""

    faults: tuple[Fault, ...] = Field(strict=False)


class FaultsNotUnderstoodError(ValueError):
    """The JSON is no list of faults; the text says where and why, a line for each reason."""


def parse_faults(body: bytes) -> Sequence[Fault]:
    """Read `{"faults": [...]}`; raises FaultsNotUnderstoodError."""
    try:
        return FaultList.model_validate_json(_spell_out(body)).faults
    except ValidationError as error:
        reasons = [f"{_place(e['loc'])}: {e['msg']}" for e in error.errors(include_url=False)]
        raise FaultsNotUnderstoodError("\n".join(reasons)) from None


def _spell_out(body: bytes) -> bytes:
    """Give each fault that has a `code` the effect that answers it; what is not understood is left as it is."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return body
    faults = document.get("faults") if isinstance(document, dict) else None
    if not isinstance(faults, list):
        return body
    for fault in faults:
        if isinstance(fault, dict) and "code" in fault and "effect" not in fault:
            select = fault.get("select")
            is_marked = isinstance(select, dict) and "when_event_contains" in select
            fault["effect"] = _effect_of(fault.pop("code"), "matching" if is_marked else "all")
    return orjson.dumps(document)


def _effect_of(code: object, warned: NameEvents) -> dict[str, object]:
    try:
        is_warning = isinstance(code, str | int) and read_code(code).endswith("-200")
    except ValueError:  # told with its place, when the effect is read
        is_warning = False
    if is_warning:
        return {"kind": "multi_status", "warnings": [code], "name_events": warned}
    return {"kind": "status", "code": code}


def _place(location: tuple[int | str, ...]) -> str:
    """Write a location as `faults[0].effect.status`."""
    text, previous = "", None
    for step in location:
        if previous not in _TAGGED:
            text += f"[{step}]" if isinstance(step, int) else f".{step}"
        previous = step if previous not in _TAGGED else None
    return text.lstrip(".") or "body"
