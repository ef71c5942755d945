"""Answers made to mislead, to flood or to be taken for others: each request still has one answer or none, soon.

What is an answer here is not yet an acceptance: `core/verdict.py` judges it, and `tests/answers/` what comes of that.
"""

from __future__ import annotations

import logging
import ssl
import tracemalloc
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from connector.core.codes import NoAnswer
from connector.core.verdict import Answer
from connector.request import new_request_id
from tests.adapters.http_clients import BODY, edge_client
from tests.adapters.raw_server import ACCEPTED, WHOLE_ANSWER, raw_server

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.adapters.raw_server import Peer

CERTIFICATE = Path(__file__).with_name("not-a-real-certificate.pem")
MIB = 1024 * 1024

ANSWERED = Answer(status=202, body=ACCEPTED)
OK = b"HTTP/1.1 202 Accepted\r\n"
LENGTH = b"Content-Length: %d\r\n" % len(ACCEPTED)
CHUNKED = b"Transfer-Encoding: chunked\r\n"
IN_ONE_CHUNK = b"%x\r\n%s\r\n0\r\n\r\n" % (len(ACCEPTED), ACCEPTED)
GZIP = b"Content-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\x1f\x8b\x08\x00"


def once(*parts: bytes, ends: bool = False) -> Callable[[Peer], Awaitable[None]]:
    """A script that says these bytes to the first request, and accepts every other one."""
    is_said = False

    async def script(peer: Peer) -> None:
        nonlocal is_said
        while True:
            await peer.receive()
            if is_said:
                await peer.answer("202 Accepted", ACCEPTED)
                continue
            is_said = True
            await peer.send(*parts)
            if ends:
                await peer.close()

    return script


def endlessly(start: bytes, again: bytes) -> Callable[[Peer], Awaitable[None]]:
    """A script that never stops talking."""

    async def script(peer: Peer) -> None:
        await peer.receive()
        await peer.send(start)
        while True:
            await peer.send(again)

    return script


async def answer_to_a_flood(start: bytes, again: bytes, *, timeout_s: float) -> tuple[Answer | NoAnswer, int]:
    """What a client makes of an answer that never ends, and the most bytes that it held meanwhile."""
    async with edge_client(timeout_s=timeout_s) as client, raw_server(endlessly(start, again)) as server:
        tracemalloc.start()
        answer = await client.post(server.url, BODY, {})
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    return answer, peak


