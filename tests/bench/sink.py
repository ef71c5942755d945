"""The process that stands where the Edge would: it accepts every request at once and counts.

Promise: it costs as little as a server in Python can, so that the cores are the connector's and the broker's. It
parses just enough HTTP/1.1 to know where a POST with Content-Length ends, and answers 202 with a requestId.
`GET /stats` on the same port gives the counts as JSON, times in seconds of the monotonic clock.
Not here: any check of what it is sent; the local Edge has those.

As a process: prints `sink ready: PORT`, then serves 127.0.0.1 until its standard input closes.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from dataclasses import asdict, dataclass
from functools import partial
from typing import cast

import uvloop

from tests.bench.events import MARK

HOST = "127.0.0.1"

_HEAD_END = b"\r\n\r\n"
_LENGTH = b"content-length:"
_BODY = b'{"requestId":"00000000-0000-4000-8000-000000000000-0123456789abcdef"}'
_ACCEPTED = b"HTTP/1.1 202 Accepted\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (
    len(_BODY),
    _BODY,
)


@dataclass(slots=True)
class Counts:
    """What the sink has seen since it started."""

    requests: int = 0
    events: int = 0
    body_bytes: int = 0
    largest_body_bytes: int = 0
    first_request_s: float = 0.0  # when the first request was complete
    last_request_s: float = 0.0


class Connection(asyncio.Protocol):
    """One kept-alive connection: bytes in, whole requests counted and answered."""

    def __init__(self, counts: Counts) -> None:
        self._counts = counts
        self._buffer = bytearray()
        self._awaited = 0  # the length at which the request in the buffer is complete; 0: head not read yet
        self._head = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way to answer."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one in all but inheritance

    def data_received(self, data: bytes) -> None:
        """Take what arrived; answer each request that is complete by it."""
        self._buffer += data
        while self._buffer:
            if not self._awaited and not self._read_head():
                return
            if len(self._buffer) < self._awaited:
                return
            self._answer()
            del self._buffer[: self._awaited]
            self._awaited = 0

    def _read_head(self) -> bool:
        end = self._buffer.find(_HEAD_END)
        if end < 0:
            return False
        head = bytes(self._buffer[:end]).lower()
        at = head.find(_LENGTH)
        length = int(head[at + len(_LENGTH) :].split(b"\r\n", 1)[0]) if at >= 0 else 0
        self._head = end + len(_HEAD_END)
        self._awaited = self._head + length
        return True

    def _answer(self) -> None:
        if self._buffer.startswith(b"GET "):
            self._report()
            return
        counts, length = self._counts, self._awaited - self._head
        counts.last_request_s = time.monotonic()
        counts.first_request_s = counts.first_request_s or counts.last_request_s
        counts.requests += 1
        counts.events += self._buffer.count(MARK, self._head, self._awaited)
        counts.body_bytes += length
        counts.largest_body_bytes = max(counts.largest_body_bytes, length)
        self._transport.write(_ACCEPTED)

    def _report(self) -> None:
        body = json.dumps(asdict(self._counts)).encode()
        self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))


async def serve() -> None:
    """Serve until standard input closes."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(partial(Connection, Counts()), HOST, 0)
    print(f"sink ready: {server.sockets[0].getsockname()[1]}", flush=True)
    await loop.run_in_executor(None, sys.stdin.buffer.read)
    server.close()


if __name__ == "__main__":
    uvloop.run(serve())
