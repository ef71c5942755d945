"""What may stand at the other end of a request: the local Edge with its faults, a bare socket, or nobody at all.

Promise: each counterpart is broken from the start as its fault says, answers properly once it is mended, and knows
how often it accepted each event.
"""

from __future__ import annotations

import asyncio
import errno
import re
import socket
import ssl
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, Final, Protocol

import aiohappyeyeballs
import orjson
from aiohttp.abc import AbstractResolver, ResolveResult

from connector.local.edge import EdgeCredentials, EdgeSettings, RunningEdge, start_edge
from connector.local.edge.faults import parse_faults
from tests.adapters.raw_server import ACCEPTED, RawServer, raw_server
from tests.adapters.test_edge_client_faults import CERTIFICATE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from contextlib import AbstractAsyncContextManager

    import pytest

    from tests.adapters.raw_server import Peer

MARK: Final = "BAD"
"""Stands in the event that a fault chooses, and in no other."""

_ID: Final = re.compile(rb'"_id":"(\d+)"')
_DECIDED: Final = b'{"requestId":"r","handle":[]}'


class Counterpart(Protocol):
    """The other end."""

    @property
    def base_url(self) -> str:
        """Where the connector sends to."""
        ...

    async def mend(self) -> None:
        """End the fault."""
        ...

    def times_accepted(self, name: str) -> int:
        """How often the event of this id was accepted."""
        ...


class Fault(Protocol):
    """What is wrong with the other end until it is mended."""

    def open(self, monkeypatch: pytest.MonkeyPatch) -> AbstractAsyncContextManager[Counterpart]:
        """Put the counterpart up until the block ends."""
        ...


@dataclass(frozen=True, slots=True)
class AtTheEdge:
    """The local Edge, with these faults as in its JSON."""

    faults: tuple[dict[str, Any], ...] = ()
    asks_for_token: bool = False

    @asynccontextmanager
    async def open(self, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Counterpart]:
        """Start an Edge, which resets what still hangs when it stops."""
        monkeypatch.setattr("connector.local.edge._DRAIN_S", 0.1)
        edge = await start_edge(
            EdgeSettings(auth=self.asks_for_token, seed=1, credentials=EdgeCredentials()), "127.0.0.1", 0
        )
        try:
            at_edge = _Edge(edge)
            at_edge.set_faults(*self.faults)
            yield at_edge
        finally:
            await edge.close()


class _Edge:
    def __init__(self, edge: RunningEdge) -> None:
        self._edge = edge
        self.base_url = edge.url

    def set_faults(self, *faults: dict[str, Any]) -> None:
        self._edge.faults.replace(parse_faults(orjson.dumps({"faults": faults})), 0)

    async def mend(self) -> None:
        self.set_faults()

    def times_accepted(self, name: str) -> int:
        entry = self._edge.ledger.find(name)
        return entry.accepted if entry else 0


@dataclass(frozen=True, slots=True)
class OnTheWire:
    """A bare socket that reads each request and then does what no local Edge does."""

    act: Callable[[Peer], Awaitable[None]]
    only_marked: bool = False  # the act meets the requests that hold the marked event, the others are accepted
    most_bytes: int = 0  # it meets only bodies that are longer
    accepts: bool = False  # its answer is an acceptance

    def meets(self, body: bytes) -> bool:
        """Whether the act is for this request."""
        return len(body) > self.most_bytes and (MARK.encode() in body or not self.only_marked)

    @asynccontextmanager
    async def open(self, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Counterpart]:  # noqa: ARG002 - one contract for all faults
        """Listen on a free port."""
        wire = _Wire(self)
        async with raw_server(wire.serve) as server:
            wire.base_url = f"http://127.0.0.1:{server.port}"
            yield wire


async def _nothing(peer: Peer) -> None:
    """A server that could not be reached while it was broken does nothing else."""


class _Wire:
    base_url: str

    def __init__(self, fault: OnTheWire) -> None:
        self._fault = fault
        self._accepted: Counter[str] = Counter()
        self.is_broken = True

    async def mend(self) -> None:
        self.is_broken = False

    def times_accepted(self, name: str) -> int:
        return self._accepted[name]

    async def serve(self, peer: Peer) -> None:
        while True:
            request = await peer.receive()
            is_met = self.is_broken and self._fault.meets(request.body)
            if self._fault.accepts or not is_met:
                self._accepted.update(name.decode() for name in _ID.findall(request.body))
            if is_met:
                await self._fault.act(peer)
            elif b"/interact?" in request.head:
                await peer.answer("200 OK", _DECIDED)
            else:
                await peer.answer("202 Accepted", ACCEPTED)


