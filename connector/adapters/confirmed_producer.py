"""Writes records to Kafka, each of which counts when all in-sync replicas have it.

Promise: `confirmed` returns only when its record is confirmed. What failed is reported with what mends it, and can be
written again; a producer that failed fatally is replaced. What takes long is reported too and not given up: the client
goes on with it through an outage of any length, and its retries double nothing. So a record is there once, unless the
client failed fatally or the record was given up while it was on its way.

Not promised: what to do while a topic cannot be written; `writing.py` holds the route. Order is not kept either. That
a record is too large when that is said of it: the client sends records in batches, and the broker refuses a batch as a
whole; `whole_or_parts.py` finds out.

The producer's calls do not block, so they run on the event loop. Delivery reports are fetched while any is due, by one
task for all writes: what a record costs does not depend on how many are under way.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from connector.ports import WriteFailed

if TYPE_CHECKING:
    import logging
    from collections.abc import Mapping

    from connector.model import HeaderList

ANY_PARTITION: Final = -1
_POLL_INTERVAL_S: Final = 0.005  # it adds half of itself to each confirmation, and one poll fetches all reports

_MISSING: Final = "Create {name}, or set {setting}.create."
_REMEDIES: Final[dict[int, str]] = {
    KafkaError.UNKNOWN_TOPIC_OR_PART: _MISSING,
    KafkaError._UNKNOWN_TOPIC: _MISSING,  # noqa: SLF001 - public in librdkafka
    KafkaError.TOPIC_AUTHORIZATION_FAILED: "Allow this principal to write to {name}.",
    KafkaError.MSG_SIZE_TOO_LARGE: "Raise max.message.bytes of {name}: not even the headers fit.",
    KafkaError.RECORD_LIST_TOO_LARGE: "Raise segment.bytes of {name}: not even the headers fit.",
    KafkaError.POLICY_VIOLATION: "Read the broker's policy for {name}; it refuses the record.",
    KafkaError.INVALID_RECORD: "A compacted topic takes no record without a key: set cleanup.policy=delete.",
}
_TIMEOUTS: Final = ("message.timeout.ms", "delivery.timeout.ms")  # two names of one property
_TOO_LARGE: Final = (KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.RECORD_LIST_TOO_LARGE)
_ANY_REMEDY: Final = "Check that the brokers can be reached and {name} takes writes."


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """A topic to write to, and the words with which remedies speak of it."""

    topic: str
    name: str  # such as "the dead-letter topic"
    setting: str  # the section of the config that holds it
    prefix: str  # of the names of the headers that say how a record was written

    def remedy(self, code: int) -> str:
        """What mends an error of Kafka's."""
        return _REMEDIES.get(code, _ANY_REMEDY).format(name=self.name, setting=self.setting)


class Unconfirmed(WriteFailed):
    """A record is on its way for long. It may still arrive: written again, it might be there twice."""


class TooLarge(WriteFailed):
    """The batch that held a record is too large for its topic, or the record for the client."""


