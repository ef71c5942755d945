"""One request to collect or interact: the decision over it, its entry in the ledger, its answer.

Promise: every answer is counted, and every event gets its fate into the ledger before the answer leaves.
Which request meets a fault, and what then, stands in `edge_serve`.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, assert_never

from aiohttp import web

from connector.local.edge.answers import LOCATION_HINT, collect_body, interact_body, make_request_id
from connector.local.edge.ledger import DecidedRequest, Fate
from connector.local.edge.problems import CONTENT_TYPE, Problem, problem_body
from connector.local.edge.rules import Accepted, Arrival, Endpoint, Refused, read_events
from connector.local.edge.state import STATE, EdgeState, now_ms

if TYPE_CHECKING:
    from collections.abc import Sequence

_JSON = "application/json;charset=UTF-8"


@dataclass(slots=True, kw_only=True)
class Exchange:
    """One request on its way through the local Edge; `body` is filled in when it has been read."""

    state: EdgeState
    request: web.Request
    endpoint: Endpoint
    datastream: str | None
    request_id: str
    body: bytes = b""


def open_exchange(request: web.Request, endpoint: Endpoint) -> Exchange:
    """Take a request in: its datastream, its request id, which counts as arrived."""
    state = request.app[STATE]
    query = request.query
    given_id = query.get("requestId")
    datastream = query.get("datastreamId") or query.get("dataStreamId")  # both spellings are in use (given)
    if given_id:
        state.ledger.note_arrival(given_id)
    return Exchange(
        state=state,
        request=request,
        endpoint=endpoint,
        datastream=datastream,
        request_id=make_request_id(given_id, state.rng),
    )


def decide(exchange: Exchange) -> Accepted | Refused:
    """Decide over the request as it stands; spends request units."""
    headers = exchange.request.headers
    arrival = Arrival(
        endpoint=exchange.endpoint,
        datastream=exchange.datastream,
        content_type=headers.get("Content-Type", ""),
        content_encoding=headers.get("Content-Encoding", ""),
        body=exchange.body,
    )
    return exchange.state.decide(arrival, headers)


def answer(exchange: Exchange) -> web.Response:
    """Decide, enter the decision, make the answer: the way of every request without a fault."""
    decision = decide(exchange)
    if isinstance(decision, Refused):
        return refuse(exchange, decision)
    response = accept(exchange, decision)
    note(exchange, decision.events, Fate.ACCEPTED, str(response.status), response.status)
    return count(exchange, response)


def refuse(exchange: Exchange, refused: Refused) -> web.Response:
    """Enter a refusal and make its answer."""
    problem = refused.problem
    note(exchange, refused.events, Fate.REFUSED, problem.code or str(problem.status), problem.status)
    return count(exchange, problem_response(exchange, problem))


def accept(exchange: Exchange, accepted: Accepted) -> web.Response:
    """Make the answer of an acceptance: 202, 204 to `silent=true`, or 200 of interact (given)."""
    match exchange.endpoint:
        case Endpoint.COLLECT if exchange.request.query.get("silent") == "true":
            return web.Response(status=204, headers=_headers(exchange))
        case Endpoint.COLLECT:
            return json_response(exchange, 202, collect_body(exchange.request_id))
        case Endpoint.INTERACT:
            body = interact_body(exchange.request_id, accepted.events[0], location_hint_of(exchange))
            return json_response(exchange, 200, body)
        case _:
            assert_never(exchange.endpoint)


def json_response(exchange: Exchange, status: int, body: bytes) -> web.Response:
    """Make an answer with a JSON body."""
    return web.Response(status=status, body=body, headers=_headers(exchange) | {"Content-Type": _JSON})


def problem_response(exchange: Exchange, problem: Problem) -> web.Response:
    """Make an answer with a problem document."""
    org_id = exchange.state.settings.credentials.org_id
    body = problem_body(problem, exchange.request_id, exchange.datastream, org_id)
    headers = _headers(exchange) | {"Content-Type": CONTENT_TYPE} | dict(problem.headers)
    return web.Response(status=problem.status, body=body, headers=headers)


def _headers(exchange: Exchange) -> dict[str, str]:
    return {"x-request-id": exchange.request_id, "x-adobe-edge": f"{location_hint_of(exchange).upper()};9"}


def location_hint_of(exchange: Exchange) -> str:
    """The region that serves: the one in the path, where there is one."""
    return exchange.request.match_info.get("hint", LOCATION_HINT)


def note(exchange: Exchange, events: Sequence[object], fate: Fate, code: str, status: int | None) -> None:
    """Enter the fate of these events in the ledger."""
    decided = DecidedRequest(
        path=exchange.request.path,
        status=status,
        code=code,
        request_id=exchange.request_id,
        fate=fate,
        events=events,
    )
    exchange.state.ledger.note(decided, now_ms())


def count(exchange: Exchange, response: web.Response) -> web.Response:
    """Count the answer by path and status, and hand it back."""
    exchange.state.ledger.count_request(exchange.request.path, str(response.status))
    return response


def break_off(exchange: Exchange, name: str) -> None:
    """Enter that the sender learns no verdict."""
    note(exchange, read_events(exchange.body), Fate.UNANSWERED, name, None)
    exchange.state.ledger.count_request(exchange.request.path, name)


async def wait(exchange: Exchange, delay_ms: float) -> None:
    """Wait before going on; a sender that leaves meanwhile learned no verdict."""
    try:
        await asyncio.sleep(delay_ms / 1000)
    except asyncio.CancelledError:  # the sender gave up, or the Edge stops
        break_off(exchange, "left")
        raise
