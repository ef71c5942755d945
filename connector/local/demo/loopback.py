"""Plain HTTP to a part on this machine, for reading how it stands and setting faults.

Promise: no proxy of the environment is asked, and no call takes longer than two seconds.
"""

from __future__ import annotations

from http.client import HTTPConnection, HTTPException
from typing import Final

_TIMEOUT_S: Final = 2.0


class NoAnswer(Exception):  # noqa: N818 - it says what happened
    """The part did not answer as it should; the text says how."""


def ask(address: str, method: str, path: str, body: bytes | None = None, *, timeout_s: float = _TIMEOUT_S) -> bytes:
    """Send one request to host:port and return the body of a success; raises NoAnswer."""
    connection = HTTPConnection(address, timeout=timeout_s)
    try:
        connection.request(method, path, body)
        response = connection.getresponse()
        content = response.read()
    except (OSError, HTTPException) as error:
        raise NoAnswer(f"{method} {path}: {error!r}") from error
    finally:
        connection.close()
    if response.status >= 400:
        raise NoAnswer(f"{method} {path}: {response.status} {content[:300].decode(errors='replace')}")
    return content
