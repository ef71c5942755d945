"""The token: fetched, renewed ahead of its end, and never shown.

Promise: at most one request to the token endpoint is under way; a token that was refused is renewed once, and not at
all if it was replaced meanwhile; while the old token is valid, a token endpoint that is down stops nobody. After
trouble the endpoint is asked ever more seldom (`core/token_pace.py`), but at once with a secret that was replaced. A
token is in no exception, no log, and no `repr` of anything here.

Not promised: what to do when the renewed token is refused too; `delivery.py` holds the route. A refused token for which
there is no other is still given out until its end: the Edge is the judge of it, and one broken gateway that refuses
everybody must not stop what others would let through.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

from connector.adapters.ims_request import Failure, Grant, TokenRequest, ask_for_token
from connector.config import SecretUnavailableError
from connector.config.secret import MASK
from connector.core.token_pace import TokenPace
from connector.ports import TokenFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from connector.config import Secret, SecretSource
    from connector.telemetry import Telemetry

__all__ = ["ClientCredentials", "NoCredentials", "StaticToken", "TokenRequest"]

_RENEW_AT: Final = 0.9  # of a token's life, less some jitter so that many copies do not renew together
_JITTER: Final = 0.05

_UNCHANGED: Final = Failure(
    cause="token_unchanged",
    remedy="The Edge refuses the token, and there is no other: check edge.auth.org_id and the rights of the project.",
    is_refusal=True,
)
_REFUSED_WHEN_NEW: Final = Failure(
    cause="token_refused_when_new",
    remedy="The Edge refuses a token that was just renewed: check edge.auth.org_id and the rights of the project.",
    is_refusal=True,
)


class AuthHeaders(dict[str, str]):
    """Headers of a request; what prints them, such as a traceback with its locals, shows no token."""

    def __init__(self, fixed: Mapping[str, str], token: Secret) -> None:
        super().__init__(fixed, Authorization=f"Bearer {token.reveal()}")

    def __repr__(self) -> str:
        return repr({**self, "Authorization": MASK})


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
        self._headers: AuthHeaders | None = None

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
            TokenFailed: its file cannot be read, or still holds the token that was refused.
        """
        if refused is not self._headers:
            return
        headers = self._read()
        if headers == refused:
            raise _raisable(_UNCHANGED)
        self._headers = headers

    def _read(self) -> AuthHeaders:
        secret = _read(self._source)
        if isinstance(secret, Failure):
            raise _raisable(secret)
        return AuthHeaders(self._fixed, secret)


class ClientCredentials:
    """Tokens by OAuth's client-credentials grant. Owned by the event loop; `close` it before the loop ends."""

    def __init__(
        self,
        request: TokenRequest,
        headers: Mapping[str, str],
        *,
        telemetry: Telemetry,
        jitter: Callable[[], float],
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._request = request
        self._fixed = dict(headers)
        self._telemetry = telemetry
        self._jitter = jitter
        self._monotonic_s = monotonic_s
        self._headers: Mapping[str, str] = {}
        self._renew_at = float("-inf")
        self._expires_at = float("-inf")
        self._is_refused = False  # whether the fetch under way, or the next one, is there to replace a refused token
        self._pace = TokenPace()
        self._tried: Secret | None = None
        self._failure: Failure | None = None
        self._fetching: asyncio.Task[None] | None = None

    async def headers(self) -> Mapping[str, str]:
        """Headers for the next request; waits for a token only where there is none that is valid.

        Raises:
            TokenFailed: there is no valid token, and none could be had.
        """
        now = self._monotonic_s()
        if now >= self._renew_at:
            self._start_fetch()
        if now >= self._expires_at:
            await self._await_another()
        return self._headers

    async def renew(self, refused: Mapping[str, str]) -> None:
        """Replace the token that was refused, unless it was replaced already.

        Raises:
            TokenFailed: no other token could be had, or not so soon after the last one.
        """
        if refused is self._headers:
            self._is_refused = True
            await self._await_another()

    async def close(self) -> None:
        """Give up a fetch that is under way."""
        if self._fetching is not None:
            self._fetching.cancel()
            await asyncio.gather(self._fetching, return_exceptions=True)

    def _is_fetching(self) -> bool:
        return self._fetching is not None and not self._fetching.done()

    def _start_fetch(self) -> None:
        if not self._is_fetching():
            self._fetching = asyncio.create_task(self._fetch())

    async def _await_another(self) -> None:
        """Wait for the fetch that is under way, or start one if it is time; else the last failure stands."""
        if not self._is_fetching():
            if not self._pace.is_free(self._monotonic_s(), is_new_secret=self._is_new_secret()):
                raise _raisable(self._failure or _REFUSED_WHEN_NEW)
            self._start_fetch()
        if self._fetching is not None:
            await asyncio.shield(self._fetching)
        if self._failure is not None:
            raise _raisable(self._failure)

    def _is_new_secret(self) -> bool:
        secret = _read(self._request.secret)
        return not isinstance(secret, Failure) and secret != self._tried

    async def _fetch(self) -> None:
        """Fetch one token; a failure is kept for whoever waits, and the next try comes after a while."""
        asked_at = self._monotonic_s()
        answer = await self._ask()
        if isinstance(answer, Failure) and answer.is_refusal and self._is_new_secret():
            answer = await self._ask()  # it was replaced just while the old one was refused
        was_refused, self._is_refused = self._is_refused, False
        if isinstance(answer, Grant):
            headers = AuthHeaders(self._fixed, answer.token)
            if headers != self._headers:
                self._take(headers, asked_at, answer.lifetime_s, was_refused=was_refused)
                return
            if not was_refused:  # an endpoint that keeps tokens gave the same one again, which is good
                self._take(self._headers, asked_at, answer.lifetime_s, was_refused=False)
                return
            answer = _UNCHANGED
        self._fail(answer)

    async def _ask(self) -> Grant | Failure:
        secret = _read(self._request.secret)
        if isinstance(secret, Failure):
            self._tried = None  # whatever comes into the file is new
            return secret
        self._tried = secret
        return await ask_for_token(self._request, secret)

    def _take(self, headers: Mapping[str, str], asked_at: float, lifetime_s: float, *, was_refused: bool) -> None:
        self._failure = None
        self._headers = headers
        self._expires_at = asked_at + lifetime_s
        self._renew_at = asked_at + lifetime_s * (_RENEW_AT - _JITTER * self._jitter())
        if was_refused:  # if the new token is refused as well, more of them will not help
            self._pace.note_trouble(self._monotonic_s(), retry_after_s=None, jitter=self._jitter())
        else:
            self._pace.note_success()
        self._telemetry.token_renewed(lifetime_s)

    def _fail(self, failure: Failure) -> None:
        self._failure = failure
        self._pace.note_trouble(self._monotonic_s(), retry_after_s=failure.retry_after_s, jitter=self._jitter())
        self._renew_at = max(self._renew_at, self._pace.next_at)
        self._telemetry.token_failed(failure.cause, failure.remedy)


def _read(source: SecretSource) -> Secret | Failure:
    """A secret as it is now; one that cannot be read may only be about to be replaced, so it is no refusal."""
    try:
        return source.read()
    except SecretUnavailableError as error:
        return Failure(cause="secret_unavailable", remedy=f"Put the secret back in its place: {error}.")


def _raisable(failure: Failure) -> TokenFailed:
    """A new exception each time: one that is raised again would collect the frames of all who met it."""
    return TokenFailed(failure.cause, failure.remedy, is_refusal=failure.is_refusal)