class _Names(AbstractResolver):
    """A resolver that behaves as long as nobody breaks it."""

    async def lookup(self) -> str:
        return "127.0.0.1"

    async def resolve(
        self,
        host: str,
        port: int = 0,
        family: socket.AddressFamily = socket.AF_INET,  # noqa: ARG002 - the library's own signature
    ) -> list[ResolveResult]:
        address = await self.lookup()
        found = ResolveResult(hostname=host, host=address, port=port, family=socket.AF_INET, proto=0, flags=0)
        return [found]

    async def close(self) -> None: ...


class Unreachable(Enum):
    """The ways in which no connection comes about."""

    NOBODY_LISTENS = auto()
    NO_SUCH_NAME = auto()
    SILENT_NAME_SERVER = auto()
    NO_ROUTE = auto()
    NOT_TRUSTED = auto()
    NO_FILES = auto()

    def open(self, monkeypatch: pytest.MonkeyPatch) -> AbstractAsyncContextManager[Counterpart]:
        """A server that is well, and cannot be reached until it is mended."""
        match self:
            case Unreachable.NOBODY_LISTENS:
                return _deaf()
            case Unreachable.NOT_TRUSTED:
                return _not_trusted(monkeypatch)
            case Unreachable.NO_SUCH_NAME | Unreachable.SILENT_NAME_SERVER | Unreachable.NO_ROUTE:
                return _not_found(self, monkeypatch)
            case Unreachable.NO_FILES:
                return _no_files(monkeypatch)


@asynccontextmanager
async def _deaf() -> AsyncIterator[Counterpart]:
    """A port that is taken, and on which nobody listens before it is mended."""

    class Deaf(_Wire):
        async def mend(self) -> None:
            await super().mend()
            servers.append(await asyncio.start_server(raw.serve, sock=bound))

    servers: list[asyncio.Server] = []
    wire = Deaf(OnTheWire(_nothing))
    raw = RawServer(wire.serve, "http")
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        wire.base_url = f"http://127.0.0.1:{bound.getsockname()[1]}"
        yield wire
        for server in servers:
            server.close()
        await raw.end()


@asynccontextmanager
async def _not_trusted(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Counterpart]:
    """A server whose certificate nobody vouches for, until somebody does."""
    trust = ssl.create_default_context()
    monkeypatch.setattr("aiohttp.connector._SSL_CONTEXT_VERIFIED", trust)

    class NotTrusted(_Wire):
        async def mend(self) -> None:
            await super().mend()
            trust.load_verify_locations(CERTIFICATE)

    wire = NotTrusted(OnTheWire(_nothing))
    identity = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    identity.load_cert_chain(CERTIFICATE)
    async with raw_server(wire.serve, tls=identity) as server:
        wire.base_url = f"https://127.0.0.1:{server.port}"
        yield wire


@asynccontextmanager
async def _not_found(kind: Unreachable, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Counterpart]:
    """A server whose name leads nowhere until it is mended."""
    wire = _Wire(OnTheWire(_nothing))

    class Names(_Names):
        def __init__(self, **_: object) -> None: ...

        async def lookup(self) -> str:
            if not wire.is_broken:
                return "127.0.0.1"
            if kind is Unreachable.NO_SUCH_NAME:
                raise OSError(None, "no such name")
            if kind is Unreachable.SILENT_NAME_SERVER:
                await asyncio.Event().wait()
            return "255.255.255.255"  # the kernel refuses to connect to a broadcast address

    monkeypatch.setattr("aiohttp.connector.DefaultResolver", Names)
    async with raw_server(wire.serve) as server:
        wire.base_url = f"http://localhost:{server.port}"
        yield wire


@asynccontextmanager
async def _no_files(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Counterpart]:
    """A server to which no socket can be opened until files are closed."""
    wire = _Wire(OnTheWire(_nothing))
    connect = aiohappyeyeballs.start_connection

    async def start_connection(*arguments: Any, **options: Any) -> socket.socket:  # noqa: ANN401 - handed on
        if wire.is_broken:
            raise OSError(errno.EMFILE, "Too many open files")
        return await connect(*arguments, **options)

    monkeypatch.setattr("aiohttp.connector.aiohappyeyeballs.start_connection", start_connection)
    async with raw_server(wire.serve) as server:
        wire.base_url = f"http://127.0.0.1:{server.port}"
        yield wire
