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
    try:
        moment = parsedate_to_datetime(text)
        delta = timegm(moment.utctimetuple()) - now_unix_s
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return min(max(delta, 0.0), max_s)


class WaitForEdge(wait_base):
    """tenacity's wait rule: back off by attempt with full jitter."""

    def __init__(self, backoff: Backoff, jitter: Callable[[], float]) -> None:
        self.backoff = backoff
        self._jitter = jitter

    def __call__(self, retry_state: RetryCallState) -> float:
        """The wait before the next try, in seconds."""
        return backoff_s(self.backoff, retry_state.attempt_number, self._jitter())
