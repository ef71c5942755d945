"""What this process settled in partitions that it does not own any more.

Promise: when a partition comes back, what was settled here before and was not committed is not delivered again. That
matters after a lost assignment, where nothing may be committed, and after a revoke whose commit did not get through.

It is not used for another topic of the same name, nor where the group's offset lies below what the broker had
confirmed: then a person moved it back, and wants the records again. Bounded by the number of partitions, and for each
of them by what was open.

Owner: the event loop.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from connector.core.offsets import PartitionOffsets
    from connector.core.settled import Range


class _Memory(NamedTuple):
    owner: PartitionOffsets  # what the broker confirmed of it may be heard after its end
    identity: str
    ranges: tuple[Range, ...]


class Delivered:
    """The memory of one process."""

    def __init__(self) -> None:
        self._memories: dict[tuple[str, int], _Memory] = {}

    def remember(self, owner: PartitionOffsets) -> None:
        """Keep what settled under an assignment that ends."""
        ranges = owner.all_settled
        if not owner.identity:
            self.forget(owner)  # what was committed meanwhile is not known to be for the same topic
        elif ranges:
            self._memories[owner.topic, owner.partition] = _Memory(owner, owner.identity, ranges)

    def forget(self, owner: PartitionOffsets) -> None:
        """Forget a partition: its offsets mean other records now."""
        self._memories.pop((owner.topic, owner.partition), None)

    def recall(self, topic: str, partition: int, *, identity: str, committed: int | None) -> tuple[Range, ...]:
        """What need not be delivered again under the assignment that begins; it is asked once, with the topic's id."""
        if not identity:
            return ()
        memory = self._memories.pop((topic, partition), None)
        if memory is None or memory.identity != identity:
            return ()
        confirmed = memory.owner.committed
        was_moved_back = confirmed is not None and (committed is None or committed < confirmed)
        return () if was_moved_back else memory.ranges
