"""What a fault does to one connection, and the answers that did not come from the Edge.

Promise: each function does one thing to one request's connection or makes one answer; none decides whether.
It knows aiohttp and sockets, and neither the ledger nor the rules.
"""

from __future__ import annotations

import socket
import struct
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING, Literal, assert_never

from aiohttp import web

from connector.local.edge.catalogue import detail_of, name_events
from connector.local.edge.faults import (
    DateRetryAfter,
    EndlessBodyEffect,
    HalfBodyEffect,
    HangEffect,
    ResetEffect,
    StatusEffect,
    WrongLengthEffect,
)
from connector.local.edge.problems import Problem, problem_of_code, problem_of_status

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Sequence

_LINGER_0_S = struct.pack("ii", 1, 0)  # on, 0 seconds: closing sends RST instead of FIN
_DEFAULT_CODES = {500: "EXEG-0001-500", 502: "EXEG-0202-502", 503: "EXEG-0000-503", 504: "EXEG-0200-504"}
_REPORTS_EVENTS = "EXEG-0104-422"  # in `report.errors`, not in its detail
_SPACES = b" " * 16_384  # JSON may end in any number of them
_PAGE = "<!doctype html><title>{0}</title><h1>{0}</h1>"

ForeignBody = Literal["html_200", "empty_202", "text_202", "captive_portal", "redirect_302"]


WireEffect = HangEffect | ResetEffect | HalfBodyEffect | WrongLengthEffect | EndlessBodyEffect


async def break_the_wire(
    request: web.BaseRequest, effect: WireEffect, status: int, body: bytes, closing: asyncio.Event
) -> web.StreamResponse:
    """Leave the sender without a whole answer, of which `status` and `body` may be seen."""
    match effect:
        case HangEffect():
            return await hang(request, closing)
        case ResetEffect():
            return reset_connection(request)
        case HalfBodyEffect():
            return await send_half(request, status, body)
        case WrongLengthEffect():
            return await send_wrong_length(request, status, body, effect.announce, closing)
        case EndlessBodyEffect():
            return await send_endless(request, status, closing)
        case _:
            assert_never(effect)


def reset_connection(request: web.BaseRequest) -> web.Response:
    """Send RST and forget the connection. The answer returned is only for aiohttp: it can reach nobody."""
    transport = request.transport
    if transport is not None:
        sock = transport.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_0_S)
        transport.abort()
    return web.Response()


async def hang(request: web.BaseRequest, closing: asyncio.Event) -> web.Response:
    """Wait until the Edge stops; aiohttp cancels this when the sender goes away first."""
    await closing.wait()
    return reset_connection(request)


async def send_half(request: web.BaseRequest, status: int, body: bytes) -> web.StreamResponse:
    """Send the head of a whole answer and half its body, then close."""
    headers = {"Content-Type": "application/json;charset=UTF-8", "Content-Length": str(len(body))}
    response = web.StreamResponse(status=status, headers=headers)
    await response.prepare(request)
    await response.write(body[: len(body) // 2])
    if request.transport is not None:
        request.transport.close()
    return response


def foreign_answer(body: ForeignBody) -> web.Response:
    """Make an answer such as something between a sender and the Edge gives."""
    match body:
        case "html_200":
            return web.Response(status=200, text=_PAGE.format("It works"), content_type="text/html")
        case "empty_202":
            return web.Response(status=202)
        case "text_202":
            return web.Response(status=202, text="Accepted", content_type="text/plain")
        case "captive_portal":
            page = _PAGE.format("Sign in to this network") + '<form action="/login"></form>'
            return web.Response(status=200, text=page, content_type="text/html")
        case "redirect_302":
            return web.Response(status=302, headers={"Location": "/login"})
        case _:
            assert_never(body)


async def send_wrong_length(
    request: web.BaseRequest, status: int, body: bytes, announce: Literal["more", "less"], closing: asyncio.Event
) -> web.Response:
    """Send a whole body under a Content-Length of more or less than it has, and keep the connection."""
    length = len(body) + 100 if announce == "more" else len(body) // 2
    head = f"HTTP/1.1 {status} \r\nContent-Type: application/json;charset=UTF-8\r\nContent-Length: {length}\r\n\r\n"
    if request.transport is not None:
        request.transport.write(head.encode() + body)  # past aiohttp, which would mend the length
    return await hang(request, closing)


async def send_endless(request: web.BaseRequest, status: int, closing: asyncio.Event) -> web.StreamResponse:
    """Send a body until its reader gives up or the Edge stops."""
    response = web.StreamResponse(status=status, headers={"Content-Type": "application/json;charset=UTF-8"})
    await response.prepare(request)
    while not closing.is_set():
        await response.write(_SPACES)
    reset_connection(request)
    return response


def status_problem(effect: StatusEffect, event_indexes: Sequence[int], identity: str = "") -> Problem:
    """Make the problem of a status effect, naming the events by `#index` where there are any to name."""
    code = effect.code or _DEFAULT_CODES.get(effect.status or 0)
    detail = effect.detail or detail_of(code, event_indexes, identity)
    if effect.detail and event_indexes:
        detail += f" It concerns {name_events(event_indexes)}."
    if code is None:
        return problem_of_status(effect.status or 500, detail)
    errors = [f"An event is not valid, at index {index}" for index in event_indexes] if code == _REPORTS_EVENTS else ()
    return problem_of_code(code, detail, errors=errors)


def retry_after_text(retry_after: int | str | DateRetryAfter | None, now: datetime) -> str | None:
    """Write a Retry-After header: seconds, an HTTP date counted from now, or the raw text; None for none."""
    if isinstance(retry_after, DateRetryAfter):
        moment = now.astimezone(UTC) + timedelta(seconds=retry_after.date_in_seconds)
        return format_datetime(moment.replace(microsecond=0), usegmt=True)
    return None if retry_after is None else str(retry_after)
