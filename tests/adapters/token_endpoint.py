"""A token endpoint that follows a script, and credentials that ask it."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import orjson

from connector.adapters.ims import ClientCredentials, TokenRequest
from connector.config import Secret, SecretSource
from connector.telemetry import Telemetry
from tests.adapters.raw_server import raw_server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from tests.adapters.raw_server import Peer, RawServer

SECRET = "not-a-real-secret"  # noqa: S105 - its text says it
FIXED = {"x-gw-ims-org-id": "0123456789ABCDEF@AdobeOrg", "x-api-key": "not-a-real-client-id"}
AT_ONCE = 18.0
"""A jitter that lets a token be renewed as soon as it is there: 0.9 - 0.05 * 18 of its life."""


class TokenScript:
    """Issues numbered tokens, or gives the answers that were put in line."""

    def __init__(self, *, lifetime_s: object = 86_400, keeps_token: bool = False) -> None:
        self.go_on = asyncio.Event()
        self.go_on.set()
        self.answers: list[tuple[str, bytes] | tuple[str, bytes, str]] = []
        """Each a status, a body and, where wanted, header lines."""
        self.keeps_token = keeps_token
        self._lifetime_s = lifetime_s
        self._issued = 0

    async def __call__(self, peer: Peer) -> None:
        """Serve one connection."""
        await peer.receive()
        await self.go_on.wait()
        if self.answers:
            status, body, *headers = self.answers.pop(0)
            await peer.answer(status, body, *headers)
            return
        if not self._issued or not self.keeps_token:
            self._issued += 1
        document = {"access_token": f"not-a-real-token-{self._issued}", "expires_in": self._lifetime_s}
        await peer.answer("200 OK", orjson.dumps(document))


class Clock:
    """Monotonic seconds that pass only when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@asynccontextmanager
async def client_credentials(
    url: str,
    *,
    secret: SecretSource | None = None,
    scopes: tuple[str, ...] = ("openid",),
    jitter: float = 0.0,
    clock: Clock | None = None,
) -> AsyncIterator[ClientCredentials]:
    """Credentials that ask an endpoint; closed at the end of the block."""
    request = TokenRequest(
        url=url, client_id="not-a-real-client-id", secret=secret or SecretSource(Secret(SECRET)), scopes=scopes
    )
    credentials = ClientCredentials(
        request, FIXED, telemetry=Telemetry([]), jitter=lambda: jitter, monotonic_s=clock or Clock()
    )
    try:
        yield credentials
    finally:
        await credentials.close()


@asynccontextmanager
async def scripted(
    script: TokenScript, *, jitter: float = 0.0, clock: Clock | None = None, secret: SecretSource | None = None
) -> AsyncIterator[tuple[RawServer, ClientCredentials]]:
    """The endpoint of a script and credentials that ask it."""
    async with (
        raw_server(script) as server,
        client_credentials(server.url, jitter=jitter, clock=clock, secret=secret) as credentials,
    ):
        yield server, credentials


async def next_headers(credentials: ClientCredentials, before: Mapping[str, str]) -> Mapping[str, str]:
    """The headers once they are others than before."""
    async with asyncio.timeout(10):
        while True:
            headers = await credentials.headers()
            if headers is not before:
                return headers
            await asyncio.sleep(0.005)
