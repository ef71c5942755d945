"""Repeated faults are told once in a while, with how often they happened."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from connector.core.rollup import RollUp


def test_the_first_time_is_told_at_once() -> None:
    """Each kind for itself, whatever the clock says."""
    roll_up = RollUp(30.0)
    assert roll_up.note("a", 0.0) == 1
    assert roll_up.note("b", 0.0) == 1


def test_repetitions_are_counted_until_the_interval_is_over() -> None:
    """In between nothing is told; then how often it happened since, this time included."""
    roll_up = RollUp(30.0)
    assert [roll_up.note("a", now) for now in (100.0, 101.0, 129.9)] == [1, None, None]
    assert roll_up.note("a", 130.0) == 3
    assert roll_up.note("a", 131.0) is None
    assert roll_up.note("a", 1000.0) == 2


@given(steps_s=st.lists(st.floats(0, 20), max_size=100))
def test_nothing_is_lost_or_counted_twice(steps_s: list[float]) -> None:
    """What was told and what is kept back add up to what happened, and two tellings lie an interval apart."""
    roll_up, now, told, told_at = RollUp(30.0), 0.0, 0, float("-inf")
    for step_s in steps_s:
        now += step_s
        count = roll_up.note("a", now)
        if count is not None:
            told += count
            assert now - told_at >= 30.0
            told_at = now
    last = roll_up.note("a", now + 60.0)
    assert told + (last or 0) == len(steps_s) + 1


def test_kinds_that_somebody_makes_up_do_not_fill_memory() -> None:
    """Beyond a number of kinds all others are told together, and those that were there before for themselves."""
    roll_up = RollUp(30.0)
    assert [roll_up.note(number, 0.0) for number in range(1000)] == [1] * 1000
    assert [roll_up.note(number, 0.0) for number in range(1000, 100_000)].count(1) == 1
    assert len(roll_up._told) == 1001
    assert roll_up.note(7, 30.0) == 1
    assert roll_up.note(5_000_000, 30.0) == 99_000
