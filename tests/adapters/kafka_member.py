"""One member of a consumer group whose pipeline is a script, so that the source can be watched alone."""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from connector.adapters.kafka_properties import admin_properties, consumer_properties
from connector.adapters.kafka_source import KafkaSource
from connector.adapters.kafka_topic_ids import TopicIds
from connector.commits import committable
from connector.core.offsets import PartitionOffsets
from connector.model import offset_of
from connector.ports import Commit, Start

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from confluent_kafka import KafkaError

    from connector.ports import Slice

TIMEOUT_S = 40.0
QUICK: dict[str, Any] = {"group.protocol": "consumer"}
"""A group that forms within a moment: the broker assigns."""

CLASSIC: dict[str, Any] = {"session.timeout.ms": 6000, "heartbeat.interval.ms": 300}
"""A group that forms as fast as the classic protocol allows."""

Row = tuple[int, int, bytes | None]
"""Partition, offset and value of a record."""


class Member:
    """A source and its listener: it settles whatever it reads, and commits when it is told to or at a revoke."""

    def __init__(self, source: KafkaSource) -> None:
        self.source = source
        self.rows: list[Row] = []
        self.slices: list[Slice] = []
        self.owners: dict[int, PartitionOffsets] = {}
        self.starts: list[Start] = []
        self.revoked_partitions: list[int] = []
        self.lost_partitions: list[int] = []
        self.recreations: list[int] = []
        self.repositions: list[tuple[int | None, int]] = []
        self.commits: list[tuple[PartitionOffsets, int, KafkaError | None]] = []
        self.faults: list[KafkaError] = []
        self.refuses_with: Exception | None = None
        self.keeps_owners = False

    # What the source asks and tells

    async def assigned(self, starts: Sequence[Start]) -> Sequence[PartitionOffsets]:
        if self.refuses_with is not None:
            raise self.refuses_with
        self.starts += starts
        owners = [self._begin(start) for start in starts]
        self.owners.update({owner.partition: owner for owner in owners})
        return owners

    async def revoked(self, owners: Sequence[PartitionOffsets]) -> Sequence[Commit]:
        self.revoked_partitions += [owner.partition for owner in owners]
        return self._let_go(owners)

    async def lost(self, owners: Sequence[PartitionOffsets]) -> None:
        self.lost_partitions += [owner.partition for owner in owners]
        self._let_go(owners)

    async def repositioned(self, owner: PartitionOffsets, earliest: int) -> PartitionOffsets:
        self.repositions.append((owner.next_offset, earliest))
        if self.keeps_owners:
            return owner
        owner.close()
        self.owners[owner.partition] = self._begin(Start(owner.topic, owner.partition, earliest, None))
        return self.owners[owner.partition]

    async def recreated(self, owner: PartitionOffsets, identity: str) -> PartitionOffsets:
        self.recreations.append(owner.partition)
        owner.close()
        self.owners[owner.partition] = self._begin(Start(owner.topic, owner.partition, None, None, identity=identity))
        return self.owners[owner.partition]

    def identified(self, owner: PartitionOffsets, identity: str) -> None:
        owner.identity = identity

    def commit_ended(self, owner: PartitionOffsets, offset: int, error: KafkaError | None) -> None:
        self.commits.append((owner, offset, error))

    def source_fault(self, error: KafkaError) -> None:
        self.faults.append(error)

    # What a test does

    async def poll(self, max_records: int = 1000) -> None:
        """Poll once, and settle what came."""
        for owner, records in await self.source.poll(max_records, 0.05):
            owner.open(offset_of(records[0]), offset_of(records[-1]) + 1)
            owner.settle(offset_of(records[0]), offset_of(records[-1]) + 1)
            self.slices.append((owner, records))  # type: ignore[arg-type] # as good as a slice
            self.rows += [(owner.partition, offset_of(record), record.value()) for record in records]

    async def until(self, condition: Callable[[], object], *, max_records: int = 1000) -> None:
        """Poll until a condition holds."""
        async with asyncio.timeout(TIMEOUT_S):
            while not condition():
                await self.poll(max_records)

    async def read(self, count: int) -> list[Row]:
        """Poll until so many records have been read; all of them, by partition and offset."""
        await self.until(lambda: len(self.rows) >= count)
        return sorted(self.rows)

    async def commit(self) -> list[tuple[int, int, KafkaError | None]]:
        """Commit all that is settled, and poll until the end of each commit was heard."""
        wanted = [
            Commit(owner, owner.watermark, owner.note) for owner in self.owners.values() if owner.watermark is not None
        ]
        before = len(self.commits)
        self.source.commit(wanted)
        await self.until(lambda: len(self.commits) >= before + len(wanted))
        return sorted((owner.partition, offset, error) for owner, offset, error in self.commits[before:])

    def _begin(self, start: Start) -> PartitionOffsets:
        return PartitionOffsets(
            start.topic,
            start.partition,
            generation=1,
            start=start.offset,
            committed=start.committed,
            identity=start.identity,
            restored=start.settled,
        )

    def _let_go(self, owners: Sequence[PartitionOffsets]) -> list[Commit]:
        settled = committable(owners)
        for owner in owners:
            owner.close()
            self.owners.pop(owner.partition, None)
        return settled


@asynccontextmanager
async def member(
    bootstrap_servers: str, group: str, *topics: str, starts_at_latest: bool = False, **properties: object
) -> AsyncIterator[Member]:
    """A member that has joined; it leaves at the end of the block."""
    kafka = {"bootstrap.servers": bootstrap_servers, "group.id": group}
    source = KafkaSource(
        consumer_properties({**kafka, **properties}),
        topics,
        starts_at_latest=starts_at_latest,
        topic_ids=TopicIds(admin_properties({**kafka, **properties}), logger=logging.getLogger("librdkafka")),
        logger=logging.getLogger("librdkafka"),
    )
    joined = Member(source)
    await source.start(joined)
    try:
        yield joined
    finally:
        assert await source.close(TIMEOUT_S)
