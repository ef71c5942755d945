"""The nouns that travel through the pipeline.

Promise: these are values. They hold what happened and where it came from; they decide nothing and do no I/O.
`msgspec.Struct` is used where one object is made per event, because its constructor runs in C: a frozen
dataclass costs five times as much, on the one path where that shows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from msgspec import Struct

if TYPE_CHECKING:
    from connector.core.offsets import PartitionOffsets


HeaderList = list[tuple[str, str | bytes | None]]
Headers = dict[str, str | bytes | None] | HeaderList


class Record(Protocol):
    """One record as Kafka's client hands it over (`confluent_kafka.Message` is one)."""

    def topic(self) -> str | None: ...  # noqa: D102 - named and documented by Kafka's client, as are the others
    def partition(self) -> int | None: ...  # noqa: D102
    def offset(self) -> int | None: ...  # noqa: D102
    def key(self) -> bytes | None: ...  # noqa: D102
    def value(self) -> bytes | None: ...  # noqa: D102
    def headers(self) -> Headers | None: ...  # noqa: D102
    def timestamp(self) -> tuple[int, int]: ...  # noqa: D102 - (kind, milliseconds since the epoch)


class Event(Struct, frozen=True, gc=False):
    """One decoded record on its way to the Edge, with everything needed to settle or dead-letter it.

    `owner` is the partition's offset state of the assignment under which the record was read. A later
    assignment of the same partition has another one, so an answer that comes too late meets an owner that
    is closed and changes nothing.
    """

    record: Record
    offset: int
    fragment: bytes  # the event as it stands in the request body, made once
    owner: PartitionOffsets
    held_bytes: int = 0  # what it keeps in memory: the fragment, a value of its own, key and headers


class Rejection(Struct, frozen=True):
    """Why one event can never be accepted.

    `detail` may quote the event's content: it goes into the dead letter and never into a log.
    """

    stage: str  # "decode" before a request, "deliver" after an answer
    reason: str  # a bounded name, e.g. "not_json" or "EXEG-0306-400": safe as a log field and metric label
    title: str
    detail: str = ""
    status: int | None = None  # the HTTP status, where an answer was the cause
    request_id: str | None = None
    attempts: int = 0
    first_attempt_ms: int | None = None  # milliseconds since the epoch
    last_attempt_ms: int | None = None


def offset_of(record: Record) -> int:
    """The offset of a record that was read (only one that is still to be sent has none)."""
    offset = record.offset()
    if offset is None:
        raise ValueError("a record without an offset was not read from Kafka")
    return offset
