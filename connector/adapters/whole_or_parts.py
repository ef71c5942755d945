"""Writes a record whole where its topic takes that, and else in parts, so that one large record stops nobody.

Promise: when `confirm` returns, the broker has confirmed the record, or every part of it, and nothing of it is missing.
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
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson

from connector.adapters.confirmed_producer import ANY_PARTITION, ConfirmedProducer, TooLarge, Unconfirmed
from connector.ports import WriteFailed

if TYPE_CHECKING:
    import asyncio
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

    def ways(self, destination: Destination, record: Outgoing) -> Iterator[Way]:
        """The ways to write a record, the best one first; which of them the topic takes only a try can tell."""
        yield Way(self._together, record, 1)
        for count in _counts(record):
            yield Way(self._alone, record, count)
        packed = _packed(destination, record)
        for count in _counts(packed):
            yield Way(self._alone, packed, count)

    async def close(self) -> None:
        """Stop asking for confirmations. What is not confirmed by now stays open in its source topic."""
        await self._together.close()
        await self._alone.close()


class Way(NamedTuple):
    """One way to write a record: by which client, in which form, and in how many parts."""

    producer: ConfirmedProducer
    record: Outgoing
    parts: int


class RecordWrite:
    """One record on its way; `confirm` is called until it returns."""

    def __init__(self, writer: RecordWriter, destination: Destination, record: Outgoing) -> None:
        self._destination = destination
        self._ways = partial(writer.ways, destination, record)
        self._begin()

    def _begin(self) -> None:
        self._untried = self._ways()
        self._take(next(self._untried))

    def _take(self, way: Way) -> None:
        self._way = way
        self._number = 0
        self._partition = ANY_PARTITION
        self._report: asyncio.Future[int] | None = None

    async def confirm(self) -> None:
        """Write the record, whole or in parts, and wait until the broker has confirmed all of it.

        Raises:
            WriteFailed: not all of it is confirmed; call again later.
        """
        while self._number < self._way.parts:
            try:
                self._partition = await self._confirm_part()
            except Unconfirmed:
                raise  # it is waited for again
            except TooLarge:
                way = next(self._untried, None)
                if way is None:
                    self._begin()
                    raise
                self._take(way)
            except WriteFailed:
                self._begin()  # not where it was: a topic that was made anew has lost the parts before
                raise
            else:
                self._number += 1
                self._report = None

    async def _confirm_part(self) -> int:
        producer, record, count = self._way
        if self._report is None:
            self._report = producer.start(
                self._destination,
                key=record.key,
                value=_slice(record.value, self._number, count),
                headers=self._headers(),
                timestamp_ms=record.timestamp_ms,
                partition=self._partition,
            )
        return await producer.confirmed(self._destination, self._report)

    def _headers(self) -> HeaderList:
        record, count = self._way.record, self._way.parts
        headers = [*record.own, *record.origin, *record.facts] if self._number == 0 else list(record.origin)
        if count > 1 or record.marks:
            headers += [*record.marks, (f"{self._destination.prefix}part", b"%d/%d" % (self._number + 1, count))]
        return headers


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
