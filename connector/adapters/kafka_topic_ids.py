"""The ids of topics: they tell a topic from another one that was made later under the same name.

Promise: an id comes from the brokers and is never guessed; where they do not tell (older than Kafka 2.8, or away) there
is none. Nothing here waits for longer than some seconds, and not at all for brokers that never answered: the ids make a
commit say more, and nothing depends on them. Runs on the Kafka thread.
"""

from __future__ import annotations

import time
from concurrent.futures import wait
from typing import TYPE_CHECKING, Any, Final

from confluent_kafka import KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Iterable, Mapping
    from concurrent.futures import Future

    from confluent_kafka.admin._topic import TopicDescription

_TIMEOUT_S: Final = 10.0
_PATIENCE_S: Final = 2.5  # twice: after an outage this client may connect again later than the consumer did
_FIRST_PATIENCE_S: Final = 2.0
_INTERVAL_S: Final = 30.0
_NONE: Final = "AAAAAAAAAAAAAAAAAAAAAA"  # what a broker without topic ids answers


class TopicIds:
    """Asks the brokers for the ids of topics."""

    def __init__(self, properties: Mapping[str, Any], *, logger: logging.Logger) -> None:
        self._properties = dict(properties)
        self._logger = logger
        self._admin: AdminClient | None = None
        self._asked: dict[str, Future[TopicDescription]] = {}
        self._ids: dict[str, str] = {}
        self._past: set[str] = set()
        self._next_at = time.monotonic() + _INTERVAL_S
        self._patience_s = _FIRST_PATIENCE_S

    def prepare(self, topics: Iterable[str]) -> None:
        """Ask ahead, to learn whether brokers tell ids at all: those that do are waited for when it matters."""
        self._asked = self._ask(topic for topic in topics if not topic.startswith("^"))

    def ask(self, topics: Iterable[str]) -> dict[str, str]:
        """The ids as they are now, of those topics of which the brokers tell one at once."""
        self._asked = {}  # an answer to an earlier question may be older
        names = list(topics)
        asked = self._ask(names)
        wait(asked.values(), self._patience_s)
        if self._patience_s == _PATIENCE_S and not all(answer.done() for answer in asked.values()):
            # A network that swallowed everything may have left this client a dead connection, which it holds to for a
            # time-out of its own while the consumer is back: a new client makes a new one.
            self._admin = None
            asked = self._ask(names)
            wait(asked.values(), self._patience_s)
        found = self._answers(asked)
        if not found and self._patience_s == _FIRST_PATIENCE_S:
            self._patience_s = 0.0  # they never will
        return found

    def news(self, topics: Callable[[], Iterable[str]]) -> dict[str, str]:
        """The ids as they were told lately, twice a minute; does not wait."""
        if self._asked and all(answer.done() for answer in self._asked.values()):
            asked, self._asked = self._asked, {}
            return self._answers(asked)
        if not self._asked and time.monotonic() >= self._next_at:
            self._next_at = time.monotonic() + _INTERVAL_S
            self._asked = self._ask(topics())
        return {}

    def _ask(self, topics: Iterable[str]) -> dict[str, Future[TopicDescription]]:
        names = sorted(set(topics))
        if not names:
            return {}
        if self._admin is None:
            self._admin = AdminClient(self._properties, logger=self._logger)
        self._admin.poll(0)  # its log lines
        try:
            return dict(self._admin.describe_topics(TopicCollection(names), request_timeout=_TIMEOUT_S))
        except KafkaException:
            return {}

    def _answers(self, asked: Mapping[str, Future[TopicDescription]]) -> dict[str, str]:
        found: dict[str, str] = {}
        for topic, answer in asked.items():
            try:
                identity = str(answer.result(0).topic_id)
            except (TimeoutError, KafkaException):
                continue
            if identity != _NONE and not self._is_past(topic, identity):
                found[topic] = identity
        if found:
            self._patience_s = _PATIENCE_S
        # Until the next question. Left to itself it would look for brokers that are away, thousands of times a second.
        self._admin = None
        return found

    def _is_past(self, topic: str, identity: str) -> bool:
        """Whether a broker answers that has not heard yet of the topic's successor: no id ever comes back."""
        before = self._ids.get(topic)
        if identity in self._past:
            return True
        if before is not None and before != identity:
            self._past.add(before)
        self._ids[topic] = identity
        return False
