"""A token that cannot be had says why and what to mend, and shows no secret anywhere."""

from __future__ import annotations

import asyncio
import traceback
from typing import TYPE_CHECKING

import pytest

from connector.adapters.ims import StaticToken
from connector.config import Secret, SecretSource
from connector.local.edge import EdgeCredentials, EdgeSettings, start_edge
from connector.ports import TokenFailed
from tests.adapters.raw_server import raw_server
from tests.adapters.token_endpoint import AT_ONCE, FIXED, SECRET, TokenScript, client_credentials, scripted

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from tests.adapters.raw_server import Peer

WRONG_SECRET = EdgeCredentials(client_secrets=("another-fake-secret",))
WRONG_CLIENT = EdgeCredentials(client_id="another-fake-client")
WRONG_SCOPE = EdgeCredentials(scopes=("acp.foundation",))


@pytest.mark.parametrize(
    ("accepted", "cause", "remedy"),
    [
        (WRONG_SECRET, "invalid_client", "Check edge.auth.client_id and client_secret."),
        (WRONG_CLIENT, "invalid_client", "Check edge.auth.client_id and client_secret."),
        (WRONG_SCOPE, "invalid_scope", "Check edge.auth.scopes against"),
    ],
)
async def test_a_refusal_names_what_to_mend(accepted: EdgeCredentials, cause: str, remedy: str) -> None:
    """What the endpoint refuses is a refusal, which no waiting mends, with its cause and remedy."""
    edge = await start_edge(EdgeSettings(auth=True, credentials=accepted), "127.0.0.1", 0)
    async with client_credentials(f"{edge.url}/ims/token/v3") as credentials:
        with pytest.raises(TokenFailed) as caught:
            await credentials.headers()
    await edge.close()
    assert caught.value.is_refusal
    assert caught.value.cause == cause
    assert caught.value.remedy.startswith(remedy)


@pytest.mark.parametrize(
    ("status", "body", "cause", "is_refusal"),
    [
        ("400 Bad Request", b'{"error":"invalid_scope"}', "invalid_scope", True),
        ("400 Bad Request", b'{"error":"an unbounded text with a secret"}', "http_400", True),
        ("404 Not Found", b"<html>", "http_404", True),
        ("429 Too Many Requests", b"{}", "http_429", False),
        ("408 Request Timeout", b"", "http_408", False),
        ("500 Internal Server Error", b"[]", "http_500", False),
        ("302 Found", b"", "http_302", False),
        ("200 OK", b"<html>", "http_200", False),
        ("200 OK", b'{"expires_in":1}', "http_200", False),
        ("200 OK", b'{"access_token":""}', "http_200", False),
        ("200 OK", b'{"access_token":"a\\r\\nb"}', "http_200", False),
        ("200 OK", b'{"access_token":"\xc3\xa9"}', "http_200", False),
        ("200 OK", b'{"access_token":"a","pad":"' + b"a" * 100_000 + b'"}', "http_200", False),
    ],
)
async def test_an_answer_without_a_token_is_a_failure(status: str, body: bytes, cause: str, is_refusal: bool) -> None:
    """Whatever answers: only a 4xx is a refusal, and nothing that a request cannot carry is taken for a token."""
    script = TokenScript()
    script.answers = [(status, body)]
    async with scripted(script) as (_, credentials):
        with pytest.raises(TokenFailed) as caught:
            await credentials.headers()
    assert (caught.value.cause, caught.value.is_refusal) == (cause, is_refusal)
    assert caught.value.remedy


async def in_two_pieces(peer: Peer) -> None:
    """A proper answer that the network cuts in two."""
    body = b'{"access_token":"not-a-real-token-1","expires_in":86399}'
    await peer.receive()
    await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body[:10]))
    await asyncio.sleep(0.05)
    await peer.send(body[10:])
    await peer.hang()


async def test_an_answer_in_two_pieces_is_read_whole() -> None:
    """The network may cut an answer anywhere."""
    async with raw_server(in_two_pieces) as server, client_credentials(server.url) as credentials:
        assert await credentials.headers() == {**FIXED, "Authorization": "Bearer not-a-real-token-1"}


async def close_after_the_form(peer: Peer) -> None:
    await peer.receive()
    await peer.close()


