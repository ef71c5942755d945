"""Where partitions begin that were just assigned.

Promise: at the group's commit; without one at the earliest record, as nothing that waits may be skipped, unless the
config asks for the latest and the partition is not new (`kafka_first_sight.py`). A commit for a topic that was deleted
since, and made anew, is none: all records of the new one are waiting, so it begins at its first one. What the brokers
do not answer is asked again. Runs on the Kafka thread, in a callback.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from confluent_kafka import KafkaException

from connector.core.settled import restore
from connector.ports import SourceFatal, Start

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from confluent_kafka import Consumer, KafkaError, TopicPartition

    from connector.adapters.kafka_first_sight import FirstSight

QUERY_TIMEOUT_S: Final = 10.0
_PATIENCE_S: Final = 240.0  # the coordinator may be moving; below max.poll.interval.ms, which ends the membership
_PAUSE_S: Final = 1.0


def find_starts(
    consumer: Consumer,
    partitions: Sequence[TopicPartition],
    ids: Mapping[str, str],
    first_sight: FirstSight,
    *,
    report: Callable[[KafkaError], None],
) -> list[Start]:
    """Where each partition begins, given the topics' ids; each try that fails is reported.

    Raises:
        SourceFatal: the brokers do not say.
    """
    first_sight.note_ids(ids)
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        try:
            committed = consumer.committed(list(partitions), timeout=QUERY_TIMEOUT_S)
            return [_start(consumer, found, ids.get(found.topic, ""), first_sight) for found in committed]
        except KafkaException as error:
            report(error.args[0])
            if time.monotonic() >= deadline:
                raise SourceFatal(f"the group's offsets cannot be read: {error.args[0].str()}") from error
            time.sleep(_PAUSE_S)


def _start(consumer: Consumer, found: TopicPartition, identity: str, first_sight: FirstSight) -> Start:
    if found.error is not None:
        raise KafkaException(found.error)
    topic, partition = found.topic, found.partition
    if found.offset >= 0:
        first_sight.forget_latest(topic, partition)
        note = restore(found.metadata or "", identity=identity, committed=found.offset)
        if note.is_foreign:
            return Start(topic, partition, None, None, identity=identity, is_recreated=True)
        unread = found.metadata or "" if note.ignored == "topic_unknown" else ""
        return Start(topic, partition, found.offset, found.offset, note.ranges, identity, note.ignored, unread)
    if not first_sight.starts_at_latest or first_sight.is_new(topic, partition, identity):
        return Start(topic, partition, None, None, identity=identity)
    earliest, end = consumer.get_watermark_offsets(found, timeout=QUERY_TIMEOUT_S)
    start = first_sight.latest(topic, partition, identity, end)
    return Start(topic, partition, start, None, identity=identity, skipped=max(0, start - earliest))
