"""A name may lead to several addresses, to dead ones, and to others than before."""

from __future__ import annotations

import socket
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from connector.core.verdict import Answer
from tests.adapters.http_clients import BODY, edge_client
from tests.adapters.raw_server import ACCEPTED, Peer, RawServer, raw_server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractAsyncContextManager

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere 127.0.0.2 leads nowhere")

ANSWERED = Answer(status=202, body=ACCEPTED)


class Names(AbstractResolver):
    """A resolver that knows one name, and can be told where it leads."""

    addresses: tuple[str, ...] = ()

    def __init__(self, **_: object) -> None: ...

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        assert family in {socket.AF_INET, socket.AF_UNSPEC}
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for address in self.addresses
        ]

    async def close(self) -> None: ...


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Names]]:
    """The resolver of every session made in the test."""
    monkeypatch.setattr("aiohttp.connector.DefaultResolver", Names)
    yield Names
    Names.addresses = ()


async def accept(peer: Peer) -> None:
    while True:
        await peer.receive()
        await peer.answer("202 Accepted", ACCEPTED)


def serving(address: str, port: int = 0) -> AbstractAsyncContextManager[RawServer]:
    """A server that accepts everything, on an address of its own."""
    return raw_server(accept, address=address, port=port)


async def test_a_name_that_moved_is_followed_after_the_connections_age(names: type[Names]) -> None:
    """A live connection never asks again, so it is replaced in time: the old address may be about to go."""
    async with serving("127.0.0.1") as before, serving("127.0.0.2", before.port) as after:
        names.addresses = ("127.0.0.1",)
        async with edge_client(max_connection_age_s=3600.0) as young, edge_client(max_connection_age_s=0.0) as old:
            url = f"http://edge.invalid:{before.port}/"
            assert await young.post(url, BODY, {}) == await old.post(url, BODY, {}) == ANSWERED
            assert len(before.received) == 2
            names.addresses = ("127.0.0.2",)
            assert await young.post(url, BODY, {}) == await old.post(url, BODY, {}) == ANSWERED
        assert (len(before.received), len(after.received)) == (3, 1)


@pytest.mark.parametrize("dead", ["::1", "127.0.0.2"])
async def test_an_address_that_is_silent_costs_no_request(names: type[Names], dead: str) -> None:
    """One of a name's addresses swallows packets, as IPv6 does on many networks: the other one is used."""
    async with serving("127.0.0.1") as server:
        with ExitStack() as sockets:
            if not _silence(sockets, dead, server.port):
                pytest.skip("there is no such address here")
            names.addresses = (dead, "127.0.0.1")
            async with edge_client(connect_timeout_s=30.0) as client:
                assert await client.post(f"http://edge.invalid:{server.port}/", BODY, {}) == ANSWERED
        assert len(server.received) == 1


def _silence(sockets: ExitStack, address: str, port: int) -> bool:
    """Let an address take no more connections, and refuse none; False where there is no such address."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        listener = sockets.enter_context(socket.socket(family))
        listener.bind((address, port))
    except OSError:
        return False
    listener.listen(0)
    for _ in range(2):  # fill the queue: whoever comes next is not answered
        filler = sockets.enter_context(socket.socket(family))
        filler.setblocking(False)
        filler.connect_ex(listener.getsockname())
    return True
