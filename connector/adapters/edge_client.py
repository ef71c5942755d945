"""One request to the Edge, and what came back.

Promise: `post` always returns an `Answer` or a `NoAnswer`; it never raises for anything that a network or a
server can do, never sends a body twice by itself, follows no redirect, and reads a bounded answer in a
bounded time. Whether the body surely did not leave is told by the kind of `NoAnswer`.

Not promised: any meaning of an answer (`core/verdict.py`) or another try (`delivery.py`). This is the only
file that knows the HTTP library.
"""

from __future__ import annotations

import asyncio
import errno
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import aiohttp
from yarl import URL

from connector.core.codes import NoAnswer
from connector.core.verdict import Answer

if TYPE_CHECKING:
    from collections.abc import Mapping

_MAX_ANSWER_BYTES: Final = 4 * 1024 * 1024  # interact's decisions may carry content; nothing else is large
_HEADERS: Final = {
    "Content-Type": "application/json",
    "Accept-Encoding": "identity",
    "User-Agent": "xdm-connector",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpSettings:
    """Bounds of connections and requests, in seconds."""

    max_in_flight: int
    connect_timeout_s: float
    timeout_s: float
    keep_alive_s: float
    max_connection_age_s: float


class EdgeClient:
    """Kept-alive connections to the Edge. Owned by the event loop; `close` it before the loop ends."""

    def __init__(self, settings: HttpSettings) -> None:
        self._settings = settings
        self._session: aiohttp.ClientSession | None = None
        self._session_until = 0.0
        self._retired: set[asyncio.Task[None]] = set()

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer | NoAnswer:
        """Send one body and read its answer; a redirect comes back as the answer that it is."""
        session = self._current_session()
        try:
            async with session.post(
                URL(url, encoded=True), data=body, headers=headers, allow_redirects=False
            ) as response:
                answer = await _read(response.content)
                if answer is None:
                    return NoAnswer.TOO_LONG
                return Answer(status=response.status, body=answer, retry_after=response.headers.get("Retry-After"))
        except (aiohttp.ClientError, OSError, ValueError) as error:  # TimeoutError is an OSError
            return _no_answer(error)

    async def close(self) -> None:
        """Close every connection."""
        if self._session is not None:
            await self._session.close()
            self._session = None
        await asyncio.gather(*self._retired)

    def _current_session(self) -> aiohttp.ClientSession:
        """The session to use; a new one now and then, because a live connection never asks DNS again."""
        now = asyncio.get_running_loop().time()
        if self._session is not None and now < self._session_until:
            return self._session
        if self._session is not None:
            task = asyncio.create_task(self._retire(self._session))
            self._retired.add(task)
            task.add_done_callback(self._retired.discard)
        self._session = self._new_session()
        self._session_until = now + self._settings.max_connection_age_s
        return self._session

    def _new_session(self) -> aiohttp.ClientSession:
        settings = self._settings
        # `total` also runs while a request waits for a connection. The caller sends at most max_in_flight at
        # once, and the pool is as large, so nothing waits there and a time-out means that the body was sent.
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=settings.max_in_flight, keepalive_timeout=settings.keep_alive_s),
            timeout=aiohttp.ClientTimeout(total=settings.timeout_s, sock_connect=settings.connect_timeout_s),
            headers=_HEADERS,
            auto_decompress=False,  # no compression was asked for; a bomb stays as small as it is sent
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    async def _retire(self, session: aiohttp.ClientSession) -> None:
        """Close a replaced session once the requests that use it must have ended."""
        await asyncio.sleep(self._settings.timeout_s)
        await session.close()


async def _read(content: aiohttp.StreamReader) -> bytes | None:
    """Read a whole answer, or None if it is longer than any answer should be."""
    body = await content.read(_MAX_ANSWER_BYTES)
    while not content.at_eof():
        more = await content.read(_MAX_ANSWER_BYTES)
        body += more
        if len(body) > _MAX_ANSWER_BYTES:
            return None
    return body


def _no_answer(error: Exception) -> NoAnswer:
    """Name what went wrong; the order matters, as the library's errors inherit from each other."""
    match error:
        case aiohttp.ClientConnectorDNSError():
            return NoAnswer.DNS
        case aiohttp.ClientSSLError():
            return NoAnswer.TLS
        case aiohttp.ConnectionTimeoutError():
            return NoAnswer.CONNECT_TIMEOUT
        case aiohttp.ClientConnectorError():
            return NoAnswer.REFUSED if error.os_error.errno == errno.ECONNREFUSED else NoAnswer.UNREACHABLE
        case TimeoutError():
            return NoAnswer.TIMEOUT
        case aiohttp.ClientPayloadError():
            return NoAnswer.HALF_ANSWER
        case aiohttp.ClientResponseError():
            return NoAnswer.NOT_HTTP
        case _:
            return NoAnswer.DISCONNECTED
