"""The brokers and group protocols that the consumer is tested on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from confluent_kafka import Producer

from tests.adapters.kafka_member import Member, member

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractAsyncContextManager

    from tests.kafka.client import Kafka

PARTITIONS = 4
"""Of every topic here; it is what the embedded broker gives to each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """A group without members or commits, and an empty topic."""

    kafka: Kafka
    topic: str
    name: str
    properties: Mapping[str, Any]

    def member(self, *, starts_at_latest: bool = False, **properties: object) -> AbstractAsyncContextManager[Member]:
        """One more member, while the block runs."""
        return member(
            self.kafka.bootstrap_servers,
            self.name,
            self.topic,
            starts_at_latest=starts_at_latest,
            **{**self.properties, **properties},
        )

    def produce(self, *values: bytes, partition: int = 0) -> None:
        """Write records to one partition."""
        self.kafka.produce(self.topic, values, partition=partition)

    def committed(self) -> dict[int, int]:
        """What the group has committed, by partition."""
        return self.kafka.committed(self.name, self.topic)


def new_group(kafka: Kafka, *, is_embedded: bool, properties: Mapping[str, Any]) -> Group:
    """A group and a topic that nobody else uses."""
    topic = kafka.unique_name() if is_embedded else kafka.create_topic(partitions=PARTITIONS)
    group = Group(kafka=kafka, topic=topic, name=kafka.unique_name(), properties=properties)
    if is_embedded:
        Producer({"bootstrap.servers": kafka.bootstrap_servers}).list_topics(
            topic, timeout=10
        )  # its first use makes it
    return group