class ConfirmedProducer:
    """Writes to any number of topics. Owned by the event loop."""

    def __init__(self, properties: Mapping[str, Any], *, logger: logging.Logger) -> None:
        timeout_ms = [float(properties[name]) for name in properties if name in _TIMEOUTS]
        # The client waits without end, so that it alone repeats a record, which doubles nothing.
        self._properties = {name: properties[name] for name in properties if name not in _TIMEOUTS}
        self._properties["message.timeout.ms"] = 0
        self._patience_s = timeout_ms[-1] / 1000 if timeout_ms and timeout_ms[-1] else math.inf
        self._logger = logger
        self._producer: Producer | None = None
        self._due: set[asyncio.Future[int]] = set()
        self._waiting: deque[tuple[float, asyncio.Future[None]]] = deque()  # until when, and who; in that order
        self._polling: asyncio.Task[None] | None = None

    def start(
        self,
        destination: Destination,
        *,
        key: bytes | None,
        value: bytes | None,
        headers: HeaderList,
        timestamp_ms: int = 0,
        partition: int = ANY_PARTITION,
    ) -> asyncio.Future[int]:
        """Begin to write one record, which ends with its partition, or with what `confirmed` raises.

        Without a timestamp it gets the time of now; without a partition the one of its key, or any.

        Raises:
            TooLarge: the client does not take it, and its size may be the reason.
            WriteFailed: the client does not take it.
        """
        report: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._due.add(report)
        report.add_done_callback(self._reported)

        def note(error: KafkaError | None, message: Message) -> None:
            self._confirm(report, destination, error, message)

        try:
            if self._producer is None:
                self._producer = Producer(self._properties, logger=self._logger)
            self._producer.produce(
                destination.topic, value, key, partition, on_delivery=note, timestamp=timestamp_ms, headers=headers
            )
        except BufferError:
            self._due.discard(report)
            raise WriteFailed("queue_full", "Nothing to mend here: it is written again.") from None
        except KafkaException as error:
            self._due.discard(report)
            raise self._failed(destination, error.args[0]) from error
        if self._polling is None or self._polling.done():
            self._polling = asyncio.create_task(self._poll())
        return report

    async def confirmed(self, destination: Destination, report: asyncio.Future[int]) -> int:
        """Wait until the broker has confirmed a record, and return its partition.

        Raises:
            Unconfirmed: it takes long; ask again.
            TooLarge: it is not written, and its size may be the reason.
            WriteFailed: it is not written; write it again later.
        """
        if not report.done():
            # Not asyncio's own timeout: its timer and its tasks would cost more than all the rest of a write.
            loop = asyncio.get_running_loop()
            waiter: asyncio.Future[None] = loop.create_future()
            report.add_done_callback(partial(_wake, waiter))
            if self._patience_s < math.inf:  # behind one that waits without end, the others would pile up
                self._waiting.append((loop.time() + self._patience_s, waiter))
            await waiter
        if not report.done():
            raise Unconfirmed("msg_timed_out", destination.remedy(KafkaError._MSG_TIMED_OUT))  # noqa: SLF001 - as above
        return report.result()

    async def close(self) -> None:
        """Stop asking for reports. What is not confirmed by now stays open in its source topic."""
        if self._polling is not None:
            self._polling.cancel()
            await asyncio.gather(self._polling, return_exceptions=True)
        if self._producer is not None:
            self._producer.purge()
            self._producer = None

    def _reported(self, report: asyncio.Future[int]) -> None:
        self._due.discard(report)
        if not report.cancelled():
            report.exception()  # seen: perhaps nobody waits for it any more

    def _confirm(
        self, confirmed: asyncio.Future[int], destination: Destination, error: KafkaError | None, message: Message
    ) -> None:
        if confirmed.done():  # by a fatal error: it is written again
            return
        if error is None:
            confirmed.set_result(message.partition() or 0)
            return
        failure = self._failed(destination, error)
        if not confirmed.done():  # a fatal error has failed every write by now, this one too
            confirmed.set_exception(failure)

    def _failed(self, destination: Destination, error: KafkaError) -> WriteFailed:
        if error.fatal() or error.code() == KafkaError._FATAL:  # noqa: SLF001 - only the code tells it in a report
            self._replace()
            return _ended()
        kind = TooLarge if error.code() in _TOO_LARGE else WriteFailed
        return kind(error.name().lower().strip("_"), destination.remedy(error.code()))

    def _replace(self) -> None:
        """Throw the producer away: an idempotent one that failed fatally never delivers again.

        Its reports never come either, so every write under way fails here and is written again.
        """
        self._producer = None
        for confirmed in tuple(self._due):
            if not confirmed.done():
                confirmed.set_exception(_ended())

    async def _poll(self) -> None:
        """Fetch delivery reports until none is due."""
        while self._due:
            try:
                if self._producer is not None:
                    self._producer.poll(0)
            except KafkaException:  # it raises what is fatal
                self._replace()
            self._end_waits(asyncio.get_running_loop().time())
            await asyncio.sleep(_POLL_INTERVAL_S)

    def _end_waits(self, now: float) -> None:
        """Wake those whose patience has ended, and forget those who have heard."""
        while self._waiting and (self._waiting[0][1].done() or self._waiting[0][0] <= now):
            _wake(self._waiting.popleft()[1])


def _wake(waiter: asyncio.Future[None], _: object = None) -> None:
    if not waiter.done():
        waiter.set_result(None)


def _ended() -> WriteFailed:
    return WriteFailed("producer_fatal", "A new producer is made. If that ends too, a library_message line says why.")
