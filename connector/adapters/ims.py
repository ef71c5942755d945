"""The token: fetched, renewed ahead of its end, and never shown.

Promise: at most one request to the token endpoint is under way; a token that was refused is renewed once, and not at
all if it was replaced meanwhile; while the old token is valid, a token endpoint that is down stops nobody.

Not promised: what to do when the renewed token is refused too; `delivery.py` holds the route.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import aiohttp
import orjson

from connector.config import SecretUnavailableError
from connector.config.secret import is_header_safe
from connector.ports import TokenFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from connector.config import SecretSource
    from connector.telemetry import Telemetry

_TIMEOUT_S: Final = 15.0
_RENEW_AT: Final = 0.9  # of a token's life, less some jitter so that many copies do not renew together
_JITTER: Final = 0.05
_MAX_ANSWER_BYTES: Final = 64 * 1024
_SHORTEST_LIFE_S: Final = 1.0
_DEFAULT_LIFE_S: Final = 3600.0  # where the answer does not say; a refused token is renewed anyway
_RETRY_S: Final = 5.0  # the token endpoint throttles those who ask too often

_REMEDIES: Final = {
    "invalid_client": "Check edge.auth.client_id and client_secret.",
    "invalid_scope": "Check edge.auth.scopes against the scopes of the project in the Developer Console.",
    "invalid_grant": "Check that the credential is of the kind OAuth server-to-server.",
}


class NoCredentials:
    """The non-authenticated endpoint."""

    async def headers(self) -> Mapping[str, str]:
        """No headers."""
        return {}

    async def renew(self, refused: Mapping[str, str]) -> None:
        """Nothing to renew."""


class StaticToken:
    """A ready-made token; one from a file is read again when it is refused."""

    def __init__(self, source: SecretSource, headers: Mapping[str, str]) -> None:
        self._source = source
        self._fixed = dict(headers)
        self._headers: dict[str, str] | None = None

    async def headers(self) -> Mapping[str, str]:
        """The headers with the token as last read.

        Raises:
            TokenFailed: it was never read, and its file cannot be.
        """
        if self._headers is None:
            self._headers = self._read()
        return self._headers

    async def renew(self, refused: Mapping[str, str]) -> None:
        """Read the token again, unless that was done already.

        Raises:
            TokenFailed: its file cannot be read.
        """
        if refused is self._headers:
            self._headers = self._read()

    def _read(self) -> dict[str, str]:
        return {**self._fixed, "Authorization": f"Bearer {_reveal(self._source)}"}


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRequest:
    """What the token endpoint is asked."""

    url: str
    client_id: str
    secret: SecretSource
    scopes: tuple[str, ...]


class ClientCredentials:
    """Tokens by OAuth's client-credentials grant. Owned by the event loop; `close` it before the loop ends."""

    def __init__(
        self,
        request: TokenRequest,
        headers: Mapping[str, str],
        *,
        telemetry: Telemetry,
        jitter: Callable[[], float],
    ) -> None:
        self._request = request
        self._fixed = dict(headers)
        self._telemetry = telemetry
        self._jitter = jitter
        self._headers: dict[str, str] = {}
        self._renew_at = float("-inf")
        self._expires_at = float("-inf")
        self._last_failure: TokenFailed | None = None
        self._fetching: asyncio.Task[None] | None = None

    async def headers(self) -> Mapping[str, str]:
        """Headers for the next request; waits for a token only where there is none that is valid.

        Raises:
            TokenFailed: there is no valid token, and none could be had.
        """
        now = asyncio.get_running_loop().time()
        if now >= self._renew_at:
            self._start_fetch()
        if now >= self._expires_at:
            await self._wait_for_token()
        return self._headers

    async def renew(self, refused: Mapping[str, str]) -> None:
        """Replace the token that was refused, unless it was replaced already.

        Raises:
            TokenFailed: no other token could be had.
        """
        if refused is self._headers:
            self._start_fetch()
            await self._wait_for_token()

    async def close(self) -> None:
        """Give up a fetch that is under way."""
        if self._fetching is not None:
            self._fetching.cancel()
            await asyncio.gather(self._fetching, return_exceptions=True)

    def _start_fetch(self) -> None:
        if self._fetching is None or self._fetching.done():
            self._fetching = asyncio.create_task(self._fetch())

    async def _wait_for_token(self) -> None:
        if self._fetching is not None:
            await asyncio.shield(self._fetching)
        if self._last_failure is not None:
            raise TokenFailed(
                self._last_failure.cause, self._last_failure.remedy, is_refusal=self._last_failure.is_refusal
            )

    async def _fetch(self) -> None:
        """Fetch one token; a failure is kept for whoever waits, and the next try comes after a while."""
        loop = asyncio.get_running_loop()
        try:
            token, lifetime_s = await _ask_for_token(self._request)
        except TokenFailed as failure:
            self._last_failure = failure
            self._renew_at = loop.time() + _RETRY_S * (1 + self._jitter())
            self._telemetry.token_failed(failure.cause, failure.remedy)
            return
        self._last_failure = None
        self._headers = {**self._fixed, "Authorization": f"Bearer {token}"}
        self._expires_at = loop.time() + lifetime_s
        self._renew_at = loop.time() + lifetime_s * (_RENEW_AT - _JITTER * self._jitter())
        self._telemetry.token_renewed(lifetime_s)


