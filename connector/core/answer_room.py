"""How many answers may be in memory at once, where each is kept until it is written to a responses topic.

Promise: with answers no larger than those of late, the bytes of all that are under way stay within a bound; one is
always let through. A rise is believed at once and a fall step by step. Before the first answer a large one is expected.

Not promised: to foresee an answer that is larger than those before. How large one may be is bounded by
`edge_client.py`.
"""

from __future__ import annotations

from typing import Final

_EXPECTED_BYTES: Final = 1024 * 1024  # what a topic takes unless it is told otherwise
_FALL: Final = 16  # a smaller answer counts as one of so many
_COPIES: Final = 3  # its handles, the response made of them, and what Kafka's client keeps until it is confirmed


class AnswerRoom:
    """The room of one route."""

    __slots__ = ("_answer_bytes", "_max_bytes")

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._answer_bytes = float(_EXPECTED_BYTES)

    def note(self, answer_bytes: int) -> None:
        """Note how large an answer was."""
        self._answer_bytes = max(answer_bytes, self._answer_bytes + (answer_bytes - self._answer_bytes) / _FALL)

    @property
    def places(self) -> int:
        """How many requests may be under way for their answers' sake."""
        return max(1, int(self._max_bytes / (self._answer_bytes * _COPIES + 1)))
