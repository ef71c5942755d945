"""What is open and what is settled in one partition, during one assignment of it.

Promise: `watermark` never passes an offset that is open, whatever the order in which offsets settle.
It is the only offset that may be committed. What is settled above it is kept as ranges, so a million
settled records above one that is still open cost one pair of numbers; they go with the commit as a note (`settled.py`).

Not promised: anything about other assignments. A new assignment of the same partition starts a new
`PartitionOffsets`; the old one is closed and ignores what still arrives for it, so an answer that
comes late cannot move an offset that somebody else owns by then.

Owner: the event loop. No other thread touches one.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING

from connector.core.settled import clipped, encode, restore, united
from connector.model import offset_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from connector.core.settled import Range
    from connector.model import Event, Record


class PartitionOffsets:
    """The open and settled offsets of one partition under one assignment (its generation).

    `start` is the first offset to be read, None where only the first record will tell; `committed` is
    what the broker has confirmed, None where the group has no commit. `identity` is the topic's id, empty where the
    brokers do not tell. `restored` are offsets at or above the start that settled under an earlier assignment.
    """

    __slots__ = (
        "_abandoned",
        "_ends",
        "_starts",
        "committed",
        "generation",
        "identity",
        "is_closed",
        "is_leaving",
        "next_offset",
        "noted",
        "origin",
        "partition",
        "recalled",
        "restored",
        "takes_notes",
        "topic",
        "unread_note",
        "watermark",
    )

    def __init__(
        self,
        topic: str,
        partition: int,
        *,
        generation: int,
        start: int | None,
        committed: int | None = None,
        identity: str = "",
        restored: Iterable[Range] = (),
    ) -> None:
        self.topic = topic
        self.partition = partition
        self.generation = generation
        self.watermark = start
        """Everything below is settled."""
        self.next_offset = start
        """One past the highest offset that was opened."""
        self.origin = start
        """The first offset of this assignment."""
        self.committed = committed
        self.noted: tuple[Range, ...] | None = ()
        """The settled ranges that the broker has with the commit; None where that has no note."""
        self.identity = identity
        self.takes_notes = True
        """False where the broker refused one as too long."""
        self.restored = clipped(united(restored), start or 0)
        """What settled earlier and was not read again yet."""
        self.unread_note = ""
        """The note of the commit at the start, while it cannot be read because the topic's id is not known."""
        self.recalled: tuple[Range, ...] = ()
        """What settled earlier, but was heard of only after it had been opened here."""
        self.is_leaving = False
        """The assignment is about to end: what has to wait for another try is not worth waiting for."""
        self.is_closed = False
        self._abandoned = 0
        # Settled ranges above the watermark, sorted and disjoint: [_starts[i], _ends[i]).
        self._starts: list[int] = []
        self._ends: list[int] = []

    def open(self, first: int, end: int) -> None:
        """Open [first, end): from now on the watermark waits for each of these offsets.

        Offsets between the highest opened so far and `first` were never handed over (compacted, or a
        transaction's marker) and count as settled: they would hold the watermark for ever.

        Raises:
            ValueError: the range is empty or was opened before; opening it again would hide a record.
        """
        expected = self.next_offset
        if first >= end or (expected is not None and first < expected):
            raise ValueError(f"cannot open [{first}, {end}) when the next offset is {expected}")
        if expected is None:
            self.watermark = self.origin = first
        elif first > expected:
            self._add(expected, first)
        self.next_offset = end

    def skip_to(self, offset: int) -> None:
        """Settle what lies between what was opened and `offset`: it is gone, and maybe no record follows it."""
        if self.next_offset is not None and offset > self.next_offset:
            self._add(self.next_offset, offset)
            self.next_offset = offset
            self.settle_restored()

    def settle(self, first: int, end: int) -> bool:
        """Settle [first, end); return False, and change nothing, if this assignment is over.

        Raises:
            ValueError: the range was not opened: a commit would pass an unread record.
        """
        if self.is_closed:
            return False
        if self.next_offset is None or end > self.next_offset:
            raise ValueError(f"cannot settle [{first}, {end}): opened only up to {self.next_offset}")
        self._add(first, end)
        return True

    def settle_restored(self) -> None:
        """Settle what was opened of the restored ranges."""
        if self.next_offset is None:
            return
        for first, end in clipped(self.restored, 0, self.next_offset):
            self._add(first, end)
        self.restored = clipped(self.restored, self.next_offset)

    def is_for_another(self, identity: str) -> bool:
        """Whether this assignment, or the commit at its start, was for another topic than the one with this id."""
        if self.identity:
            return self.identity != identity
        return restore(self.unread_note, identity=identity, committed=self.origin or 0).is_foreign

    def identify(self, identity: str, settled: Iterable[Range]) -> None:
        """Note the topic's id, and what settled earlier as only the id could tell.

        What of it is open by now is under way again, and ends as it does. But no commit may say less than the one
        before, or whoever comes next would deliver it once more.
        """
        self.identity, self.unread_note = identity, ""
        known = united(settled)
        self.restored = united((*self.restored, *clipped(known, self.next_offset or 0)))
        self.recalled = clipped(known, 0, self.next_offset or 0)

    def is_settled(self, offset: int) -> bool:
        """Whether an offset that was opened has settled under this assignment."""
        if self.watermark is None or offset < self.watermark:
            return self.watermark is not None
        below = bisect_right(self._starts, offset) - 1
        return below >= 0 and offset < self._ends[below]

    def abandon(self, count: int) -> None:
        """Note that `count` open records will not be settled under this assignment."""
        self._abandoned += count

    def close(self) -> None:
        """End this assignment: whatever settles later is ignored."""
        self.is_leaving = self.is_closed = True

    @property
    def open_count(self) -> int:
        """How many records are open, gaps not counted."""
        if self.next_offset is None or self.watermark is None:
            return 0
        settled = sum(self._ends) - sum(self._starts)
        return self.next_offset - self.watermark - settled

    @property
    def under_way_count(self) -> int:
        """How many records are open and were not abandoned: their verdicts are still to come."""
        return max(0, self.open_count - self._abandoned)

    @property
    def is_drained(self) -> bool:
        """Whether nothing is open but what was abandoned."""
        return self.under_way_count == 0

    @property
    def committable(self) -> int | None:
        """The offset to commit; None if the broker has it, and its note, already, or the assignment is over."""
        if self.is_closed:
            return None
        is_noted = not self.identity or not self.takes_notes or self.settled_ranges == self.noted
        return None if self.watermark == self.committed and is_noted else self.watermark

    @property
    def note(self) -> str:
        """The commit's metadata: what is settled above the watermark."""
        if self.watermark is None or not self.takes_notes:
            return ""
        return encode(self.identity, self.watermark, self.settled_ranges)

    @property
    def settled_ranges(self) -> tuple[Range, ...]:
        """The settled ranges above the watermark, lowest first, those among them that are still to be read again."""
        ranges = tuple(zip(self._starts, self._ends, strict=True))
        if not (self.restored or self.recalled):
            return ranges
        return united((*ranges, *self.restored, *clipped(self.recalled, self.watermark or 0)))

    @property
    def all_settled(self) -> tuple[Range, ...]:
        """All that is settled from the first offset of this assignment on."""
        if self.origin is None or self.watermark is None:
            return self.restored
        return united((*clipped([(self.origin, self.watermark)], 0), *self.settled_ranges))

    def _add(self, first: int, end: int) -> None:
        """Unite [first, end) with what is settled, and move the watermark over what is now contiguous."""
        if self.watermark is None or end <= self.watermark:
            return
        low = bisect_left(self._ends, first)  # the first range that touches or overlaps ours
        high = bisect_right(self._starts, end)  # one past the last such range
        if low < high:
            first = min(first, self._starts[low])
            end = max(end, self._ends[high - 1])
        self._starts[low:high] = [first]
        self._ends[low:high] = [end]
        if self._starts[0] <= self.watermark:
            self.watermark = self._ends[0]
            del self._starts[0], self._ends[0]


