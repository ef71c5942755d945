"""A token endpoint that says anything: the secret goes nowhere else, the wait ends, and nothing of it is logged."""

from __future__ import annotations

import gzip
import logging
import tracemalloc
from typing import TYPE_CHECKING

import pytest

from connector.adapters.ims_request import Failure, Grant, TokenRequest, ask_for_token
from connector.config import Secret, SecretSource
from connector.ports import TokenFailed
from tests.adapters.raw_server import raw_server
from tests.adapters.token_endpoint import SECRET, TokenScript, client_credentials, scripted

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.adapters.raw_server import Peer

MIB = 1024 * 1024
OK = b"HTTP/1.1 200 OK\r\n"
TWO_LENGTHS = b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"
TOKEN = b'{"access_token":"not-a-real-token-1","expires_in":86399}'


def says(*parts: bytes, again: bytes = b"") -> Callable[[Peer], Awaitable[None]]:
    """A script that says these bytes, then some again without end."""

    async def script(peer: Peer) -> None:
        await peer.receive()
        await peer.send(*parts)
        while again:
            await peer.send(again)
        await peer.hang()

    return script


def _request(url: str) -> TokenRequest:
    return TokenRequest(url=url, client_id="not-a-real-client", secret=SecretSource(Secret(SECRET)), scopes=("openid",))


def _whole(body: bytes, *headers: bytes) -> tuple[bytes, ...]:
    return (OK, *(header + b"\r\n" for header in headers), b"Content-Length: %d\r\n\r\n" % len(body), body)


@pytest.mark.parametrize(
    ("script", "cause"),
    [
        (says(*_whole(b"[" * 60_000)), "http_200"),
        (says(*_whole(b'{"access_token":' + b"1" * 60_000 + b"}")), "http_200"),
        (says(*_whole(b'{"access_token":"a","access_token":["b"]}')), "http_200"),
        (says(*_whole(b'{"access_token":"\\u001b[2J"}')), "http_200"),
        (says(*_whole(b'{"access_token":"\\ud800"}')), "http_200"),
        (
            says(OK, b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", TOKEN),
            "unreachable_ClientResponseError",
        ),
        (says(OK, b"Transfer-Encoding: chunked\r\n\r\n", again=b"10000\r\n" + b"a" * 65536 + b"\r\n"), "http_200"),
        (says(OK, again=b"X-Filler: a\r\n" * 1000), "unreachable_ClientResponseError"),
        (says(again=b"HTTP/1.1 100 Continue\r\n\r\n" * 1000), "unreachable_ClientResponseError"),
        (says(b"HTTP/1.1 400 No\r\nContent-Length: 21\r\n\r\n", b'{"error":"\x1b[2J\\nfo"} '), "http_400"),
        (says(b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"), "http_302"),
        (says(b"HTTP/1.1 429 No\r\nRetry-After: \xd9\xa3\r\nContent-Length: 0\r\n\r\n"), "http_429"),
    ],
)
async def test_what_is_no_token_is_a_failure_soon(
    script: Callable[[Peer], Awaitable[None]], cause: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It ends before the deadline, in bounded memory, with a cause from a closed set, and no library logs it."""
    async with raw_server(script) as server:
        tracemalloc.start()
        with caplog.at_level(logging.DEBUG):
            answer = await ask_for_token(_request(server.url), Secret(SECRET))
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert server.connections == 1
    assert isinstance(answer, Failure)
    assert answer.cause == cause
    assert peak < 16 * MIB
    assert [record for record in caplog.records if record.name != "asyncio"] == []


async def test_no_compressed_answer_is_asked_for_or_inflated() -> None:
    """A small answer that inflates to gigabytes stays small: it is no token."""
    bomb = gzip.compress(TOKEN + b" " * 16 * MIB)
    assert len(bomb) < 64 * 1024
    async with raw_server(says(*_whole(bomb, b"Content-Encoding: gzip"))) as server:
        answer = await ask_for_token(_request(server.url), Secret(SECRET))
    assert isinstance(answer, Failure)
    assert server.received[0].header("accept-encoding") == "identity"


async def test_cookies_are_neither_kept_nor_logged(caplog: pytest.LogCaptureFixture) -> None:
    """A library that dislikes a cookie's name would quote it, once for each answer."""
    cookies = (b"Set-Cookie: no good name=1", "Set-Cookie: n\u00e4me=2".encode(), b"Set-Cookie: a=b")
    with caplog.at_level(logging.DEBUG):
        async with raw_server(says(*_whole(TOKEN, *cookies))) as server:
            url = server.url.replace("127.0.0.1", "localhost")  # of an address no cookie would be looked at
            answers = [await ask_for_token(_request(url), Secret(SECRET)) for _ in range(2)]
    assert all(isinstance(answer, Grant) for answer in answers)
    assert server.received[1].header("cookie") is None
    assert [record for record in caplog.records if record.name != "asyncio"] == []


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"])
async def test_the_secret_follows_no_redirect(status: str) -> None:
    """The form with the secret goes to the configured address and to no other."""
    async with raw_server(TokenScript()) as stranger:
        script = TokenScript()
        script.answers = [(status, b"", f"Location: {stranger.url}")]
        async with scripted(script) as (_, credentials):
            with pytest.raises(TokenFailed, match="http_30"):
                await credentials.headers()
        assert stranger.connections == 0


@pytest.mark.parametrize("life", [1e308, -1e308, 2**63, 0, True, "86399", [1], None, {"a": 1}])
async def test_a_lifetime_that_makes_no_sense_is_no_obstacle(life: object) -> None:
    """The token is used: whether it is good, the Edge will say."""
    async with raw_server(TokenScript(lifetime_s=life)) as server, client_credentials(server.url) as credentials:
        headers = await credentials.headers()
    assert headers["Authorization"] == "Bearer not-a-real-token-1"
