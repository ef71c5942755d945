"""When offsets are committed, and again if that fails.

Promise: only watermarks are committed, each with a note of what is settled above it, one commit at a time for a
partition, and one that failed is tried again at the next interval whether or not new records come: an outage that ends
on a quiet topic must not leave it uncommitted.

Owner: the event loop.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from connector.core.settled import NOTE_REFUSALS
from connector.ports import Commit

if TYPE_CHECKING:
    from collections.abc import Iterable

    from confluent_kafka import KafkaError

    from connector.core.offsets import PartitionOffsets
    from connector.core.settled import Range
    from connector.ports import Source
    from connector.telemetry import Telemetry


class Commits:
    """The commits of one member."""

    def __init__(self, source: Source, telemetry: Telemetry, *, interval_s: float) -> None:
        self._source = source
        self._telemetry = telemetry
        self._interval_s = interval_s
        self._next_at = float("-inf")
        self._under_way: dict[PartitionOffsets, tuple[Range, ...] | None] = {}  # with what their notes say, if any

    def start_if_due(self, owners: Iterable[PartitionOffsets], now: float) -> None:
        """Start to commit what is settled, once per interval."""
        if now >= self._next_at:
            self._next_at = now + self._interval_s
            self.start(owners)

    def start(self, owners: Iterable[PartitionOffsets]) -> None:
        """Start to commit what is settled, now."""
        commits = committable(owner for owner in owners if owner not in self._under_way)
        if commits:
            # One without a note says nothing of them: it goes again once the topic's id is heard.
            said = ((commit.owner, commit.owner.settled_ranges if commit.note else None) for commit in commits)
            self._under_way.update(said)
            self._source.commit(commits)

    def ended(self, owner: PartitionOffsets, offset: int, error: KafkaError | None) -> None:
        """Note how the commit of one partition ended."""
        noted = self._under_way.pop(owner, None)
        if error is not None:
            if error.name() in NOTE_REFUSALS:
                owner.takes_notes = False  # this broker's limit is a lower one: the watermark goes alone
            self._telemetry.commit_failed(owner, error)
            return
        owner.committed, owner.noted = offset, noted
        self._telemetry.offsets_committed(owner)

    def forget(self, owner: PartitionOffsets) -> None:
        """The assignment is over: nothing is heard of its commits any more."""
        self._under_way.pop(owner, None)


def committable(owners: Iterable[PartitionOffsets]) -> list[Commit]:
    """What may be committed now, for the partitions where the broker does not have it yet."""
    found = [(owner, owner.committable) for owner in owners]
    return [Commit(owner, offset, owner.note) for owner, offset in found if offset is not None]
