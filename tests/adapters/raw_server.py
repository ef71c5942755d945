"""A server on loopback that says and does exactly what a test's script says, also what no HTTP server would.

Promise: it notes every request that arrived whole, so a test can count what was sent how often; at the end of its
block every connection is gone.
"""

from __future__ import annotations

import asyncio
import re
import socket
import struct
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Awaitable, Callable

ACCEPTED = b'{"requestId":"r"}'
"""The body of a proper answer."""

WHOLE_ANSWER = b"HTTP/1.1 202 Accepted\r\nContent-Length: %d\r\n\r\n%s" % (len(ACCEPTED), ACCEPTED)
"""A proper answer as it stands on the wire."""


@dataclass(frozen=True, slots=True)
class Received:
    """One request as it came over the wire."""

    head: bytes
    body: bytes

    @property
    def request_id(self) -> str:
        """The request id in its URL."""
        found = re.search(rb"[?&]requestId=([^& ]*)", self.head)
        return found[1].decode() if found else ""

    def header(self, name: str) -> str | None:
        """The value of a header; a header that came twice fails the test."""
        found = re.findall(rf"^{name}: *(.*?)\r$".encode(), self.head, re.MULTILINE | re.IGNORECASE)
        assert len(found) <= 1
        return found[0].decode() if found else None


class Peer:
    """The server's end of one connection, as a script sees it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, received: list[Received]) -> None:
        self._reader = reader
        self._writer = writer
        self._received = received
        self._request_id = ""

    @property
    def request_id(self) -> str:
        """The request id in the URL of the last request that arrived whole."""
        return self._request_id

    async def receive(self) -> Received:
        """Read one whole request; at the end of the connection the script ends here."""
        head = await self.receive_head()
        length = re.search(rb"\r\ncontent-length: *(\d+)\r\n", head, re.IGNORECASE)
        request = Received(head, await self._reader.readexactly(int(length[1]) if length else 0))
        self._received.append(request)
        self._request_id = request.request_id
        return request

    async def receive_head(self) -> bytes:
        """Read one request up to its body."""
        return await self._reader.readuntil(b"\r\n\r\n")

    async def send(self, *parts: bytes) -> None:
        """Send bytes as they are."""
        self._writer.writelines(parts)
        await self._writer.drain()

    async def answer(self, status: str, body: bytes = b"", *headers: str) -> None:
        """Send one proper answer and keep the connection."""
        lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
        await self.send("\r\n".join(lines).encode(), body)

    async def close(self) -> None:
        """End the connection in order."""
        self._writer.close()
        await self._writer.wait_closed()

    def reset(self) -> None:
        """Break the connection off (RST)."""
        no_linger = struct.pack("ii", 1, 0)
        self._writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, no_linger)
        self._writer.transport.abort()

    async def hang(self) -> None:
        """Do nothing until the other end has gone."""
        while await self._reader.read(65536):
            pass


class RawServer:
    """A listening server."""

    def __init__(self, script: Callable[[Peer], Awaitable[None]], scheme: str) -> None:
        self.received: list[Received] = []
        self.connections = 0
        self.port = 0
        self._script = script
        self._scheme = scheme
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """Where a client posts to."""
        return f"{self._scheme}://127.0.0.1:{self.port}/ee/v2/collect?datastreamId=d&requestId=r"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Play the script on one connection."""
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            # The other end went first, or the test is over; a cancelled task would be reported by asyncio's streams.
            with suppress(OSError, EOFError, asyncio.CancelledError):
                await self._script(Peer(reader, writer, self.received))
        finally:
            self._tasks.discard(task)
            writer.close()

    async def end(self) -> None:
        """End every script that still runs."""
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def raw_server(
    script: Callable[[Peer], Awaitable[None]],
    *,
    address: str = "127.0.0.1",
    port: int = 0,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[RawServer]:
    """Serve a script until the block ends, on a free port unless one is given."""
    raw = RawServer(script, "https" if tls else "http")
    server = await asyncio.start_server(raw.serve, address, port, ssl=tls)
    raw.port = server.sockets[0].getsockname()[1]
    try:
        yield raw
    finally:
        server.close()
        await raw.end()
        await server.wait_closed()
