"""Where partitions begin and end now, for the lag.

Promise: right also for what is paused, of which no fetch brings news: while a route is held its lag grows, and that is
when somebody looks at it. Two short questions for all of them, the second only where the first was answered; where the
brokers do not answer, what was heard last is told. Runs on the Kafka thread, where polling waits for it meanwhile.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, KafkaException, TopicPartition

from connector.ports import Extent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from confluent_kafka import Consumer

_TIMEOUT_S: Final = 1.0
_Offsets = dict[tuple[str, int], int]


def find_extents(consumer: Consumer, partitions: Sequence[tuple[TopicPartition, bool]]) -> list[Extent | None]:
    """The extent of each partition, given with whether it is paused; None where nothing was heard."""
    paused = [partition for partition, is_paused in partitions if is_paused]
    ends = _ask(consumer, paused, OFFSET_END)
    begins = _ask(consumer, paused, OFFSET_BEGINNING) if ends else {}
    return [_extent(consumer, partition, begins, ends) for partition, _ in partitions]


def _ask(consumer: Consumer, paused: Sequence[TopicPartition], time: int) -> _Offsets:
    """The offsets at a time: at these two special ones, the brokers name the first record or the one to come."""
    if not paused:
        return {}
    try:
        wanted = [TopicPartition(partition.topic, partition.partition, time) for partition in paused]
        found = consumer.offsets_for_times(wanted, timeout=_TIMEOUT_S)
    except KafkaException:
        return {}  # asked again with the next summary; the client tells by itself that the brokers are away
    return {(part.topic, part.partition): part.offset for part in found if part.error is None and part.offset >= 0}


def _extent(consumer: Consumer, partition: TopicPartition, begins: _Offsets, ends: _Offsets) -> Extent | None:
    earliest, end = consumer.get_watermark_offsets(partition, cached=True)
    key = (partition.topic, partition.partition)
    earliest, end = begins.get(key, earliest), ends.get(key, end)
    return Extent(earliest if earliest >= 0 else end, end) if end >= 0 else None
