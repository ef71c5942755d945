"""Before the start it is known whether dead letters can be written."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest
from confluent_kafka import KafkaException, Producer

from connector.adapters.topic_check import TopicUnusable, check_topic
from connector.config import CreateTopic

if TYPE_CHECKING:
    from tests.kafka.client import Kafka

LOGGER = logging.getLogger("librdkafka")


def check(bootstrap_servers: str, topic: str, create: CreateTopic | None = None, *, may_compact: bool = True) -> None:
    properties = {"bootstrap.servers": bootstrap_servers, "log_level": 0}
    check_topic(properties, topic, create, setting="dead_letter", logger=LOGGER, may_compact=may_compact)


def test_a_topic_that_is_there_is_fine(kafka: Kafka) -> None:
    """What exists and may be written is not touched, whether or not it should be created."""
    topic = kafka.create_topic(partitions=2)
    check(kafka.bootstrap_servers, topic)
    check(kafka.bootstrap_servers, topic, CreateTopic(partitions=5, replication_factor=1))
    assert len(kafka._partitions(topic)) == 2


def test_a_missing_topic_is_refused_with_what_mends_it(kafka: Kafka) -> None:
    """Nothing is created that was not asked for."""
    topic = kafka.unique_name("dead")
    with pytest.raises(TopicUnusable, match=f"{topic} does not exist: create it, or .* dead_letter.create"):
        check(kafka.bootstrap_servers, topic)
    with pytest.raises(TopicUnusable):
        check(kafka.bootstrap_servers, topic)


def test_a_missing_topic_is_created_when_asked_for(kafka: Kafka) -> None:
    """With dead_letter.create the topic is there afterwards, as it was described; a second copy finds it."""
    topic = kafka.unique_name("dead")
    create = CreateTopic(partitions=3, replication_factor=1)
    check(kafka.bootstrap_servers, topic, create)
    assert len(kafka._partitions(topic)) == 3
    check(kafka.bootstrap_servers, topic, create)


def test_a_topic_that_cannot_be_created_is_refused(kafka: Kafka) -> None:
    """A replication factor that the cluster does not have is no passing fault."""
    topic = kafka.unique_name("dead")
    with pytest.raises(TopicUnusable, match=f"{topic} cannot be created: "):
        check(kafka.bootstrap_servers, topic, CreateTopic(partitions=1, replication_factor=100))


@pytest.mark.parametrize("policy", ["compact", "compact,delete"])
def test_a_topic_that_keeps_one_record_of_a_key_is_refused_for_dead_letters(kafka: Kafka, policy: str) -> None:
    """Of two dead letters with one key it would lose the first; the responses of a topic may be a table."""
    topic = kafka.create_topic(cleanup_policy=policy)
    check(kafka.bootstrap_servers, topic)
    with pytest.raises(TopicUnusable, match=f"{topic} is compacted .* set its cleanup.policy to delete"):
        check(kafka.bootstrap_servers, topic, may_compact=False)
    check(kafka.bootstrap_servers, kafka.create_topic(), may_compact=False)


def test_a_broker_that_says_nothing_of_rights_is_believed(embedded_kafka: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A broker without that request has the topic: the first dead letter finds out the rest."""
    monkeypatch.setattr("connector.adapters.topic_check._RIGHTS_TIMEOUT_S", 0.2)
    Producer({"bootstrap.servers": embedded_kafka}).list_topics("dead", timeout=10)
    check(embedded_kafka, "dead", may_compact=False)


def test_a_broker_that_is_away_is_not_taken_for_a_missing_topic(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an answer nothing is known: it is tried again."""
    monkeypatch.setattr("connector.adapters.topic_check._LIST_TIMEOUT_S", 0.2)
    with pytest.raises(KafkaException):
        check("127.0.0.1:1", "dead", CreateTopic(partitions=1, replication_factor=1))
