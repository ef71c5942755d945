"""How many partitions topics have, asked of the brokers.

Promise: returns within one short time-out, because it runs on the Kafka thread, where polling waits for it meanwhile.
An answer that leaves one of the topics open is no answer.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from confluent_kafka import KafkaError, KafkaException

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from confluent_kafka import Consumer
    from confluent_kafka.admin._metadata import TopicMetadata

_TIMEOUT_S: Final = 2.0
_ABSENT: Final = (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC)  # noqa: SLF001 - librdkafka's own name


def count_partitions(consumer: Consumer, topics: Sequence[str], reads: Callable[[str], bool]) -> dict[str, int] | None:
    """The partitions of each topic that is read, or None if the brokers do not say.

    A regular expression can only be answered by a list of all topics; names are asked for one by one, as a large
    cluster's list is long.
    """
    counts: dict[str, int] = {}
    try:
        for topic, found in _metadata(consumer, topics):
            if not reads(topic):
                continue
            if found.error is not None and found.error.code() not in _ABSENT:
                return None
            counts[topic] = len(found.partitions)
    except KafkaException:
        return None  # it is asked again soon; the client tells by itself that the brokers are away
    return counts


def _metadata(consumer: Consumer, topics: Sequence[str]) -> Iterator[tuple[str, TopicMetadata]]:
    if any(topic.startswith("^") for topic in topics):
        yield from consumer.list_topics(timeout=_TIMEOUT_S).topics.items()
        return
    deadline = time.monotonic() + _TIMEOUT_S
    for topic in topics:
        yield from consumer.list_topics(topic, timeout=max(0.1, deadline - time.monotonic())).topics.items()
