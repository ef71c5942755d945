"""Writes a record whole where its topic takes that, and else in parts, so that one large record stops nobody.

Promise: when `write` returns, the broker has confirmed the record, or every part of it, and nothing of it is left out.
It is in one piece if the topic takes it so. Parts are consecutive slices of the value, written in order into one
partition, each with the record's key and timestamp, the headers that say where the record comes from, and as its last
one `<prefix>part: 2/4`; the other headers stand on the first. Where key and headers alone are too large, the record is
packed: its key, own headers and value in a JSON document, and that in parts without a key, which `<prefix>packed`
marks.

Not promised: each part only once. What fails is written again from the first part on, maybe in more of them. So many
parts of one value are always the same slices: whoever has each of `1/4` to `4/4` has the record.

Owner: the event loop.
"""

from __future__ import annotations

from base64 import b64encode
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

import orjson

from connector.adapters.confirmed_producer import ANY_PARTITION, ConfirmedProducer, TooLarge

if TYPE_CHECKING:
    import logging
    from collections.abc import Iterator, Mapping

    from connector.adapters.confirmed_producer import Destination
    from connector.model import HeaderList

_LEAST_PART_BYTES: Final = 256  # a topic that takes no more than this beside the headers is set up wrongly


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """A record that is to be written."""

    key: bytes | None
    value: bytes | None
    origin: HeaderList  # where it comes from; on each part
    facts: HeaderList  # what else is known of it
    marks: HeaderList = field(default_factory=list)  # how it is written, if not as it is; on each part
    own: HeaderList = field(default_factory=list)  # those of the record that it is about, which stand first
    timestamp_ms: int = 0


class RecordWriter:
    """Writes to any number of topics, each record whole if that can be."""

    def __init__(self, properties: Mapping[str, Any], *, logger: logging.Logger) -> None:
        self._together = ConfirmedProducer(properties, logger=logger)
        # A batch is refused as a whole, and the client does not split it: small records would be too large because of
        # their mates. What was refused is written again by a client that sends each in a batch of its own.
        self._alone = ConfirmedProducer({**properties, "batch.num.messages": 1}, logger=logger)

    async def write(self, destination: Destination, record: Outgoing) -> None:
        """Write a record, whole or in parts, and wait until the broker has confirmed all of it.

        Raises:
            WriteFailed: not all of it is written; write it again later.
        """
        headers = [*record.own, *record.origin, *record.facts]
        with suppress(TooLarge):
            await self._together.write(
                destination, key=record.key, value=record.value, headers=headers, timestamp_ms=record.timestamp_ms
            )
            return
        await self._write_alone(destination, record)

    async def close(self) -> None:
        """Stop asking for confirmations. What is not confirmed by now stays open in its source topic."""
        await self._together.close()
        await self._alone.close()

    async def _write_alone(self, destination: Destination, record: Outgoing) -> None:
        """Write a record in the fewest pieces that the topic takes: what passes also depends on the compression."""
        for count in _counts(record):
            with suppress(TooLarge):
                await self._write_parts(destination, record, count)
                return
        packed = _packed(destination, record)
        *counts, last = _counts(packed)
        for count in counts:
            with suppress(TooLarge):
                await self._write_parts(destination, packed, count)
                return
        await self._write_parts(destination, packed, last)

    async def _write_parts(self, destination: Destination, record: Outgoing, count: int) -> None:
        partition = ANY_PARTITION
        for number in range(count):
            headers = [*record.own, *record.origin, *record.facts] if number == 0 else list(record.origin)
            if count > 1 or record.marks:
                headers += [*record.marks, (f"{destination.prefix}part", b"%d/%d" % (number + 1, count))]
            partition = await self._alone.write(
                destination,
                key=record.key,
                value=_slice(record.value, number, count),
                headers=headers,
                timestamp_ms=record.timestamp_ms,
                partition=partition,
            )


def _counts(record: Outgoing) -> Iterator[int]:
    """In how many pieces to try: each time in twice as many."""
    count = 1
    yield count
    while len(record.value or b"") // (2 * count) >= _LEAST_PART_BYTES:
        count *= 2
        yield count


def _slice(value: bytes | None, number: int, count: int) -> bytes | None:
    if value is None:
        return None
    return value[len(value) * number // count : len(value) * (number + 1) // count]


def _packed(destination: Destination, record: Outgoing) -> Outgoing:
    """The record as one value, which can be divided as a key and headers cannot."""
    document = {
        "key": _text(record.key),
        "headers": [[name, _text(value)] for name, value in record.own],
        "value": _text(record.value),
    }
    marks: HeaderList = [(f"{destination.prefix}packed", b"json")]
    return replace(record, key=None, own=[], value=orjson.dumps(document), marks=marks)


def _text(content: bytes | str | None) -> str | None:
    if content is None:
        return None
    return b64encode(content.encode() if isinstance(content, str) else content).decode()
