"""Where the client reads on.

Promise: after this the client reads each partition from where it was told, or the run ends: to go on from where it
happens to stand would leave records out. Runs on the Kafka thread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from confluent_kafka import KafkaException

from connector.ports import SourceFatal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from confluent_kafka import Consumer, TopicPartition


def is_cooperative(properties: Mapping[str, object]) -> bool:
    """Whether partitions come and go one by one, as opposed to all at once."""
    strategy = str(properties.get("partition.assignment.strategy", ""))
    return properties.get("group.protocol") == "consumer" or "cooperative" in strategy


class Positions:
    """Assigns partitions to the client, and moves it within them."""

    def __init__(
        self, consumer: Consumer, everything: Callable[[], list[TopicPartition]], *, is_cooperative: bool
    ) -> None:
        self._consumer = consumer
        self._everything = everything  # all partitions that are ours, each with where it has to go on
        self._is_cooperative = is_cooperative

    def begin(self, targets: Sequence[TopicPartition]) -> None:
        """Begin to read partitions that were just assigned."""
        if self._is_cooperative:
            self._consumer.incremental_assign(list(targets))
        else:
            self._consumer.assign(list(targets))
        self._consumer.resume(list(targets))  # the client remembers a pause beyond the assignment, and never reads

    def seek(self, targets: Iterable[TopicPartition]) -> None:
        """Read on from other offsets.

        Raises:
            SourceFatal: the client does not.
        """
        for target in targets:
            try:
                self._consumer.seek(target)
            except KafkaException:
                self._restart(target)

    def _restart(self, target: TopicPartition) -> None:
        """Assign a partition anew: where its next record is gone the client stops fetching and refuses to seek."""
        try:
            if self._is_cooperative:
                self._consumer.incremental_unassign([target])
                self._consumer.incremental_assign([target])
            else:
                self._consumer.assign(self._everything())
        except KafkaException as error:
            raise SourceFatal(f"the client does not go back to where it was: {error.args[0].str()}") from error
