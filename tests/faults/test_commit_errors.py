"""Whatever a broker answers to a commit, it is told and tried again, and no commit passes what is settled.

Played on librdkafka's mock cluster, which answers what it is told to. The source is alone here, with a scripted
pipeline that commits as the real one does: again and again until the group has it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from confluent_kafka import KafkaError

from connector.commits import committable
from tests.adapters.group import PARTITIONS, Group
from tests.adapters.kafka_member import QUICK
from tests.kafka.client import Kafka
from tests.kafka.mock import OFFSET_COMMIT, MockKafka, why_no_mock

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.adapters.kafka_member import Member

pytestmark = pytest.mark.skipif(why_no_mock() is not None, reason=str(why_no_mock()))

RECORDS = 5

CLASSIC = {"session.timeout.ms": 1500, "heartbeat.interval.ms": 300}
"""The mock lets whom it gave up wait for a session before it joins again."""

PASSING = {
    "rebalance": [KafkaError.REBALANCE_IN_PROGRESS],
    "not-coordinator": [KafkaError.NOT_COORDINATOR] * 3,
    "no-coordinator": [KafkaError.COORDINATOR_NOT_AVAILABLE] * 3,
    "loading": [KafkaError.COORDINATOR_LOAD_IN_PROGRESS] * 3,
    "timed-out": [KafkaError.REQUEST_TIMED_OUT] * 5,
    "disconnected": [KafkaError._TRANSPORT] * 4,
    "metadata-too-large": [KafkaError.OFFSET_METADATA_TOO_LARGE],
    "notes-too-large": [KafkaError.INVALID_COMMIT_OFFSET_SIZE],
    "not-authorised": [KafkaError.GROUP_AUTHORIZATION_FAILED] * 3,
    "unknown": [KafkaError.UNKNOWN] * 3,
}
"""Answers after which the member stays a member."""

FENCED = {
    "illegal-generation": KafkaError.ILLEGAL_GENERATION,
    "unknown-member": KafkaError.UNKNOWN_MEMBER_ID,
}
"""Answers of the classic protocol by which the group has given the member up."""

STALE = {
    "unknown-member": KafkaError.UNKNOWN_MEMBER_ID,
    "stale-epoch": KafkaError.STALE_MEMBER_EPOCH,
    "fenced-epoch": KafkaError.FENCED_MEMBER_EPOCH,
}
"""Their like where the broker assigns: only a heartbeat tells whether the member is given up."""


@pytest.fixture
def mock() -> Iterator[MockKafka]:
    with MockKafka() as mock:
        yield mock


def new_group(mock: MockKafka, properties: Mapping[str, object]) -> Group:
    kafka = Kafka(mock.bootstrap_servers)
    group = Group(kafka=kafka, topic=kafka.unique_name(), name=kafka.unique_name(), properties=properties)
    mock.create_topic(group.topic)
    return group


def fill(group: Group) -> None:
    for partition in range(PARTITIONS):
        group.produce(*[b"x"] * RECORDS, partition=partition)


async def commit_until(group: Group, member: Member, wanted: int) -> None:
    """Commit again and again, as the pipeline does, until the group has it; it must never have more."""
    async with asyncio.timeout(60):
        while (committed := await asyncio.to_thread(group.committed)) != dict.fromkeys(range(PARTITIONS), wanted):
            assert all(offset <= wanted for offset in committed.values())
            owners = tuple(member.owners.values())
            member.source.commit(committable(owners))
            await member.poll()


def told(member: Member) -> set[int]:
    """With which errors commits ended."""
    return {error.code() for _, _, error in member.commits if error is not None}


@pytest.mark.parametrize("protocol", [CLASSIC, pytest.param(QUICK, marks=pytest.mark.long)], ids=["classic", "kip-848"])
@pytest.mark.parametrize("errors", PASSING.values(), ids=PASSING.keys())
async def test_a_commit_that_a_passing_fault_meets_comes_through(
    mock: MockKafka, errors: list[int], protocol: dict[str, object]
) -> None:
    """Commit errors: the member keeps its partitions, hears what the client gives up on, and commits again."""
    group = new_group(mock, protocol)
    fill(group)
    async with group.member() as member:
        await member.read(PARTITIONS * RECORDS)
        mock.fail_next(OFFSET_COMMIT, errors)
        await commit_until(group, member, RECORDS)
        assert told(member) <= {*errors, KafkaError._WAIT_COORD}
        assert member.lost_partitions == member.revoked_partitions == []
        assert len(member.rows) == PARTITIONS * RECORDS


@pytest.mark.parametrize("error", FENCED.values(), ids=FENCED.keys())
async def test_a_member_that_was_given_up_joins_again(mock: MockKafka, error: int) -> None:
    """Commit errors: its partitions are lost at once, and it reads from the group's commit when it is back."""
    group = new_group(mock, CLASSIC)
    fill(group)
    async with group.member() as member:
        await member.read(PARTITIONS * RECORDS)
        mock.fail_next(OFFSET_COMMIT, [error])
        await commit_until(group, member, RECORDS)
        assert told(member) == {error}
        assert sorted(member.lost_partitions) == list(range(PARTITIONS))
        assert [start.committed for start in member.starts] == [None] * PARTITIONS * 2
        assert len(member.rows) == 2 * PARTITIONS * RECORDS


@pytest.mark.parametrize("error", STALE.values(), ids=STALE.keys())
async def test_a_commit_with_a_stale_epoch_is_tried_again(mock: MockKafka, error: int) -> None:
    """Commit errors: nothing is given up for a commit's sake where the group has not given the member up."""
    group = new_group(mock, QUICK)
    fill(group)
    async with group.member() as member:
        await member.read(PARTITIONS * RECORDS)
        mock.fail_next(OFFSET_COMMIT, [error])
        await commit_until(group, member, RECORDS)
        assert told(member) == {error}
        assert member.lost_partitions == []
        assert len(member.rows) == PARTITIONS * RECORDS
