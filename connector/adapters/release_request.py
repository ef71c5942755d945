"""Asks the status server of a running connector to release a route's brake.

Promise: one request with a deadline, straight to the address, whatever proxy the environment names.
"""

from __future__ import annotations

from contextlib import closing
from http.client import HTTPConnection, HTTPException
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import quote

from connector.adapters.status_server import RELEASE_HEADER

if TYPE_CHECKING:
    from connector.config import Listen

_TIMEOUT_S: Final = 10.0
_EVERY_ADDRESS: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - nothing listens there: it is looked up
_MOST_BYTES: Final = 10_000


class Reply(NamedTuple):
    """What the status server said."""

    status: int
    text: str


def ask_release(listen: Listen, route: str) -> Reply:
    """Ask for the release of one route's brake.

    Raises:
        OSError: nobody listens there, or whoever does speaks no HTTP.
    """
    host = _EVERY_ADDRESS.get(listen.host, listen.host)
    with closing(HTTPConnection(host, listen.port, timeout=_TIMEOUT_S)) as connection:
        try:
            connection.request("POST", f"/release?route={quote(route, safe='')}", headers=dict([RELEASE_HEADER]))
            answer = connection.getresponse()
            return Reply(answer.status, answer.read(_MOST_BYTES).decode(errors="replace").strip())
        except HTTPException as failure:
            raise OSError(f"what listens there speaks no HTTP ({type(failure).__name__})") from None
