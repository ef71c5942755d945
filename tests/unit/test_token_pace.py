"""The token endpoint is asked ever more seldom after trouble, and never before it wants to be."""

from __future__ import annotations

import pytest

from connector.core.token_pace import TokenPace


def waits(*, jitter: float, count: int) -> list[float]:
    """How long each of some troubles, one right after the other's wait, keeps the endpoint from being asked."""
    pace, now, found = TokenPace(), 50.0, []
    for _ in range(count):
        pace.note_trouble(now, retry_after_s=None, jitter=jitter)
        found.append(pace.next_at - now)
        now = pace.next_at
    return found


@pytest.mark.parametrize(
    ("jitter", "expected"), [(0.0, [5, 10, 20, 40, 60, 60, 60]), (0.5, [7.5, 15, 30, 60, 60, 60, 60])]
)
def test_waits_grow_up_to_a_minute(jitter: float, expected: list[float]) -> None:
    """The first wait is some seconds, then each is twice as long, and never longer than a minute."""
    assert waits(jitter=jitter, count=7) == expected


def test_a_thousand_troubles_still_wait_a_minute() -> None:
    """Nothing overflows in an outage of days."""
    assert waits(jitter=0.0, count=1000)[-1] == 60


def test_nothing_is_waited_for_before_any_trouble() -> None:
    """The first token is asked for at once."""
    assert TokenPace().is_free(0.0, is_new_secret=False)


def test_a_new_secret_waits_for_retry_after_alone() -> None:
    """A replaced secret ends the back-off, but not what the endpoint itself asked for."""
    pace = TokenPace()
    pace.note_trouble(0.0, retry_after_s=None, jitter=0.0)
    assert not pace.is_free(4.9, is_new_secret=False)
    assert pace.is_free(0.0, is_new_secret=True)
    pace.note_trouble(0.0, retry_after_s=30.0, jitter=0.0)
    assert not pace.is_free(29.9, is_new_secret=True)
    assert pace.is_free(30.0, is_new_secret=True)
    assert pace.is_free(30.0, is_new_secret=False)


@pytest.mark.parametrize(("retry_after", "expected"), [(0.0, 5.0), (1.0, 5.0), (90.0, 90.0), (1e9, 300.0)])
def test_the_longer_wait_counts(retry_after: float, expected: float) -> None:
    """Retry-After lengthens the back-off and never shortens it; beyond five minutes it is cut."""
    pace = TokenPace()
    pace.note_trouble(100.0, retry_after_s=retry_after, jitter=0.0)
    assert pace.next_at - 100.0 == expected


def test_success_and_time_heal() -> None:
    """After a renewal in due time, or ten quiet minutes, the first wait is short again."""
    pace = TokenPace()
    for _ in range(4):
        pace.note_trouble(0.0, retry_after_s=300.0, jitter=0.0)
    pace.note_success()
    assert pace.is_free(0.0, is_new_secret=False)
    for _ in range(4):
        pace.note_trouble(0.0, retry_after_s=None, jitter=0.0)
    pace.note_trouble(pace.next_at + 601, retry_after_s=None, jitter=0.0)
    assert pace.next_at == 40 + 601 + 5
