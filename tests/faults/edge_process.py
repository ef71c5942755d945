"""The local Edge as a process of its own, and what a test asks of it.

Promise: its ledger is written to a file line by line before an answer leaves, so it is there whatever happens to
the connector; it keeps a checksum of every event that it accepted. The test never faults this process itself.
"""

from __future__ import annotations

import http.client
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from connector.local.edge import EdgeSettings, run_edge

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

HOST = "127.0.0.1"
COMMAND = (sys.executable, "-m", "tests.faults.edge_process")
_TIMEOUT_S = 30.0


def slow(delay_ms: float) -> dict[str, object]:
    """The fault of an Edge that takes so long for each answer."""
    return {"delay": {"kind": "fixed", "ms": delay_ms}}


@dataclass(frozen=True, slots=True)
class Accepted:
    """What the ledger holds of one event id: how often it was accepted, and the first one's checksum."""

    times: int
    crc32: int


class EdgeControl:
    """The Edge's own interface, asked from outside."""

    def __init__(self, port: int, ledger: Path) -> None:
        self.port = port
        self._ledger = ledger

    @property
    def url(self) -> str:
        """Where requests go."""
        return f"http://{HOST}:{self.port}"

    def set_faults(self, *faults: Mapping[str, Any]) -> None:
        """Replace all faults; none ends them."""
        answer = self._call("PUT", "/_edge/faults", orjson.dumps({"faults": faults}))
        assert orjson.loads(answer)["faults"] is not None

    def faults(self) -> list[dict[str, Any]]:
        """The faults as they were set, each with `matched` and `over`."""
        found: list[dict[str, Any]] = orjson.loads(self._call("GET", "/_edge/faults"))["faults"]
        return found

    def summary(self) -> dict[str, Any]:
        """The ledger's sums."""
        found: dict[str, Any] = orjson.loads(self._call("GET", "/_edge/ledger"))
        return found

    def accepted_count(self) -> int:
        """How many different events were accepted."""
        return int(self.summary()["ids"]["accepted"])

    def accepted(self) -> dict[str, Accepted]:
        """Every event id that was accepted."""
        lines = self._call("GET", "/_edge/ledger?ids=accepted").splitlines()
        entries = (orjson.loads(line) for line in lines)
        return {entry["id"]: Accepted(entry["accepted"], entry["crc32"]) for entry in entries}

    def ledger(self) -> Iterator[dict[str, Any]]:
        """The decided requests, in order, as the file has them."""
        with self._ledger.open("rb") as file:
            for line in file:
                yield orjson.loads(line)

    def revoke_tokens(self) -> int:
        """Make every issued token worthless; returns how many were forgotten."""
        return int(orjson.loads(self._call("DELETE", "/_edge/tokens"))["revoked"])

    def accept_secrets(self, *secrets: str) -> None:
        """Give tokens for these client secrets from now on and for no others."""
        self._call("PUT", "/_edge/client-secrets", orjson.dumps({"client_secrets": secrets}))

    def tokens(self) -> dict[str, int]:
        """How many tokens were issued, refused, and are good now."""
        found: dict[str, int] = orjson.loads(self._call("GET", "/_edge/tokens"))
        return found

    def _call(self, method: str, path: str, body: bytes | None = None) -> bytes:
        connection = http.client.HTTPConnection(HOST, self.port, timeout=_TIMEOUT_S)
        try:
            connection.request(method, path, body)
            answer = connection.getresponse()
            text = answer.read()
        finally:
            connection.close()
        assert answer.status < 300, f"{method} {path}: {answer.status} {text.decode()}"
        return text


def main(arguments: Sequence[str]) -> None:
    """Run an Edge on a free port: the ledger's file, and where it asks for tokens their lifetime in seconds."""
    ledger, *lifetime = arguments
    settings = EdgeSettings(ledger_path=Path(ledger), checksums=True, seed=1)
    if lifetime:
        settings = replace(settings, auth=True, token_lifetime_s=float(lifetime[0]))
    run_edge(settings, HOST, 0)


if __name__ == "__main__":
    main(sys.argv[1:])
