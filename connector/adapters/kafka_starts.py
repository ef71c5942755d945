"""Where partitions begin that were just assigned.

Promise: at the group's commit; without one at the earliest record, as nothing that waits may be skipped, unless the
config asks for the latest. A commit for a topic that was deleted since, and made anew, is none: all records of the new
one are waiting, so it begins at its first one. What the brokers do not answer is asked again. Runs on the Kafka
thread, in a callback.
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

QUERY_TIMEOUT_S: Final = 10.0
_PATIENCE_S: Final = 240.0  # the coordinator may be moving; below max.poll.interval.ms, which ends the membership
_PAUSE_S: Final = 1.0


def find_starts(
    consumer: Consumer,
    partitions: Sequence[TopicPartition],
    ids: Mapping[str, str],
    *,
    at_latest: bool,
    report: Callable[[KafkaError], None],
) -> list[Start]:
    """Where each partition begins, given the topics' ids; each try that fails is reported.

    Raises:
        SourceFatal: the brokers do not say.
    """
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        try:
            committed = consumer.committed(list(partitions), timeout=QUERY_TIMEOUT_S)
            return [_start(consumer, found, ids.get(found.topic, ""), at_latest=at_latest) for found in committed]
        except KafkaException as error:
            report(error.args[0])
            if time.monotonic() >= deadline:
                raise SourceFatal(f"the group's offsets cannot be read: {error.args[0].str()}") from error
            time.sleep(_PAUSE_S)


def _start(consumer: Consumer, found: TopicPartition, identity: str, *, at_latest: bool) -> Start:
    if found.error is not None:
        raise KafkaException(found.error)
    topic, partition = found.topic, found.partition
    if found.offset >= 0:
        note = restore(found.metadata or "", identity=identity, committed=found.offset)
        if note.is_foreign:
            return Start(topic, partition, None, None, identity=identity, is_recreated=True)
        return Start(topic, partition, found.offset, found.offset, note.ranges, identity, note.ignored)
    if not at_latest:
        return Start(topic, partition, None, None, identity=identity)
    _, end = consumer.get_watermark_offsets(found, timeout=QUERY_TIMEOUT_S)
    return Start(topic, partition, end, None, identity=identity)
