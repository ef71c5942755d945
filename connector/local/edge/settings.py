"""What one local Edge is told when it starts.

Promise: plain values with harmless defaults; every default credential says by its text that it is not real.
It does not read files or the environment. The command line owns how these values are asked for.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from connector.local.edge.delays import Delay

MAX_BODY_BYTES = 65_536
DAY_S = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeCredentials:
    """What the token endpoint accepts. Several secrets may be valid at once, as in a rotation (published)."""

    client_id: str = "not-a-real-client-id"
    client_secrets: tuple[str, ...] = ("not-a-real-secret",)
    scopes: tuple[str, ...] = ("openid", "AdobeID", "acp.foundation")
    org_id: str = "0123456789ABCDEF@AdobeOrg"
    static_tokens: tuple[str, ...] = ()  # accepted without ever having been issued, until all are revoked


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeSettings:
    """How one local Edge behaves.

    `auth` asks for a token and for one primary identity in each event. An empty `datastreams` knows every id
    that has the form of one. `upstreams` prices a request, by its datastream where `datastream_upstreams` has
    it. `request_units_per_second` is the allowance of collect and that of interact, where `interact_units_per_second`
    does not give interact another one; None allows any rate. `latency` delays every answer of collect and
    interact. `checksums` keeps a CRC-32 of each event that was accepted, at the price of writing every event
    once more.
    """

    auth: bool = False
    datastreams: frozenset[str] = frozenset()
    credentials: EdgeCredentials = field(default_factory=EdgeCredentials)
    token_lifetime_s: float = DAY_S
    max_body_bytes: int = MAX_BODY_BYTES
    ledger_path: Path | None = None
    latency: Delay | None = None
    request_units_per_second: float | None = None
    interact_units_per_second: float | None = None
    upstreams: int = 1
    datastream_upstreams: Mapping[str, int] = field(default_factory=dict)
    checksums: bool = False
    seed: int | None = None  # of the draws that shares and latencies are made of; None draws a new one
