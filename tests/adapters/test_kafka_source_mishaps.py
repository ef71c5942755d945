"""Whatever goes wrong in the client or in the cluster, no record is left out."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition
from confluent_kafka.admin import AdminClient

from connector.ports import SourceFatal
from tests.adapters.group import PARTITIONS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from connector.core.offsets import PartitionOffsets
    from connector.ports import Commit
    from tests.adapters.group import Group

PASSING = KafkaException(KafkaError(KafkaError._TRANSPORT))
FATAL = KafkaException(KafkaError(KafkaError._FATAL, "fenced", True))


class FaultyConsumer(Consumer):
    """Kafka's own consumer, which fails when a test wants it to, after it has done its work."""

    faults: ClassVar[dict[str, list[Exception]]] = {}

    def consume(self, num_messages: int = 1, timeout: float = -1) -> list[Message]:
        messages = super().consume(num_messages, timeout)
        if messages:  # an empty result is no occasion
            self._fail("consume")
        return messages

    def get_watermark_offsets(
        self, partition: TopicPartition, timeout: float = -1, cached: bool = False
    ) -> tuple[int, int]:
        self._fail("get_watermark_offsets")
        return super().get_watermark_offsets(partition, timeout, cached)

    def offsets_for_times(self, partitions: list[TopicPartition], timeout: float = -1) -> list[TopicPartition]:
        self._fail("offsets_for_times")
        return super().offsets_for_times(partitions, timeout)

    def committed(self, partitions: list[TopicPartition], timeout: float = -1) -> list[TopicPartition]:
        self._fail("committed")
        return super().committed(partitions, timeout)

    def seek(self, partition: TopicPartition) -> None:
        self._fail("seek")
        super().seek(partition)

    def incremental_unassign(self, partitions: list[TopicPartition]) -> None:
        self._fail("incremental_unassign")
        super().incremental_unassign(partitions)

    def _fail(self, name: str) -> None:
        planned = self.faults.get(name)
        if planned:
            raise planned.pop(0)


@pytest.fixture
def faults(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[Exception]]:
    """What the consumer fails with, by method, in order."""
    monkeypatch.setattr("connector.adapters.kafka_source.Consumer", FaultyConsumer)
    monkeypatch.setattr(FaultyConsumer, "faults", {})
    return FaultyConsumer.faults


def fill(group: Group, count: int) -> list[tuple[int, int, bytes | None]]:
    """Write records to every partition; what a member should read."""
    for partition in range(PARTITIONS):
        group.produce(*(b"%d" % number for number in range(count)), partition=partition)
    return [(partition, offset, b"%d" % offset) for partition in range(PARTITIONS) for offset in range(count)]


async def test_what_was_gathered_when_the_client_failed_is_read_again(
    group: Group, faults: dict[str, list[Exception]]
) -> None:
    """A passing fault is told; the records that it cost come again, once, and in order."""
    rows = fill(group, 30)
    faults["consume"] = [PASSING, PASSING]
    async with group.member() as member:
        await member.until(lambda: len(member.rows) >= len(rows), max_records=7)
        faults["consume"] = [PASSING]
        group.produce(b"last")
        assert await member.read(len(rows) + 1) == sorted([*rows, (0, 30, b"last")])
    assert [error.code() for error in member.faults if error.code() == KafkaError._TRANSPORT]


async def test_an_exception_in_the_middle_of_a_poll_costs_no_record(
    embedded_group: Group, faults: dict[str, list[Exception]]
) -> None:
    """What is none of Kafka's faults comes out of the poll; whoever polls on finds every record."""
    rows = fill(embedded_group, 30)
    faults["consume"] = [RuntimeError("broken callback") for _ in range(3)]
    async with embedded_group.member() as member:
        for _ in range(3):
            with pytest.raises(RuntimeError, match="broken callback"):
                await member.until(lambda: False, max_records=20)
        assert await member.read(len(rows)) == rows


async def test_a_fatal_fault_ends_the_polling(embedded_group: Group, faults: dict[str, list[Exception]]) -> None:
    """What the client calls fatal cannot be waited for: it is the caller's to end the process."""
    fill(embedded_group, 1)
    faults["consume"] = [FATAL]
    async with embedded_group.member() as member:
        with pytest.raises(SourceFatal, match="fenced"):
            await member.until(lambda: False)
    assert member.rows == []


async def test_a_client_that_does_not_go_back_is_fatal(
    embedded_group: Group, faults: dict[str, list[Exception]]
) -> None:
    """Going on from where the client stands would take what it lost for a gap."""
    fill(embedded_group, 1)
    faults.update({"consume": [PASSING], "seek": [PASSING], "incremental_unassign": [PASSING]})
    async with embedded_group.member() as member:
        with pytest.raises(SourceFatal, match="does not go back"):
            await member.until(lambda: False)


async def test_a_listener_that_fails_ends_the_polling(embedded_group: Group) -> None:
    """An assignment that nobody took over is not read from, and nothing is committed for it."""
    fill(embedded_group, 1)
    async with embedded_group.member() as member:
        member.refuses_with = ValueError("no such route")
        with pytest.raises(ValueError, match="no such route"):
            await member.until(lambda: False)
        for _ in range(5):
            await member.poll()
        assert member.rows == []
    assert embedded_group.committed() == {}


