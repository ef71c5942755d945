"""What tests do to a Kafka cluster: topics, records in, records and offsets out.

Promise: every call returns when the cluster has confirmed it, and raises if it has not in bounded time. Works
on any broker, started by the tests or named by `KAFKA_BOOTSTRAP_SERVERS`; the embedded one has no
CreateTopics and makes topics on first use.
"""

from __future__ import annotations

import uuid
from functools import partial
from typing import TYPE_CHECKING

from confluent_kafka import (
    Consumer,
    KafkaError,
    KafkaException,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewPartitions, NewTopic

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from confluent_kafka import Message

TIMEOUT_S = 30.0


class Kafka:
    """A cluster that tests may fill: `bootstrap_servers` as clients want it."""

    def __init__(self, bootstrap_servers: str) -> None:
        self.bootstrap_servers = bootstrap_servers
        # Kept: the answers to its calls are lost with it.
        self._admin = AdminClient(
            {"bootstrap.servers": bootstrap_servers, "allow.auto.create.topics": False, "log_level": 0}
        )

    def create_topic(self, prefix: str = "test", *, partitions: int = 1, **settings: str) -> str:
        """Make an empty topic of a name nobody else uses and return the name.

        `settings` are topic settings with `_` for `.`, such as `retention_ms="1000"`.
        """
        return self.create_topic_named(self.unique_name(prefix), partitions=partitions, **settings)

    def create_topic_named(self, name: str, *, partitions: int = 1, **settings: str) -> str:
        """As `create_topic`, of this very name, which may have belonged to another topic."""
        config = {key.replace("_", "."): value for key, value in settings.items()}
        topic = NewTopic(name, num_partitions=partitions, replication_factor=-1, config=config)
        self._admin.create_topics([topic])[name].result(timeout=TIMEOUT_S)
        return name

    def unique_name(self, prefix: str = "test") -> str:
        """A name for a topic or a group that nobody else uses."""
        return f"{prefix}-{uuid.uuid4().hex[:12]}"

    def delete_topic(self, topic: str) -> None:
        """Remove a topic and its records."""
        self._admin.delete_topics([topic])[topic].result(timeout=TIMEOUT_S)

    def delete_group(self, group: str) -> None:
        """Remove a consumer group that has no members, and its offsets."""
        self._admin.delete_consumer_groups([group])[group].result(timeout=TIMEOUT_S)

    def add_partitions(self, topic: str, total: int) -> None:
        """Let a topic grow to so many partitions."""
        self._admin.create_partitions([NewPartitions(topic, total)])[topic].result(timeout=TIMEOUT_S)

    def delete_records(self, topic: str, before: Mapping[int, int]) -> None:
        """Delete what lies below an offset, by partition, as retention does."""
        places = [TopicPartition(topic, partition, offset) for partition, offset in before.items()]
        for deleted in self._admin.delete_records(places).values():
            deleted.result(timeout=TIMEOUT_S)

    def produce(
        self,
        topic: str,
        values: Iterable[bytes | None],
        *,
        key: bytes | None = None,
        partition: int = -1,
        headers: list[tuple[str, str | bytes | None]] | None = None,
    ) -> int:
        """Write records and return their number once the cluster has confirmed each of them."""
        failures: list[str] = []

        def note(error: KafkaError | None, _: Message) -> None:
            if error is not None:
                failures.append(str(error))

        producer = Producer({"bootstrap.servers": self.bootstrap_servers, "linger.ms": 5, "acks": "all"})
        send = partial(producer.produce, topic, key=key, partition=partition, on_delivery=note, headers=headers)
        count = 0
        for value in values:
            _produce(producer, partial(send, value=value))
            count += 1
        if producer.flush(TIMEOUT_S) or failures:
            raise RuntimeError(f"{topic}: not every record was confirmed; {failures[:1]}")
        producer.close()
        return count

    def read_all(self, topic: str) -> list[Message]:
        """Every record that the topic holds now, partition by partition in order.

        Transaction markers and compacted offsets are no records and do not keep it waiting.
        """
        consumer = Consumer(
            {
                "bootstrap.servers": self.bootstrap_servers,
                "group.id": self.unique_name("reader"),
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "fetch.wait.max.ms": 20,
            }
        )
        try:
            return [message for partition in self._partitions(topic) for message in _read(consumer, topic, partition)]
        finally:
            consumer.close()

    def end_offsets(self, topic: str) -> dict[int, int]:
        """By partition, the offset that its next record will get."""
        consumer = Consumer({"bootstrap.servers": self.bootstrap_servers, "group.id": self.unique_name("reader")})
        try:
            return {
                partition: consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=TIMEOUT_S)[1]
                for partition in self._partitions(topic)
            }
        finally:
            consumer.close()

    def committed(self, group: str, topic: str) -> dict[int, int]:
        """By partition, the offset that the group has committed; a partition without one is absent."""
        # A consumer that never joins, and not the admin client: librdkafka 2.16 takes the whole process down
        # (SIGSEGV in rd_kafka_cgrp_op) when an admin client asks a coordinator that is still loading.
        consumer = Consumer({"bootstrap.servers": self.bootstrap_servers, "group.id": group, "log_level": 0})
        try:
            answer = consumer.committed([TopicPartition(topic, at) for at in self._partitions(topic)], TIMEOUT_S)
        finally:
            consumer.close()
        return {each.partition: each.offset for each in answer if each.offset >= 0}

    def commits(self, group: str, topic: str) -> list[TopicPartition]:
        """What the group has committed, with its metadata."""
        consumer = Consumer({"bootstrap.servers": self.bootstrap_servers, "group.id": group, "log_level": 0})
        try:
            return consumer.committed([TopicPartition(topic, at) for at in self._partitions(topic)], TIMEOUT_S)
        finally:
            consumer.close()

    def set_commits(self, group: str, commits: list[TopicPartition]) -> None:
        """Move a group that has no members to other offsets, as a person does."""
        consumer = Consumer({"bootstrap.servers": self.bootstrap_servers, "group.id": group, "log_level": 0})
        try:
            consumer.commit(offsets=commits, asynchronous=False)
        finally:
            consumer.close()

    def leaders_of(self, topic: str) -> dict[int, int]:
        """By partition of a topic, the id of the node that leads it, -1 where none does."""
        found = self._admin.list_topics(topic, timeout=TIMEOUT_S).topics[topic]
        return {number: partition.leader for number, partition in found.partitions.items()}

    def in_sync_counts(self, topic: str) -> set[int]:
        """How many in-sync replicas the partitions of a topic have."""
        found = self._admin.list_topics(topic, timeout=TIMEOUT_S).topics[topic]
        return {len(partition.isrs) for partition in found.partitions.values()}

    def coordinator_of(self, group: str) -> int:
        """The id of the node that coordinates a group."""
        # Kafka's own rule, and not a question to an admin client, for the reason that stands in `committed`.
        offsets = self.leaders_of("__consumer_offsets")
        code = 0
        for character in group:
            code = (31 * code + ord(character)) & 0xFFFFFFFF
        signed = code - (1 << 32) if code >> 31 else code
        return offsets[(signed & 0x7FFFFFFF) % len(offsets)]

    def _partitions(self, topic: str) -> list[int]:
        found = self._admin.list_topics(topic, timeout=TIMEOUT_S).topics[topic]
        if found.error is not None:
            raise KafkaException(found.error)
        return sorted(found.partitions)


def _produce(producer: Producer, send: Callable[[], None]) -> None:
    while True:
        try:
            send()
        except BufferError:
            producer.poll(0.1)
            continue
        producer.poll(0)
        return


def _read(consumer: Consumer, topic: str, partition: int) -> list[Message]:
    # A leader that has just come back shows less than is confirmed until its replicas have caught up. It names no end
    # before that (KIP-207), but to a reader it seems to be at its end.
    _, end = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=TIMEOUT_S)
    consumer.assign([TopicPartition(topic, partition, 0)])
    messages: list[Message] = []
    while True:
        message = consumer.poll(TIMEOUT_S)
        if message is None:
            raise TimeoutError(f"{topic}: the end of partition {partition} was not reached")
        error = message.error()
        if error is None:
            messages.append(message)
        elif error.code() != KafkaError._PARTITION_EOF:
            raise KafkaException(error)
        elif (message.offset() or 0) >= end:
            return messages
