"""The token endpoint is left alone when it asks for that, refuses, or gives nothing better."""

from __future__ import annotations

import asyncio
import time
from email.utils import formatdate
from typing import TYPE_CHECKING

import pytest

from connector.adapters.ims import StaticToken
from connector.config import Secret, SecretSource
from connector.ports import TokenFailed
from tests.adapters.raw_server import raw_server
from tests.adapters.token_endpoint import FIXED, SECRET, Clock, TokenScript, client_credentials, scripted

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from connector.adapters.ims import ClientCredentials
    from tests.adapters.raw_server import Peer, RawServer

FIRST = {**FIXED, "Authorization": "Bearer not-a-real-token-1"}
SECOND = {**FIXED, "Authorization": "Bearer not-a-real-token-2"}
REFUSED = ("401 Unauthorized", b'{"error":"invalid_client"}')


async def cause_of_headers(credentials: ClientCredentials) -> str:
    with pytest.raises(TokenFailed) as caught:
        await credentials.headers()
    return caught.value.cause


async def cause_of_renewal(credentials: ClientCredentials, refused: Mapping[str, str]) -> str:
    with pytest.raises(TokenFailed) as caught:
        await credentials.renew(refused)
    return caught.value.cause


async def asked_at(
    server: RawServer, credentials: ClientCredentials, refused: Mapping[str, str], clock: Clock, *, seconds: int
) -> list[int]:
    """In which seconds the endpoint is asked while twenty callers ask for a renewal in each second."""
    begin, found = clock.now, []
    for second in range(seconds):
        clock.now = begin + second
        before = server.connections
        await asyncio.gather(*(credentials.renew(refused) for _ in range(20)), return_exceptions=True)
        found += [second] * (server.connections - before)
    return found


@pytest.mark.parametrize("status", ["429 Too Many Requests", "503 Service Unavailable"])
async def test_retry_after_in_seconds_is_kept_to(status: str) -> None:
    """The endpoint is asked again when it wants to be and not before, by whomever and however often."""
    script, clock = TokenScript(), Clock()
    script.answers = [(status, b"", "Retry-After: 120")]
    async with scripted(script, clock=clock) as (server, credentials):
        cause = f"http_{status[:3]}"
        for seconds in (0, 1, 60, 58.9):
            clock.now += seconds
            assert await cause_of_headers(credentials) == cause
        assert server.connections == 1
        clock.now += 0.2
        assert await credentials.headers() == FIRST


async def test_retry_after_may_be_a_date() -> None:
    """A date is read by this machine's clock."""
    script, clock = TokenScript(), Clock()
    script.answers = [("429 Too Many Requests", b"", f"Retry-After: {formatdate(time.time() + 100, usegmt=True)}")]
    async with scripted(script, clock=clock) as (server, credentials):
        await cause_of_headers(credentials)
        clock.now += 50
        await cause_of_headers(credentials)
        assert server.connections == 1
        clock.now += 51
        assert await credentials.headers() == FIRST


async def test_retry_after_is_capped() -> None:
    """A wrong Retry-After keeps nobody without a token for longer than five minutes."""
    script, clock = TokenScript(), Clock()
    script.answers = [("503 Service Unavailable", b"", "Retry-After: 864000")]
    async with scripted(script, clock=clock) as (_, credentials):
        await cause_of_headers(credentials)
        clock.now += 299
        await cause_of_headers(credentials)
        clock.now += 1
        assert await credentials.headers() == FIRST


async def test_a_refused_renewal_is_repeated_ever_more_seldom() -> None:
    """However many ask for a renewal, a refusing endpoint is asked once in 5, 10, 20, 40 and then 60 s."""
    script, clock = TokenScript(), Clock()
    async with scripted(script, clock=clock) as (server, credentials):
        refused = await credentials.headers()
        script.answers = [REFUSED] * 100
        assert await asked_at(server, credentials, refused, clock, seconds=200) == [0, 5, 15, 35, 75, 135, 195]
        assert await cause_of_renewal(credentials, refused) == "invalid_client"
        assert await credentials.headers() is refused


async def test_new_tokens_that_are_refused_are_renewed_ever_more_seldom() -> None:
    """Where the Edge refuses every token, or one broken gateway some, the endpoint does not pay for it."""
    clock = Clock()
    async with scripted(TokenScript(), clock=clock) as (server, credentials):
        begin, asked = clock.now, []
        await credentials.headers()
        for second in range(100):
            clock.now = begin + second
            before = server.connections
            refused = await credentials.headers()
            await asyncio.gather(*(credentials.renew(refused) for _ in range(20)), return_exceptions=True)
            asked += [second] * (server.connections - before)
        assert asked == [0, 5, 15, 35, 75]
        clock.now = begin + 100
        with pytest.raises(TokenFailed, match="token_refused_when_new") as caught:
            await credentials.renew(await credentials.headers())
        assert caught.value.is_refusal


async def test_a_replaced_secret_is_tried_at_once_and_once(tmp_path: Path) -> None:
    """A new secret ends the wait after a refusal; one that is refused too begins another."""
    file = tmp_path / "secret"
    file.write_text(SECRET)
    script, clock = TokenScript(), Clock()
    source = SecretSource(Secret(SECRET), file=file)
    async with scripted(script, clock=clock, secret=source) as (server, credentials):
        refused = await credentials.headers()
        script.answers = [REFUSED, REFUSED]
        for secret, connections in ((SECRET, 2), (SECRET, 2), ("another-fake-secret", 3), ("another-fake-secret", 3)):
            file.write_text(secret)
            assert await cause_of_renewal(credentials, refused) == "invalid_client"
            assert server.connections == connections
        file.write_text("the-right-secret")
        await credentials.renew(refused)
        assert await credentials.headers() == SECOND
        assert b"the-right-secret" in server.received[-1].body


