"""The local Edge's own interface under `/_edge/`: faults, codes, ledger, tokens, health.

Promise: everything here is for the person or test that drives the Edge, nothing of it exists at Adobe, and no
token or secret is ever shown. A body that is not understood changes nothing and is answered with the reasons.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson
from aiohttp import web

from connector.local.edge.catalogue import TITLES
from connector.local.edge.faults import FaultsNotUnderstoodError, parse_faults
from connector.local.edge.ledger import Fate, describe_entry
from connector.local.edge.state import STATE, now_ms

if TYPE_CHECKING:
    from collections.abc import Iterable

    from connector.local.edge.fault_switch import FaultSwitch

_LINES_PER_WRITE = 1_000


def add_admin_routes(app: web.Application) -> None:
    """Add every route under `/_edge/`."""
    app.add_routes(
        [
            web.get("/_edge/health", show_health),
            web.get("/_edge/codes", show_codes),
            web.get("/_edge/faults", show_faults),
            web.put("/_edge/faults", set_faults),
            web.delete("/_edge/faults", clear_faults),
            web.get("/_edge/ledger", show_ledger),
            web.delete("/_edge/ledger", clear_ledger),
            web.get("/_edge/ledger/{id:.+}", show_entry),
            web.get("/_edge/request-ids", show_request_ids),
            web.get("/_edge/tokens", show_tokens),
            web.delete("/_edge/tokens", revoke_tokens),
            web.put("/_edge/client-secrets", replace_secrets),
        ]
    )


def _json(document: object, status: int = 200) -> web.Response:
    return web.Response(status=status, body=orjson.dumps(document), content_type="application/json")


async def show_health(request: web.Request) -> web.Response:
    """Say that the Edge is up, and in which mode."""
    return _json({"status": "ok", "auth": request.app[STATE].settings.auth})


async def show_codes(_: web.Request) -> web.Response:
    """List every published code with its title, as it may be put into a fault."""
    return web.Response(text="".join(f"{code}  {title}\n" for code, title in TITLES.items()))


async def show_faults(request: web.Request) -> web.Response:
    """List the faults that were set."""
    return _list_faults(request.app[STATE].switch)


def _list_faults(switch: FaultSwitch) -> web.Response:
    return _json({"faults": switch.describe(now_ms())})


async def set_faults(request: web.Request) -> web.Response:
    """Replace all faults; 400 with the reasons as text where the JSON is not understood."""
    switch = request.app[STATE].switch
    try:
        switch.replace(parse_faults(await request.read()), now_ms())
    except FaultsNotUnderstoodError as error:
        return web.Response(status=400, text=f"{error}\n")
    return _list_faults(switch)


async def clear_faults(request: web.Request) -> web.Response:
    """End all faults."""
    request.app[STATE].switch.replace((), now_ms())
    return web.Response(status=204)


async def show_ledger(request: web.Request) -> web.StreamResponse:
    """Show the sums, or with `?ids=accepted|refused|unanswered|all` one JSON line for each id."""
    ledger = request.app[STATE].ledger
    wanted = request.query.get("ids")
    if wanted is None:
        return _json(ledger.summarise())
    names = {fate.value: fate for fate in Fate}
    if wanted != "all" and wanted not in names:
        return web.Response(status=400, text=f"ids: expected one of all, {', '.join(names)}\n")
    return await _stream(request, ledger.lines(names.get(wanted)))


async def _stream(request: web.Request, lines: Iterable[bytes]) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
    await response.prepare(request)
    chunk: list[bytes] = []
    for line in lines:
        chunk.append(line)
        if len(chunk) == _LINES_PER_WRITE:
            await response.write(b"".join(chunk))
            chunk.clear()
    await response.write(b"".join(chunk))
    return response


async def show_entry(request: web.Request) -> web.Response:
    """Show what is known of one event id; 404 where it was never seen."""
    identity = request.match_info["id"]
    entry = request.app[STATE].ledger.find(identity)
    if entry is None:
        return web.Response(status=404, text="this id was never seen\n")
    return _json(describe_entry(identity, entry))


async def clear_ledger(request: web.Request) -> web.Response:
    """Forget all entries and counts."""
    request.app[STATE].ledger.clear()
    return web.Response(status=204)


async def show_request_ids(request: web.Request) -> web.Response:
    """Show how often each of the last request ids arrived, as their senders gave them."""
    return _json(request.app[STATE].ledger.arrivals())


async def show_tokens(request: web.Request) -> web.Response:
    """Count the tokens issued, refused and good."""
    return _json(request.app[STATE].tokens.describe(now_ms()))


async def revoke_tokens(request: web.Request) -> web.Response:
    """Revoke every token."""
    return _json({"revoked": request.app[STATE].tokens.revoke_all()})


async def replace_secrets(request: web.Request) -> web.Response:
    """Replace the accepted client secrets: `{"client_secrets": ["..."]}`."""
    try:
        document = orjson.loads(await request.read())
    except orjson.JSONDecodeError:
        document = None
    client_secrets = document.get("client_secrets") if isinstance(document, dict) else None
    if not isinstance(client_secrets, list) or not all(isinstance(secret, str) for secret in client_secrets):
        return web.Response(status=400, text='body: expected {"client_secrets": ["...", ...]}\n')
    request.app[STATE].tokens.replace_secrets(client_secrets)
    return web.Response(status=204)
