"""An endpoint with a hidden truth about each event, which something in between interrupts now and then.

Promise: it keeps what it answered to which events, so a test can ask for the evidence against each dead letter.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from connector.core.codes import NoAnswer
from connector.core.offsets import PartitionOffsets
from connector.core.verdict import Answer
from tests.unit.delivery_scene import UNEXPECTED_TRIES, accepted, problem, status

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tests.unit.delivery_scene import Sent

UNNAMED: Final = "0104-422"
NAMING: Final = "0306-400"
POISON: Final = "0001-500"
_TOO_LARGE: Final = "0112-413"

PASSING: Final = (
    *(problem(code) for code in ("0000-503", "0200-504", "0201-503", "0202-502", "0300-502", "9999-599")),
    *(problem(code) for code in ("0002-400", "0003-400", "0106-400", "0113-400", "0010-422", "0400-403", "0505-401")),
    *(problem(code) for code in ("0500-401", "0502-401", "0503-401")),
    *(status(number) for number in (200, 202, 204, 302, 400, 401, 403, 404, 407, 408, 415, 418, 425, 429, 502, 503)),
    status(429, retry_after="3"),
    status(503, retry_after="never"),
    *NoAnswer,
)
"""Faults that pass, of the endpoint, the configuration or something in between; none is any event's fault."""


RESENT: Final = (
    *(problem(code) for code in ("0000-503", "0200-504", "0201-503", "9999-599")),
    *(status(number) for number in (408, 425, 429, 503, 504)),
    *(NoAnswer.REFUSED, NoAnswer.DNS, NoAnswer.TLS, NoAnswer.CONNECT_TIMEOUT, NoAnswer.TIMEOUT, NoAnswer.HALF_ANSWER),
    NoAnswer.ANOTHERS,
)
"""Those of them after which the very same request is sent again, however often."""


DOUBTFUL: Final = (
    *(status(number) for number in (200, 202, 204, 302, 400, 403, 404, 407, 415, 418, 502)),
    *(NoAnswer.DISCONNECTED, NoAnswer.NOT_HTTP, NoAnswer.TOO_LONG),
)
"""Those of them that may be an event's doing, where it alone meets them again and again while others get through."""


class Truth(StrEnum):
    """What is true of an event."""

    GOOD = "good"
    NAMED = "named"
    UNNAMED = "unnamed"
    POISON = "poison"


REASONS: Final = {
    Truth.NAMED: f"EXEG-{NAMING}",
    Truth.UNNAMED: f"EXEG-{UNNAMED}",
    Truth.POISON: f"EXEG-{POISON}",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Interruption:
    """What a request meets instead of the truth."""

    answer: Answer | NoAnswer | None  # None: nothing
    is_late: bool = False  # the request went through, and its answer was lost


class HonestEdge:
    """Answers by the truth, where nothing interrupts."""

    def __init__(
        self, truths: Mapping[int, Truth], interruptions: Sequence[Interruption], *, checks_first: Truth
    ) -> None:
        self._truths = truths
        self._interruptions = list(interruptions)
        self._checks_first = checks_first
        self.taken: list[int] = []

    def __call__(self, sent: Sent) -> Answer | NoAnswer:
        met = self._interruptions.pop(0) if self._interruptions else Interruption(answer=None)
        if met.answer is not None and not met.is_late:
            return met.answer
        true = self._truly(sent.offsets)
        if true == accepted():
            self.taken.extend(sent.offsets)
        return true if met.answer is None else met.answer

    def _truly(self, offsets: Sequence[int]) -> Answer:
        found = {truth: [place for place, offset in enumerate(offsets) if self._of(offset) is truth] for truth in Truth}
        bad = [truth for truth in (self._checks_first, Truth.NAMED, Truth.UNNAMED, Truth.POISON) if found[truth]]
        bad = [truth for truth in bad if truth is not Truth.GOOD]
        if not bad:
            return accepted()
        if bad[0] is Truth.NAMED:
            return problem(NAMING, "event(s) " + ", ".join(f"#{place}" for place in found[Truth.NAMED]))
        return problem(UNNAMED if bad[0] is Truth.UNNAMED else POISON)

    def _of(self, offset: int) -> Truth:
        return self._truths.get(offset, Truth.GOOD)


class CountedOffsets(PartitionOffsets):
    """Offsets that count how often each was settled."""

    def __init__(self) -> None:
        super().__init__("xdm.web", 0, generation=1, start=0)
        self.times_settled: dict[int, int] = {}

    def settle(self, first: int, end: int) -> bool:
        for offset in range(first, end):
            self.times_settled[offset] = self.times_settled.get(offset, 0) + 1
        return super().settle(first, end)


@dataclass(slots=True)
class Evidence:
    """Everything that was said about each event; wraps a script."""

    script: Callable[[Sent], Answer | NoAnswer]
    exchanges: list[tuple[tuple[int, ...], Answer | NoAnswer]] = field(default_factory=list)

    def __call__(self, sent: Sent) -> Answer | NoAnswer:
        answer = self.script(sent)
        self.exchanges.append((sent.offsets, answer))
        return answer

    def was_accepted(self, offset: int) -> bool:
        """Whether a request that held it was."""
        return any(offset in offsets and answer == accepted() for offsets, answer in self.exchanges)

    def is_against(self, offset: int) -> bool:
        """Whether it was named, refused alone, or is the only one left of what was refused twice."""
        return self._was_named(offset) or self._was_refused_alone(offset) or self._is_eliminated(offset)

    def _was_named(self, offset: int) -> bool:
        return any(
            offset in offsets and f"#{offsets.index(offset)}" in _names_in(answer) for offsets, answer in self.exchanges
        )

    def _was_refused_alone(self, offset: int) -> bool:
        alone = [answer for offsets, answer in self.exchanges if offsets == (offset,)]
        if any(_code_of(answer) in {UNNAMED, NAMING, _TOO_LARGE} for answer in alone):
            return True
        return sum(_code_of(answer) == POISON or answer in DOUBTFUL for answer in alone) > UNEXPECTED_TRIES

    def _is_eliminated(self, offset: int) -> bool:
        refused = [
            offsets for offsets, answer in self.exchanges if offset in offsets and _code_of(answer) in {UNNAMED, NAMING}
        ]
        if len(refused) < 2:
            return False
        return all(self.was_accepted(other) for other in min(refused, key=len) if other != offset)


def _code_of(answer: Answer | NoAnswer) -> str:
    if isinstance(answer, Answer) and answer.status == 500:
        return POISON
    return next((code for code in (UNNAMED, NAMING, POISON, _TOO_LARGE) if _says(answer, code)), "")


def _says(answer: Answer | NoAnswer, code: str) -> bool:
    return isinstance(answer, Answer) and f"EXEG-{code}".encode() in answer.body


def _names_in(answer: Answer | NoAnswer) -> list[str]:
    if not (isinstance(answer, Answer) and _says(answer, NAMING)):
        return []
    return answer.body.decode().replace('"', " ").replace(",", " ").split()
