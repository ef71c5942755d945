"""Records, owners and events for tests, each with everything that does not matter filled in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from connector.core.offsets import PartitionOffsets
from connector.model import Event

if TYPE_CHECKING:
    from collections.abc import Iterable

    from connector.model import Headers


@dataclass(frozen=True, slots=True, kw_only=True)
class FakeRecord:
    """A record as Kafka's client would hand it over."""

    topic_name: str = "xdm.web"
    partition_number: int = 0
    offset_number: int = 0
    key_bytes: bytes | None = None
    value_bytes: bytes | None = b"{}"
    header_list: tuple[tuple[str, str | bytes | None], ...] = ()
    timestamp_ms: int = 1_760_000_000_000

    def topic(self) -> str | None:
        return self.topic_name

    def partition(self) -> int | None:
        return self.partition_number

    def offset(self) -> int | None:
        return self.offset_number

    def key(self) -> bytes | None:
        return self.key_bytes

    def value(self) -> bytes | None:
        return self.value_bytes

    def headers(self) -> Headers | None:
        return list(self.header_list) or None

    def timestamp(self) -> tuple[int, int]:
        return (1, self.timestamp_ms)


def owner_at(start: int | None = 0, *, topic: str = "xdm.web", partition: int = 0) -> PartitionOffsets:
    """The offsets of one partition, with the group's commit where it starts."""
    return PartitionOffsets(topic, partition, generation=1, start=start, committed=start)


def fragment_of(offset: int) -> bytes:
    """An event whose `_id` is its offset, as it stands in a body."""
    return b'{"xdm":{"_id":"%d"}}' % offset


def event_at(owner: PartitionOffsets, offset: int, fragment: bytes | None = None) -> Event:
    """One event of a partition; its offset is not opened by this."""
    record = FakeRecord(topic_name=owner.topic, partition_number=owner.partition, offset_number=offset)
    return Event(record, offset, fragment_of(offset) if fragment is None else fragment, owner)


def open_events(owner: PartitionOffsets, offsets: Iterable[int]) -> list[Event]:
    """Events of a partition, their offsets opened in the order given."""
    events = [event_at(owner, offset) for offset in offsets]
    for event in events:
        owner.open(event.offset, event.offset + 1)
    return events
