"""How long to wait before the next try: exponential back-off with full jitter, and Retry-After.

Promise: a wait is never shorter than what Retry-After asks for, up to a cap, and never longer than the caps.

Not promised: sleeping. tenacity drives the tries; these are its rules, and whoever sleeps can be woken.
"""

from __future__ import annotations

from calendar import timegm
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final

from tenacity.wait import wait_base

if TYPE_CHECKING:
    from collections.abc import Callable

    from tenacity import RetryCallState

_MOST_DOUBLINGS: Final = 32  # beyond it the cap has long been reached, and a float would overflow at 1,024


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """The bounds of the waits between tries, in seconds."""

    initial_s: float
    max_s: float
    retry_after_max_s: float


def backoff_s(backoff: Backoff, attempt: int, jitter: float) -> float:
    """The wait after try number `attempt` (from 1); `jitter` is drawn evenly from [0, 1).

    Full jitter: anything from nothing to the exponential bound, so that many waiters do not come back at once.
    """
    doublings = min(max(attempt - 1, 0), _MOST_DOUBLINGS)
    return float(min(backoff.max_s, backoff.initial_s * 2.0**doublings) * jitter)


def retry_after_s(header: str | None, *, now_unix_s: float, max_s: float) -> float | None:
    """What a Retry-After header asks for, in seconds from now, or None where it makes no sense.

    Both forms of RFC 9110 are read: ASCII digits, and a date (one without a zone is UTC). The past is 0, the far
    future is `max_s`, and garbage is ignored: a wrong header must not stop delivery for a year.
    """
    if header is None:
        return None
    text = header.strip()
    if text.isascii() and text.isdigit():
        return min(float(text[:18]), max_s)
    moment = _unix_s(text)
    return None if moment is None else min(max(moment - now_unix_s, 0.0), max_s)


def by_the_answers_clock(retry_after: str | None, date: str | None) -> str | None:
    """Retry-After in seconds where it is a date and the answer says when it left; else as it is.

    Both moments are then of one clock. Held against this machine's own, which may be an hour off, the date would ask
    for no wait at all, or for the longest.
    """
    if retry_after is None or date is None or (moment := _unix_s(retry_after)) is None:
        return retry_after
    left_at = _unix_s(date)
    return retry_after if left_at is None else str(max(moment - left_at, 0))


def _unix_s(date: str) -> int | None:
    """A date of HTTP in seconds since the epoch, None where it is none."""
    try:
        return timegm(parsedate_to_datetime(date.strip()).utctimetuple())
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


class WaitForEdge(wait_base):
    """tenacity's wait rule: back off by attempt with full jitter."""

    def __init__(self, backoff: Backoff, jitter: Callable[[], float]) -> None:
        self.backoff = backoff
        self._jitter = jitter

    def __call__(self, retry_state: RetryCallState) -> float:
        """The wait before the next try, in seconds."""
        return backoff_s(self.backoff, retry_state.attempt_number, self._jitter())