async def _ask_for_token(request: TokenRequest) -> tuple[str, float]:
    """One request for a token: the token and its lifetime in seconds (published: form-encoded, in the body).

    Raises:
        TokenFailed: refused, unreachable, or an answer that holds no token.
    """
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_TIMEOUT_S)) as session,
            session.post(request.url, data=_form(request), allow_redirects=False) as response,
        ):
            status, body = response.status, await _read(response.content)
    except (aiohttp.ClientError, OSError) as error:  # TimeoutError is an OSError
        cause = f"unreachable_{type(error).__name__}"
    else:
        return _token_in(status, _document(body))
    # Raised out here, the failure does not hold the error: its traceback shows the form to whoever prints locals.
    raise TokenFailed(cause, "Check edge.auth.token_url and the network path.", is_refusal=False)


def _form(request: TokenRequest) -> dict[str, str]:
    return {
        "grant_type": "client_credentials",
        "client_id": request.client_id,
        "client_secret": _reveal(request.secret),
        "scope": ",".join(request.scopes),
    }


def _reveal(source: SecretSource) -> str:
    """A secret as it is now; one that cannot be read may only be about to be replaced, so it is no refusal."""
    try:
        return source.read().reveal()
    except SecretUnavailableError as error:
        reason = str(error)
    raise TokenFailed("secret_unavailable", f"Put the secret back in its place: {reason}.", is_refusal=False)


async def _read(content: aiohttp.StreamReader) -> bytes:
    """Read an answer; what is longer than any should be is cut, and then it is no JSON."""
    body = b""
    while len(body) < _MAX_ANSWER_BYTES and not content.at_eof():
        body += await content.read(_MAX_ANSWER_BYTES - len(body))
    return body


def _token_in(status: int, document: dict[str, Any]) -> tuple[str, float]:
    token, lifetime = document.get("access_token"), document.get("expires_in")
    if status == 200 and isinstance(token, str) and is_header_safe(token):
        seconds = float(lifetime) if isinstance(lifetime, int | float) else _DEFAULT_LIFE_S
        return token, max(seconds, _SHORTEST_LIFE_S)
    code = document.get("error")
    cause = code if isinstance(code, str) and code in _REMEDIES else f"http_{status}"
    remedy = _REMEDIES.get(cause, "Check edge.auth.token_url: what answers there gives no token.")
    raise TokenFailed(cause, remedy, is_refusal=400 <= status < 500 and status not in (408, 429))


def _document(body: bytes) -> dict[str, Any]:
    try:
        document = orjson.loads(body)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}
