"""With `start_at: latest` only what was there at first sight may be skipped."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import OFFSET_INVALID, KafkaError, KafkaException, TopicPartition

from connector.adapters.kafka_first_sight import FirstSight
from connector.adapters.kafka_starts import find_starts


def brokers(**counts: int) -> Any:  # noqa: ANN401 - as much of a consumer as is asked
    """A consumer whose brokers have topics with so many partitions."""
    topics = {
        name: SimpleNamespace(error=None, partitions=dict.fromkeys(range(count))) for name, count in counts.items()
    }
    return SimpleNamespace(list_topics=lambda *_, **__: SimpleNamespace(topics=topics))


def away(*_: object, **__: object) -> None:
    raise KafkaException(KafkaError(KafkaError._TRANSPORT))


def test_what_was_there_at_first_sight_is_not_new() -> None:
    """Only the first look counts: a partition that was added since, and a topic that appeared, are new."""
    sight = FirstSight(["^.*"], starts_at_latest=True)
    sight.look(brokers(web=2))
    sight.look(brokers(web=3, app=1))
    assert [sight.is_new("web", partition, "") for partition in range(3)] == [False, False, True]
    assert sight.is_new("app", 0, "")


def test_a_topic_made_anew_is_new() -> None:
    """Told by its id; where there is none, it counts as the one that it was."""
    sight = FirstSight(["^.*"], starts_at_latest=True)
    sight.look(brokers(web=2))
    sight.note_ids({"web": "one"})
    sight.note_ids({"web": "two"})
    assert [sight.is_new("web", 0, identity) for identity in ("one", "two", "")] == [False, True, False]


def test_nothing_is_new_where_the_brokers_did_not_tell() -> None:
    """Then the config is followed, and they are asked again at the next assignment."""
    sight = FirstSight(["^.*"], starts_at_latest=True)
    sight.look(SimpleNamespace(list_topics=away))  # type: ignore[arg-type] # as much of a consumer as is asked
    assert not sight.is_new("web", 7, "")
    sight.look(brokers(web=2))
    assert sight.is_new("web", 7, "")


def fails(error: KafkaError) -> None:
    pytest.fail(str(error))


def test_without_a_commit_a_partition_begins_where_it_began_before() -> None:
    """Or what was read under an assignment that was lost before its first commit would be skipped."""
    sight = FirstSight(["^.*"], starts_at_latest=True)
    sight.look(brokers(web=2))
    ends = {0: 100, 1: 7}
    consumer: Any = SimpleNamespace(get_watermark_offsets=lambda found, **_: (0, ends[found.partition]))

    def starts(*committed: int) -> list[tuple[int | None, int]]:
        partitions = [TopicPartition("web", at, offset) for at, offset in enumerate(committed)]
        consumer.committed = lambda *_, **__: partitions
        found = find_starts(consumer, partitions, {"web": "one"}, sight, report=fails)
        return [(start.offset, start.skipped) for start in found]

    assert starts(OFFSET_INVALID, OFFSET_INVALID) == [(100, 100), (7, 7)]
    ends.update({0: 150, 1: 9})
    assert starts(OFFSET_INVALID, OFFSET_INVALID) == [(100, 100), (7, 7)]
    assert starts(120, OFFSET_INVALID) == [(120, 0), (7, 7)]
    assert starts(OFFSET_INVALID, 8) == [(150, 150), (8, 0)]  # somebody deleted a commit


def test_nobody_is_asked_where_nothing_is_skipped() -> None:
    """With `earliest` it makes no difference what is new."""
    sight = FirstSight(["^.*"], starts_at_latest=False)
    sight.look(SimpleNamespace(list_topics=None))  # type: ignore[arg-type] # it would fail
    assert not sight.is_new("web", 7, "")
