"""Finds the events at fault in a refused batch, in few requests and without blaming a neighbour.

Promise: an event is found at fault only when the endpoint named it, refused it alone, or refused it in
at least two requests and then accepted every other event of the smallest of them. One bad event of n costs
at most ceil(log2 n) + 1 requests after the first refusal (8 for n = 97), k bad ones 2k * ceil(log2 n), and
any number of them 2n - 1; a probe that is sent apart adds one.

Not promised: a verdict on what only fails. An event in whose company requests fail again and again, without being
refused, ends as a suspect once its mates are delivered; whoever searches has to find out about it alone.

The search is a generator over positions in the batch: it yields the group to send next and is sent
what became of it, so it does no I/O and a plain loop can run it in a test. A refused request was
dispatched nowhere (published), so nothing that the search sends again is doubled.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, assert_never

if TYPE_CHECKING:
    from collections.abc import Generator


class Fate(Enum):
    """What became of a group that was sent."""

    ACCEPTED = auto()
    REFUSED = auto()
    FAILED = auto()
    """The endpoint failed at it again and again, while others got through: proof only for a batch of one event."""
    TOO_LARGE = auto()
    """The group is too large together; alone, the event is too large for anybody."""
    APART = auto()
    """It was not sent: its first event has to go ahead alone."""
    GONE = auto()
    """Not all of it was sent, as some events were given up meanwhile; the rest was accepted."""


@dataclass(frozen=True, slots=True)
class Named:
    """The group was refused, and the answer named the events at fault by their place in the group."""

    places: frozenset[int]


Outcome = Fate | Named
Group = tuple[int, ...]
"""Positions of events in the batch, ascending."""


class Isolation:
    """The search through one batch; `at_fault` and `suspects` fill while `steps` runs."""

    __slots__ = ("_count", "_may_merge", "_parked", "_unexplained", "at_fault", "suspects")

    def __init__(self) -> None:
        self.at_fault: list[int] = []
        self.suspects: list[int] = []
        """Events of groups that failed, each to be sent alone; neither accepted nor at fault."""
        self._count = 0
        self._parked: list[Group] = []  # not known to be bad, still to be sent; the next one is the last
        self._may_merge = True
        self._unexplained = 0  # groups that ended without a refusal, yet were not accepted as a whole

    def steps(self, count: int) -> Generator[Group, Outcome, None]:
        """Send a batch of `count` events and, where it is refused, search it."""
        self._count = count
        self._parked.append(tuple(range(count)))
        while self._parked:
            suspects = yield from self._send(self._parked.pop())
            if suspects:
                yield from self._descend(suspects)
                yield from self._merge()

    def _send(self, group: Group) -> Generator[Group, Outcome, Group]:
        """Send a group until it is accepted or refused without a name; return what is under suspicion."""
        while group:
            outcome = yield group
            match outcome:
                case Fate.ACCEPTED:
                    return ()
                case Fate.REFUSED:
                    return group
                case Fate.FAILED:
                    self._set_aside(group)
                    return ()
                case Fate.TOO_LARGE:
                    self._halve(group)
                    return ()
                case Fate.APART:
                    self._parked += [group[1:], group[:1]]
                    self._unexplained += 1
                    return ()
                case Fate.GONE:
                    self._unexplained += 1
                    return ()
                case Named(places):
                    self.at_fault.extend(group[place] for place in sorted(places))
                    group = tuple(position for place, position in enumerate(group) if place not in places)
                case _:
                    assert_never(outcome)
        return ()

    def _halve(self, group: Group) -> None:
        """Park both halves of a group that is too large, or give up its only event."""
        if len(group) == 1:
            self.at_fault.extend(group)
            return
        middle = (len(group) + 1) // 2
        self._park(group[middle:], group[:middle])

    def _set_aside(self, group: Group) -> None:
        """Narrow down a group that fails; a single event waits until its mates are delivered.

        It may go on failing for hours without being at fault, and nobody else of the batch is to wait for that.
        """
        if self._count == 1:
            self.at_fault.extend(group)
            return
        middle = (len(group) + 1) // 2
        halves = (group[middle:], group[:middle])
        self.suspects += [half[0] for half in halves if len(half) == 1]
        self._park(*(half for half in halves if len(half) > 1))

    def _park(self, *groups: Group) -> None:
        """Send these groups later, one by one, the last one first."""
        self._parked += groups
        self._unexplained += 1
        self._may_merge = False

    def _merge(self) -> Generator[Group, Outcome, None]:
        """Send all that is parked in one request, once.

        Mostly there is one bad event and it is found by now, so the rest goes through together. If it
        does not, the groups go one by one: trying again after each find would cost a batch of bad
        events dearly.
        """
        if not self._may_merge or len(self._parked) < 2:
            return
        self._may_merge = False
        parked, self._parked = self._parked, []
        refused = yield from self._send(tuple(sorted(position for group in parked for position in group)))
        still = frozenset(refused)
        kept = (tuple(position for position in group if position in still) for group in parked)
        self._parked += [group for group in kept if group]

    def _descend(self, suspects: Group) -> Generator[Group, Outcome, None]:
        """Halve a refused group down to one event; what was not sent on the way is parked."""
        refusals = 1
        was_sent = True  # this very group was refused, not one that held it
        while len(suspects) > 1:
            middle = (len(suspects) + 1) // 2
            left, right = suspects[:middle], suspects[middle:]
            explained_before = len(self.at_fault) + self._unexplained
            refused = yield from self._send(left)
            if refused:
                self._parked.append(right)
                suspects, was_sent = refused, True
                refusals += 1
            elif len(self.at_fault) + self._unexplained > explained_before:
                self._parked.append(right)  # the left half was not accepted as a whole: nothing follows
                return
            else:
                suspects, was_sent = right, False
        # By elimination, one refusal is too little: it may have been a passing whim of a gateway.
        if was_sent or refusals > 1 or (yield from self._send(suspects)):
            self.at_fault.extend(suspects)
