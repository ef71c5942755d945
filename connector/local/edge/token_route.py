"""The token endpoint over HTTP, with the faults that name its path.

Promise: it answers as OAuth's client-credentials grant does; the credentials count in the form only, never in
the query. Issuing stands in `edge_tokens`.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import assert_never

import orjson
from aiohttp import web

from connector.local.edge.effects import (
    break_the_wire,
    foreign_answer,
    retry_after_text,
    status_problem,
)
from connector.local.edge.fault_switch import Candidate
from connector.local.edge.faults import (
    Effect,
    EndlessBodyEffect,
    ForeignEffect,
    HalfBodyEffect,
    HangEffect,
    MultiStatusEffect,
    OauthErrorEffect,
    ResetEffect,
    SlowEffect,
    StatusEffect,
    WrongLengthEffect,
)
from connector.local.edge.state import STATE, EdgeState, now_ms


async def serve_token(request: web.Request) -> web.StreamResponse:
    """Serve one request for a token; a fault meets it only where the fault's `path` names this path."""
    state = request.app[STATE]
    body = await request.read()
    candidate = Candidate(path=request.path, datastream=None, is_event_endpoint=False, body=body)
    fault = state.switch.pick(candidate, now_ms())
    if fault is None:
        return await _issue(request, state)
    if fault.delay is not None:
        await asyncio.sleep(fault.delay.draw_ms(state.rng) / 1000)
    return await _perform(request, state, fault.effect)


async def _issue(request: web.Request, state: EdgeState) -> web.Response:
    if request.content_type != "application/x-www-form-urlencoded":
        return _count(request, 400, {"error": "invalid_request", "error_description": "expected a form"})
    form = {name: value for name, value in (await request.post()).items() if isinstance(value, str)}
    answer = state.tokens.issue(form, now_ms())
    return _count(request, answer.status, answer.body)


def _count(request: web.Request, status: int, document: object) -> web.Response:
    request.app[STATE].ledger.count_request(request.path, str(status))
    headers = {"Cache-Control": "no-store"}
    body = orjson.dumps(document)
    return web.Response(status=status, body=body, content_type="application/json", headers=headers)


_CUT_SHORT = b'{"access_token":"cut-short","token_type":"bearer"}'


async def _perform(request: web.Request, state: EdgeState, effect: Effect) -> web.StreamResponse:
    match effect:
        case SlowEffect() | MultiStatusEffect():  # tokens have no 207: a fault for them is at most slow
            return await _issue(request, state)
        case StatusEffect():
            return _give_status(request, effect)
        case OauthErrorEffect():
            status = 401 if effect.error == "invalid_client" else 400
            return _count(request, status, {"error": effect.error, "error_description": "a fault of the local Edge"})
        case ForeignEffect():
            state.ledger.count_request(request.path, effect.body)
            return foreign_answer(effect.body)
        case HangEffect() | ResetEffect() | HalfBodyEffect() | WrongLengthEffect() | EndlessBodyEffect():
            state.ledger.count_request(request.path, effect.kind)
            return await break_the_wire(request, effect, 200, _CUT_SHORT, state.closing)
        case _:
            assert_never(effect)


def _give_status(request: web.Request, effect: StatusEffect) -> web.Response:
    problem = status_problem(effect, ())
    response = _count(request, problem.status, {"error": "fault", "error_description": problem.detail})
    retry_after = retry_after_text(effect.retry_after, datetime.now(UTC))
    if retry_after is not None:
        response.headers["Retry-After"] = retry_after
    return response
