"""The dead-letter topic: records that can never be accepted, whole, with the reason in their headers.

Promise: key, value, headers and timestamp of the record are kept byte for byte (but for headers that Kafka's client
cannot read, because a name is not UTF-8: the dead letter says so in `xdm.error.headers`); `write` returns only when all
in-sync replicas have the dead letter. What failed is reported and can be written again.

Not promised: what to do while the topic cannot be written; `burial.py` holds the route.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from confluent_kafka import TIMESTAMP_NOT_AVAILABLE

from connector.adapters.confirmed_producer import ConfirmedProducer, Destination
from connector.core.lading import read_headers

if TYPE_CHECKING:
    import logging
    from collections.abc import Mapping

    from connector.model import Record, Rejection

_CONNECTOR_NAME: Final = "xdm-connector"


class DeadLetterTopic:
    """Writes dead letters. Owned by the event loop."""

    def __init__(self, properties: Mapping[str, Any], topic: str, *, logger: logging.Logger) -> None:
        self._producer = ConfirmedProducer(properties, logger=logger)
        self._destination = Destination(
            topic=topic, name="the dead-letter topic", setting="dead_letter", largest="that of the source topics"
        )

    async def write(self, route: str, datastream: str, record: Record, rejection: Rejection) -> None:
        """Write one dead letter and wait until the broker has confirmed it.

        Raises:
            WriteFailed: it is not written; write it again later.
        """
        kind, timestamp_ms = record.timestamp()
        await self._producer.write(
            self._destination,
            key=record.key(),
            value=record.value(),
            headers=_headers(route, datastream, record, rejection),
            timestamp_ms=0 if kind == TIMESTAMP_NOT_AVAILABLE else timestamp_ms,
        )

    async def close(self) -> None:
        """Stop asking for confirmations. What is not confirmed by now stays open in its source topic."""
        await self._producer.close()


def _headers(route: str, datastream: str, record: Record, rejection: Rejection) -> list[tuple[str, bytes | str | None]]:
    """The record's own headers, untouched and first, then where it came from and why it is here.

    The `__connect.errors.` names are those of Kafka Connect's dead-letter queue, so that its tools read them.
    """
    facts: list[tuple[str, object]] = [
        ("__connect.errors.topic", record.topic()),
        ("__connect.errors.partition", record.partition()),
        ("__connect.errors.offset", record.offset()),
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
    added = [(name, str(fact).encode("utf-8", "replace")) for name, fact in facts if fact is not None]
    own = read_headers(record)
    if own is None:
        added.append(("xdm.error.headers", b"unreadable"))
        own = []
    return [*(own.items() if isinstance(own, dict) else own), *added]
