"""The token is there when it is needed, is asked for seldom, and is renewed in time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

import pytest

from connector.adapters.ims import NoCredentials, StaticToken
from connector.config import Secret, SecretSource
from connector.local.edge import EdgeSettings, start_edge
from connector.ports import TokenFailed
from tests.adapters.token_endpoint import AT_ONCE, FIXED, Clock, TokenScript, client_credentials, next_headers, scripted

if TYPE_CHECKING:
    from pathlib import Path

FIRST = {**FIXED, "Authorization": "Bearer not-a-real-token-1"}
SECOND = {**FIXED, "Authorization": "Bearer not-a-real-token-2"}


async def test_the_first_request_waits_for_a_token() -> None:
    """The headers hold the organisation, the client and the token; the secret travels in the form alone."""
    async with scripted(TokenScript()) as (server, credentials):
        assert await credentials.headers() == FIRST
        (request,) = server.received
    assert parse_qs(request.body.decode()) == {
        "grant_type": ["client_credentials"],
        "client_id": ["not-a-real-client-id"],
        "client_secret": ["not-a-real-secret"],
        "scope": ["openid"],
    }
    assert request.header("content-type") == "application/x-www-form-urlencoded"
    assert b"secret" not in request.head


async def test_fifty_callers_share_one_request() -> None:
    """However many requests wait for the first token, the endpoint is asked once."""
    async with scripted(TokenScript()) as (server, credentials):
        found = await asyncio.gather(*(credentials.headers() for _ in range(50)))
        assert server.connections == 1
    assert all(headers == FIRST for headers in found)


async def test_a_caller_that_gives_up_leaves_the_others_their_token() -> None:
    """A cancelled caller does not cancel the request that the others wait for."""
    script = TokenScript()
    script.go_on.clear()
    async with scripted(script) as (_, credentials):
        impatient = asyncio.create_task(credentials.headers())
        patient = asyncio.create_task(credentials.headers())
        await asyncio.sleep(0)
        impatient.cancel()
        script.go_on.set()
        assert await patient == FIRST


async def test_a_token_is_renewed_ahead_of_its_end() -> None:
    """While the next token is on its way the current one is given out: nobody waits."""
    script = TokenScript()
    async with scripted(script, jitter=AT_ONCE) as (_, credentials):
        first = await credentials.headers()
        script.go_on.clear()
        assert await credentials.headers() is first
        assert await credentials.headers() is first
        script.go_on.set()
        assert await next_headers(credentials, first) == SECOND


async def test_a_token_that_has_ended_is_waited_for() -> None:
    """After the end of its life a token is not given out again."""
    clock = Clock()
    async with scripted(TokenScript(lifetime_s=0.1), clock=clock) as (_, credentials):  # a second is the shortest life
        first = await credentials.headers()
        clock.now += 0.8
        assert await credentials.headers() is first
        clock.now += 0.2
        assert await credentials.headers() == SECOND
    assert first == FIRST


async def test_a_token_of_unknown_life_is_used() -> None:
    """An answer without a usable lifetime still holds a token."""
    async with scripted(TokenScript(lifetime_s="long")) as (server, credentials):
        assert await credentials.headers() == FIRST
        assert await credentials.headers() == FIRST
        assert server.connections == 1


async def test_a_refused_token_is_replaced_once() -> None:
    """All requests that were refused with one token cause one renewal; a late one finds it replaced already."""
    async with scripted(TokenScript()) as (server, credentials):
        refused = await credentials.headers()
        await asyncio.gather(*(credentials.renew(refused) for _ in range(20)))
        await credentials.renew(refused)
        assert await credentials.headers() == SECOND
        assert server.connections == 2


async def test_a_rotated_secret_is_picked_up(tmp_path: Path) -> None:
    """The secret's file is read again for each token, so a rotation needs no restart."""
    file = tmp_path / "secret"
    file.write_text("not-a-real-secret\n")
    edge = await start_edge(EdgeSettings(auth=True), "127.0.0.1", 0)
    source = SecretSource(Secret("not-a-real-secret"), file=file)
    async with client_credentials(f"{edge.url}/ims/token/v3", secret=source) as credentials:
        first = await credentials.headers()
        edge.tokens.replace_secrets(["another-fake-secret"])
        with pytest.raises(TokenFailed):
            await credentials.renew(first)
        file.write_text("another-fake-secret\n")
        await credentials.renew(first)
        assert await credentials.headers() != first
    await edge.close()


async def test_an_endpoint_that_is_down_stops_nobody_while_the_token_is_valid() -> None:
    """A failed renewal is tried again later; until the token ends it is given out."""
    script = TokenScript()
    async with scripted(script, jitter=AT_ONCE) as (server, credentials):
        first = await credentials.headers()
        script.answers = [("503 Busy", b"")]
        with pytest.raises(TokenFailed):
            await credentials.renew(first)
        assert [await credentials.headers() for _ in range(20)] == [first] * 20
        assert server.connections == 2


async def test_a_failing_endpoint_is_asked_seldom() -> None:
    """Without any token each caller hears the last failure at once; the endpoint is left alone for a while."""
    script = TokenScript()
    script.answers = [("503 Busy", b"")]
    async with scripted(script) as (server, credentials):
        for _ in range(20):
            with pytest.raises(TokenFailed, match="http_503"):
                await credentials.headers()
        assert server.connections == 1


async def test_a_mended_endpoint_is_found_again() -> None:
    """After the wait the next caller gets a token."""
    script, clock = TokenScript(), Clock()
    script.answers = [("503 Busy", b"")]
    async with scripted(script, clock=clock) as (_, credentials):
        with pytest.raises(TokenFailed):
            await credentials.headers()
        clock.now += 5
        assert await credentials.headers() == FIRST


async def test_close_ends_a_request_under_way() -> None:
    """A stop does not wait for a token endpoint that is silent."""
    script = TokenScript()
    script.go_on.clear()
    async with scripted(script) as (_, credentials):
        waiting = asyncio.create_task(credentials.headers())
        await asyncio.sleep(0)
        await credentials.close()
        with pytest.raises(asyncio.CancelledError):
            await waiting


async def test_a_ready_made_token_is_read_again_when_it_was_refused(tmp_path: Path) -> None:
    """A token from a file is replaced by what the file holds then; one that was replaced already is left alone."""
    file = tmp_path / "token"
    file.write_text("not-a-real-token-1")
    token = StaticToken(SecretSource(Secret("not-a-real-token-1"), file=file), FIXED)
    first = await token.headers()
    file.write_text("not-a-real-token-2")
    assert await token.headers() == first == FIRST
    await token.renew(first)
    second = await token.headers()
    await token.renew(first)
    assert await token.headers() is second
    assert second == SECOND


async def test_without_authentication_there_are_no_headers() -> None:
    """The non-authenticated endpoint is asked with nothing, and there is nothing to renew."""
    credentials = NoCredentials()
    assert await credentials.headers() == {}
    await credentials.renew({})
