"""Runs a search for events at fault against an endpoint that is a function."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from connector.core.isolation import Fate, Group, Isolation, Named, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(slots=True)
class Search:
    """One search and everything that was sent during it."""

    at_fault: list[int] = field(default_factory=list)
    suspects: list[int] = field(default_factory=list)
    sent: list[tuple[Group, Outcome]] = field(default_factory=list)

    @property
    def requests_after_the_first(self) -> int:
        return len(self.sent) - 1

    @property
    def accepted(self) -> list[int]:
        """Every position in an accepted request, as often as it was accepted."""
        return [position for group, outcome in self.sent if outcome is Fate.ACCEPTED for position in group]

    def refusals_of(self, position: int) -> list[Group]:
        return [group for group, outcome in self.sent if outcome is Fate.REFUSED and position in group]

    def was_named(self, position: int) -> bool:
        named = [(group, outcome.places) for group, outcome in self.sent if isinstance(outcome, Named)]
        return any(position in [group[place] for place in places] for group, places in named)


def search(count: int, answer: Callable[[Group], Outcome]) -> Search:
    """Run the search against an endpoint."""
    found, isolation = Search(), Isolation()
    steps = isolation.steps(count)
    group = next(steps, None)
    while group is not None:
        outcome = answer(group)
        found.sent.append((group, outcome))
        assert len(found.sent) <= 4 * count + 4, "the search does not end"
        try:
            group = steps.send(outcome)
        except StopIteration:
            group = None
    found.at_fault, found.suspects = isolation.at_fault, isolation.suspects
    return found


def refusing(bad: set[int]) -> Callable[[Group], Outcome]:
    """An endpoint that refuses what holds a bad event and names nobody."""
    return lambda group: Fate.ACCEPTED if bad.isdisjoint(group) else Fate.REFUSED
