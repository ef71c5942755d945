"""Which partitions are new to this member: they were not there when it first saw the topics.

With `consume.start_at: latest` a partition without a commit begins behind what waits. That must not hold for one that
was added while the connector runs, nor for a topic that appeared or was made anew: what is written there before the
group hears of it was written after the start, and nobody asked to skip it.

Promise: a partition is called new only if the brokers said before that it did not exist. Not promised: to know what
came while no member ran; that begins at the latest, and the log says how much it skips. Runs on the Kafka thread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from connector.adapters.kafka_partition_counts import count_partitions

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from confluent_kafka import Consumer


class FirstSight:
    """The topics as this member first saw them."""

    def __init__(self, topics: Sequence[str], *, starts_at_latest: bool) -> None:
        self.starts_at_latest = starts_at_latest
        self._topics = tuple(topics)
        self._counts: dict[str, int] | None = None
        self._ids: dict[str, str] = {}
        self._latest: dict[tuple[str, int, str], int] = {}

    def look(self, consumer: Consumer) -> None:
        """Note how many partitions there are, the first time that the brokers tell; only where it matters.

        It is asked in each poll until then: no partition may be assigned before one exists.
        """
        if self.starts_at_latest and self._counts is None:
            self._counts = count_partitions(consumer, self._topics, lambda _: True)

    def note_ids(self, ids: Mapping[str, str]) -> None:
        """Note which topics these are, those of which an id was noted before excepted."""
        self._ids = {**ids, **self._ids}

    def is_new(self, topic: str, partition: int, identity: str) -> bool:
        """Whether a partition was not there at first sight, or was one of another topic of the same name."""
        if self._counts is None:
            return False
        was_recreated = bool(identity) and self._ids.get(topic, identity) != identity
        return was_recreated or partition >= self._counts.get(topic, 0)

    def latest(self, topic: str, partition: int, identity: str, end: int) -> int:
        """Where a partition without a commit begins whose records end at `end` now: where it began the first time.

        A later end would skip what was read since then, under an assignment that ended before its first commit.
        """
        return self._latest.setdefault((topic, partition, identity), end)

    def forget_latest(self, topic: str, partition: int) -> None:
        """Note that the group has a commit; whoever deletes it wants to begin at what is the latest then."""
        for key in [key for key in self._latest if key[:2] == (topic, partition)]:
            del self._latest[key]
