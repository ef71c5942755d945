"""The handles in interact's answer, as they stand there.

Promise: no handle is written anew: each keeps its bytes, so no number changes. Types and their payloads are open; what
is published today is not looked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson
from msgspec import DecodeError, Raw, Struct
from msgspec.json import Decoder

if TYPE_CHECKING:
    from collections.abc import Sequence


_MOST_HANDLES: Final = 10_000  # a page has a few dozen


class _Answer(Struct, gc=False):
    handle: list[Raw] = []


class _Handle(Struct, gc=False):
    type: str


_ANSWER: Final = Decoder(_Answer)
_HANDLE: Final = Decoder(_Handle)


def read_handles(body: bytes) -> tuple[bytes, ...] | None:
    """The handles of an answer that is known to be a JSON object; none where `handle` is no list.

    None where they are beyond all bounds: each is looked at on the event loop and kept until its response is written,
    and an answer has room for two million of them.
    """
    try:
        handles = _ANSWER.decode(body).handle
    except DecodeError:
        return ()
    except RecursionError:
        return None
    return tuple([bytes(handle) for handle in handles]) if len(handles) <= _MOST_HANDLES else None


def json_array(handles: Sequence[bytes], types: frozenset[str]) -> bytes:
    """A JSON array of the handles of some types, of all where no type is named."""
    wanted = [handle for handle in handles if _type_of(handle) in types] if types else handles
    return b"[" + b",".join(wanted) + b"]"


def handles_of_type(handles: Sequence[bytes], kind: str) -> list[dict[str, Any]]:
    """The handles of one type, read."""
    return [orjson.loads(handle) for handle in handles if _type_of(handle) == kind]


def _type_of(handle: bytes) -> str | None:
    try:
        return _HANDLE.decode(handle).type
    except (DecodeError, RecursionError):
        return None
