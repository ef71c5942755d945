"""How many requests may be under way, after failures and successes of any kind."""

from __future__ import annotations

import random
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from connector.core.latency import Latency
from connector.core.pacing import Concurrency, request_units


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
            concurrency.succeeded(started_at=now, now=now)
        rounds += 1
        assert before <= concurrency.limit <= before + 1
    assert 15 <= rounds <= 20
    for _ in range(1000):
        concurrency.succeeded(started_at=now, now=now)
    assert concurrency.limit == 16


@given(most=st.integers(1, 300), steps=st.lists(st.tuples(st.booleans(), st.floats(0, 5)), max_size=200))
def test_stays_within_its_bounds(most: int, steps: list[tuple[bool, float]]) -> None:
    """Whatever happens, the limit is at least one and at most what the setting allows."""
    concurrency, now = Concurrency(most), 0.0
    for is_success, took_s in steps:
        now += took_s
        if is_success:
            concurrency.succeeded(started_at=now, now=now)
        else:
            concurrency.failed(started_at=now - took_s, now=now, is_resend=False)
        assert 1 <= concurrency.limit <= most


def test_a_request_costs_a_unit_for_each_started_8_kb_and_upstream() -> None:
    """The price is the published one, at and around the edges."""
    assert [request_units(size, 1) for size in (1, 8192, 8193, 64_000, 65_536)] == [1, 1, 2, 8, 8]
    assert request_units(64_000, 2) == 16


def answers(concurrency: Concurrency, latency_s: float, *, start: float, rounds: int) -> float:
    """Rounds in which as many requests as the limit allows are answered after a latency; when the last one ends."""
    for _ in range(rounds):
        for number in range(concurrency.limit):
            sent_at = start + latency_s * number / concurrency.limit
            concurrency.succeeded(started_at=sent_at, now=sent_at + latency_s)
        start += latency_s
    return start


def test_slower_answers_lower_the_limit_before_anything_fails() -> None:
    """An endpoint that needs twice as long has queues: fewer are under way, a tenth less for each slow round."""
    concurrency = Concurrency(100)
    now = answers(concurrency, 0.1, start=0.0, rounds=40)
    assert concurrency.limit == 100
    lowest, limits = 100, []
    for _ in range(6):
        now = answers(concurrency, 0.2, start=now, rounds=1)
        limits.append(concurrency.limit)
        lowest = min(lowest, concurrency.limit)
    assert lowest <= 91
    assert all(after >= before * 0.9 - 1 for before, after in pairwise([100, *limits])), limits


def test_a_slower_endpoint_becomes_the_normal_one() -> None:
    """One that is slower for good is no reason to stay small: the limit ends its fall and grows back to the most."""
    concurrency = Concurrency(100)
    now = answers(concurrency, 0.1, start=0.0, rounds=40)
    now = answers(concurrency, 0.4, start=now, rounds=20)
    assert 40 < concurrency.limit < 100
    answers(concurrency, 0.4, start=now, rounds=80)
    assert concurrency.limit == 100


@given(st.lists(st.floats(1e-6, 0.015), min_size=50, max_size=400))
def test_noise_of_milliseconds_lowers_nothing(latencies: list[float]) -> None:
    """A busy event loop makes single answers ten times slower; that is no queue of the endpoint's."""
    concurrency, now = Concurrency(100), 0.0
    for latency_s in latencies:
        now += latency_s
        concurrency.succeeded(started_at=now - latency_s, now=now)
        assert concurrency.limit == 100


@given(st.integers(0, 2**32 - 1))
def test_an_even_spread_lowers_nothing(seed: int) -> None:
    """Answers after 70 to 130 ms are what an endpoint at work looks like, and nobody slows down for them."""
    concurrency, now, chance = Concurrency(100), 0.0, random.Random(seed)
    for _ in range(2000):
        now += 0.002
        latency_s = chance.uniform(0.07, 0.13)
        concurrency.succeeded(started_at=now - latency_s, now=now)
        assert concurrency.limit == 100


def test_a_new_normal_is_what_the_next_rise_is_measured_by() -> None:
    """Nothing is left of the past after a while: neither its mean nor the leap away from it."""
    concurrency = Concurrency(100)
    now = answers(concurrency, 0.1, start=0.0, rounds=40)
    now = answers(concurrency, 0.4, start=now, rounds=250)
    assert concurrency.limit == 100
    answers(concurrency, 0.8, start=now, rounds=4)
    assert concurrency.limit < 100


def test_what_left_before_the_round_says_nothing_of_it() -> None:
    """Late answers of the round before would be held against the new one too."""
    latency = Latency()
    for _ in range(8):
        assert not latency.has_risen(started_at=0.9, now=1.0)
    for _ in range(20):
        assert not latency.has_risen(started_at=0.9, now=9.0)
    assert [latency.has_risen(started_at=8.0, now=9.0) for _ in range(8)] == [*[False] * 7, True]
