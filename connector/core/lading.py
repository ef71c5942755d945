"""How much records carry beside their values: keys and headers, which stay in memory for as long as a record is open.

Promise: a rise is believed at once and a fall step by step, so what is estimated is rather too much than too little.

Not promised: exactness. Kafka's client makes objects of all headers of a record as soon as one asks for them, which
costs as much as the rest of its way. So one record is asked for each partition and poll, and speaks for the others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from connector.model import Headers, Record

_FALL: Final = 16  # a sample that is smaller counts as one of so many
_HEADER_BYTES: Final = 100  # what the client needs for one header beside its name and value


class Lading:
    """The estimate for the records of one route."""

    __slots__ = ("_bytes",)

    def __init__(self) -> None:
        self._bytes = 0.0

    def estimate(self, sample: Record) -> int:
        """Bytes that each of some records holds beside its value, judged by one of them and those before."""
        carried = float(len(sample.key() or b"") + _size_of(read_headers(sample)))
        self._bytes = max(carried, self._bytes + (carried - self._bytes) / _FALL)
        return int(self._bytes)


def read_headers(record: Record) -> Headers | None:
    """The record's headers, or None if Kafka's client cannot read them: it wants each name to be UTF-8."""
    try:
        return record.headers() or []
    except (SystemError, UnicodeError):
        return None


def _size_of(headers: Headers | None) -> int:
    pairs = headers.items() if isinstance(headers, dict) else headers or ()
    return sum(_HEADER_BYTES + len(name) + len(value or b"") for name, value in pairs)
