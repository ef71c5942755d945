"""The consumer hands over each record once and in order, and commits what it is told to, while it owns it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from confluent_kafka import Consumer, ConsumerGroupState, KafkaError, TopicPartition
from confluent_kafka.admin import AdminClient

from connector.ports import Commit
from tests.adapters.group import PARTITIONS
from tests.adapters.kafka_member import CLASSIC
from tests.adapters.kafka_member import member as new_member

if TYPE_CHECKING:
    from tests.adapters.group import Group
    from tests.adapters.kafka_member import Member


def set_commit(group: Group, offset: int, partition: int = 0) -> None:
    """Commit as somebody else would, while the group has no members."""
    consumer = Consumer({"bootstrap.servers": group.kafka.bootstrap_servers, "group.id": group.name})
    consumer.commit(offsets=[TopicPartition(group.topic, partition, offset)], asynchronous=False)
    consumer.close()


async def test_records_come_in_order_and_grouped_by_partition(group: Group) -> None:
    """Every record of every partition comes once, in order, with the offsets object of its assignment."""
    for partition in range(PARTITIONS):
        group.produce(*(b"%d" % number for number in range(50)), partition=partition)
    async with group.member() as member:
        rows = await member.read(50 * PARTITIONS)
    assert rows == [(part, offset, b"%d" % offset) for part in range(PARTITIONS) for offset in range(50)]
    for owner, records in member.slices:
        assert {(record.topic(), record.partition()) for record in records} == {(group.topic, owner.partition)}


async def test_a_poll_brings_no_more_than_it_was_asked_for(embedded_group: Group) -> None:
    """The bound on a poll bounds the memory of what it brings."""
    embedded_group.produce(*[b"x"] * 20)
    async with embedded_group.member() as member:
        await member.until(lambda: len(member.rows) == 20, max_records=3)
    assert max(len(records) for _, records in member.slices) <= 3


async def test_nothing_is_committed_unless_told_to(group: Group) -> None:
    """What was read is read again by the next member, as long as no commit was asked for and no revoke settled it."""
    group.produce(b"a", b"b")
    async with group.member() as member:
        await member.read(2)
        assert group.committed() == {}
        member.owners.clear()  # what is settled is not offered at the revoke either
        for owner, _ in member.slices:
            owner.close()
    assert group.committed() == {}


async def test_a_commit_is_seen_by_the_group(group: Group) -> None:
    """The listener hears the end of each commit, and by then every member sees it."""
    group.produce(b"a", b"b", partition=1)
    group.produce(b"c", partition=2)
    async with group.member() as member:
        await member.read(3)
        assert await member.commit() == [(1, 2, None), (2, 1, None)]
        assert group.committed() == {1: 2, 2: 1}


async def test_the_next_member_starts_at_the_commit(group: Group) -> None:
    """What is below the commit is not read again; partitions without one start at their first record."""
    group.produce(b"a", b"b", b"c", partition=1)
    group.produce(b"d", partition=2)
    set_commit(group, 2, partition=1)
    async with group.member(starts_at_latest=False) as member:
        assert await member.read(2) == [(1, 2, b"c"), (2, 0, b"d")]
        starts = {start.partition: (start.offset, start.committed) for start in member.starts}
    assert starts == {0: (None, None), 1: (2, 2), 2: (None, None), 3: (None, None)}


async def test_a_group_without_a_commit_may_start_at_the_latest(group: Group) -> None:
    """With `latest` what waits is skipped where there is no commit, and nothing is where there is one."""
    group.produce(b"waits", partition=0)
    group.produce(b"waits", b"waits too", partition=1)
    set_commit(group, 1, partition=1)
    async with group.member(starts_at_latest=True) as member:
        await member.until(lambda: len(member.starts) == PARTITIONS)
        group.produce(b"new", partition=0)
        assert await member.read(2) == [(0, 1, b"new"), (1, 1, b"waits too")]


async def test_a_topic_that_is_made_after_the_start_is_read_from_its_first_record(group_by_protocol: Group) -> None:
    """With `latest` too: what is written before the group hears of the topic was written after the start."""
    kafka, late = group_by_protocol.kafka, group_by_protocol.kafka.unique_name()
    hears_soon = {**group_by_protocol.properties, "topic.metadata.refresh.interval.ms": 2_000}
    name = group_by_protocol.name
    async with new_member(kafka.bootstrap_servers, name, late, starts_at_latest=True, **hears_soon) as member:
        await member.poll()
        kafka.create_topic_named(late, partitions=1)
        kafka.produce(late, [b"first", b"second"], partition=0)
        assert await member.read(2) == [(0, 0, b"first"), (0, 1, b"second")]


async def poll_both(one: Member, other: Member, until: object) -> None:
    """Poll two members until a condition holds for both."""
    await asyncio.gather(one.until(until), other.until(until))  # type: ignore[arg-type] # a condition


async def test_a_second_member_takes_over_what_was_committed_at_the_revoke(group_by_protocol: Group) -> None:
    """What a partition's owner has settled is committed before the next one gets it: nothing is read twice."""
    group = group_by_protocol
    for partition in range(PARTITIONS):
        group.produce(b"before", partition=partition)
    async with group.member() as first:
        await first.read(PARTITIONS)
        async with group.member() as second:
            await poll_both(first, second, lambda: len(first.owners) == len(second.owners) == PARTITIONS // 2)
            assert sorted(first.revoked_partitions) == sorted(second.owners)
            assert {start.partition: start.committed for start in second.starts} == dict.fromkeys(second.owners, 1)
            for partition in range(PARTITIONS):
                group.produce(b"between", partition=partition)
            await poll_both(first, second, lambda: len(first.rows) + len(second.rows) == PARTITIONS * 2)
            taken = sorted(second.owners)
        await first.until(lambda: len(first.owners) == PARTITIONS)
        for partition in range(PARTITIONS):
            group.produce(b"after", partition=partition)
        await first.until(lambda: len(first.rows) + len(second.rows) >= PARTITIONS * 3)
    assert sorted(row[0] for row in second.rows) == taken
    assert len(set(first.rows + second.rows)) == len(first.rows + second.rows) == PARTITIONS * 3
    assert group.committed() == dict.fromkeys(range(PARTITIONS), 3)
    assert first.lost_partitions == second.lost_partitions == []


async def test_a_late_commit_for_a_partition_that_left_is_not_sent(group: Group) -> None:
    """The broker would take it, and the next owner would start behind its own work."""
    for partition in range(PARTITIONS):
        group.produce(b"a", b"b", partition=partition)
    async with group.member() as first:
        await first.read(PARTITIONS * 2)
        owners = dict(first.owners)
        async with group.member() as second:
            await poll_both(first, second, lambda: len(first.owners) == len(second.owners) == PARTITIONS // 2)
            before = len(first.commits)
            first.source.commit([Commit(owners[partition], 1, "") for partition in second.owners])
            await first.poll()
            assert {group.committed()[partition] for partition in second.owners} == {2}
            assert len(first.commits) == before


async def test_a_paused_partition_is_not_read_until_it_is_resumed(group: Group) -> None:
    """Others are read meanwhile, and nothing is skipped or doubled by the pause."""
    group.produce(b"a", partition=0)
    async with group.member() as member:
        await member.read(1)
        paused = [member.owners[0]]
        member.source.pause(paused)
        group.produce(b"b", b"c", partition=0)
        group.produce(b"d", partition=1)
        assert await member.read(2) == [(0, 0, b"a"), (1, 0, b"d")]
        for _ in range(5):
            await member.poll()
        assert len(member.rows) == 2
        member.source.resume(paused)
        assert await member.read(4) == [(0, 0, b"a"), (0, 1, b"b"), (0, 2, b"c"), (1, 0, b"d")]


async def test_the_extents_are_known_of_what_is_read(group: Group) -> None:
    """The end of a partition is what its broker said last, and nothing is said of a partition that left."""
    group.produce(b"a", b"b", b"c")
    async with group.member() as member:
        await member.read(3)
        owner = member.owners[0]
        assert await member.source.extents([owner]) == [(0, 3)]
    over = [owner]
    async with group.member() as member:
        await member.until(lambda: len(member.owners) == PARTITIONS)
        assert await member.source.extents(over) == [None]


async def test_the_extents_of_what_is_paused_are_asked_for(group: Group) -> None:
    """No fetch brings news of a paused partition, and its lag grows meanwhile; of one that left nothing is said."""
    group.produce(b"a", partition=0)
    group.produce(b"a", partition=1)
    async with group.member() as member:
        await member.read(2)
        owners = [member.owners[0], member.owners[1], member.owners[2]]
        member.source.pause(owners)
        await member.source.extents(owners)  # the thread has paused by now
        group.produce(b"b", b"c", partition=0)
        group.produce(b"d", partition=2)
        assert await member.source.extents(owners) == [(0, 3), (0, 1), (0, 1)]
        member.source.resume(owners)
        await member.read(5)
        assert await member.source.extents(owners) == [(0, 3), (0, 1), (0, 1)]


async def test_close_leaves_the_group(kafka_group: Group) -> None:
    """The group does not wait for a time-out to hand the partitions on."""
    async with kafka_group.member() as member:
        await member.until(lambda: len(member.owners) == PARTITIONS)
    admin = AdminClient({"bootstrap.servers": kafka_group.kafka.bootstrap_servers})
    described = admin.describe_consumer_groups([kafka_group.name])[kafka_group.name].result(timeout=30)
    assert described.state == ConsumerGroupState.EMPTY
    assert sorted(member.revoked_partitions) == list(range(PARTITIONS))


async def test_a_commit_that_fails_is_told_with_its_reason(kafka_group: Group) -> None:
    """A partition's own error is its listener's, although the commit as a whole went through."""
    kafka_group.produce(b"a")
    async with kafka_group.member() as member:
        await member.read(1)
        kafka_group.kafka.delete_topic(kafka_group.topic)
        ((_, _, error),) = await member.commit()
    assert error is not None
    assert error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART


async def test_the_partitions_of_topics_are_counted(group: Group) -> None:
    """A topic that is read is counted whole, whoever owns its partitions; others are left out."""
    async with group.member() as member:
        await member.until(lambda: len(member.owners) == PARTITIONS)
        assert await member.source.partition_counts(lambda topic: topic == group.topic) == {group.topic: PARTITIONS}
        assert await member.source.partition_counts(lambda _: False) == {}
    assert await member.source.partition_counts(lambda _: True) is None


async def test_topics_of_a_pattern_are_counted_as_they_come(kafka_group: Group) -> None:
    """Every topic that matches counts, one that is new included; a name that does not exist has no partitions."""
    kafka, topic = kafka_group.kafka, kafka_group.topic
    absent = kafka.unique_name()
    async with new_member(kafka.bootstrap_servers, kafka_group.name, f"^{topic}.*", **CLASSIC) as member:
        await member.until(lambda: len(member.owners) == PARTITIONS)
        other = kafka.create_topic(f"{topic}-too", partitions=3)
        counts = await member.source.partition_counts(lambda name: name.startswith(topic))
        assert counts == {topic: PARTITIONS, other: 3}
        await member.until(lambda: len(member.starts) >= PARTITIONS + 3)  # a close in mid-rejoin may take its time
    async with new_member(kafka.bootstrap_servers, kafka_group.name, absent, topic, **CLASSIC) as member:
        await member.until(lambda: len(member.owners) == PARTITIONS)
        assert await member.source.partition_counts(lambda _: True) == {absent: 0, topic: PARTITIONS}
