"""A TCP proxy with bad weather, to stand between a client and a server.

Promise: what it is told holds when the call returns, for connections that exist and for those to come. A connection
whose bytes a black hole has swallowed stays dead after it, as behind a firewall that forgot it: its ends have to find
that out by themselves.

Not promised: to speak any protocol, or to delay the making of a connection.

Owner: a thread with an event loop of its own, from `with` to the end of its block; every method may be called from
any other thread.

    with Proxy(server_port) as proxy:
        connect("127.0.0.1", proxy.port)
        proxy.swallow()
        proxy.forward()
"""

from __future__ import annotations

import asyncio
import socket
import threading
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

from tests.kafka.addresses import HOST, free_ports

if TYPE_CHECKING:
    from collections.abc import Coroutine

T = TypeVar("T")

_CALL_TIMEOUT_S: Final = 30.0
_CHUNK_BYTES: Final = 65_536
_CHUNKS_UNDER_WAY: Final = 256
_THROTTLED_CHUNKS_PER_S: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Weather:
    """How bytes fare, in each direction of each connection."""

    swallows: bool = False
    delay_s: float = 0.0
    bytes_per_s: float | None = None


class Proxy:
    """Forwards what comes to `port` to another port of this machine, as well as the weather allows."""

    def __init__(self, target_port: int) -> None:
        (self.port,) = free_ports(1)
        self._target_port = target_port
        self._weather = Weather()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=f"proxy-{target_port}", daemon=True)
        self._server: asyncio.Server | None = None
        self._links: set[_Link] = set()

    def __enter__(self) -> Self:
        self._thread.start()
        self._run(self._listen())
        return self

    def __exit__(self, *_: object) -> None:
        self._run(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_CALL_TIMEOUT_S)
        self._loop.close()

    # ---- What a test says ----

    def forward(self) -> None:
        """Fair weather: accept connections, and forward everything at once."""
        self._run(self._change(Weather()))

    def swallow(self) -> None:
        """A black hole: accept connections, answer nothing, swallow what comes; also on the existing ones."""
        self._run(self._change(Weather(swallows=True)))

    def refuse(self) -> None:
        """Reset every connection and refuse new ones."""
        self._run(self._close())

    def delay(self, delay_s: float) -> None:
        """Forward everything so much later, in each direction."""
        self._run(self._change(Weather(delay_s=delay_s)))

    def throttle(self, bytes_per_s: float) -> None:
        """Forward no more than this, in each direction of each connection."""
        self._run(self._change(Weather(bytes_per_s=bytes_per_s)))

    def cut(self) -> None:
        """Reset every connection once; new ones fare as the weather is."""
        self._run(self._reset_links())

    @property
    def connection_count(self) -> int:
        """How many connections there are now, dead ones included."""
        return len(self._links)

    # ---- On the proxy's thread from here on ----

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(_CALL_TIMEOUT_S)

    async def _change(self, weather: Weather) -> None:
        self._weather = weather
        for link in self._links:
            link.weather = replace(weather, swallows=weather.swallows or link.weather.swallows)
        await self._listen()

    async def _listen(self) -> None:
        if self._server is None:
            self._server = await asyncio.start_server(self._accept, HOST, self.port, limit=_CHUNK_BYTES)

    async def _close(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        await self._reset_links()

    async def _reset_links(self) -> None:
        links = tuple(self._links)
        for link in links:
            link.reset()
        await asyncio.gather(*(link.ended.wait() for link in links))

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        link = _Link(self._weather)
        self._links.add(link)
        try:
            await link.run(reader, writer, self._target_port)
        finally:
            self._links.discard(link)
            link.ended.set()


class _Link:
    """One client's connection and, unless it came into a black hole, the one to the server."""

    def __init__(self, weather: Weather) -> None:
        self.weather = weather
        self.ended = asyncio.Event()
        self._writers: list[asyncio.StreamWriter] = []
        self._work: asyncio.Task[None] | None = None

    async def run(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, target_port: int) -> None:
        """Forward until either end is done, or `reset`."""
        self._writers.append(writer)
        self._work = asyncio.ensure_future(self._forward(reader, writer, target_port))
        try:
            with suppress(asyncio.CancelledError, OSError):
                await self._work
        finally:
            for each in self._writers:
                each.transport.abort()

    def reset(self) -> None:
        """End it as an abrupt end of the other side does."""
        for writer in self._writers:
            _reset_at_close(writer)
        if self._work is not None:
            self._work.cancel()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, target_port: int) -> None:
        if self.weather.swallows:
            while await reader.read(_CHUNK_BYTES):
                pass
            return
        far_reader, far_writer = await asyncio.open_connection(HOST, target_port, limit=_CHUNK_BYTES)
        self._writers.append(far_writer)
        await asyncio.gather(self._pump(reader, far_writer), self._pump(far_reader, writer))

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Forward one direction; bytes are read on while those before them are late."""
        under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_CHUNKS_UNDER_WAY)
        late = asyncio.ensure_future(self._deliver(under_way, writer))
        try:
            while chunk := await reader.read(self._chunk_bytes()):
                await under_way.put((asyncio.get_running_loop().time() + self.weather.delay_s, chunk))
            await under_way.put((0.0, b""))
            await late
        finally:
            late.cancel()

    async def _deliver(self, under_way: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter) -> None:
        loop = asyncio.get_running_loop()
        with suppress(OSError):  # the other end is gone; what still comes for it goes nowhere
            while True:
                due_at, chunk = await under_way.get()
                await asyncio.sleep(max(0.0, due_at - loop.time()))
                if not chunk:
                    break
                if self.weather.bytes_per_s is not None:
                    await asyncio.sleep(len(chunk) / self.weather.bytes_per_s)
                if not self.weather.swallows:
                    writer.write(chunk)
                    await writer.drain()
            if not self.weather.swallows:  # nor does an end pass a black hole
                writer.write_eof()

    def _chunk_bytes(self) -> int:
        rate = self.weather.bytes_per_s
        return _CHUNK_BYTES if rate is None else max(1, min(_CHUNK_BYTES, int(rate / _THROTTLED_CHUNKS_PER_S)))


def _reset_at_close(writer: asyncio.StreamWriter) -> None:
    sock = writer.get_extra_info("socket")
    with suppress(OSError, AttributeError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
