"""How many request units a second an endpoint may be sent, after pauses and refusals."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.core.rate import Rate


def test_begins_with_this_members_share() -> None:
    """Nothing is held back before the endpoint asked for it."""
    assert Rate(6000).at(0.0) == 6000
    assert Rate(6000, 0.25).at(0.0) == 1500


def test_a_pause_ends_in_a_ramp() -> None:
    """Nothing in the pause; then a tenth, and evenly more until everything is back after ten seconds."""
    rate = Rate(1000)
    rate.pause(5.0, 0.0)
    assert [rate.at(now) for now in (0.0, 4.99, 5.0, 10.0, 15.0, 20.0)] == pytest.approx([0, 0, 100, 550, 1000, 1000])


def test_a_shorter_pause_changes_nothing() -> None:
    """The longest pause that was asked for counts, and one that is over when it is asked for is none."""
    rate = Rate(1000)
    rate.pause(5.0, 0.0)
    rate.pause(3.0, 1.0)
    assert rate.paused_until == 5.0
    calm = Rate(1000)
    calm.pause(7.0, 7.0)
    assert calm.at(7.0) == 1000


def test_a_storm_of_refusals_takes_a_fifth_for_each_second() -> None:
    """However many requests meet a spent allowance within a second, it is one event."""
    rate = Rate(1000)
    for number in range(90):
        rate.lower(started_at=10.0, now=10.0 + number / 100)
    before = rate.at(11.1)
    assert before == pytest.approx(800, rel=0.02)
    rate.lower(started_at=10.9, now=11.1)
    assert rate.at(11.1) == pytest.approx(before * 0.8)


def test_what_was_sent_before_says_nothing_new() -> None:
    """A late answer to a request of the higher rate does not lower the new one."""
    rate = Rate(1000)
    rate.lower(started_at=9.0, now=10.0)
    before = rate.at(15.0)
    rate.lower(started_at=9.9, now=15.0)
    assert rate.at(15.0) == before


def test_comes_back_within_a_minute() -> None:
    """Fast to a tenth below what was refused, slow around that, then on to everything; never back on the way."""
    rate = Rate(1000)
    rate.lower(started_at=0.0, now=0.0)
    rates = [rate.at(float(second)) for second in range(61)]
    assert rates == sorted(rates)
    assert rates[0] == pytest.approx(800)
    assert rates[15] > 880
    assert rates[30] == pytest.approx(900)
    assert rates[40] < 910
    assert rates[60] == 1000


def test_never_below_a_floor() -> None:
    """Something always leaves, or nobody would notice the end of it."""
    rate = Rate(1000)
    for second in range(0, 200, 2):
        rate.lower(started_at=second, now=second)
    assert rate.at(200.0) >= 20


def test_recovering_stands_still_in_a_pause() -> None:
    """A pause of minutes shows nothing of the allowance; what was left of the rate is left after it."""
    rate = Rate(1000)
    rate.lower(started_at=0.0, now=0.0)
    rate.pause(300.0, 0.0)
    assert rate.at(310.0) < 950
    assert rate.at(361.0) == 1000


@given(
    st.lists(st.tuples(st.sampled_from(["lower", "pause", "look"]), st.floats(0, 40), st.floats(0, 100))),
    st.floats(0.001, 1),
)
def test_stays_within_its_bounds(steps: list[tuple[str, float, float]], share: float) -> None:
    """Whatever happens: nothing in a pause, a part of the floor at least else, and never more than the share."""
    rate, now = Rate(1000, share), 0.0
    for step, after_s, pause_s in steps:
        now += after_s
        if step == "lower":
            rate.lower(started_at=now, now=now)
        elif step == "pause":
            rate.pause(now + pause_s, now)
        if now < rate.paused_until:
            assert rate.at(now) == 0
        else:
            assert 1000 * share * 0.002 * 0.999 <= rate.at(now) <= 1000 * share * (1 + 1e-9)
