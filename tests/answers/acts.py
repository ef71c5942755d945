"""What the other end does with a request: refusals of the local Edge, any answer at all, and things that are none."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from tests.adapters.raw_server import ACCEPTED
from tests.answers.counterparts import MARK, AtTheEdge, OnTheWire

if TYPE_CHECKING:
    from tests.adapters.raw_server import Peer

MARKED: Final = {"when_event_contains": MARK}
"""The requests that hold the marked event."""

_HEAD: Final = b"HTTP/1.1 202 Accepted\r\n"


def refuses(select: dict[str, Any] | None = None, **effect: Any) -> AtTheEdge:  # noqa: ANN401 - as in JSON
    """The local Edge refuses."""
    if "9999" in str(effect.get("code")):
        effect["unpublished"] = True  # it is meant, and no slip
    return AtTheEdge(({"select": select or {}, "effect": {"kind": "status", **effect}},))


def does(kind: str, *, accept_first: bool = False, **effect: Any) -> AtTheEdge:  # noqa: ANN401 - as in JSON
    """The local Edge does something else than it should."""
    return AtTheEdge(({"effect": {"kind": kind, **effect}, "accept_first": accept_first},))


def answer(
    status: str, body: bytes = b"", *headers: str, before: bytes = b"", only_marked: bool = False, most_bytes: int = 0
) -> OnTheWire:
    """A proper answer, whatever it says; to bodies longer than `most_bytes`, and `before` it other bytes."""

    async def act(peer: Peer) -> None:
        await peer.send(before)
        await peer.answer(status, body, *headers)

    return OnTheWire(act, only_marked=only_marked, most_bytes=most_bytes)


def html(status: str, *, only_marked: bool = False) -> OnTheWire:
    """What a proxy says."""
    return answer(status, b"<!doctype html><h1>It is me</h1>", "Content-Type: text/html", only_marked=only_marked)


def json(status: str, body: bytes, *, before: bytes = b"") -> OnTheWire:
    """What somebody says who has learned JSON."""
    return answer(status, body, "Content-Type: application/json", before=before)


def accepting(status: str, body: bytes, *, before: bytes = b"") -> OnTheWire:
    """JSON that is an acceptance."""
    return replace(json(status, body, before=before), accepts=True)


async def close_after_the_body(peer: Peer) -> None:
    """The connection ends in order, without an answer."""
    await peer.close()


async def half_a_head(peer: Peer) -> None:
    """The connection ends before the answer's status is followed by anything."""
    await peer.send(_HEAD, b"Content-Le")
    await peer.close()


async def speak_another_protocol(peer: Peer) -> None:
    """Whoever listens here has never heard of HTTP."""
    await peer.send(b"SSH-2.0-nothing\r\n")
    await peer.hang()


async def answer_another(peer: Peer) -> None:
    """An acceptance that belongs to another request of the same process."""
    another = f"{peer.request_id[:9]}0000-4000-a000-000000000000"
    assert len(another) == len(peer.request_id)
    await peer.answer("202 Accepted", b'{"requestId":"%s-0123456789abcdef"}' % another.encode())


async def drip_a_head(peer: Peer) -> None:
    """A head that goes on byte by byte: the connection is never silent, and there is never an answer."""
    await peer.send(_HEAD, b"X-Filler: ")
    while True:
        await peer.send(b"a")
        await asyncio.sleep(0.005)


async def drip_a_body(peer: Peer) -> None:
    """An acceptance whose end does not come."""
    await peer.send(_HEAD, b"Content-Length: 1000000\r\n\r\n", ACCEPTED)
    while True:
        await peer.send(b" ")
        await asyncio.sleep(0.005)


async def announce_an_answer(peer: Peer) -> None:
    """Interim answers, and never the one that they announce."""
    while True:
        await peer.send(b"HTTP/1.1 102 Processing\r\n\r\n" * 100)


async def never_end(peer: Peer) -> None:
    """A proper head, and a body that goes on and on."""
    await peer.send(_HEAD, b"Content-Length: 1000000000000\r\n\r\n", ACCEPTED)
    while True:
        await peer.send(b"a" * 65536)
