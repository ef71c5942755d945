"""A source of one partition whose records are given beforehand, for the pipeline's tests."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from connector.ports import AssignmentListener, Commit, Extent, Slice, Start

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from confluent_kafka import KafkaError

    from connector.core.offsets import PartitionOffsets
    from connector.core.settled import Range
    from tests.builders import FakeRecord


class ScriptedSource:
    """One partition, whose records come in one poll; commits are answered after a while, by a script."""

    def __init__(
        self, records: Iterable[FakeRecord], settled: tuple[Range, ...] = (), committed: int | None = 0
    ) -> None:
        self.owner: PartitionOffsets
        self.listener: AssignmentListener
        self.commits: list[int] = []
        self.errors: list[KafkaError | None] = []  # of the next commits; without one they succeed
        self.answers_after_s = 0.0
        self.records = list(records)
        self._start = Start("xdm.web", 0, 0, committed, settled, "an-id")

    async def start(self, listener: AssignmentListener) -> None:
        self.listener = listener
        [self.owner] = await listener.assigned([self._start])

    async def poll(self, max_records: int, timeout_s: float) -> list[Slice]:
        records, self.records = self.records[:max_records], self.records[max_records:]
        if not records:
            await asyncio.sleep(timeout_s)
        return [Slice(self.owner, records)] if records else []

    def commit(self, commits: Sequence[Commit]) -> None:
        loop = asyncio.get_running_loop()
        for owner, offset, _ in commits:
            self.commits.append(offset)
            error = self.errors.pop(0) if self.errors else None
            loop.call_later(self.answers_after_s, self.listener.commit_ended, owner, offset, error)

    def pause(self, owners: Iterable[PartitionOffsets]) -> None:
        pass

    def resume(self, owners: Iterable[PartitionOffsets]) -> None:
        pass

    async def extents(self, owners: Sequence[PartitionOffsets]) -> list[Extent | None]:
        return [None for _ in owners]

    async def close(self, timeout_s: float) -> bool:
        assert timeout_s > 0
        return True
