"""One route at work: its topics' records become events, its events become batches, its batches are delivered.

Promise: each record that comes in goes out exactly once: in a batch, as a rejection, or as a skipped tombstone.

Owner: the event loop.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from connector.core.key_order import KeyOrder
from connector.core.lading import Lading
from connector.model import Event, Rejection, offset_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from connector.burial import Burial
    from connector.core.batcher import Batcher
    from connector.core.decode import Decoder
    from connector.core.offsets import PartitionOffsets
    from connector.counts import RouteCounts
    from connector.delivery import Delivery
    from connector.gate import Gate
    from connector.model import Record
    from connector.outcomes import Outcomes

_BURIAL_BYTES: Final = 4096  # what a dead letter under way costs beside its record
_COMPANY: Final = 8  # batches: enough for one of them to be good
BRAKE: Final = "brake"
"""The cause of a hold that is the brake's alone."""

_TOMBSTONE: Final = Rejection(
    stage="decode", reason="tombstone", title="The record has no value. Set event.tombstone to skip if that is meant."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteSettings:
    """What one route reads, and how much of it may be open at a time."""

    name: str
    topics: tuple[str, ...]  # names, or regular expressions that begin with ^
    max_open_bytes: int
    event_overhead_bytes: int  # what an open event costs beside its own bytes
    skips_tombstones: bool
    ordered_at_once: int | None = None  # how many events are out at once where keys keep their order; None: no order


class Decoded(NamedTuple):
    """What became of some records."""

    events: list[Event]
    rejected: list[tuple[Event, Rejection]]
    skipped: list[Event]


class Route:
    """The state of one route."""

    def __init__(
        self,
        settings: RouteSettings,
        *,
        decoder: Decoder,
        batcher: Batcher,
        delivery: Delivery,
        burial: Burial,
        outcomes: Outcomes,
        gate: Gate,
        counts: RouteCounts,
    ) -> None:
        self.settings = settings
        self.batcher = batcher
        self.delivery = delivery
        self.burial = burial
        self.outcomes = outcomes
        self.gate = gate
        self.counts = counts
        self.order = None if settings.ordered_at_once is None else KeyOrder(settings.ordered_at_once)
        """Which events may leave now, where those of one key leave one after another; each is a batch by itself."""
        self.open_bytes = 0
        """Bytes of records that were read and are neither settled nor abandoned."""
        self.under_way = 0
        """Batches that are being delivered, and dead letters that are being written without having been in one."""
        self.is_paused = False
        self.events_per_s = 0.0
        """Events that the Edge accepted in a second, as of the last summary."""
        self._decode = decoder.decode
        self._lading = Lading()

    def reads(self, topic: str) -> bool:
        """Whether the topic is one of this route's."""
        return any(_matches(wanted, topic) for wanted in self.settings.topics)

    @property
    def is_full(self) -> bool:
        """Whether reading more would only pile up what cannot leave."""
        return self._is_shut or self.open_bytes >= self.settings.max_open_bytes

    @property
    def has_room(self) -> bool:
        """Whether so much has left that reading on is worth the fetch that a pause threw away."""
        return not self._is_shut and self.open_bytes <= self.settings.max_open_bytes // 2

    @property
    def room_bytes(self) -> int:
        """How many bytes more may be open; none where nothing is read."""
        return 0 if self.is_paused else max(0, self.settings.max_open_bytes - self.open_bytes)

    @property
    def is_clogged(self) -> bool:
        """Whether the batch that is being filled is all that is open, and leaves no room for what it waits for."""
        return not self.under_way and self.batcher.count > 0 and self.open_bytes >= self.settings.max_open_bytes

    @property
    def _is_shut(self) -> bool:
        """Whether the route is held, by its brake or with company for the one who probes.

        A single prober may be refused for its own sake, and only others can show that the route works. With nobody
        left to probe it would be held for ever.
        """
        return self.gate.is_braked or (self.gate.is_held and self.under_way >= _COMPANY)

    @property
    def held_by(self) -> str | None:
        """Why the route waits for a person, None if it does not."""
        hold = self.gate.hold
        return hold.cause if hold else BRAKE if self.outcomes.brake.trip else None

    def open_bytes_of(self, events: Sequence[Event]) -> int:
        """What events cost in memory while they are open."""
        return sum([event.held_bytes for event in events]) + self.settings.event_overhead_bytes * len(events)

    def burial_bytes_of(self, rejected: Sequence[tuple[Event, Rejection]]) -> int:
        """What records cost while their dead letters are written; the producer makes a copy of each."""
        return sum(2 * event.held_bytes + _BURIAL_BYTES for event, _ in rejected)

    def decode(self, owner: PartitionOffsets, records: Sequence[Record]) -> Decoded:
        """Turn records, whose offsets are open by now, into events, rejections and skipped tombstones."""
        decode = self._decode
        lading = self._lading.estimate(records[0]) if records else 0
        events: list[Event] = []
        rejected: list[tuple[Event, Rejection]] = []
        skipped: list[Event] = []
        for record in records:
            value = record.value()
            if value is None:
                event = Event(record, offset_of(record), b"", owner, lading)
                if self.settings.skips_tombstones:
                    skipped.append(event)
                else:
                    rejected.append((event, _TOMBSTONE))
                continue
            fragment = decode(value, record)
            if isinstance(fragment, bytes):
                held = lading + len(value) + (0 if fragment is value else len(fragment))
                events.append(Event(record, record.offset(), fragment, owner, held))  # type: ignore[arg-type] # it was read
            else:
                rejected.append((Event(record, offset_of(record), b"", owner, lading + len(value)), fragment))
        self.counts.records += len(records)
        self.outcomes.brake.note(decoded=len(events))
        return Decoded(events, rejected, skipped)


def _matches(wanted: str, topic: str) -> bool:
    return re.match(wanted, topic) is not None if wanted.startswith("^") else wanted == topic
