"""HTTP connections to servers that may say anything: what the Edge and the token endpoint are asked through.

Promise: a session from here keeps no cookie and inflates nothing, so an answer stays as small as it was sent. It lends
no connection on which bytes arrived that nobody asked for, and ends one that floods it with interim answers.

Not promised: a bound on an answer's body, or what a failure means; whoever asks decides that.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Final

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.http_exceptions import HttpProcessingError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiohttp.connector import Connection
    from aiohttp.http_parser import RawResponseMessage
    from aiohttp.streams import StreamReader
    from aiohttp.tracing import Trace

_MOST_INTERIM_ANSWERS: Final = 32  # in a row; servers send one or two (RFC 9110 section 15.2)


def new_session(
    timeout: aiohttp.ClientTimeout,
    *,
    connections: int = 1,
    keep_alive_s: float = 15.0,
    headers: Mapping[str, str] | None = None,
) -> aiohttp.ClientSession:
    """Make a session of its own connections; `headers` go with each of its requests."""
    return aiohttp.ClientSession(
        connector=_Connector(limit=connections, keepalive_timeout=keep_alive_s),
        timeout=timeout,
        headers={"Accept-Encoding": "identity", **(headers or {})},
        auto_decompress=False,  # no compression was asked for; a bomb stays as small as it is sent
        cookie_jar=aiohttp.DummyCookieJar(),  # the library's other jar logs the names of cookies that it dislikes
    )


def end_connection(response: aiohttp.ClientResponse) -> None:
    """End the connection that an answer came on. With its last byte it went back to the pool, where `close` ends."""
    protocol = response._protocol  # noqa: SLF001 - the answer itself does not know its connection any more
    response.close()
    if protocol is not None:
        protocol.close()


class _Protocol(ResponseHandler):
    """One connection.

    The library waits behind any number of interim answers (1xx) for the final one. It reads what has arrived at once,
    so a flood of them would keep the event loop for seconds and fill memory before any deadline is looked at.
    """

    was_lent = False
    _interim_answers = 0

    def feed_data(self, data: tuple[RawResponseMessage, StreamReader], size: int = 0) -> None:
        """Take one answer; the connection ends with the first interim one that is too many."""
        is_interim = 100 <= data[0].code < 200
        self._interim_answers = self._interim_answers + 1 if is_interim else 0
        if self._interim_answers <= _MOST_INTERIM_ANSWERS:
            super().feed_data(data, size)
        elif self.transport is not None and not self.transport.is_closing():
            self.transport.close()
            self.set_exception(HttpProcessingError(message="interim answers without end"))


class _Connector(aiohttp.TCPConnector):
    """A pool that lends no connection on which bytes arrived that nobody asked for.

    The library would take them for the answer to the next request: a proxy's 408 to an idle connection, or the second
    of two answers, would give a verdict on events that nobody has seen.
    """

    def __init__(self, *, limit: int, keepalive_timeout: float) -> None:
        super().__init__(limit=limit, keepalive_timeout=keepalive_timeout)
        # The only place to put in another protocol; a test floods a connection and fails if it is not used.
        protocol = partial(_Protocol, loop=asyncio.get_running_loop())
        self._factory = protocol  # type: ignore[assignment] # ours is one of the library's, which asks for no more

    async def connect(
        self,
        req: aiohttp.ClientRequest,
        traces: list[Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - the library's own signature
    ) -> Connection:
        """Lend a connection; one from the pool only if it is silent."""
        while True:
            connection = await super().connect(req, traces, timeout)
            protocol = connection.protocol
            if not (isinstance(protocol, _Protocol) and protocol.was_lent and protocol.should_close):
                break
            connection.close()
        if isinstance(protocol, _Protocol):
            protocol.was_lent = True
        return connection
