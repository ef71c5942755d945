"""The words of the table: what can become of an event, and what a row says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from connector.core.codes import NoAnswer
    from tests.answers.counterparts import Fault


@dataclass(frozen=True, slots=True)
class Accepted:
    """Settled by an acceptance."""


@dataclass(frozen=True, slots=True)
class DeadLettered:
    """Settled by a confirmed dead letter that gives this reason."""

    reason: str


@dataclass(frozen=True, slots=True)
class Held:
    """Open, and the route waits for a person for this cause."""

    cause: str


@dataclass(frozen=True, slots=True)
class Retried:
    """Open, the route not held, and sent again and again for this cause."""

    cause: str


@dataclass(frozen=True, slots=True)
class Stopped:
    """Open, and the delivery ended with the defect of this cause."""

    cause: str


Fate = Accepted | DeadLettered | Held | Retried | Stopped
Fates = tuple[Fate, ...]
ACCEPTED: Final = Accepted()


def each(fate: Fate) -> Fates:
    """The same for all five."""
    return (fate,) * 5


def but(fate: Fate, *places: int) -> Fates:
    """All accepted but these."""
    return tuple(fate if place in places else ACCEPTED for place in range(5))


ALL_ACCEPTED: Final = each(ACCEPTED)
FOREIGN_TRIES: Final = 3
"""Answers of a stranger that are borne before the route is held."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A fault, and what becomes of each of the five events while it lasts.

    Once it is mended, every event that was open is accepted; the others stay as they were.
    """

    covers: str | int | NoAnswer  # a published code, a status, a class of them, a missing answer
    case: str = ""
    fault: Fault
    fates: Fates
    requests: int | None = None  # the most that were sent when these fates were reached, to the hold exactly so many
    marked: int = 2  # the event that the fault chooses, if it chooses
    is_ambiguous: bool = False  # each failed request may have been accepted, and counts as a possible duplicate
    unknown: str = ""  # the cause under which a code that is not published is logged
    reports: tuple[str, ...] = ()  # what came with the acceptance
    tokens: int | None = None  # that were asked for, until these fates were reached
    waits_s: float = 0.0  # at least, before a try
    endpoint: Literal["collect", "interact"] = "collect"
    is_silent: bool = False
    asks_for_token: bool = False
    is_searched: bool = False  # in vain, for one event that causes it
    has_companions: bool = False  # other batches get through meanwhile
    again: int = 12  # requests for which it is seen to last; more than any tries after which something else begins
    timeout_ms: int = 60_000
    connect_timeout_ms: int = 5_000

    @property
    def open_count(self) -> int:
        """How many events have no final verdict while the fault lasts."""
        return sum(isinstance(fate, Held | Retried | Stopped) for fate in self.fates)

    @property
    def is_held(self) -> bool:
        """Whether the route waits for a person."""
        return any(isinstance(fate, Held) for fate in self.fates)

    @property
    def is_stopped(self) -> bool:
        """Whether the delivery ends by itself."""
        return any(isinstance(fate, Stopped) for fate in self.fates)

    def __str__(self) -> str:
        return f"{self.covers}: {self.case}" if self.case else str(self.covers)
