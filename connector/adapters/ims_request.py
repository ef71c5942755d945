"""One request for a token, and what its answer means.

Promise: whatever the endpoint or the network does, there is a grant or a failure that says what to mend, and it ends.
Neither holds a text of the answer, and no exception that has seen the secret or the token leaves this file.

Not promised: when to ask, and how often; `ims.py` decides that.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import aiohttp
import orjson

from connector.adapters.http_connections import new_session
from connector.config import Secret
from connector.config.secret import is_header_safe
from connector.core.retry import by_the_answers_clock, retry_after_s
from connector.core.token_pace import RETRY_AFTER_MAX_S

if TYPE_CHECKING:
    from connector.config import SecretSource

_TIMEOUT_S: Final = 15.0
_MAX_ANSWER_BYTES: Final = 64 * 1024
_SHORTEST_LIFE_S: Final = 1.0
_DEFAULT_LIFE_S: Final = 3600.0  # where the answer does not say; a refused token is renewed anyway

_NO_TOKEN: Final = "Check edge.auth.token_url: what answers there gives no token."  # noqa: S105 - a remedy
_REMEDIES: Final = {
    "invalid_client": "Check edge.auth.client_id and client_secret.",
    "invalid_scope": "Check edge.auth.scopes against the scopes of the project in the Developer Console.",
    "invalid_grant": "Check that the credential is of the kind OAuth server-to-server.",
    "unauthorized_client": "Check that the credential is of the kind OAuth server-to-server.",
}
_PASSING: Final = {
    408: "Nothing to mend if it passes; else check the network path to edge.auth.token_url.",
    429: "Nothing to mend if it passes: the token endpoint throttles. Else look for others that use this client id.",
    503: "Nothing to mend if it passes: the token endpoint is not available. Else check edge.auth.token_url.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRequest:
    """What the token endpoint is asked."""

    url: str
    client_id: str
    secret: SecretSource
    scopes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Grant:
    """A token and its lifetime."""

    token: Secret
    lifetime_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why there is no token."""

    cause: str  # from a closed set, or `http_` and a status, or `unreachable_` and the name of an error
    remedy: str
    is_refusal: bool = False  # the endpoint said no, as opposed to saying nothing
    retry_after_s: float | None = None


async def ask_for_token(request: TokenRequest, secret: Secret) -> Grant | Failure:
    """Ask once (published: form-encoded, in the body). It never raises for anything that answers or does not."""
    try:
        async with (
            new_session(aiohttp.ClientTimeout(total=_TIMEOUT_S)) as session,
            session.post(request.url, data=_form(request, secret), allow_redirects=False) as response,
        ):
            status, headers = response.status, response.headers
            retry_after = by_the_answers_clock(headers.get("Retry-After"), headers.get("Date"))
            body = await _read(response.content)
    except Exception as error:  # noqa: BLE001 - one that went on would show the form to whoever prints its frames
        cause = f"unreachable_{type(error).__name__}"
        return Failure(cause=cause, remedy="Check edge.auth.token_url and the network path.")
    return _judge(status, _document(body), retry_after)


def _form(request: TokenRequest, secret: Secret) -> dict[str, str]:
    return {
        "grant_type": "client_credentials",
        "client_id": request.client_id,
        "client_secret": secret.reveal(),
        "scope": ",".join(request.scopes),
    }


async def _read(content: aiohttp.StreamReader) -> bytes:
    """Read an answer; what is longer than any should be is cut, and then it is no JSON."""
    body = b""
    while len(body) < _MAX_ANSWER_BYTES and not content.at_eof():
        body += await content.read(_MAX_ANSWER_BYTES - len(body))
    return body


def _document(body: bytes) -> dict[str, Any]:
    try:
        document = orjson.loads(body)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def _judge(status: int, document: dict[str, Any], retry_after: str | None) -> Grant | Failure:
    token, lifetime = document.get("access_token"), document.get("expires_in")
    if status == 200 and isinstance(token, str) and is_header_safe(token):
        if isinstance(lifetime, bool) or not isinstance(lifetime, int | float):
            lifetime = _DEFAULT_LIFE_S
        return Grant(Secret(token), max(float(lifetime), _SHORTEST_LIFE_S))
    return _failure(status, document.get("error"), retry_after)


def _failure(status: int, code: object, retry_after: str | None) -> Failure:
    is_passing = status in _PASSING or status >= 500
    is_known = isinstance(code, str) and code in _REMEDIES and not is_passing
    return Failure(
        cause=str(code) if is_known else f"http_{status}",
        remedy=_REMEDIES[str(code)] if is_known else _PASSING.get(status, _NO_TOKEN),
        is_refusal=400 <= status < 500 and not is_passing,
        retry_after_s=retry_after_s(retry_after, now_unix_s=time.time(), max_s=RETRY_AFTER_MAX_S),
    )
