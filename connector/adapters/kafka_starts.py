"""Where partitions begin that were just assigned.

Promise: at the group's commit; without one at the earliest record, as nothing that waits may be skipped, unless the
config asks for the latest. What the brokers do not answer is asked again. Runs on the Kafka thread, in a callback.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from confluent_kafka import KafkaException

from connector.ports import SourceFatal, Start

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from confluent_kafka import Consumer, KafkaError, TopicPartition

QUERY_TIMEOUT_S: Final = 10.0
_PATIENCE_S: Final = 240.0  # the coordinator may be moving; below max.poll.interval.ms, which ends the membership
_PAUSE_S: Final = 1.0


def find_starts(
    consumer: Consumer,
    partitions: Sequence[TopicPartition],
    *,
    at_latest: bool,
    report: Callable[[KafkaError], None],
) -> list[Start]:
    """Where each partition begins; each try that fails is reported.

    Raises:
        SourceFatal: the brokers do not say.
    """
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        try:
            committed = consumer.committed(list(partitions), timeout=QUERY_TIMEOUT_S)
            return [_start(consumer, found, at_latest=at_latest) for found in committed]
        except KafkaException as error:
            report(error.args[0])
            if time.monotonic() >= deadline:
                raise SourceFatal(f"the group's offsets cannot be read: {error.args[0].str()}") from error
            time.sleep(_PAUSE_S)


def _start(consumer: Consumer, found: TopicPartition, *, at_latest: bool) -> Start:
    if found.error is not None:
        raise KafkaException(found.error)
    if found.offset >= 0:
        return Start(found.topic, found.partition, found.offset, found.offset)
    if not at_latest:
        return Start(found.topic, found.partition, None, None)
    _, end = consumer.get_watermark_offsets(found, timeout=QUERY_TIMEOUT_S)
    return Start(found.topic, found.partition, end, None)
