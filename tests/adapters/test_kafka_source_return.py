"""A partition that left and came back is read on, whatever was told of it before."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tests.adapters.group import PARTITIONS, new_group
from tests.adapters.kafka_member import CLASSIC, QUICK

if TYPE_CHECKING:
    from tests.kafka.client import Kafka

PROTOCOLS = {"cooperative": CLASSIC, "eager": {**CLASSIC, "partition.assignment.strategy": "range"}, "kip-848": QUICK}


@pytest.mark.parametrize("properties", PROTOCOLS.values(), ids=PROTOCOLS)
async def test_a_partition_that_was_paused_when_it_left_is_read_when_it_comes_back(
    kafka: Kafka, properties: dict[str, object]
) -> None:
    """The client remembers a pause beyond the assignment, and nobody would resume what is new and was not paused."""
    group = new_group(kafka, is_embedded=False, properties=properties)
    for partition in range(PARTITIONS):
        group.produce(b"before", partition=partition)
    async with group.member() as first:
        await first.read(PARTITIONS)
        first.source.pause(first.owners.values())
        async with group.member() as second:

            def is_shared() -> bool:
                return len(first.owners) == len(second.owners) == PARTITIONS // 2

            await asyncio.gather(first.until(is_shared), second.until(is_shared))
        await first.until(lambda: len(first.owners) == PARTITIONS)
        first.source.resume([])
        returned = set(first.revoked_partitions)
        for partition in returned:
            group.produce(b"after", partition=partition)

        await first.until(lambda: {row[0] for row in first.rows if row[2] == b"after"} == returned)
