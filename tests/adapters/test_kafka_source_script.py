"""What a source does when its client loses partitions or refuses a commit, with a client that follows a script."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from connector.adapters.kafka_source import KafkaSource
from connector.ports import Commit
from tests.adapters.kafka_member import Member
from tests.builders import FakeRecord

if TYPE_CHECKING:
    from collections.abc import Callable

TOPIC = "xdm.web"
_REFUSED_AT_ONCE = 2
_REFUSAL = KafkaError(KafkaError.GROUP_AUTHORIZATION_FAILED)


class Message(FakeRecord):
    """A record as a poll brings it."""

    def error(self) -> KafkaError | None:
        return None


class ScriptedConsumer:
    """Kafka's client in what happens to it during one poll after the other, without a broker."""

    polls: list[Callable[[Any], list[Message]]] = []  # noqa: RUF012 - each test sets its own
    committed_offsets: list[int] = []  # noqa: RUF012 - as above

    def __init__(self, properties: dict[str, Any], **_: object) -> None:
        self.on_commit = properties["on_commit"]

    def subscribe(self, _: object, **callbacks: Callable[..., None]) -> None:
        self.callbacks = callbacks

    def consume(self, _: int, __: float) -> list[Message]:
        return self.polls.pop(0)(self)

    def committed(self, partitions: list[TopicPartition], **_: object) -> list[TopicPartition]:
        return [TopicPartition(TOPIC, each.partition, 0) for each in partitions]

    def commit(self, *, offsets: list[TopicPartition], asynchronous: bool) -> list[TopicPartition]:
        self.committed_offsets += [each.offset for each in offsets]
        if asynchronous and offsets[0].offset == _REFUSED_AT_ONCE:
            raise KafkaException(_REFUSAL)
        if asynchronous:
            said = {"offset": offsets[0].offset, "metadata": offsets[0].metadata, "error": _REFUSAL}
            self.on_commit(None, [SimpleNamespace(topic=TOPIC, partition=0, **said)])
        return offsets

    def __getattr__(self, name: str) -> Callable[..., None]:
        assert name in {"incremental_assign", "assign", "seek", "resume", "close"}
        return lambda *_: None


def rebalance(name: str) -> Callable[[ScriptedConsumer], list[Message]]:
    """A poll in which one partition comes or goes."""

    def happen(consumer: ScriptedConsumer) -> list[Message]:
        consumer.callbacks[name](consumer, [TopicPartition(TOPIC, 0)])
        return []

    return happen


def records(*offsets: int) -> Callable[[ScriptedConsumer], list[Message]]:
    """A poll that brings records."""
    return lambda _: [Message(topic_name=TOPIC, offset_number=offset) for offset in offsets]


class NoTopicIds:
    """Brokers that tell none."""

    def __getattr__(self, _: str) -> Callable[..., dict[str, str]]:
        return lambda *_: {}


@pytest.mark.parametrize(("how", "committed"), [("on_lost", []), ("on_revoke", [3])])
async def test_what_was_lost_is_neither_committed_nor_read(
    monkeypatch: pytest.MonkeyPatch, how: str, committed: list[int]
) -> None:
    """A revoke commits what is settled, a loss does not; after either a late commit or record finds nobody."""
    monkeypatch.setattr("connector.adapters.kafka_source.Consumer", ScriptedConsumer)
    monkeypatch.setattr(ScriptedConsumer, "committed_offsets", [])
    polls = [rebalance("on_assign"), records(0, 1, 2), rebalance(how), records(3, 4), records()]
    monkeypatch.setattr(ScriptedConsumer, "polls", polls)
    ids: Any = NoTopicIds()
    source = KafkaSource({}, [TOPIC], starts_at_latest=False, topic_ids=ids, logger=logging.getLogger("librdkafka"))
    member = Member(source)
    await source.start(member)
    for _ in range(3):
        await member.poll()
    [owner] = {owner for owner, _ in member.slices}
    assert owner.is_closed
    assert (member.lost_partitions, member.revoked_partitions) == (([0], []) if how == "on_lost" else ([], [0]))
    await member.poll()
    source.commit([Commit(owner, 5, "")])
    await member.poll()
    assert [offset for _, offset, _ in member.rows] == [0, 1, 2]
    assert ScriptedConsumer.committed_offsets == committed
    assert await source.close(5.0)


@pytest.mark.parametrize("offset", [1, _REFUSED_AT_ONCE])
async def test_a_refused_commit_is_told_whichever_way(monkeypatch: pytest.MonkeyPatch, offset: int) -> None:
    """The client refuses it at once, or the broker does for one partition of several: either is heard."""
    monkeypatch.setattr("connector.adapters.kafka_source.Consumer", ScriptedConsumer)
    monkeypatch.setattr(ScriptedConsumer, "committed_offsets", [])
    monkeypatch.setattr(ScriptedConsumer, "polls", [rebalance("on_assign"), records(0, 1, 2), records()])
    ids: Any = NoTopicIds()
    source = KafkaSource({}, [TOPIC], starts_at_latest=False, topic_ids=ids, logger=logging.getLogger("librdkafka"))
    member = Member(source)
    await source.start(member)
    await member.poll()
    await member.poll()
    source.commit([Commit(member.owners[0], offset, "")])
    await member.poll()
    assert member.commits == [(member.owners[0], offset, _REFUSAL)]
    assert await source.close(5.0)
