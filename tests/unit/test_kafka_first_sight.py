"""With `start_at: latest` only what was there at first sight may be skipped."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from confluent_kafka import KafkaError, KafkaException

from connector.adapters.kafka_first_sight import FirstSight


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


def test_nobody_is_asked_where_nothing_is_skipped() -> None:
    """With `earliest` it makes no difference what is new."""
    sight = FirstSight(["^.*"], starts_at_latest=False)
    sight.look(SimpleNamespace(list_topics=None))  # type: ignore[arg-type] # it would fail
    assert not sight.is_new("web", 7, "")
