"""Produces the demo's events, and keeps the book of what the broker confirmed.

Promise: every confirmed record stands in `book` by its coordinates, with its event id and what has to become of it.
A record that the broker does not take fails the demo.
"""

from __future__ import annotations

import time
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Final

from confluent_kafka import KafkaException, Producer

from connector.local.demo.files import DEAD_LETTER_TOPIC, TOPICS
from connector.local.demo.parts import DemoFailed
from connector.local.demo.reconcile import Coordinates, Produced
from connector.local.edge.ledger import canonical_crc32
from connector.local.event_source import make_records

if TYPE_CHECKING:
    from confluent_kafka import KafkaError, Message

    from connector.local.event_source import SourceRecord

_FLAWED_SHARE: Final = 0.01
_TIMEOUT_S: Final = 20.0
_MOST_AT_ONCE: Final = 400  # so that the screen stays lively where the machine is slow


class Feed:
    """The events of one demo on their way into Kafka."""

    def __init__(self, bootstrap: str, *, events: int, seed: int) -> None:
        self.events = events
        self.book: dict[Coordinates, Produced] = {}
        self.confirmed: Counter[str] = Counter()
        """Records that the broker has, by topic."""
        self.ends: dict[tuple[str, int], int] = {}
        """The offset after the last one, by topic and partition."""
        self._records = make_records(events, seed=seed, flawed_share=_FLAWED_SHARE)
        self._handed_over = 0
        self._refused: KafkaError | None = None
        # Few, large batches: the embedded broker keeps at most 100,000 per partition.
        properties = {"bootstrap.servers": bootstrap, "linger.ms": 50, "enable.idempotence": True, "log_level": 0}
        self._producer = Producer(properties)

    def make_topics(self) -> None:
        """Bring all topics into being: the embedded broker makes a topic when somebody asks about it."""
        try:
            for topic in (*TOPICS.values(), DEAD_LETTER_TOPIC):
                self._producer.list_topics(topic, timeout=_TIMEOUT_S)
        except KafkaException as error:
            raise DemoFailed(f"the embedded Kafka makes no topics: {error}") from error

    def produce_up_to(self, due: int) -> None:
        """Produce until `due` records have been handed over, or a good deal nearer to it."""
        for _ in range(min(due - self._handed_over, _MOST_AT_ONCE)):
            self._produce(next(self._records))
        self._producer.poll(0)
        self._check()

    def finish(self) -> None:
        """Wait until the broker has confirmed everything that was handed over; raises DemoFailed."""
        self._producer.flush(_TIMEOUT_S)
        self._check()
        if len(self.book) != self._handed_over:
            missing = self._handed_over - len(self.book)
            raise DemoFailed(f"the embedded Kafka did not confirm {missing} records within {_TIMEOUT_S:.0f} s")

    @property
    def is_done(self) -> bool:
        """Whether every event is confirmed."""
        return len(self.book) == self.events

    def _produce(self, record: SourceRecord) -> None:
        timestamp_ms = time.time_ns() // 1_000_000  # given, because the embedded broker reports another one
        self._producer.produce(
            TOPICS[record.stream],
            value=record.value,
            key=record.key,
            headers=list(record.headers),
            timestamp=timestamp_ms,
            on_delivery=partial(self._enter, record, timestamp_ms),
        )
        self._handed_over += 1

    def _enter(self, record: SourceRecord, timestamp_ms: int, error: KafkaError | None, message: Message) -> None:
        topic, partition, offset = message.topic(), message.partition(), message.offset()
        if error is not None or topic is None or partition is None or offset is None:
            self._refused = error
            return
        # As the connector derives it where an event has none: the same each time the record is read.
        event_id = record.event_id or f"{topic}-{partition}-{offset}-{timestamp_ms}"
        self.book[Coordinates(topic, partition, offset)] = _expect(record, event_id)
        self.confirmed[topic] += 1
        self.ends[topic, partition] = offset + 1

    def _check(self) -> None:
        if self._refused is not None:
            raise DemoFailed(f"the embedded Kafka refused a record: {self._refused.str()}")


def _expect(record: SourceRecord, event_id: str) -> Produced:
    if record.flaw is not None:
        return Produced(event_id=event_id, flaw=record.flaw.name, reason=record.flaw.reason)
    event = record.arrives or {}
    arrives = {**event, "xdm": {**event["xdm"], "_id": event_id}}
    return Produced(event_id=event_id, crc32=canonical_crc32(arrives))
