"""Request ids, and whose answer an answer is.

Promise: an id is a UUID of version 4 in form. All ids of one process begin alike, so that an answer to another of its
requests is known by its text alone.

Why: a proxy that loses count gives the answer to one request to the next one on the same connection. That cannot be
seen from the connection, and events would be settled that nobody has accepted. The Edge's answers begin their
`requestId` with the one that was sent (published).
"""

from __future__ import annotations

import re
from typing import Final

_CHARS: Final = 36
_MARK_CHARS: Final = 9  # eight digits and a dash: an id of somebody else begins alike once in four thousand million
_NAMED: Final = re.compile(rb'"requestId"[ \t\n\r]*+:[ \t\n\r]*+"([0-9a-f-]{36})')


def make_request_id(mark: int, random_bits: int) -> str:
    """The id made of the process's mark, 32 bits, and of 90 or more random bits."""
    digits = f"{random_bits:032x}"[-32:]
    return f"{mark:08x}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"


def is_anothers(body: bytes, request_id: str) -> bool:
    """Whether an answer names another request of this process, and not the one that it came to.

    An answer that names none of them is the asked one's: nobody promises that each answer names its request.
    """
    if len(request_id) != _CHARS:
        return False
    named = {match[1].decode() for match in _NAMED.finditer(body)}
    return request_id not in named and any(each.startswith(request_id[:_MARK_CHARS]) for each in named)
