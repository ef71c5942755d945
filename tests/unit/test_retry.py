"""How long is waited, and what Retry-After means in all its spellings."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import format_datetime, formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tenacity import RetryCallState, Retrying

from connector.core.retry import Backoff, WaitForEdge, backoff_s, by_the_answers_clock, retry_after_s

_BACKOFF = Backoff(initial_s=0.5, max_s=60.0, retry_after_max_s=300.0)
_NOW_S = 1_760_000_000.0  # Thu, 09 Oct 2025 08:53:20 GMT


def _seconds(header: str | None) -> float | None:
    return retry_after_s(header, now_unix_s=_NOW_S, max_s=300.0)


def test_waits_double_up_to_the_cap() -> None:
    """The bound doubles with each try and stays at the cap however long it goes on."""
    bounds = [backoff_s(_BACKOFF, attempt, 1.0) for attempt in (1, 2, 3, 7, 8, 9, 100, 1_000_000)]
    assert bounds == [0.5, 1, 2, 32, 60, 60, 60, 60]


@given(attempt=st.integers(0, 10_000), jitter=st.floats(0, 1, exclude_max=True))
def test_full_jitter(attempt: int, jitter: float) -> None:
    """Any part of the bound may be drawn, nothing included, and never more than the cap."""
    assert backoff_s(_BACKOFF, attempt, jitter) == pytest.approx(backoff_s(_BACKOFF, attempt, 1.0) * jitter)
    assert 0 <= backoff_s(_BACKOFF, attempt, jitter) <= _BACKOFF.max_s


def test_tenacity_asks_for_the_wait() -> None:
    """tenacity's rule is the same function, with jitter drawn anew each time."""
    draws = iter([0.5, 1.0])
    wait = WaitForEdge(_BACKOFF, lambda: next(draws))
    state = RetryCallState(Retrying(), None, (), {})
    assert wait(state) == 0.25
    state.attempt_number = 3
    assert wait(state) == 2.0


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("0", 0),
        ("7", 7),
        (" 7 ", 7),
        ("007", 7),
        ("301", 300),
        ("9" * 400, 300),
        ("Thu, 09 Oct 2025 08:54:20 GMT", 60),
        ("Thu, 09 Oct 2025 10:54:20 +0200", 60),
        ("Thursday, 09-Oct-25 08:54:20 GMT", 60),  # RFC 850
        ("Thu Oct  9 08:54:20 2025", 60),  # asctime has no zone: UTC
        ("Thu, 09 Oct 2025 08:00:00 GMT", 0),
        ("Thu, 09 Oct 2099 08:00:00 GMT", 300),
        (None, None),
        ("", None),
        ("-5", None),
        ("+5", None),
        ("1.5", None),
        ("5s", None),
        ("1e3", None),
        ("\u0663", None),
        ("soon", None),
        ("2025-10-09T08:54:20Z", None),
        ("Thu, 99 Oct 2025 08:54:20 GMT", None),
        ("Thu, 09 Oct 99999 08:54:20 GMT", None),
    ],
)
def test_retry_after(header: str | None, seconds: float | None) -> None:
    """Seconds and dates are followed within the cap; what makes no sense is ignored."""
    assert _seconds(header) == seconds


@given(header=st.text() | st.from_regex(r"[A-Z][a-z]{2}, \d+ [A-Z][a-z]{2} \d+ \d+:\d+:\d+ [-+A-Z0-9]{0,6}"))
def test_any_header_is_read_without_raising(header: str) -> None:
    """No header makes reading fail, or a wait that is negative or beyond the cap."""
    seconds = _seconds(header)
    assert seconds is None or 0 <= seconds <= 300


@given(after_s=st.integers(-(10**6), 10**6))
def test_dates_mean_the_time_until_then(after_s: int) -> None:
    """A date in any of its spellings is the time until then, and the past is now."""
    expected = min(max(after_s, 0), 300)
    assert _seconds(formatdate(_NOW_S + after_s, usegmt=True)) == expected
    assert _seconds(format_datetime(datetime.fromtimestamp(_NOW_S + after_s, tz=UTC))) == expected


@pytest.mark.parametrize("off_s", [-3600, 0, 3600])
def test_a_date_is_held_against_the_answers_own_clock(off_s: int) -> None:
    """Clock step: a machine whose clock is an hour off waits as long as it was told, neither at once nor for ever."""
    left_at, moment = formatdate(_NOW_S + off_s, usegmt=True), formatdate(_NOW_S + off_s + 60, usegmt=True)
    assert _seconds(by_the_answers_clock(moment, left_at)) == 60


@pytest.mark.parametrize(
    ("retry_after", "date", "kept"),
    [
        (None, "Thu, 09 Oct 2025 08:53:20 GMT", None),
        ("7", "Thu, 09 Oct 2025 08:53:20 GMT", "7"),
        ("soon", "Thu, 09 Oct 2025 08:53:20 GMT", "soon"),
        ("Thu, 09 Oct 2025 08:54:20 GMT", None, "Thu, 09 Oct 2025 08:54:20 GMT"),
        ("Thu, 09 Oct 2025 08:54:20 GMT", "now", "Thu, 09 Oct 2025 08:54:20 GMT"),
        ("Thu, 09 Oct 2025 08:52:20 GMT", "Thu, 09 Oct 2025 08:53:20 GMT", "0"),
    ],
)
def test_what_is_no_date_of_a_known_clock_stays(retry_after: str | None, date: str | None, kept: str | None) -> None:
    """Seconds need no clock, and without the answer's own the date is held against this machine's."""
    assert by_the_answers_clock(retry_after, date) == kept
