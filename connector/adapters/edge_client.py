"""One request to the Edge, and what came back.

Promise: `post` always returns an `Answer` or a `NoAnswer`; it never raises for anything that a network or a
server can do, never sends a body twice by itself, follows no redirect, and reads a bounded answer in a
bounded time. Whether the body surely did not leave is told by the kind of `NoAnswer`. An answer that names another
request is none to this one.

Not promised: any meaning of an answer (`core/verdict.py`) or another try (`delivery.py`).
"""

from __future__ import annotations

import asyncio
import errno
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import aiohttp
from yarl import URL

from connector.adapters.http_connections import end_connection, new_session
from connector.core.codes import NoAnswer
from connector.core.request_ids import is_anothers
from connector.core.retry import by_the_answers_clock
from connector.core.verdict import Answer

if TYPE_CHECKING:
    from collections.abc import Mapping


_MAX_ANSWER_BYTES: Final = 4 * 1024 * 1024  # interact's decisions may carry content; nothing else is large
_REQUEST_ID: Final = "requestId="  # a URL ends with it, and with the id
_CONNECT_FAULTS: Final = {
    errno.ECONNREFUSED: NoAnswer.REFUSED,
    errno.EMFILE: NoAnswer.NO_FILES,
    errno.ENFILE: NoAnswer.NO_FILES,
}
_HEADERS: Final = {"Content-Type": "application/json", "User-Agent": "xdm-connector"}


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
        self._retired: dict[aiohttp.ClientSession, asyncio.TimerHandle] = {}
        self._closing: set[asyncio.Task[None]] = set()

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
                if is_anothers(answer, url.rpartition(_REQUEST_ID)[2]):
                    end_connection(response)  # its own answer may still come there, and is not the next one's
                    return NoAnswer.ANOTHERS
                retry_after = response.headers.get("Retry-After")
                if retry_after is not None:
                    retry_after = by_the_answers_clock(retry_after, response.headers.get("Date"))
                return Answer(status=response.status, body=answer, retry_after=retry_after)
        except (aiohttp.ClientError, OSError, ValueError) as error:  # TimeoutError is an OSError
            return _no_answer(error)

    async def close(self) -> None:
        """Close every connection."""
        for timer in self._retired.values():
            timer.cancel()
        sessions = [*self._retired, *([self._session] if self._session else [])]
        self._retired.clear()
        self._session = None
        await asyncio.gather(*self._closing, *(session.close() for session in sessions))

    def _current_session(self) -> aiohttp.ClientSession:
        """The session to use; a new one now and then, because a live connection never asks DNS again."""
        now = asyncio.get_running_loop().time()
        if self._session is not None and now < self._session_until:
            return self._session
        if self._session is not None:
            self._retire(self._session)
        self._session = self._new_session()
        self._session_until = now + self._settings.max_connection_age_s
        return self._session

    def _new_session(self) -> aiohttp.ClientSession:
        settings = self._settings
        # Both time-outs also run while a request waits for a connection. The caller sends at most max_in_flight at
        # once, and the pool is as large, so nothing waits there. `connect` covers DNS, TCP and TLS: what is left for
        # `total` to end is a request whose body was sent.
        return new_session(
            aiohttp.ClientTimeout(total=settings.timeout_s, connect=settings.connect_timeout_s),
            connections=settings.max_in_flight,
            keep_alive_s=settings.keep_alive_s,
            headers=_HEADERS,
        )

    def _retire(self, session: aiohttp.ClientSession) -> None:
        """Close a replaced session once the requests that use it must have ended."""

        def close() -> None:
            del self._retired[session]
            task = asyncio.create_task(session.close())
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

        self._retired[session] = asyncio.get_running_loop().call_later(self._settings.timeout_s, close)


async def _read(content: aiohttp.StreamReader) -> bytes | None:
    """Read a whole answer, or None if it is longer than any answer should be."""
    body = await content.read(_MAX_ANSWER_BYTES)
    if content.at_eof():
        return body
    pieces, size = [body], len(body)
    while not content.at_eof():
        pieces.append(await content.read(_MAX_ANSWER_BYTES))
        size += len(pieces[-1])
        if size > _MAX_ANSWER_BYTES:
            return None
    return b"".join(pieces)


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
            return _CONNECT_FAULTS.get(error.os_error.errno or 0, NoAnswer.UNREACHABLE)
        case TimeoutError():
            return NoAnswer.TIMEOUT
        case aiohttp.ClientPayloadError():
            return NoAnswer.HALF_ANSWER
        case aiohttp.ClientResponseError():
            return NoAnswer.NOT_HTTP
        case _:
            return NoAnswer.DISCONNECTED
