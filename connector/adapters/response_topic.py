"""A responses topic: what the Edge answered to accepted events, one record for each.

Promise: the response has the key of the event's record, byte for byte, and headers that say where that record stands;
a write returns only when all in-sync replicas have it. What failed is reported and can be written again. A response
that is too large for the topic is written in parts (`whole_or_parts.py`): its event was accepted, and must not hold
the route for good.

Not promised: what to do while the topic cannot be written; `responses.py` holds the route.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from connector.adapters.confirmed_producer import Destination
from connector.adapters.whole_or_parts import Outgoing, RecordWrite

if TYPE_CHECKING:
    from connector.adapters.whole_or_parts import RecordWriter
    from connector.model import Record
    from connector.ports import Write


class ResponseTopic:
    """Writes the responses of one route. Owned by the event loop; the writer is shared and closed by its owner."""

    def __init__(self, writer: RecordWriter, topic: str, *, setting: str) -> None:
        self._writer = writer
        self._destination = Destination(
            topic=topic, name=f"the responses topic {topic}", setting=setting, prefix="xdm."
        )

    def response(self, route: str, datastream: str, record: Record, request_id: str, handles: bytes) -> Write:
        """The write of one response, to be called until it returns."""
        response = Outgoing(
            key=record.key(),
            value=handles,
            origin=[
                ("xdm.source.topic", str(record.topic()).encode()),
                ("xdm.source.partition", str(record.partition()).encode()),
                ("xdm.source.offset", str(record.offset()).encode()),
            ],
            facts=[
                ("xdm.route", route.encode()),
                ("xdm.datastream", datastream.encode()),
                ("xdm.request_id", request_id.encode("utf-8", "replace")),
            ],
        )
        return RecordWrite(self._writer, self._destination, response).confirm
