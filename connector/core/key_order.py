"""Which events of a route may leave now, so that those of one key leave one after another.

Promise: of one key in one partition at most one event is out at a time, and they go out in the order in which they
came. After one that did not settle, none of its assignment follows: its next owner reads it again, and would be
behind. At most `most_out` are out at once, the oldest of those that may leave first. Every event that is taken in goes
out once or is given up once. Memory is bounded by the events taken in and not ended; a key without any is forgotten.

Of an assignment that ends, what lies above everything that went out is given up at once. What lies below is a hole:
left behind, it would make the next owner repeat all that was accepted above it, so it still goes out in its turn, until
one does not settle: from there on everything comes again anyway.

Not promised: anything between keys, or for records without one, which wait for nobody. Owner: the event loop.
"""

from __future__ import annotations

from collections import deque
from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from connector.core.offsets import PartitionOffsets
    from connector.model import Event

    Entry = tuple[int, Event]  # the number of its arrival, which no other has
    Line = tuple[str, int, bytes]  # topic, partition and key: a new assignment waits for what the one before has out


class Step(NamedTuple):
    """What follows from an arrival or an end."""

    leaving: Sequence[Event] = ()  # they are out from now on, until `end`
    given_up: Sequence[Event] = ()


_NOTHING: Final = Step()


class KeyOrder:
    """The events of one route that have come and not ended."""

    __slots__ = ("_arrivals", "_behind", "_most_out", "_needed", "_out", "_ready")

    def __init__(self, most_out: int) -> None:
        self._most_out = most_out
        self._out = 0
        self._arrivals = 0
        self._ready: list[Entry] = []
        """A heap of those that wait for nobody but their turn."""
        self._behind: dict[Line, deque[Entry]] = {}
        """By key, what waits behind the one that is ready or out."""
        self._needed: dict[PartitionOffsets, int] = {}
        """Up to where an assignment that ends needs its events settled: the highest offset that went out, or the lowest
        that went out and did not settle."""

    @property
    def count(self) -> int:
        """How many events came and neither ended nor were given up."""
        return self._out + len(self._ready) + sum(map(len, self._behind.values()))

    @property
    def key_count(self) -> int:
        """How many keys are remembered."""
        return len(self._behind)

    def add(self, event: Event) -> Step:
        """Take in an event; those of one partition come in the order of their offsets."""
        if event.owner.is_leaving:
            return Step(given_up=(event,))  # nothing above it has gone out, and one before it may have been given up
        self._arrivals += 1
        entry = self._arrivals, event
        line = _line(event)
        if line is not None:
            behind = self._behind.get(line)
            if behind is not None:
                behind.append(entry)
                return _NOTHING
            self._behind[line] = deque()
        heappush(self._ready, entry)
        return Step(self._release())

    def end(self, event: Event) -> Step:
        """Note that an event that was out has ended: it has settled, or will not because its assignment ends."""
        self._out -= 1
        is_lowered = not event.owner.is_settled(event.offset) and event.offset < self._needed.get(event.owner, -1)
        if is_lowered:
            self._needed[event.owner] = event.offset
        given_up: list[Event] = []
        line = _line(event)
        if line is not None:
            behind = self._behind[line]
            while behind and self._is_ending(behind[0][1]):
                given_up.append(behind.popleft()[1])
            self._advance(line)
        if not is_lowered:
            return Step(self._release(), given_up)
        leaving, dropped = self.drop_ending()  # of other keys too
        return Step(leaving, [*given_up, *dropped])

    def drop_ending(self) -> Step:
        """Give up what waits in vain: its assignment is over, or ends and does not need it settled."""
        dropped = [event for _, event in self._ready if self._is_ending(event)]
        self._ready = [entry for entry in self._ready if not self._is_ending(entry[1])]
        heapify(self._ready)
        given_up = dropped.copy()
        for behind in self._behind.values():
            ending = [entry for entry in behind if self._is_ending(entry[1])]
            if ending:
                given_up += [event for _, event in ending]
                staying = [entry for entry in behind if not self._is_ending(entry[1])]
                behind.clear()
                behind.extend(staying)
        for event in dropped:
            line = _line(event)
            if line is not None:
                self._advance(line)
        return Step(self._release(), given_up)

    def _advance(self, line: Line) -> None:
        """The first of a key is gone: the next one is ready, or the key is forgotten."""
        behind = self._behind[line]
        if behind:
            heappush(self._ready, behind.popleft())
        else:
            del self._behind[line]

    def _release(self) -> Sequence[Event]:
        """Let out as many as may be, oldest first."""
        leaving: list[Event] = []
        while self._ready and self._out < self._most_out:
            _, event = heappop(self._ready)
            self._out += 1
            self._note_needed(event)
            leaving.append(event)
        return leaving

    def _note_needed(self, event: Event) -> None:
        needed = self._needed.get(event.owner)
        if needed is None:  # a new assignment: look whether others are over
            self._needed = {owner: offset for owner, offset in self._needed.items() if not owner.is_closed}
        if needed is None or (event.offset > needed and not event.owner.is_leaving):
            self._needed[event.owner] = event.offset

    def _is_ending(self, event: Event) -> bool:
        """Whether its assignment is over, or ends and does not need it settled."""
        owner = event.owner
        return owner.is_closed or (owner.is_leaving and event.offset > self._needed.get(owner, -1))


def _line(event: Event) -> Line | None:
    key = event.record.key()
    return None if key is None else (event.owner.topic, event.owner.partition, key)
