"""Ids of topics come from the brokers, in their time, and an old one never comes back."""

from __future__ import annotations

import logging
from concurrent.futures import Future
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from connector.adapters import kafka_topic_ids
from connector.adapters.kafka_topic_ids import TopicIds

if TYPE_CHECKING:
    from collections.abc import Iterable

FIRST, SECOND = "0123456789abcdefABCDEF", "fedcba9876543210FEDCBA"


class Brokers:
    """Answers as it is told: an id, an error, or nothing ever (None)."""

    def __init__(self) -> None:
        self.answers: dict[str, str | Exception | None] = {}
        self.asked: list[list[str]] = []

    def __call__(self, *_: object, **__: object) -> Brokers:
        return self

    def poll(self, timeout_s: float) -> None:
        pass

    def describe_topics(self, topics: Any, **_: object) -> dict[str, Future[Any]]:  # noqa: ANN401 - the client's own type
        self.asked.append(topics.topic_names)
        return {topic: self._answer(topic) for topic in topics.topic_names}

    def _answer(self, topic: str) -> Future[Any]:
        future: Future[Any] = Future()
        answer = self.answers.get(topic)
        if isinstance(answer, Exception):
            future.set_exception(answer)
        elif answer is not None:
            future.set_result(SimpleNamespace(topic_id=answer))
        return future


@pytest.fixture
def brokers(monkeypatch: pytest.MonkeyPatch) -> Brokers:
    found = Brokers()
    monkeypatch.setattr(kafka_topic_ids, "AdminClient", found)
    monkeypatch.setattr(kafka_topic_ids, "TopicCollection", lambda names: SimpleNamespace(topic_names=names))
    monkeypatch.setattr(kafka_topic_ids, "_INTERVAL_S", 0.0)
    return found


@pytest.fixture
def ids(brokers: Brokers) -> TopicIds:
    return TopicIds({}, logger=logging.getLogger("librdkafka"))


def waited(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """For how long the ids were waited for, each time, without waiting."""
    found: list[float] = []

    def wait(_: Iterable[Future[Any]], seconds: float) -> None:
        found.append(seconds)

    monkeypatch.setattr(kafka_topic_ids, "wait", wait)
    return found


def test_what_the_brokers_tell_is_returned(brokers: Brokers, ids: TopicIds) -> None:
    """And nothing for a topic that they do not know, or where they know no ids."""
    unknown = KafkaException(KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART))
    brokers.answers = {"a": FIRST, "b": unknown, "c": "AAAAAAAAAAAAAAAAAAAAAA"}
    assert ids.ask(["a", "b", "c", "a"]) == {"a": FIRST}
    assert brokers.asked == [["a", "b", "c"]]


def test_brokers_that_never_answered_are_waited_for_once(ids: TopicIds, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each rebalance would stand still for them."""
    seconds = waited(monkeypatch)
    assert [ids.ask(["a"]) for _ in range(3)] == [{}, {}, {}]
    assert seconds == [2.0, 0.0, 0.0]


def test_brokers_that_answered_once_are_waited_for(
    brokers: Brokers, ids: TopicIds, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also right after an outage, when what a commit's note says is worth most."""
    seconds = waited(monkeypatch)
    brokers.answers = {"a": FIRST}
    ids.ask(["a"])
    brokers.answers = {}
    ids.ask(["a"])
    ids.ask(["a"])
    assert seconds == [2.0, *[2.5, 2.5] * 2]


def test_a_client_that_hangs_is_replaced(brokers: Brokers, ids: TopicIds, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its connection may be dead without its knowing, while the consumer's are not."""
    waited(monkeypatch)
    brokers.answers = {"a": FIRST}
    ids.ask(["a"])
    brokers.answers = {}
    ids.news(lambda: ["a"])  # has no answer yet, so the client is still there
    again = Brokers()
    again.answers = {"a": FIRST}
    monkeypatch.setattr(kafka_topic_ids, "AdminClient", again)
    assert ids.ask(iter(["a"])) == {"a": FIRST}
    assert (len(brokers.asked), len(again.asked)) == (3, 1)


def test_news_come_without_waiting(brokers: Brokers, ids: TopicIds) -> None:
    """They are asked for in one poll and told in a later one."""
    brokers.answers = {"a": FIRST}
    assert ids.news(lambda: ["a"]) == {}
    assert ids.news(lambda: ["a"]) == {"a": FIRST}


def test_an_answer_to_an_earlier_question_does_not_count_as_news(brokers: Brokers, ids: TopicIds) -> None:
    """It may be older than what an assignment has just been told, and would void it."""
    brokers.answers = {"a": FIRST}
    ids.prepare(["a", "^b.*"])
    assert brokers.asked == [["a"]]
    brokers.answers = {"a": SECOND}
    assert ids.ask(["a"]) == {"a": SECOND}
    assert ids.news(list) == {}


def test_an_id_that_was_replaced_never_comes_back(brokers: Brokers, ids: TopicIds) -> None:
    """A broker that has not heard of the new topic yet must not make it look like a third one."""
    for answer, expected in ((FIRST, {"a": FIRST}), (SECOND, {"a": SECOND}), (FIRST, {}), (SECOND, {"a": SECOND})):
        brokers.answers = {"a": answer}
        assert ids.ask(["a"]) == expected
