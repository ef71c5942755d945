"""A responses topic: what the Edge answered to accepted events, one record for each.

Promise: the response has the key of the event's record, byte for byte, and headers that say where that record stands;
`write` returns only when all in-sync replicas have it. What failed is reported and can be written again.

Not promised: what to do while the topic cannot be written; `responses.py` holds the route.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from connector.adapters.confirmed_producer import ConfirmedProducer, Destination

if TYPE_CHECKING:
    from connector.model import Record


class ResponseTopic:
    """Writes the responses of one route. Owned by the event loop; the producer is shared and closed by its owner."""

    def __init__(self, producer: ConfirmedProducer, topic: str, *, setting: str) -> None:
        self._producer = producer
        self._destination = Destination(
            topic=topic,
            name=f"the responses topic {topic}",
            setting=setting,
            largest="the size of the Edge's answers",
        )

    async def write(self, route: str, datastream: str, record: Record, request_id: str, handles: bytes) -> None:
        """Write one response and wait until the broker has confirmed it.

        Raises:
            WriteFailed: it is not written; write it again later.
        """
        await self._producer.write(
            self._destination,
            key=record.key(),
            value=handles,
            headers=[
                ("xdm.source.topic", str(record.topic()).encode()),
                ("xdm.source.partition", str(record.partition()).encode()),
                ("xdm.source.offset", str(record.offset()).encode()),
                ("xdm.route", route.encode()),
                ("xdm.datastream", datastream.encode()),
                ("xdm.request_id", request_id.encode("utf-8", "replace")),
            ],
        )
