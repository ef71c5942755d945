"""The way of a request through the local Edge: arrival, perhaps a fault, decision, answer.

Promise: a fault replaces the decision, except where it says that the request is accepted first. Choosing a
fault, its effect on the wire, the rules and the ledger stand elsewhere; this file says in which order.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, assert_never

import orjson
from aiohttp import web

from connector.local.edge.answers import collect_body, make_handles, reported_body
from connector.local.edge.catalogue import NAMES_EVENTS
from connector.local.edge.effects import (
    break_the_wire,
    foreign_answer,
    reset_connection,
    retry_after_text,
    status_problem,
)
from connector.local.edge.exchange import (
    Exchange,
    accept,
    answer,
    break_off,
    count,
    decide,
    json_response,
    location_hint_of,
    note,
    open_exchange,
    problem_response,
    refuse,
    wait,
)
from connector.local.edge.fault_switch import Candidate
from connector.local.edge.faults import (
    EndlessBodyEffect,
    Fault,
    ForeignEffect,
    HalfBodyEffect,
    HangEffect,
    MultiStatusEffect,
    NameEvents,
    OauthErrorEffect,
    ResetEffect,
    SlowEffect,
    StatusEffect,
    WrongLengthEffect,
)
from connector.local.edge.ledger import Fate
from connector.local.edge.rules import Accepted, Endpoint, Refused, first_identity, read_events, too_large
from connector.local.edge.state import now_ms

if TYPE_CHECKING:
    from collections.abc import Sequence


async def serve_collect(request: web.Request) -> web.StreamResponse:
    """Serve one request to collect."""
    return await _serve(open_exchange(request, Endpoint.COLLECT))


async def serve_interact(request: web.Request) -> web.StreamResponse:
    """Serve one request to interact."""
    return await _serve(open_exchange(request, Endpoint.INTERACT))


async def _serve(exchange: Exchange) -> web.StreamResponse:
    body_first = exchange.state.switch.needs_body()
    fault = None if body_first else _pick(exchange)
    if fault is not None and _is_early_reset(fault):
        break_off(exchange, "reset")
        return reset_connection(exchange.request)
    try:
        exchange.body = await exchange.request.read()
    except web.HTTPRequestEntityTooLarge:
        return refuse(exchange, Refused(too_large(exchange.state.settings.max_body_bytes)))
    if body_first:
        fault = _pick(exchange)
    latency = exchange.state.settings.latency
    if latency is not None:
        await wait(exchange, latency.draw_ms(exchange.state.rng))
    return answer(exchange) if fault is None else await _meet(exchange, fault)


def _pick(exchange: Exchange) -> Fault | None:
    candidate = Candidate(
        path=exchange.request.path,
        datastream=exchange.datastream,
        is_event_endpoint=True,
        body=exchange.body,
    )
    return exchange.state.switch.pick(candidate, now_ms())


def _is_early_reset(fault: Fault) -> bool:
    return isinstance(fault.effect, ResetEffect) and fault.effect.when == "before_body"


async def _meet(exchange: Exchange, fault: Fault) -> web.StreamResponse:
    """Let a request meet its fault: accept first where asked, wait, then do what the fault does."""
    accepted: Accepted | None = None
    if fault.accept_first:
        decision = decide(exchange)
        if isinstance(decision, Refused):
            return refuse(exchange, decision)
        accepted = decision
        note(exchange, accepted.events, Fate.ACCEPTED, "accepted_first", None)
    if fault.delay is not None:
        await wait(exchange, fault.delay.draw_ms(exchange.state.rng))
    return await _perform(exchange, fault, accepted)


async def _perform(exchange: Exchange, fault: Fault, accepted: Accepted | None) -> web.StreamResponse:
    match fault.effect:
        case SlowEffect() | OauthErrorEffect():  # the switch keeps errors of OAuth for the token endpoint
            return answer(exchange) if accepted is None else count(exchange, accept(exchange, accepted))
        case MultiStatusEffect() as effect:
            return _report(exchange, fault, effect, accepted)
        case StatusEffect() as effect:
            return _give_status(exchange, fault, effect, accepted)
        case ForeignEffect() as effect:
            break_off(exchange, effect.body)
            return foreign_answer(effect.body)
        case HangEffect() | ResetEffect() | HalfBodyEffect() | WrongLengthEffect() | EndlessBodyEffect() as effect:
            break_off(exchange, effect.kind)
            status = 202 if exchange.endpoint is Endpoint.COLLECT else 200
            answer_bytes = collect_body(exchange.request_id)
            return await break_the_wire(exchange.request, effect, status, answer_bytes, exchange.state.closing)
        case _:
            assert_never(fault.effect)


def _report(exchange: Exchange, fault: Fault, effect: MultiStatusEffect, accepted: Accepted | None) -> web.Response:
    """Accept and report; a request that breaks a rule is refused all the same."""
    if accepted is None:
        decision = decide(exchange)
        if isinstance(decision, Refused):
            return refuse(exchange, decision)
        accepted = decision
        note(exchange, accepted.events, Fate.ACCEPTED, str(effect.status), effect.status)
    is_interact = exchange.endpoint is Endpoint.INTERACT
    body = reported_body(
        exchange.request_id,
        errors=effect.errors,
        warnings=effect.warnings,
        event_indexes=_indexes(fault, effect.name_events, accepted.events),
        handles=make_handles(accepted.events[0], location_hint_of(exchange)) if is_interact else (),
    )
    return count(exchange, json_response(exchange, effect.status, body))


def _give_status(exchange: Exchange, fault: Fault, effect: StatusEffect, accepted: Accepted | None) -> web.Response:
    """Answer a status. After an acceptance it is no true verdict, else it is a refusal."""
    events = read_events(exchange.body)
    indexes = _indexes(fault, _events_to_name(fault, effect), events)
    guilty = events[indexes[0]] if indexes else next(iter(events), None)
    problem = status_problem(effect, indexes, first_identity(guilty))
    fate = Fate.REFUSED if accepted is None else Fate.UNANSWERED
    note(exchange, events, fate, problem.code or str(problem.status), problem.status)
    response = problem_response(exchange, problem)
    retry_after = retry_after_text(effect.retry_after, datetime.now(UTC))
    if retry_after is not None:
        response.headers["Retry-After"] = retry_after
    return count(exchange, response)


def _events_to_name(fault: Fault, effect: StatusEffect) -> NameEvents:
    """Which events to name where the fault does not say: for the codes that name some, those at fault or the first."""
    if effect.name_events is not None or effect.code not in NAMES_EVENTS:
        return effect.name_events or "none"
    return "first" if fault.select.when_event_contains is None else "matching"


def _indexes(fault: Fault, named: NameEvents, events: Sequence[object]) -> list[int]:
    """Find the places of the events that a fault names: none, the first, all, or those that hold its marker."""
    if named == "none":
        return []
    if named == "first":
        return [0] if events else []
    marker = (fault.select.when_event_contains or "").encode() if named == "matching" else b""
    return [index for index, event in enumerate(events) if marker in orjson.dumps(event)]
