"""The dead-letter topic: records that can never be accepted, whole, with the reason in their headers.

Promise: key, value, headers and timestamp of the record are kept byte for byte (but for headers that Kafka's client
cannot read, because a name is not UTF-8: the dead letter says so in `xdm.error.headers`); a write returns only when all
in-sync replicas have the dead letter. What failed is reported and can be written again. A record that is too large for
the topic is written in parts (`whole_or_parts.py`).

Not promised: what to do while the topic cannot be written; `burial.py` holds the route.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from confluent_kafka import TIMESTAMP_NOT_AVAILABLE

from connector.adapters.confirmed_producer import Destination
from connector.adapters.whole_or_parts import Outgoing, RecordWrite, RecordWriter
from connector.core.lading import read_headers

if TYPE_CHECKING:
    import logging
    from collections.abc import Mapping

    from connector.model import HeaderList, Record, Rejection
    from connector.ports import Write

_CONNECTOR_NAME: Final = "xdm-connector"


class DeadLetterTopic:
    """Writes dead letters. Owned by the event loop."""

    def __init__(self, properties: Mapping[str, Any], topic: str, *, logger: logging.Logger) -> None:
        self._writer = RecordWriter(properties, logger=logger)
        self._destination = Destination(
            topic=topic, name="the dead-letter topic", setting="dead_letter", prefix="xdm.error."
        )

    def letter(self, route: str, datastream: str, record: Record, rejection: Rejection) -> Write:
        """The write of one dead letter, to be called until it returns."""
        letter = _dead_letter(route, datastream, record, rejection)
        return RecordWrite(self._writer, self._destination, letter).confirm

    async def close(self) -> None:
        """Stop asking for confirmations. What is not confirmed by now stays open in its source topic."""
        await self._writer.close()


def _dead_letter(route: str, datastream: str, record: Record, rejection: Rejection) -> Outgoing:
    """The record with its own headers, untouched and first, then where it came from and why it is here.

    The `__connect.errors.` names are those of Kafka Connect's dead-letter queue, so that its tools read them.
    """
    facts: list[tuple[str, object]] = [
        ("__connect.errors.connector.name", _CONNECTOR_NAME),
        ("__connect.errors.stage", rejection.stage),
        ("__connect.errors.exception.class.name", f"connector.{rejection.reason}"),
        ("__connect.errors.exception.message", rejection.title),
        ("xdm.error.route", route),
        ("xdm.error.datastream", datastream),
        ("xdm.error.status", rejection.status),
        ("xdm.error.code", rejection.reason),
        ("xdm.error.title", rejection.title),
        ("xdm.error.detail", rejection.detail),
        ("xdm.error.request_id", rejection.request_id),
        ("xdm.error.attempts", rejection.attempts),
        ("xdm.error.first_attempt", rejection.first_attempt_ms),
        ("xdm.error.last_attempt", rejection.last_attempt_ms),
    ]
    own = _own_headers(record)
    if own is None:
        facts.append(("xdm.error.headers", "unreadable"))
    kind, timestamp_ms = record.timestamp()
    return Outgoing(
        key=record.key(),
        value=record.value(),
        own=own or [],
        origin=[
            ("__connect.errors.topic", str(record.topic()).encode()),
            ("__connect.errors.partition", str(record.partition()).encode()),
            ("__connect.errors.offset", str(record.offset()).encode()),
        ],
        facts=[(name, str(fact).encode("utf-8", "replace")) for name, fact in facts if fact is not None],
        timestamp_ms=0 if kind == TIMESTAMP_NOT_AVAILABLE else timestamp_ms,
    )


def _own_headers(record: Record) -> HeaderList | None:
    """The record's headers, or None if Kafka's client cannot read them: it wants each name to be UTF-8."""
    headers = read_headers(record)
    return list(headers.items()) if isinstance(headers, dict) else headers
