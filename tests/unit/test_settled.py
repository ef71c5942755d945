"""A commit's note says what is settled above the watermark, to this topic and this offset only."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.core.settled import MAX_BYTES, Range, Restored, clipped, encode, restore, united

TOPIC_ID = "0123456789abcdefABCDEF"
OTHER_ID = "fedcba9876543210FEDCBA"


@st.composite
def ranges_above(draw: st.DrawFn) -> tuple[int, tuple[Range, ...]]:
    """A watermark, and settled ranges from it on that do not touch."""
    at = watermark = draw(st.integers(0, 2**62))
    ranges = []
    if draw(st.booleans()):
        at += draw(st.integers(1, 10_000))  # settled under an earlier assignment, and not read again yet
        ranges.append((watermark, at))
    for distance, length in draw(st.lists(st.tuples(st.integers(1, 10_000), st.integers(1, 10_000)), max_size=50)):
        ranges.append((at + distance, at + distance + length))
        at += distance + length
    return watermark, tuple(ranges)


@given(ranges_above())
def test_what_was_noted_is_restored(case: tuple[int, tuple[Range, ...]]) -> None:
    """Whatever is settled, the next owner learns exactly that, within the limit of a broker's metadata."""
    watermark, ranges = case
    note = encode(TOPIC_ID, watermark, ranges)
    assert len(note.encode("ascii")) <= MAX_BYTES
    assert restore(note, identity=TOPIC_ID, committed=watermark) == Restored(ranges)


@pytest.mark.parametrize("length", [1, 200, 10**6])
def test_where_not_all_ranges_fit_the_longest_are_noted(length: int) -> None:
    """A stop while a thousand dead letters wait repeats little of what was accepted between them."""
    long = tuple((at * 10 * length, at * 10 * length + 2 * length) for at in range(1, 300))
    short = tuple((at * 10 * length + 5 * length, at * 10 * length + 6 * length) for at in range(1, 5_000))
    note = encode(TOPIC_ID, 0, sorted((*long, *short)))
    restored = restore(note, identity=TOPIC_ID, committed=0)
    assert MAX_BYTES - 200 < len(note) <= MAX_BYTES
    assert set(long) <= set(restored.ranges) < {*long, *short}
    assert restore(note, identity=OTHER_ID, committed=0) == Restored(is_foreign=True)


def test_as_much_as_fits_is_noted() -> None:
    """A thousand small gaps still fit."""
    ranges = tuple((first, first + 1) for first in range(2, 2_002, 2))
    assert restore(encode(TOPIC_ID, 0, ranges), identity=TOPIC_ID, committed=0).ranges == ranges


def test_a_note_is_for_its_topic_and_its_offset_only() -> None:
    """A topic made anew, an unknown one, an offset that somebody moved, no note: nothing is restored."""
    note = encode(TOPIC_ID, 7, [(9, 12)])
    assert restore(note, identity=OTHER_ID, committed=7) == Restored(is_foreign=True)
    assert restore(note, identity="", committed=7) == Restored(ignored="topic_unknown")
    assert restore(note, identity=TOPIC_ID, committed=6) == Restored(ignored="offset_moved")
    assert restore("", identity=TOPIC_ID, committed=7) == Restored()


def test_an_offset_that_a_mirror_translated_counts() -> None:
    """It comes with the note of another cluster's topic. Taken for a topic made anew, all of it would come again."""
    note = encode(TOPIC_ID, 1_000, [(1_010, 1_020)])
    assert restore(note, identity=OTHER_ID, committed=990) == Restored(ignored="offset_moved")


def test_nothing_is_noted_of_a_topic_without_an_id() -> None:
    """It could not be told from another one of its name."""
    assert encode("", 7, [(9, 12)]) == ""


@pytest.mark.parametrize(
    "text",
    [
        "somebody else's metadata",
        "xdm1",
        f"xdm2 {TOPIC_ID} 7 ",
        f"xdm1 {TOPIC_ID} seven ",
        f"xdm1 {TOPIC_ID} 7 !!!!",
        f"xdm1 {TOPIC_ID} 7 A",
        *(
            f"xdm1 {TOPIC_ID} 7 {urlsafe_b64encode(packed).decode()}"
            for packed in (b"\x01", b"\x80", b"\1\1\0\1", b"\1\0")
        ),
        f"xdm1 {TOPIC_ID} 7 {urlsafe_b64encode(bytes([0xFF] * 20)).decode()}",
        f"xdm1 {TOPIC_ID} 7 {urlsafe_b64encode(bytes([2, 3, 0x81])).decode()}",
        "\0\ud800 \u0660 7 x",
    ],
)
def test_what_cannot_be_read_is_ignored(text: str) -> None:
    """Foreign, cut off or mangled: the committed offset counts and nothing else."""
    assert restore(text, identity=TOPIC_ID, committed=7) == Restored(ignored="unreadable")


@given(st.text(max_size=60))
def test_no_text_breaks_a_start(text: str) -> None:
    """Metadata is anybody's to write."""
    restore(f"xdm1 {text}", identity=TOPIC_ID, committed=7)


_some_ranges = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 10)).map(lambda at: (at[0], at[0] + at[1])))


@given(_some_ranges, st.integers(0, 50), st.none() | st.integers(0, 50))
def test_ranges_are_sets_of_offsets(ranges: list[Range], low: int, high: int | None) -> None:
    """United ranges hold the same offsets apart from each other, clipped ones those between the bounds."""
    offsets = {offset for first, end in ranges for offset in range(first, end)}
    held = united(each for each in ranges if each[0] < each[1])
    assert [offset for first, end in held for offset in range(first, end)] == sorted(offsets)
    assert all(one[1] < other[0] for one, other in pairwise(held))
    between = {offset for offset in offsets if low <= offset and (high is None or offset < high)}
    assert {offset for first, end in clipped(held, low, high) for offset in range(first, end)} == between