async def cut_the_answer(peer: Peer) -> None:
    await peer.receive()
    await peer.send(b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"access_token":"a"')
    await peer.close()


async def answer_nothing(peer: Peer) -> None:
    await peer.receive()
    await peer.hang()


async def speak_another_protocol(peer: Peer) -> None:
    await peer.receive()
    await peer.send(b"SSH-2.0-nothing\r\n")
    await peer.hang()


async def refuse_the_client(peer: Peer) -> None:
    await peer.receive()
    await peer.answer("401 Unauthorized", b'{"error":"invalid_client"}')


SCRIPTS = [close_after_the_form, cut_the_answer, answer_nothing, speak_another_protocol]


@pytest.mark.parametrize("script", SCRIPTS)
async def test_an_endpoint_that_misbehaves_is_a_passing_failure(
    monkeypatch: pytest.MonkeyPatch, script: Callable[[Peer], Awaitable[None]]
) -> None:
    """Silence and broken answers refuse nothing: they are tried again."""
    monkeypatch.setattr("connector.adapters.ims_request._TIMEOUT_S", 0.3)
    async with raw_server(script) as server, client_credentials(server.url) as credentials:
        with pytest.raises(TokenFailed, match="unreachable_") as caught:
            await credentials.headers()
    assert not caught.value.is_refusal
    assert "edge.auth.token_url" in caught.value.remedy


def everything_about(error: BaseException | None) -> str:
    """An error and all that led to it, with every local variable, as an over-eager reporter would print it."""
    if error is None:
        return ""
    shown = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
    return shown + everything_about(error.__context__) + everything_about(error.__cause__)


@pytest.mark.parametrize("script", [*SCRIPTS, refuse_the_client])
async def test_a_failure_shows_no_secret(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], script: Callable[[Peer], Awaitable[None]]
) -> None:
    """Neither text nor traceback with all locals, neither log nor repr holds the secret or a token."""
    monkeypatch.setattr("connector.adapters.ims_request._TIMEOUT_S", 0.3)
    async with raw_server(script) as server, client_credentials(server.url) as credentials:
        with pytest.raises(TokenFailed) as caught:
            await credentials.headers()
        kept = credentials._failure
        shown = repr(credentials) + repr(vars(credentials)) + repr(credentials._request)
    shown += everything_about(caught.value) + repr(kept) + "".join(capfd.readouterr())
    assert "token_failed" in shown
    assert SECRET not in shown


async def test_a_success_logs_no_token(capfd: pytest.CaptureFixture[str]) -> None:
    """What is told of a new token is its lifetime."""
    async with scripted(TokenScript()) as (_, credentials):
        await credentials.headers()
    logged = "".join(capfd.readouterr())
    assert "token_renewed" in logged
    assert "not-a-real" not in logged


async def test_a_secret_that_is_gone_is_a_passing_failure(tmp_path: Path) -> None:
    """A secret's file may be missing for the moment of its replacement: wait, and say which file."""
    source = SecretSource(Secret("old"), file=tmp_path / "gone")
    async with client_credentials("http://127.0.0.1:1/", secret=source) as credentials:
        with pytest.raises(TokenFailed, match="secret_unavailable") as caught:
            await credentials.headers()
    assert not caught.value.is_refusal
    assert str(tmp_path / "gone") in caught.value.remedy


async def test_a_secret_that_is_gone_stops_nobody_while_the_token_is_valid(tmp_path: Path) -> None:
    """A renewal without a secret fails like any other, and is not tried again with each request."""
    file = tmp_path / "secret"
    file.write_text(SECRET)
    source = SecretSource(Secret(SECRET), file=file)
    async with (
        raw_server(TokenScript()) as server,
        client_credentials(server.url, secret=source, jitter=AT_ONCE) as credentials,
    ):
        first = await credentials.headers()
        file.unlink()
        with pytest.raises(TokenFailed, match="secret_unavailable"):
            await credentials.renew(first)
        assert await credentials.headers() is first


async def test_a_ready_made_token_whose_file_is_gone_is_a_failure(tmp_path: Path) -> None:
    """At the first reading there is nothing to send; later the token as last read is kept."""
    file = tmp_path / "token"
    token = StaticToken(SecretSource(Secret("not-a-real-token-1"), file=file), FIXED)
    with pytest.raises(TokenFailed, match="secret_unavailable") as caught:
        await token.headers()
    assert not caught.value.is_refusal
    file.write_text("not-a-real-token-1")
    headers = await token.headers()
    file.unlink()
    with pytest.raises(TokenFailed, match="secret_unavailable"):
        await token.renew(headers)
    assert await token.headers() is headers
