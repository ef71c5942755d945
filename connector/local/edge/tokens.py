"""Tokens of the local Edge: issuing, checking, revoking, and the rotation of client secrets.

Promise: a token is good from its issue until its expiry or until all are revoked, and says at a request which
of the published codes applies. Time is an argument, in milliseconds of one monotonic clock. It prints no
token and no secret. HTTP is not its business.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

from connector.local.edge.problems import Problem, problem_of_code

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from connector.local.edge.settings import EdgeCredentials

_MAX_TOKENS = 10_000  # the oldest go first: a client that never stops asking must not fill the memory
_NEEDED_SCOPE = "acp.foundation"  # of service tokens (published)


@dataclass(frozen=True, slots=True)
class TokenGrant:
    """An issued token: what it permits and until when."""

    scopes: frozenset[str]
    expires_ms: float


@dataclass(frozen=True, slots=True)
class TokenAnswer:
    """What the token endpoint says, before it is JSON."""

    status: int
    body: Mapping[str, object]


class TokenDesk:
    """The state behind the token endpoint: valid secrets, live grants, counts."""

    def __init__(self, credentials: EdgeCredentials, lifetime_s: float) -> None:
        self._credentials = credentials
        self._lifetime_s = lifetime_s
        self._secrets = credentials.client_secrets
        everything = TokenGrant(frozenset(credentials.scopes) | {_NEEDED_SCOPE}, float("inf"))
        self._grants = dict.fromkeys(credentials.static_tokens, everything)
        self._issued = 0
        self._refused = 0

    def issue(self, form: Mapping[str, str], now_ms: float) -> TokenAnswer:
        """Answer one form of `grant_type`, `client_id`, `client_secret` and a comma-separated `scope`."""
        if refusal := self._find_refusal(form):
            self._refused += 1
            return refusal
        token = f"local-edge-token-{secrets.token_hex(24)}"
        if len(self._grants) >= _MAX_TOKENS:
            del self._grants[next(iter(self._grants))]
        self._grants[token] = TokenGrant(_scopes_of(form), now_ms + self._lifetime_s * 1000)
        self._issued += 1
        seconds = int(self._lifetime_s)
        return TokenAnswer(200, {"access_token": token, "token_type": "bearer", "expires_in": seconds})

    def _find_refusal(self, form: Mapping[str, str]) -> TokenAnswer | None:
        if form.get("grant_type") != "client_credentials":
            return _refuse(400, "unsupported_grant_type", "grant_type must be client_credentials")
        if form.get("client_id") != self._credentials.client_id:
            return _refuse(401, "invalid_client", "invalid client_id parameter")
        if form.get("client_secret") not in self._secrets:
            return _refuse(401, "invalid_client", "invalid client_secret parameter")
        unknown = _scopes_of(form) - set(self._credentials.scopes)
        if unknown or not form.get("scope"):
            return _refuse(400, "invalid_scope", f"unknown scopes: {', '.join(sorted(unknown)) or '(none given)'}")
        return None

    def check(self, headers: Mapping[str, str], now_ms: float) -> Problem | None:
        """Check a request's three headers (given). Codes are published; their choice is this project's."""
        scheme, _, token = headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            return problem_of_code("EXEG-0500-401", "The Authorization header is missing or is no Bearer token.")
        org_id, api_key = headers.get("x-gw-ims-org-id"), headers.get("x-api-key")
        if not org_id or not api_key:
            return problem_of_code("EXEG-0500-401", "The header x-gw-ims-org-id or x-api-key is missing.")
        grant = self._grants.get(token.strip())
        if grant is None:
            return problem_of_code("EXEG-0502-401", "The authorization token is not valid.")
        if now_ms >= grant.expires_ms:
            return problem_of_code("EXEG-0503-401", "The authorization token has expired.")
        return self._find_missing_right(grant, org_id, api_key)

    def _find_missing_right(self, grant: TokenGrant, org_id: str, api_key: str) -> Problem | None:
        if org_id != self._credentials.org_id or api_key != self._credentials.client_id:
            detail = "The token does not belong to this organisation and API key."
            return problem_of_code("EXEG-0504-401", detail)
        if _NEEDED_SCOPE not in grant.scopes:
            return problem_of_code("EXEG-0505-401", f"The token lacks the scope {_NEEDED_SCOPE}.")
        return None

    def revoke_all(self) -> int:
        """Forget every token, static ones too: they are no longer valid. Returns how many there were."""
        count = len(self._grants)
        self._grants.clear()
        return count

    def replace_secrets(self, client_secrets: Sequence[str]) -> None:
        """Accept these secrets from now on and no others; issued tokens stay good."""
        self._secrets = tuple(client_secrets)

    def describe(self, now_ms: float) -> dict[str, int]:
        """Count what was issued and refused, and what is good now."""
        live = sum(now_ms < grant.expires_ms for grant in self._grants.values())
        return {"issued": self._issued, "refused": self._refused, "live": live}


def _scopes_of(form: Mapping[str, str]) -> frozenset[str]:
    return frozenset(scope.strip() for scope in form.get("scope", "").split(",") if scope.strip())


def _refuse(status: int, error: str, description: str) -> TokenAnswer:
    return TokenAnswer(status, {"error": error, "error_description": description})
