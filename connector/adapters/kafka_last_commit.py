"""The last commit before partitions belong to somebody else.

Promise: it is tried again for about a second where the reason is one that passes, and without its note where the broker
takes none of such a length, or not so many at once. Runs on the Kafka thread.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from confluent_kafka import KafkaError, KafkaException, TopicPartition

from connector.core.settled import NOTE_REFUSALS

if TYPE_CHECKING:
    from confluent_kafka import Consumer

_TRIES: Final = 5
_PAUSE_S: Final = 0.2

_PASSING: Final = frozenset(
    {
        KafkaError.REBALANCE_IN_PROGRESS,
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.NOT_COORDINATOR,
        KafkaError.REQUEST_TIMED_OUT,
    }
)
"""Why a commit may fail and succeed a moment later; the client itself calls none of them retriable."""


def commit_and_wait(
    consumer: Consumer, targets: list[TopicPartition]
) -> tuple[KafkaError | None, list[TopicPartition]]:
    """Commit and wait for the broker's answer: what went wrong as a whole, and each partition with its own error."""
    fault: KafkaError | None = None
    done: list[TopicPartition] = []
    for _ in range(_TRIES if targets else 0):
        try:
            ended = consumer.commit(offsets=targets, asynchronous=False)
        except KafkaException as error:
            fault = error.args[0]
            if _is_refused(fault):
                targets = _without_notes(targets)
            elif fault.code() in _PASSING:
                time.sleep(_PAUSE_S)
            else:
                break
        else:
            fault, too_long = None, [part for part in ended if _is_refused(part.error)]
            done += [part for part in ended if part not in too_long]
            targets = _without_notes(too_long)
            if not targets:
                break
    return fault, [*done, *targets]


def _is_refused(error: KafkaError | None) -> bool:
    """Whether it is the note that is refused."""
    return error is not None and error.name() in NOTE_REFUSALS


def _without_notes(targets: list[TopicPartition]) -> list[TopicPartition]:
    return [TopicPartition(target.topic, target.partition, target.offset) for target in targets]
