"""How many requests may be under way, after failures and successes of any kind."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from connector.core.pacing import Allowance, Concurrency, request_units


def test_begins_with_everything() -> None:
    """Nothing is held back before the endpoint asked for it."""
    assert Concurrency(64).limit == 64


def test_a_round_of_failures_halves_once() -> None:
    """Requests that began before the limit was lowered say nothing new; one that began after it does."""
    concurrency = Concurrency(64)
    for _ in range(64):
        concurrency.failed(started_at=0.0, now=1.0, is_resend=False)
    assert concurrency.limit == 32
    concurrency.failed(started_at=0.9, now=2.0, is_resend=False)
    assert concurrency.limit == 32
    concurrency.failed(started_at=1.0, now=2.0, is_resend=False)
    assert concurrency.limit == 16


def test_never_below_one() -> None:
    """One request always may go: it is how the end of an outage is found."""
    concurrency = Concurrency(5)
    for now in range(20):
        concurrency.failed(started_at=now, now=now, is_resend=False)
    assert concurrency.limit == 1


def test_grows_by_about_one_for_a_round_of_successes() -> None:
    """From one to the most takes rounds, not a leap: the endpoint has just recovered."""
    concurrency = Concurrency(16)
    for now in range(10):
        concurrency.failed(started_at=now, now=now, is_resend=False)
    rounds = 0
    while concurrency.limit < 16:
        before = concurrency.limit
        for _ in range(before):
            concurrency.succeeded()
        rounds += 1
        assert before <= concurrency.limit <= before + 1
    assert 15 <= rounds <= 20
    for _ in range(1000):
        concurrency.succeeded()
    assert concurrency.limit == 16


@given(most=st.integers(1, 300), steps=st.lists(st.tuples(st.booleans(), st.floats(0, 5)), max_size=200))
def test_stays_within_its_bounds(most: int, steps: list[tuple[bool, float]]) -> None:
    """Whatever happens, the limit is at least one and at most what the setting allows."""
    concurrency, now = Concurrency(most), 0.0
    for is_success, took_s in steps:
        now += took_s
        if is_success:
            concurrency.succeeded()
        else:
            concurrency.failed(started_at=now - took_s, now=now, is_resend=False)
        assert 1 <= concurrency.limit <= most


def test_a_request_costs_a_unit_for_each_started_8_kb_and_upstream() -> None:
    """The price is the published one, at and around the edges."""
    assert [request_units(size, 1) for size in (1, 8192, 8193, 64_000, 65_536)] == [1, 1, 2, 8, 8]
    assert request_units(64_000, 2) == 16


@given(
    requests=st.lists(st.tuples(st.integers(1, 64), st.floats(0, 0.5)), min_size=1, max_size=200),
    units_per_s=st.floats(1, 10_000),
)
def test_no_stretch_of_time_sees_more_units_than_its_allowance(
    requests: list[tuple[int, float]], units_per_s: float
) -> None:
    """However requests come, between any two of them no more leaves than the time allows, and a tenth of a second."""
    allowance, now, left = Allowance(units_per_s), 0.0, []
    for units, gap in requests:
        now += gap
        left.append((now + allowance.reserve(units, now), units))
    for i, (start, _) in enumerate(left):
        total = 0
        for end, units in left[i:]:
            assert total <= units_per_s * (end - start + 0.1) + 1e-6 * (1 + total)
            total += units
