"""The producer with a ledger: what the broker has acknowledged is an obligation.

Promise: `send` returns when every record is acknowledged, and `sent` holds each with its partition, offset and
timestamp; a record that is not acknowledged fails the test at once. Where the broker had a record already when it came
again, as after the death of a leader, the acknowledgement names no offset: the record is looked for in the topic.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol
from uuid import uuid4

from confluent_kafka import Producer

from tests.faults.events import Kind, all_good, make_record
from tests.kafka.client import Kafka

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from confluent_kafka import KafkaError, Message

    from tests.faults.events import Made

_TIMEOUT_S = 60.0
_MINUTE_MS = 60_000


class Write(Protocol):
    """Writes one event; `key` is in the place of its own."""

    def __call__(self, kind: Kind, topic: str, partition: int, key: bytes | None = None) -> int: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """One acknowledged record; the rest of it follows from the run, the number and the kind."""

    run: str
    number: int
    kind: Kind
    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None

    @property
    def derived_id(self) -> str:
        """The `_id` that the connector makes where the event has none."""
        return f"{self.topic}-{self.partition}-{self.offset}-{self.timestamp_ms}"


class Feed:
    """Writes numbered events and keeps what was acknowledged."""

    def __init__(self, bootstrap_servers: str, run: str) -> None:
        self.run = run
        self.sent: list[Sent] = []
        self._bootstrap_servers = bootstrap_servers
        self._next_number = 0
        self._failures: list[str] = []
        self._unplaced: list[Sent] = []

    def send(
        self,
        topics: Sequence[str],
        count: int,
        kinds: Callable[[int], Kind] = all_good,
        *,
        partitions: int,
        key: Callable[[int], bytes] | None = None,
    ) -> None:
        """Write `count` more events, in turn to every partition of every topic; `key` is in the place of their own.

        Raises:
            AssertionError: not every record was acknowledged in a minute.
        """
        targets = [(topic, partition) for partition in range(partitions) for topic in topics]
        with self.writing() as write:
            for number in range(self._next_number, self._next_number + count):
                topic, partition = targets[number % len(targets)]
                write(kinds(number), topic, partition, key(number) if key is not None else None)

    @contextmanager
    def writing(self) -> Iterator[Write]:
        """Write event by event; each write returns its number.

        Raises:
            AssertionError: not every record was acknowledged within a minute of the end of the block.
        """
        producer = Producer(self._properties())
        yield self._writer(producer)
        self._end(producer)
        producer.close()
        self._place()

    @contextmanager
    def transaction(self, *, is_aborted: bool = False) -> Iterator[Write]:
        """As `writing`, in one transaction; if it is aborted its records stay in the log, and are no obligation."""
        producer = Producer({**self._properties(), "transactional.id": uuid4().hex})
        producer.init_transactions(_TIMEOUT_S)
        producer.begin_transaction()
        before = len(self.sent)
        yield self._writer(producer)
        self._end(producer)
        if is_aborted:
            producer.abort_transaction(_TIMEOUT_S)
            del self.sent[before:]
        else:
            producer.commit_transaction(_TIMEOUT_S)
        producer.close()

    def _properties(self) -> dict[str, Any]:
        return {
            "bootstrap.servers": self._bootstrap_servers,
            "linger.ms": 5,
            "acks": "all",
            "enable.idempotence": True,
            "log_level": 0,
        }

    def _writer(self, producer: Producer) -> Write:
        def write(kind: Kind, topic: str, partition: int, key: bytes | None = None) -> int:
            number = self._next_number
            self._next_number += 1
            record = make_record(self.run, number, kind)
            if key is not None:
                record = replace(record, key=key)
            self._produce(producer, number, kind, record, (topic, partition))
            return number

        return write

    def _end(self, producer: Producer) -> None:
        assert producer.flush(_TIMEOUT_S) == 0, "not every record was acknowledged"
        assert not self._failures, self._failures[:3]

    def ends(self, topic: str) -> dict[int, int]:
        """By partition of a topic, one past the last acknowledged offset."""
        ends: dict[int, int] = {}
        for sent in self.sent:
            if sent.topic == topic:
                ends[sent.partition] = max(ends.get(sent.partition, 0), sent.offset + 1)
        return ends

    def count(self, *kinds: Kind) -> int:
        """How many acknowledged records are of one of these kinds."""
        return sum(sent.kind in kinds for sent in self.sent)

    def _produce(self, producer: Producer, number: int, kind: Kind, record: Made, place: tuple[str, int]) -> None:
        topic, partition = place
        # In the past: a broker refuses what lies too far in the future, and nothing here may expire.
        timestamp_ms = int(time.time() * 1000) - _MINUTE_MS + number % 1000
        report = partial(self._note, number, kind, timestamp_ms)
        while True:
            try:
                producer.produce(
                    topic,
                    record.value,
                    record.key,
                    partition,
                    on_delivery=report,
                    timestamp=timestamp_ms,
                    headers=record.headers,
                )
            except BufferError:
                producer.poll(0.1)
                continue
            producer.poll(0)
            return

    def _note(self, number: int, kind: Kind, timestamp_ms: int, error: KafkaError | None, message: Message) -> None:
        topic, partition, offset = message.topic(), message.partition(), message.offset()
        if error is not None or topic is None or partition is None:
            self._failures.append(str(error))
            return
        sent = Sent(
            run=self.run,
            number=number,
            kind=kind,
            topic=topic,
            partition=partition,
            offset=-1 if offset is None else offset,
            timestamp_ms=timestamp_ms,
            key=message.key(),
        )
        (self._unplaced if offset is None else self.sent).append(sent)

    def _place(self) -> None:
        """Find the offsets of the records that were acknowledged without one."""
        known = {(sent.topic, sent.partition, sent.offset) for sent in self.sent}
        for topic in {sent.topic for sent in self._unplaced}:
            places: dict[object, int] = {}
            for message in Kafka(self._bootstrap_servers).read_all(topic):
                offset = message.offset()
                if offset is not None and (topic, message.partition(), offset) not in known:
                    places[message.partition(), message.timestamp()[1], message.key(), message.value()] = offset
            for sent in [sent for sent in self._unplaced if sent.topic == topic]:
                value = make_record(sent.run, sent.number, sent.kind).value
                offset = places.get((sent.partition, sent.timestamp_ms, sent.key, value))
                assert offset is not None, f"acknowledged, but not in the topic: {sent}"
                self.sent.append(replace(sent, offset=offset))
        self._unplaced.clear()
