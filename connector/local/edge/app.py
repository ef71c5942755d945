"""The local Edge as a web application: which path leads where.

Promise: collect, interact and the token endpoint answer on the published paths, with or without a location
hint; everything else is refused with 404 or 405. It owns no state: `edge_state` does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from connector.local.edge.admin import add_admin_routes
from connector.local.edge.answers import make_request_id
from connector.local.edge.problems import CONTENT_TYPE, problem_body, problem_of_status
from connector.local.edge.serve import serve_collect, serve_interact
from connector.local.edge.state import STATE, EdgeState
from connector.local.edge.token_route import serve_token

if TYPE_CHECKING:
    from aiohttp.typedefs import Handler

_HINT = r"{hint:[a-z]{2,4}\d{1,3}}"  # such as or2, va6, irl1
_READ_AT_MOST_BYTES = 1_048_576  # beyond it a body is refused unread; up to it, it is read and then refused


def make_app(state: EdgeState) -> web.Application:
    """Make the application over one state."""
    limit = max(_READ_AT_MOST_BYTES, state.settings.max_body_bytes + 1)
    app = web.Application(middlewares=[refuse_unknown], client_max_size=limit)
    app[STATE] = state
    app.add_routes(
        [
            web.post("/ee/v2/collect", serve_collect),
            web.post("/ee/v2/interact", serve_interact),
            web.post(f"/ee/{_HINT}/v2/collect", serve_collect),
            web.post(f"/ee/{_HINT}/v2/interact", serve_interact),
            web.post("/ee/{wrong_hint}/v2/{endpoint:collect|interact}", refuse_hint),
            web.post("/ims/token/v3", serve_token),
        ]
    )
    add_admin_routes(app)
    return app


async def refuse_hint(request: web.Request) -> web.Response:
    """Refuse a location hint that does not exist: 404 without a body, as Adobe's own client tests show."""
    request.app[STATE].ledger.count_request("/ee/(unknown hint)", "404")
    return web.Response(status=404)


@web.middleware
async def refuse_unknown(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer unknown paths and methods with a problem document, in place of aiohttp's own text."""
    try:
        return await handler(request)
    except (web.HTTPNotFound, web.HTTPMethodNotAllowed) as refusal:
        return _refuse(request, refusal)


def _refuse(request: web.Request, refusal: web.HTTPException) -> web.Response:
    state = request.app[STATE]
    state.ledger.count_request("(other)", str(refusal.status))
    request_id = make_request_id(request.query.get("requestId"), state.rng)
    problem = problem_of_status(refusal.status, f"{request.method} is not served on this path.")
    headers = {"Content-Type": CONTENT_TYPE}
    if "Allow" in refusal.headers:
        headers["Allow"] = refusal.headers["Allow"]
    body = problem_body(problem, request_id, None, state.settings.credentials.org_id)
    return web.Response(status=refusal.status, body=body, headers=headers)
