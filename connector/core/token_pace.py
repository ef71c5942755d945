"""How soon the token endpoint may be asked again.

Promise: after trouble (a request that failed, or a token that was refused) the endpoint is asked once in some seconds,
then ever more seldom, down to once a minute; what its Retry-After asks for is kept to, up to a cap. Trouble that is
long past counts no more.

Not promised: asking; the token's owner does, and it may pass over the back-off where its secret was replaced.
"""

from __future__ import annotations

from typing import Final

RETRY_AFTER_MAX_S: Final = 300.0

_FIRST_S: Final = 5.0  # the token endpoint throttles those who ask too often
_MOST_S: Final = 60.0
_MOST_DOUBLINGS: Final = 8  # beyond them the cap has long been reached
_FORGOTTEN_S: Final = 600.0


class TokenPace:
    """When the token endpoint may be asked. Times are monotonic seconds."""

    __slots__ = ("_not_before", "_troubles", "next_at")

    def __init__(self) -> None:
        self._troubles = 0
        self._not_before = float("-inf")
        self.next_at = float("-inf")

    def is_free(self, now: float, *, is_new_secret: bool) -> bool:
        """Whether the endpoint may be asked now; a new secret waits for nothing but Retry-After."""
        return now >= (self._not_before if is_new_secret else self.next_at)

    def note_trouble(self, now: float, *, retry_after_s: float | None, jitter: float) -> None:
        """A request failed, or a token had to be replaced because it was refused. `jitter` is drawn from [0, 1)."""
        if now > self.next_at + _FORGOTTEN_S:
            self._troubles = 0
        wait_s = min(_MOST_S, _FIRST_S * 2.0**self._troubles * (1 + jitter))
        self._troubles = min(self._troubles + 1, _MOST_DOUBLINGS)
        self._not_before = now + min(retry_after_s or 0.0, RETRY_AFTER_MAX_S)
        self.next_at = max(now + wait_s, self._not_before)

    def note_success(self) -> None:
        """A token was renewed in due time."""
        self._troubles = 0
        self._not_before = self.next_at = float("-inf")