async def test_commits_that_cannot_be_read_at_first_are_asked_for_again(
    embedded_group: Group, faults: dict[str, list[Exception]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The coordinator may be moving during the very rebalance; each try that fails is told."""
    monkeypatch.setattr("connector.adapters.kafka_starts._PAUSE_S", 0.0)
    rows = fill(embedded_group, 1)
    faults["committed"] = [PASSING, PASSING]
    async with embedded_group.member() as member:
        assert await member.read(len(rows)) == rows
    assert len(member.faults) == 2


async def test_commits_that_cannot_be_read_at_all_end_the_polling(
    embedded_group: Group, faults: dict[str, list[Exception]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """To start anywhere else would skip or repeat: better not to start."""
    monkeypatch.setattr("connector.adapters.kafka_starts._PATIENCE_S", 0.0)
    faults["committed"] = [PASSING]
    async with embedded_group.member() as member:
        with pytest.raises(SourceFatal, match="offsets cannot be read"):
            await member.until(lambda: False)
    assert member.starts == []


def delete_records(group: Group, before: int, partition: int = 0) -> None:
    """Let the first records of a partition expire."""
    admin = AdminClient({"bootstrap.servers": group.kafka.bootstrap_servers})
    place = TopicPartition(group.topic, partition, before)
    admin.delete_records([place])[place].result(timeout=30)


def commit(group: Group, offset: int) -> None:
    """Commit for the first partition, while the group has no members."""
    consumer = Consumer({"bootstrap.servers": group.kafka.bootstrap_servers, "group.id": group.name})
    consumer.commit(offsets=[TopicPartition(group.topic, 0, offset)], asynchronous=False)
    consumer.close()


@pytest.mark.parametrize("protocol", [{}, {"partition.assignment.strategy": "range"}], ids=["cooperative", "eager"])
async def test_where_records_have_expired_reading_goes_on_at_the_earliest(
    kafka_group: Group, protocol: dict[str, Any]
) -> None:
    """The listener hears from where to where, before any record of the new place arrives; others are not touched."""
    kafka_group.produce(*(b"%d" % number for number in range(10)))
    kafka_group.produce(b"a", b"b", partition=1)
    commit(kafka_group, 2)
    delete_records(kafka_group, before=7)
    async with kafka_group.member(**protocol) as member:
        rows = await member.read(5)
        assert rows == [*((0, offset, b"%d" % offset) for offset in (7, 8, 9)), (1, 0, b"a"), (1, 1, b"b")]
        assert member.repositions == [(2, 7)]
        assert await member.commit() == [(0, 10, None), (1, 2, None)]


async def test_a_gap_ahead_goes_on_under_the_same_assignment(group_by_protocol: Group) -> None:
    """The listener may keep its offsets object: what is missing is then a gap like any other."""
    group_by_protocol.produce(*(b"%d" % number for number in range(10)))
    commit(group_by_protocol, 2)
    delete_records(group_by_protocol, before=7)
    async with group_by_protocol.member() as member:
        member.keeps_owners = True
        await member.read(3)
        assert len({id(owner) for owner, _ in member.slices}) == 1
        assert await member.commit() == [(0, 10, None)]


async def test_a_commit_beyond_the_end_starts_at_the_earliest(kafka_group: Group) -> None:
    """A topic that was made anew has no record at the group's commit: all of its records are read."""
    kafka_group.produce(b"a", b"b")
    commit(kafka_group, 50)
    async with kafka_group.member() as member:
        assert await member.read(2) == [(0, 0, b"a"), (0, 1, b"b")]
        assert member.repositions == [(50, 0)]


async def test_an_earliest_offset_that_is_not_known_at_once_is_asked_for_again(
    kafka_group: Group, faults: dict[str, list[Exception]]
) -> None:
    """While the broker does not say where records begin, other partitions are read, and it is asked again."""
    kafka_group.produce(b"a", b"b")
    kafka_group.produce(b"c", partition=1)
    commit(kafka_group, 50)
    faults["get_watermark_offsets"] = [PASSING, PASSING]
    async with kafka_group.member() as member:
        assert await member.read(3) == [(0, 0, b"a"), (0, 1, b"b"), (1, 0, b"c")]
        assert member.repositions == [(50, 0)]
        assert len(member.faults) == 2


async def test_a_close_that_hangs_is_left_behind(embedded_group: Group) -> None:
    """A stop has a deadline; a listener that does not let go cannot keep the process."""
    never = asyncio.Event()
    async with embedded_group.member() as member:
        await member.until(lambda: len(member.owners) == PARTITIONS)
        let_go = member.revoked

        async def hang(owners: Sequence[PartitionOffsets]) -> Sequence[Commit]:
            await never.wait()
            return await let_go(owners)

        member.revoked = hang  # type: ignore[method-assign] # the script of this test
        assert not await member.source.close(0.2)
        never.set()
        member.source.close = _closed  # type: ignore[method-assign] # it is closed already


async def _closed(timeout_s: float) -> bool:
    return timeout_s > 0


async def test_where_the_brokers_do_not_name_the_extent_what_was_heard_last_is_told(
    embedded_group: Group, faults: dict[str, list[Exception]]
) -> None:
    """A lag that is a little old is better than none, and the question is asked again the next time."""
    embedded_group.produce(b"a")
    async with embedded_group.member() as member:
        await member.read(1)
        owner = member.owners[0]
        member.source.pause([owner])
        await member.source.extents([owner])
        embedded_group.produce(b"b", b"c")
        faults["offsets_for_times"] = [PASSING]
        assert await member.source.extents([owner]) == [(0, 1)]
        assert await member.source.extents([owner]) == [(0, 3)]
