"""What a commit says beyond its offset reaches the next owner, and another topic of the same name voids it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from confluent_kafka import Consumer, KafkaError, TopicPartition

from connector.adapters import kafka_topic_ids
from connector.core.settled import encode
from connector.ports import Commit, Start
from tests.adapters.group import PARTITIONS

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pytest

    from connector.core.offsets import PartitionOffsets
    from tests.adapters.group import Group
    from tests.adapters.kafka_member import Member

TEN = tuple(b"%d" % number for number in range(10))
NEW = tuple(b"new %d" % number for number in range(12))
OTHER_ID = "AAAAAAAAAAAAAAAAAAAAAQ"


def commit(group: Group, offset: int, note: str = "") -> None:
    """Commit for the first partition as somebody else would, while the group has no members."""
    consumer = Consumer({"bootstrap.servers": group.kafka.bootstrap_servers, "group.id": group.name})
    consumer.commit(offsets=[TopicPartition(group.topic, 0, offset, note)], asynchronous=False)
    consumer.close()


def recreate(group: Group) -> None:
    """Delete the topic and make another one of its name."""
    group.kafka.delete_topic(group.topic)
    group.kafka.create_topic_named(group.topic, partitions=PARTITIONS)


def start_of(member: Member) -> Start:
    """Where the first partition began."""
    return next(start for start in member.starts if start.partition == 0)


async def identity_of(group: Group) -> str:
    """The topic's id, as a member hears it."""
    async with group.member() as member:
        await member.until(lambda: member.starts)
        return start_of(member).identity


async def test_what_is_settled_above_a_commit_reaches_the_next_owner(group_by_protocol: Group) -> None:
    """Under each protocol, through an asynchronous commit as well as through that of a revoke."""
    group_by_protocol.produce(*TEN)
    async with group_by_protocol.member() as member:
        await member.read(10)
        owner = member.owners[0]
        member.source.commit([Commit(owner, 3, encode(owner.identity, 3, [(5, 8)]))])
        await member.until(lambda: member.commits)
        owner.committed = owner.watermark  # nothing more to commit at the revoke
    async with group_by_protocol.member() as member:
        await member.until(lambda: member.starts)
        start = start_of(member)
        assert start == Start(group_by_protocol.topic, 0, 3, 3, ((5, 8),), owner.identity)
        assert len(start.identity) == 22


async def test_a_commit_for_another_topic_of_the_same_name_is_none(kafka_group: Group) -> None:
    """Its offset means nothing here: all records of the new topic are read, also where the config wants the latest."""
    kafka_group.produce(*TEN)
    note = encode(await identity_of(kafka_group), 7, [(8, 9)])
    recreate(kafka_group)
    kafka_group.produce(*NEW)
    commit(kafka_group, 7, note)
    async with kafka_group.member(starts_at_latest=True) as member:
        assert [value for _, _, value in await member.read(len(NEW))] == list(NEW)
        assert (start_of(member).is_recreated, start_of(member).settled) == (True, ())


async def test_an_offset_that_a_person_moved_is_where_reading_begins(kafka_group: Group) -> None:
    """Tools that move offsets write no note, or keep the old one: either way nothing is left out."""
    kafka_group.produce(*TEN)
    identity = await identity_of(kafka_group)
    for note, ignored in (("", None), (encode(identity, 6, [(8, 9)]), "offset_moved"), ("theirs", "unreadable")):
        commit(kafka_group, 2, note)
        async with kafka_group.member() as member:
            assert [offset for _, offset, _ in await member.read(8)] == list(range(2, 10))
            assert start_of(member) == Start(kafka_group.topic, 0, 2, 2, (), identity, ignored)  # type: ignore[arg-type] # one of its values


async def test_a_topic_made_anew_while_it_is_read_is_read_from_its_beginning(
    group_by_protocol: Group, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where it has grown beyond the position by then, so that the broker would just go on there."""
    monkeypatch.setattr(kafka_topic_ids, "_INTERVAL_S", 0.2)
    group_by_protocol.produce(*TEN)
    async with group_by_protocol.member() as member:
        await member.read(10)
        recreate(group_by_protocol)
        group_by_protocol.produce(*NEW)
        await member.until(lambda: {value for _, _, value in member.rows} >= set(NEW))
        assert [row[1] for row in member.rows if row[2] == NEW[0]] == [0]


async def test_where_brokers_tell_no_ids_nothing_is_noted(embedded_group: Group) -> None:
    """The watermark alone is committed, and reading does not wait for what never comes."""
    embedded_group.produce(*TEN)
    async with embedded_group.member() as member:
        await member.read(10)
        assert (start_of(member).identity, member.owners[0].note) == ("", "")
        assert await member.commit() == [(0, 10, None)]


async def test_a_note_that_the_broker_refuses_does_not_cost_the_offset(kafka_group: Group) -> None:
    """In flow the refusal is told, and whoever commits leaves the note out; at a revoke that happens at once."""
    kafka_group.produce(*TEN)
    async with kafka_group.member() as member:
        await member.read(10)
        member.source.commit([Commit(member.owners[0], 4, "x" * 5000)])
        await member.until(lambda: member.commits)
        [(_, _, error)] = member.commits
        assert error is not None
        assert error.code() == KafkaError.OFFSET_METADATA_TOO_LARGE
        assert kafka_group.committed() == {}

        async def revoked(owners: Sequence[PartitionOffsets]) -> Sequence[Commit]:
            return [Commit(owner, 10, "x" * 5000) for owner in owners if owner.partition == 0]

        member.revoked = revoked  # type: ignore[method-assign] # the script of this test
    assert kafka_group.committed() == {0: 10}