def open_records(owner: PartitionOffsets, records: Sequence[Record]) -> Sequence[Record]:
    """Open the offsets of records; returns those that were not opened before under this assignment.

    A record that comes a second time is open or settled already: opening it again would deliver it twice.
    """
    expected = owner.next_offset
    if expected is not None and records and offset_of(records[0]) < expected:
        records = [record for record in records if offset_of(record) >= expected]
    if not records:
        return records
    first, end = offset_of(records[0]), offset_of(records[-1]) + 1
    if end - first == len(records):
        owner.open(first, end)
        return records
    for record in records:  # there are gaps: compacted records, or a transaction's markers
        owner.open(offset_of(record), offset_of(record) + 1)
    return records


def leave_out_restored(owner: PartitionOffsets, records: Sequence[Record]) -> Sequence[Record]:
    """Settle those of the records just opened that settled under an earlier assignment; returns the others."""
    ranges = owner.restored
    owner.settle_restored()
    starts = [first for first, _ in ranges]

    def is_new(offset: int) -> bool:
        below = bisect_right(starts, offset) - 1
        return below < 0 or offset >= ranges[below][1]

    return [record for record in records if is_new(offset_of(record))]


def runs(events: Iterable[Event]) -> Iterator[tuple[PartitionOffsets, int, int]]:
    """Group events into (owner, first, end) runs of adjacent offsets, in the order given.

    A batch of a hundred events is mostly one or two runs: settling costs a step per run, not per event.
    """
    owner: PartitionOffsets | None = None
    first = end = 0
    for event in events:
        offset = event.offset
        if event.owner is owner and offset == end:
            end += 1
            continue
        if owner is not None:
            yield owner, first, end
        owner, first, end = event.owner, offset, offset + 1
    if owner is not None:
        yield owner, first, end
