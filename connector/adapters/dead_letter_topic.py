"""The dead-letter topic: records that can never be accepted, whole, with the reason in their headers.

Promise: key, value, headers and timestamp of the record are kept byte for byte (but for headers that Kafka's client
cannot read, because a name is not UTF-8: the dead letter says so in `xdm.error.headers`); `write` returns only when all
in-sync replicas have the dead letter. What failed is reported and can be written again; a fatal producer is replaced.

Not promised: what to do while the topic cannot be written; `delivery.py` holds the route.

The producer's calls do not block, so they run on the event loop; delivery reports are fetched while any is due.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from confluent_kafka import TIMESTAMP_NOT_AVAILABLE, KafkaError, KafkaException, Message, Producer

from connector.ports import DeadLetterFailed

if TYPE_CHECKING:
    import logging
    from collections.abc import Mapping

    from connector.model import Headers, Record, Rejection

_POLL_INTERVAL_S: Final = 0.01
_CONNECTOR_NAME: Final = "xdm-connector"

_REMEDIES: Final[dict[int, str]] = {
    KafkaError.UNKNOWN_TOPIC_OR_PART: "Create the dead-letter topic, or set dead_letter.create.",
    KafkaError._UNKNOWN_TOPIC: "Create the dead-letter topic, or set dead_letter.create.",  # noqa: SLF001 - public in librdkafka
    KafkaError.TOPIC_AUTHORIZATION_FAILED: "Allow this principal to write to the dead-letter topic.",
    KafkaError.MSG_SIZE_TOO_LARGE: "Raise max.message.bytes of the dead-letter topic above that of the source topics.",
    KafkaError.POLICY_VIOLATION: "Read the broker's policy for the dead-letter topic; it refuses the record.",
    KafkaError.INVALID_RECORD: "A compacted topic takes no record without a key: set cleanup.policy=delete.",
}


class DeadLetterTopic:
    """Writes dead letters. Owned by the event loop."""

    def __init__(self, properties: Mapping[str, Any], topic: str, *, logger: logging.Logger) -> None:
        self._properties = dict(properties)
        self._topic = topic
        self._logger = logger
        self._producer: Producer | None = None
        self._due: set[asyncio.Future[None]] = set()
        self._polling: asyncio.Task[None] | None = None

    async def write(self, route: str, datastream: str, record: Record, rejection: Rejection) -> None:
        """Write one dead letter and wait until the broker has confirmed it.

        Raises:
            DeadLetterFailed: it is not written; write it again later.
        """
        confirmed = asyncio.get_running_loop().create_future()
        self._due.add(confirmed)
        confirmed.add_done_callback(self._due.discard)
        try:
            self._produce(record, _headers(route, datastream, record, rejection), confirmed)
        except BufferError:
            self._due.discard(confirmed)
            raise DeadLetterFailed("queue_full", "Nothing to mend here: it is written again.") from None
        except KafkaException as error:
            self._due.discard(confirmed)
            raise self._failed(error.args[0]) from error
        if self._polling is None or self._polling.done():
            self._polling = asyncio.create_task(self._poll())
        await confirmed

    async def close(self) -> None:
        """Stop asking for reports. What is not confirmed by now stays open in its source topic."""
        if self._polling is not None:
            self._polling.cancel()
            await asyncio.gather(self._polling, return_exceptions=True)
        if self._producer is not None:
            self._producer.purge()
            self._producer = None

    def _produce(
        self, record: Record, headers: list[tuple[str, bytes | str | None]], confirmed: asyncio.Future[None]
    ) -> None:
        if self._producer is None:
            self._producer = Producer(self._properties, logger=self._logger)

        def report(error: KafkaError | None, _: Message) -> None:
            self._confirm(confirmed, error)

        kind, timestamp_ms = record.timestamp()
        self._producer.produce(
            self._topic,
            value=record.value(),
            key=record.key(),
            headers=headers,
            timestamp=0 if kind == TIMESTAMP_NOT_AVAILABLE else timestamp_ms,
            on_delivery=report,
        )

    def _confirm(self, confirmed: asyncio.Future[None], error: KafkaError | None) -> None:
        if confirmed.done():  # whoever waited was cancelled: the record stays open and comes again
            return
        if error is None:
            confirmed.set_result(None)
        else:
            confirmed.set_exception(self._failed(error))

    def _failed(self, error: KafkaError) -> DeadLetterFailed:
        if error.fatal() or error.code() == KafkaError._FATAL:  # noqa: SLF001 - only the code tells it in a report
            self._replace()
        remedy = _REMEDIES.get(error.code(), "Check that the brokers can be reached and the topic takes writes.")
        return DeadLetterFailed(error.name().lower().strip("_"), remedy)

    def _replace(self) -> None:
        """Throw the producer away: an idempotent one that failed fatally never delivers again.

        Its reports never come either, so every write under way fails here and is written again.
        """
        self._producer = None
        for confirmed in tuple(self._due):
            if not confirmed.done():
                confirmed.set_exception(DeadLetterFailed("producer_fatal", "Nothing to mend here: a new one is made."))

    async def _poll(self) -> None:
        """Fetch delivery reports until none is due."""
        while self._due:
            try:
                if self._producer is not None:
                    self._producer.poll(0)
            except KafkaException:  # it raises what is fatal
                self._replace()
            await asyncio.sleep(_POLL_INTERVAL_S)


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
    own = _own_headers(record)
    if own is None:
        added.append(("xdm.error.headers", b"unreadable"))
        own = []
    return [*(own.items() if isinstance(own, dict) else own), *added]


def _own_headers(record: Record) -> Headers | None:
    """The record's headers, or None if Kafka's client cannot read them: it wants each name to be UTF-8."""
    try:
        return record.headers() or []
    except (SystemError, UnicodeError):
        return None
