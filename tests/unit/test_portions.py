"""Slow records come in small portions, others in one go."""

from __future__ import annotations

from connector.core.portions import Portions


def take_in(portions: Portions, records: int, seconds_each: float) -> list[tuple[int, bool]]:
    """The sizes of the portions that so many records come in, each with whether others then get their turn."""
    found = []
    while records:
        size = min(records, portions.size)
        found.append((size, portions.note(size * seconds_each, size)))
        records -= size
    return found


def test_usual_records_come_in_large_portions() -> None:
    """At ten microseconds each the portions cost nothing, and others get their turn now and then."""
    portions = Portions()
    take_in(portions, 5_000, 1e-5)
    assert take_in(portions, 1_000, 1e-5)[0][0] == 512
    turns = [turn for _ in range(20) for _, turn in take_in(portions, 1_000, 1e-5)]
    assert 2 <= turns.count(True) <= 5


def test_records_that_are_slow_to_decode_do_not_hold_up_what_is_under_way() -> None:
    """After one long go the portions shrink, and between them others get their turn."""
    portions = Portions()
    take_in(portions, 5_000, 1e-5)
    gos = take_in(portions, 3_001, 0.02)
    assert [size for size, _ in gos][-4:-1] == [8, 8, 8]
    assert all(turn for _, turn in gos[:-1])


def test_they_grow_again() -> None:
    """What was slow once is not taken for slow for ever."""
    portions = Portions()
    take_in(portions, 1_000, 0.02)
    take_in(portions, 20_000, 1e-5)
    assert portions.size == 512
