"""What is settled above the watermark, as a note in the commit's metadata.

The watermark alone would make the next owner deliver again all that lies above one slow event. So the ranges that are
settled above it travel with the commit, and whoever takes the partition next leaves them out.

Promise: `restore(encode(...))` is what was encoded. A note is bound to the topic's id, so that a topic made anew under
the same name voids it, and to the committed offset, so that an offset that a person moved voids it too, or one that a
mirror translated for the topic in another cluster: that offset counts. What cannot be read is ignored: the watermark is
right without it. A note is at most 3,500 bytes, below the 4,096 that brokers take by default. Where not all ranges fit,
the longest of them do: what is left out is delivered again, and nothing else.

A note is `xdm1 TOPIC_ID OFFSET RANGES`, the last one the base64 of the ranges: for each one the distance from the end
of the one before and its length, as numbers of seven bits a byte, lowest first. The first range may begin at the
offset itself: it settled under an earlier assignment, and was not read again yet.
"""

from __future__ import annotations

from base64 import b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from heapq import nlargest
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

MAX_BYTES: Final = 3_500
_VERSION: Final = "xdm1"

NOTE_REFUSALS: Final = frozenset({"OFFSET_METADATA_TOO_LARGE", "INVALID_COMMIT_OFFSET_SIZE"})
"""What brokers call a note that is too long for them, and notes that are too many for one commit."""

Range = tuple[int, int]
"""First offset, and one past the last."""

Ignored = Literal["unreadable", "topic_unknown", "offset_moved"]
"""Why a note was not used: it is no note of ours; the brokers do not tell the topic's id; it is for another offset."""


class Restored(NamedTuple):
    """What a commit says to whoever takes the partition next."""

    ranges: tuple[Range, ...] = ()
    ignored: Ignored | None = None
    is_foreign: bool = False  # the commit is for another topic of the same name: its offset means nothing here


def encode(identity: str, watermark: int, ranges: Sequence[Range]) -> str:
    """The note for a commit of `watermark`; empty where the topic's id is not known."""
    if not identity:
        return ""
    head = f"{_VERSION} {identity} {watermark} "
    room = (MAX_BYTES - len(head)) // 4 * 3  # base64 makes four bytes of three
    return head + urlsafe_b64encode(_packed_within(room, watermark, ranges)).decode()


def restore(text: str, *, identity: str, committed: int) -> Restored:
    """What a note says about the partition whose topic has this id and whose commit is `committed`."""
    if not text:
        return Restored()
    try:
        version, noted_identity, offset, packed = text.split(" ")
        watermark = int(offset)
        ranges = tuple(_unpacked(watermark, b64decode(packed, b"-_", validate=True)))
    except (ValueError, Base64Error):
        return Restored(ignored="unreadable")
    if version != _VERSION:
        return Restored(ignored="unreadable")
    if watermark != committed:  # also where the id is another one: a mirror translated it, and kept what we wrote
        return Restored(ignored="offset_moved")
    if noted_identity != identity:
        return Restored(is_foreign=True) if identity else Restored(ignored="topic_unknown")
    return Restored(ranges)


def united(ranges: Iterable[Range]) -> tuple[Range, ...]:
    """The same offsets as sorted ranges that neither overlap nor touch."""
    found: list[Range] = []
    for first, end in sorted(ranges):
        if found and first <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((first, end))
    return tuple(found)


def clipped(ranges: Iterable[Range], low: int, high: int | None = None) -> tuple[Range, ...]:
    """What of the ranges lies in [low, high), or at or above `low`."""
    cut = ((max(first, low), end if high is None else min(end, high)) for first, end in ranges)
    return tuple((first, end) for first, end in cut if first < end)


def _packed_within(room: int, watermark: int, ranges: Sequence[Range]) -> bytes:
    """As many of the ranges as fit, the longest first."""
    most = room // 2  # a range takes two bytes or more
    while True:
        kept = ranges if len(ranges) <= most else sorted(nlargest(most, ranges, key=_length))
        packed = _packed(watermark, kept)
        if len(packed) <= room:
            return packed
        most = min(len(kept) * room // len(packed), len(kept) - 1)


def _length(each: Range) -> int:
    return each[1] - each[0]


def _packed(watermark: int, ranges: Iterable[Range]) -> bytes:
    packed = bytearray()
    at = watermark
    for first, end in ranges:
        for number in (first - at, end - first):
            left = number
            while left > 0x7F:
                packed.append(left & 0x7F | 0x80)
                left >>= 7
            packed.append(left)
        at = end
    return bytes(packed)


def _unpacked(watermark: int, packed: bytes) -> Iterator[Range]:
    numbers = list(_numbers(packed))
    if len(numbers) % 2:
        raise ValueError("half a range")
    at = watermark
    for distance, length in zip(numbers[::2], numbers[1::2], strict=True):
        if (distance == 0 and at != watermark) or length == 0:
            raise ValueError("ranges touch, or are empty")
        yield at + distance, at + distance + length
        at += distance + length


def _numbers(packed: bytes) -> Iterator[int]:
    number = shift = 0
    for byte in packed:
        number |= (byte & 0x7F) << shift
        shift += 7
        if shift > 63:
            raise ValueError("larger than any offset")
        if byte < 0x80:
            yield number
            number = shift = 0
    if shift:
        raise ValueError("half a number")
