"""What became of every event: the books of three witnesses, held against each other by event id.

Promise: pure. Kafka's delivery reports say what was produced, the Edge's ledger what was accepted, the dead-letter
topic what was given up; `reconcile` finds every event on which they disagree. Nothing the connector says of itself
counts here. A duplicate is in order only where one request was sent again because its answer never came: then the
Edge has accepted it twice under one request id.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence


class Coordinates(NamedTuple):
    """Where a record stands in Kafka."""

    topic: str
    partition: int
    offset: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Produced:
    """One record that the broker confirmed, and what has to become of it.

    `reason` is the name its dead letter has to carry; None where it has to be accepted, and then `crc32` is the
    checksum of the event as it has to arrive.
    """

    event_id: str  # its `_id`, or the one that the connector derives from its coordinates
    flaw: str | None = None
    reason: str | None = None
    crc32: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Acceptance:
    """How often the Edge accepted one event id, under which request ids, and what it first looked like."""

    times: int
    request_ids: frozenset[str]
    crc32: int | None = None


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One record of the dead-letter topic: where it came from, and why it is there."""

    origin: Coordinates
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciliation:
    """The sums, and by event id everything that does not add up."""

    produced: int
    accepted: int
    dead_lettered: int
    duplicated: int
    lost: Sequence[str]
    phantoms: Sequence[str]
    settled_twice: Sequence[str]
    unexplained_duplicates: Sequence[str]
    wrongly_dead_lettered: Sequence[str]
    wrongly_accepted: Sequence[str]
    misnamed: Sequence[str]
    altered: Sequence[str]
    flaws: Mapping[tuple[str, str], int]
    """Dead letters by flaw of the event and reason given."""

    @property
    def errors(self) -> Mapping[str, Sequence[str]]:
        """What does not add up, in words, with the ids concerned; empty if all is well."""
        found = {
            "lost: neither accepted nor dead-lettered": self.lost,
            "accepted or dead-lettered, but never produced": self.phantoms,
            "accepted and dead-lettered": self.settled_twice,
            "duplicated without need": self.unexplained_duplicates,
            "dead-lettered although nothing is wrong with them": self.wrongly_dead_lettered,
            "accepted although they are flawed": self.wrongly_accepted,
            "dead-lettered for another reason than their flaw": self.misnamed,
            "arrived with another content": self.altered,
        }
        return {text: ids for text, ids in found.items() if ids}

    @property
    def adds_up(self) -> bool:
        """Whether every event was accepted or dead-lettered, rightly, and nothing else was."""
        return not self.errors and self.produced == self.accepted + self.dead_lettered


def reconcile(
    produced: Mapping[Coordinates, Produced],
    accepted: Mapping[str, Acceptance],
    dead_letters: Sequence[DeadLetter],
) -> Reconciliation:
    """Hold the three books against each other."""
    wanted = {record.event_id: record for record in produced.values()}
    buried = _identify(produced, dead_letters)
    known_accepted = accepted.keys() & wanted.keys()
    known_buried = buried.keys() & wanted.keys()
    again = [event_id for event_id in known_accepted if accepted[event_id].times > 1]
    return Reconciliation(
        produced=len(produced),
        accepted=len(known_accepted),
        dead_lettered=len(known_buried),
        duplicated=len(again),
        lost=sorted(wanted.keys() - accepted.keys() - buried.keys()),
        phantoms=sorted((accepted.keys() | buried.keys()) - wanted.keys()),
        settled_twice=sorted(known_accepted & known_buried),
        unexplained_duplicates=_unexplained(again, accepted, dead_letters, produced),
        wrongly_dead_lettered=sorted(event_id for event_id in known_buried if wanted[event_id].reason is None),
        wrongly_accepted=sorted(event_id for event_id in known_accepted if wanted[event_id].reason is not None),
        misnamed=sorted(each for each in known_buried if wanted[each].reason not in {None, buried[each]}),
        altered=_altered(known_accepted, wanted, accepted),
        flaws=Counter((wanted[each].flaw or "none", buried[each]) for each in known_buried),
    )


def _identify(produced: Mapping[Coordinates, Produced], dead_letters: Sequence[DeadLetter]) -> dict[str, str]:
    """The reason of each dead letter by event id; one whose origin nobody produced goes by its coordinates."""
    return {
        produced[letter.origin].event_id if letter.origin in produced else str(tuple(letter.origin)): letter.reason
        for letter in dead_letters
    }


def _unexplained(
    again: Sequence[str],
    accepted: Mapping[str, Acceptance],
    dead_letters: Sequence[DeadLetter],
    produced: Mapping[Coordinates, Produced],
) -> list[str]:
    """Events accepted again in another request, and records buried twice: a resend keeps its request id."""
    regrouped = [event_id for event_id in again if len(accepted[event_id].request_ids) > 1]
    buried_twice = [origin for origin, times in Counter(letter.origin for letter in dead_letters).items() if times > 1]
    return sorted(regrouped + [produced[origin].event_id for origin in buried_twice if origin in produced])


def _altered(known: Collection[str], wanted: Mapping[str, Produced], accepted: Mapping[str, Acceptance]) -> list[str]:
    """Events whose first acceptance had another content than was produced; what has no checksum is not compared."""
    pairs = ((event_id, wanted[event_id].crc32, accepted[event_id].crc32) for event_id in known)
    return sorted(event_id for event_id, sent, arrived in pairs if None not in {sent, arrived} and sent != arrived)