async def test_a_replaced_secret_is_tried_at_once_without_any_token(tmp_path: Path) -> None:
    """Who waits for the first token gets it as soon as the secret is mended; a file that is gone counts so too."""
    file = tmp_path / "secret"
    script = TokenScript()
    script.answers = [REFUSED]
    async with scripted(script, secret=SecretSource(Secret(SECRET), file=file)) as (_, credentials):
        assert await cause_of_headers(credentials) == "secret_unavailable"
        file.write_text(SECRET)
        assert await cause_of_headers(credentials) == "invalid_client"
        file.write_text("the-right-secret")
        assert await credentials.headers() == FIRST


async def test_a_replaced_secret_does_not_cut_retry_after_short(tmp_path: Path) -> None:
    """What the endpoint asks for counts more than what might work now."""
    file = tmp_path / "secret"
    file.write_text(SECRET)
    script, clock = TokenScript(), Clock()
    script.answers = [("429 Too Many Requests", b"", "Retry-After: 20")]
    async with scripted(script, clock=clock, secret=SecretSource(Secret(SECRET), file=file)) as (server, credentials):
        await cause_of_headers(credentials)
        file.write_text("another-fake-secret")
        await cause_of_headers(credentials)
        assert server.connections == 1
        clock.now += 20
        assert await credentials.headers() == FIRST


async def test_a_secret_replaced_during_its_refusal_is_tried_before_anybody_is_told(tmp_path: Path) -> None:
    """At a start a refusal ends the process; one of a secret that is no longer there must not."""
    file = tmp_path / "secret"
    file.write_text(SECRET)
    issue = TokenScript()

    async def replace_then_refuse(peer: Peer) -> None:
        if file.read_text() != SECRET:
            await issue(peer)
            return
        await peer.receive()
        file.write_text("the-right-secret")
        await peer.answer(*REFUSED)

    source = SecretSource(Secret(SECRET), file=file)
    async with raw_server(replace_then_refuse) as server, client_credentials(server.url, secret=source) as credentials:
        assert await credentials.headers() == FIRST
        assert server.connections == 2


async def test_the_same_token_again_is_a_refusal_and_no_loop() -> None:
    """An endpoint that hands out the refused token again is asked seldom; with another token all is well."""
    script, clock = TokenScript(keeps_token=True), Clock()
    async with scripted(script, clock=clock) as (server, credentials):
        refused = await credentials.headers()
        assert await asked_at(server, credentials, refused, clock, seconds=16) == [0, 5, 15]
        with pytest.raises(TokenFailed, match="token_unchanged") as caught:
            await credentials.renew(refused)
        assert caught.value.is_refusal
        assert await credentials.headers() is refused
        script.keeps_token = False
        clock.now += 60
        await credentials.renew(refused)
        assert await credentials.headers() == SECOND


async def test_the_same_token_again_in_due_time_is_fine() -> None:
    """An endpoint may keep a token that nobody refused; what counts is its new lifetime."""
    script, clock = TokenScript(lifetime_s=100, keeps_token=True), Clock()
    async with scripted(script, clock=clock) as (server, credentials):
        first = await credentials.headers()
        for asked in (2, 3):
            clock.now += 95
            await credentials.headers()
            async with asyncio.timeout(10):
                while credentials._is_fetching():  # noqa: ASYNC110 - nobody tells when a fetch in the background ends
                    await asyncio.sleep(0)
            assert await credentials.headers() is first
            assert server.connections == asked


async def test_a_due_renewal_that_fails_stops_nobody_until_the_end() -> None:
    """While the token is valid nobody waits for a failing endpoint; after its end everybody hears why."""
    script, clock = TokenScript(lifetime_s=100), Clock()
    async with scripted(script, clock=clock) as (server, credentials):
        first = await credentials.headers()
        script.answers = [("500 Internal Server Error", b"")] * 10
        for _ in range(9):
            clock.now += 1
            assert await credentials.headers() is first
        assert server.connections == 1
        clock.now += 81.5
        assert await credentials.headers() is first
        script.go_on.clear()
        clock.now += 9.4
        assert await credentials.headers() is first
        clock.now += 0.2
        waiting = asyncio.create_task(credentials.headers())
        script.go_on.set()
        with pytest.raises(TokenFailed, match="http_500"):
            await waiting


async def test_a_ready_made_token_that_stays_the_same_is_a_refusal(tmp_path: Path) -> None:
    """A constant cannot be renewed, nor a file that still holds what was refused: the operator is told."""
    file = tmp_path / "token"
    file.write_text("not-a-real-token-1")
    for source in (SecretSource(Secret("not-a-real-token-1")), SecretSource(Secret("x"), file=file)):
        token = StaticToken(source, FIXED)
        headers = await token.headers()
        with pytest.raises(TokenFailed, match="token_unchanged") as caught:
            await token.renew(headers)
        assert caught.value.is_refusal
        assert await token.headers() is headers