@pytest.mark.parametrize(
    ("said", "found"),
    [
        # Two opinions on where the answer ends: whoever stands in between may hold the other one.
        ((OK, b"Content-Length: 5\r\n", CHUNKED, b"\r\n", IN_ONE_CHUNK), NoAnswer.NOT_HTTP),
        ((OK, CHUNKED, LENGTH, b"\r\n", IN_ONE_CHUNK), NoAnswer.NOT_HTTP),
        ((OK, b"Content-Length: 5\r\n", LENGTH, b"\r\n", ACCEPTED), NoAnswer.NOT_HTTP),
        ((OK, LENGTH, LENGTH, b"\r\n", ACCEPTED), NoAnswer.NOT_HTTP),
        # Lengths that are none.
        ((OK, b"Content-Length: -1\r\n\r\n", ACCEPTED), NoAnswer.NOT_HTTP),
        ((OK, b"Content-Length: +17\r\n\r\n", ACCEPTED), NoAnswer.NOT_HTTP),
        ((OK, b"Content-Length: 0x11\r\n\r\n", ACCEPTED), NoAnswer.NOT_HTTP),
        ((OK, b"Content-Length: 17, 17\r\n\r\n", ACCEPTED), NoAnswer.NOT_HTTP),
        ((OK, "Content-Length: \u0661\u0667\r\n\r\n".encode(), ACCEPTED), NoAnswer.NOT_HTTP),
        ((OK, b"Content-Length: 99999999999999999999999\r\n\r\n", ACCEPTED), NoAnswer.NOT_HTTP),
        ((OK, CHUNKED, b"\r\n-5\r\n", ACCEPTED), NoAnswer.NOT_HTTP),
        ((OK, CHUNKED, b"\r\nfffffffffffffffffff\r\n", ACCEPTED), NoAnswer.NOT_HTTP),
        # More than was announced.
        ((b"HTTP/1.1 204 No Content\r\n", LENGTH, b"\r\n", ACCEPTED), NoAnswer.NOT_HTTP),
        ((b"HTTP/1.1 304 Not Modified\r\n", LENGTH, b"\r\n", ACCEPTED), NoAnswer.NOT_HTTP),
        ((WHOLE_ANSWER, WHOLE_ANSWER), ANSWERED),
        ((OK, CHUNKED, b"\r\n", IN_ONE_CHUNK, WHOLE_ANSWER), ANSWERED),
        # Not HTTP, or not as anybody writes it.
        ((b"<html>hello</html>\n",), NoAnswer.NOT_HTTP),
        ((b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",), NoAnswer.NOT_HTTP),
        ((b"\x15\x03\x01\x00\x02\x02\x46",), NoAnswer.NOT_HTTP),
        ((b"HTTP/1.1 2020 Accepted\r\n", LENGTH, b"\r\n", ACCEPTED), NoAnswer.NOT_HTTP),
        ((b"HTTP/1.1 -202 Accepted\r\n", LENGTH, b"\r\n", ACCEPTED), NoAnswer.NOT_HTTP),
        ((b"HTTP/3.0 202 Accepted\r\n", LENGTH, b"\r\n", ACCEPTED), NoAnswer.NOT_HTTP),
        ((OK, b"X-A: a\x00b\r\n", LENGTH, b"\r\n", ACCEPTED), NoAnswer.NOT_HTTP),
        ((b"HTTP/1.1 999 Beyond\r\nContent-Length: 0\r\n\r\n",), Answer(status=999)),
        ((b"HTTP/1.1 000 Below\r\nContent-Length: 0\r\n\r\n",), Answer(status=0)),
        ((b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n",), Answer(status=101)),
        # Headers without measure.
        ((OK, b"X-Filler: a\r\n" * 100_000, LENGTH, b"\r\n", ACCEPTED), NoAnswer.NOT_HTTP),
        ((OK, b"X-Filler: " + b"a" * 100_000 + b"\r\n", LENGTH, b"\r\n", ACCEPTED), NoAnswer.NOT_HTTP),
        ((b"HTTP/1.1 202 " + b"a" * 100_000 + b"\r\n", LENGTH, b"\r\n", ACCEPTED), NoAnswer.NOT_HTTP),
        # What is nobody's business here.
        ((b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", WHOLE_ANSWER), ANSWERED),
        ((b"\r\n\r\n", WHOLE_ANSWER), ANSWERED),
        ((OK, b"Set-Cookie: a=b\r\nSet-Cookie: no name;\xc3\xa4=\x1b[31m\r\n", LENGTH, b"\r\n", ACCEPTED), ANSWERED),
        ((b"HTTP/1.1 202 \x1b[31mred\r\n", LENGTH, b"\r\n", ACCEPTED), ANSWERED),
        ((b"HTTP/1.1 202 Accepted\r\n", GZIP), Answer(status=202, body=b"\x1f\x8b\x08\x00")),
        (
            (b"HTTP/1.1 503 Busy\r\nRetry-After: \xff\x1b[0m\r\nContent-Length: 0\r\n\r\n",),
            Answer(status=503, retry_after="\udcff\x1b[0m"),
        ),
    ],
)
async def test_one_answer_or_none_whatever_is_said(
    said: tuple[bytes, ...], found: Answer | NoAnswer, caplog: pytest.LogCaptureFixture
) -> None:
    """Each has one reading, nothing of it is left for the next request, and no library repeats it in a log."""
    with caplog.at_level(logging.DEBUG):
        async with edge_client() as client, raw_server(once(*said)) as server:
            url = server.url.replace("127.0.0.1", "localhost")  # of an address no cookie would be looked at
            assert await client.post(url, BODY, {}) == found
            assert await client.post(url, BODY, {}) == ANSWERED
            assert len(server.received) == 2
    assert server.received[1].header("cookie") is None
    assert [record for record in caplog.records if record.name != "asyncio"] == []


@pytest.mark.parametrize(
    ("start", "again"),
    [
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1000),
        (b"", b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * 1000),
        (OK + CHUNKED + b"\r\n0\r\n", b"X-Trailer: a\r\n" * 1000),
    ],
    ids=["continue", "early hints", "trailers"],
)
async def test_a_flood_before_or_after_the_answer_is_cut(start: bytes, again: bytes) -> None:
    """What may be repeated ends the connection when it is repeated too often, long before the deadline."""
    answer, peak = await answer_to_a_flood(start, again, timeout_s=3600.0)
    assert answer is NoAnswer.NOT_HTTP
    assert peak < 16 * MIB


@pytest.mark.parametrize(
    ("start", "again"),
    [
        (OK + CHUNKED + b"\r\n", b"1\r\na\r\n" * 1000),
        (OK + CHUNKED + b"\r\n5;", b"a" * 65536),
        (b"", b"\r\n" * 10_000),
    ],
    ids=["chunks of one byte", "a chunk's extension", "blank lines"],
)
async def test_the_deadline_ends_what_goes_on_and_says_nothing(start: bytes, again: bytes) -> None:
    """A flood of next to nothing is over at the deadline or when it is too long, in bounded memory."""
    answer, peak = await answer_to_a_flood(start, again, timeout_s=0.5)
    assert answer in (NoAnswer.TIMEOUT, NoAnswer.TOO_LONG)
    assert peak < 32 * MIB


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_to_a_stranger_takes_no_token_there(status: int) -> None:
    """Nothing is sent to where an answer points, least of all the token."""
    async with raw_server(once(WHOLE_ANSWER)) as stranger:

        async def elsewhere(peer: Peer) -> None:
            await peer.receive()
            await peer.answer(
                f"{status} Elsewhere", b"", f"Location: {stranger.url}", f"Refresh: 0; url={stranger.url}"
            )

        async with edge_client() as client, raw_server(elsewhere) as server:
            answer = await client.post(server.url, BODY, {"Authorization": "Bearer not-a-real-token"})
        assert stranger.connections == 0
    assert answer == Answer(status=status)


def _url(base: str, request_id: str) -> str:
    return base.replace("requestId=r", f"requestId={request_id}")


def _named(request_id: str) -> bytes:
    return b'{"requestId":"%s-0123456789abcdef"}' % request_id.encode()


async def test_a_late_second_answer_is_not_the_next_requests() -> None:
    """A second answer that comes after the next request has left names whom it answers, and so answers nobody.

    Its connection ends: the next request's own answer would follow on it, and be taken for that of the one after.
    """
    first, second, third = (new_request_id() for _ in range(3))

    async def a_request_behind(peer: Peer) -> None:
        await peer.receive()
        await peer.answer("202 Accepted", _named(peer.request_id))
        before = peer.request_id
        while True:
            await peer.receive()
            await peer.answer("202 Accepted", _named(before))
            before = peer.request_id

    async with edge_client() as client, raw_server(a_request_behind) as server:
        assert await client.post(_url(server.url, first), BODY, {}) == Answer(status=202, body=_named(first))
        assert await client.post(_url(server.url, second), BODY, {}) is NoAnswer.ANOTHERS
        assert await client.post(_url(server.url, third), BODY, {}) == Answer(status=202, body=_named(third))
        assert server.connections == 2


async def test_an_end_without_a_farewell_is_a_half_answer() -> None:
    """TLS whose peer vanishes: an answer of announced length is broken off; one without is what has arrived."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)

    async def vanish(peer: Peer) -> None:
        await peer.receive()
        await peer.send(OK, b"Content-Length: 100\r\n\r\n", ACCEPTED)
        peer.reset()

    trust = ssl.create_default_context(cafile=str(CERTIFICATE))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("aiohttp.connector._SSL_CONTEXT_VERIFIED", trust)
        async with edge_client() as client, raw_server(vanish, tls=context) as server:
            assert await client.post(server.url, BODY, {}) in (NoAnswer.HALF_ANSWER, NoAnswer.DISCONNECTED)
