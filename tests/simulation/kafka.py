"""A simulated Kafka: logs with gaps, and a group coordinator that fences as the real one does.

It takes a commit of anybody whom it counts as a member, whatever he owns. That nobody ever asks for that is the
oracle's to see.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from confluent_kafka import KafkaError

from connector.core.settled import restore

if TYPE_CHECKING:
    import random
    from collections.abc import Mapping

    from connector.core.offsets import PartitionOffsets
    from connector.model import Record
    from tests.simulation.oracle import Oracle, Place
    from tests.simulation.trace import Trace

    Errors = dict[Place, KafkaError]

_ERRORS = {code: KafkaError(code) for code in (
    KafkaError.UNKNOWN_MEMBER_ID, KafkaError.REBALANCE_IN_PROGRESS, KafkaError.REQUEST_TIMED_OUT,
    KafkaError.COORDINATOR_NOT_AVAILABLE, KafkaError.OFFSET_METADATA_TOO_LARGE, KafkaError._WAIT_COORD,
)}  # fmt: skip


def kafka_error(code: int) -> KafkaError:
    """An error of Kafka's client."""
    return _ERRORS[code]


@dataclass(slots=True)
class PartitionLog:
    """The records of one partition."""

    offsets: list[int] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)
    earliest: int = 0
    end: int = 0

    def clear(self) -> None:
        """Begin anew, as another topic of the same name."""
        self.offsets, self.records = [], []
        self.earliest = self.end = 0

    def append(self, record: Record, offset: int) -> None:
        """Write a record; what lies between it and the end is a gap."""
        self.offsets.append(offset)
        self.records.append(record)
        self.end = offset + 1

    def read(self, position: int, most: int) -> list[Record]:
        """The next records from a position on."""
        first = bisect_left(self.offsets, max(position, self.earliest))
        return self.records[first : first + most]


@dataclass(frozen=True, slots=True)
class Committed:
    """What the group knows of one partition."""

    offset: int
    note: str = ""


class Group:
    """The coordinator: who is a member, who owns what, and what is committed."""

    def __init__(self, logs: Mapping[Place, PartitionLog], oracle: Oracle, trace: Trace, rng: random.Random) -> None:
        self.logs = logs
        self._oracle = oracle
        self._trace = trace
        self._rng = rng
        self.members: list[str] = []
        self.owners: dict[Place, str] = {}
        self.target: dict[Place, str] = {}
        self.committed: dict[Place, Committed] = {}
        self.is_eager = False
        self.most_note_bytes = 4096
        self.topic_ids: dict[str, str] = {}
        self.last_process: dict[Place, str] = {}
        """Who owned a partition last."""
        self.joining: set[str] | None = None  # eager: those who let everything go in the rebalance under way
        self._numbers = 0

    def join(self, name: str) -> str:
        """A new member; returns its id."""
        self._numbers += 1
        member = f"{name}.{self._numbers}"
        self.members.append(member)
        self._trace.note("group", f"{member} joins")
        self.rebalance()
        return member

    def leave(self, member: str) -> None:
        """A member left, having let everything go."""
        if member in self.members:
            self._trace.note("group", f"{member} leaves")
            self.members.remove(member)
            self.rebalance()

    def expel(self, member: str) -> None:
        """A member was not heard of for too long: what it had is free, and whatever it did not commit comes again."""
        if member not in self.members:
            return
        self._trace.note("group", f"{member} is expelled")
        self.members.remove(member)
        for place in [place for place, owner in self.owners.items() if owner == member]:
            del self.owners[place]
            self.broke(place, member)
        self.rebalance()

    def committed_offset(self, place: Place) -> int:
        """Up to where everything is committed; a commit for another topic of the same name counts for nothing."""
        known = self.committed.get(place)
        if known is None:
            return 0
        note = restore(known.note, identity=self.topic_ids[place[0]], committed=known.offset)
        return 0 if note.is_foreign else known.offset

    def broke(self, place: Place, member: str) -> None:
        """A member's assignment ended without its last commit."""
        known = self.committed.get(place)
        if known is None:
            self._oracle.broke(place, 0, member=member)
        else:
            note = restore(known.note, identity=self.topic_ids[place[0]], committed=known.offset)
            self._oracle.broke(place, 0 if note.is_foreign else known.offset, note.ranges, member=member)

    def note_last_commit(self, member: str, owner: PartitionOffsets, *, is_committed: bool) -> None:
        """What the next owner may deliver again: nothing, unless the broker did not take the commit, or its note."""
        place = owner.topic, owner.partition
        if owner.identity not in ("", self.topic_ids[owner.topic]):
            self._oracle.broke(place, 0)
        elif not is_committed:
            self.broke(place, member)
        elif owner.watermark is None:
            self._oracle.broke(place, 0)  # nothing was read: there is no offset that a note could go with
        elif not (owner.identity and owner.takes_notes) or len(owner.note) > self.most_note_bytes:
            self._oracle.broke(place, owner.watermark)

    def stale_owner(self, member: str, place: Place) -> str | None:
        """The member himself, if he does not own the partition, or no more; else None."""
        return None if self.owners.get(place) == member else member

    def release(self, member: str, place: Place) -> None:
        """A member lets a partition go."""
        if self.owners.get(place) == member:
            del self.owners[place]

    def rebalance(self, *, shuffle: bool = False) -> None:
        """Find out anew who is to have what."""
        if not self.members:
            self.target = {}
            self.joining = None
            return
        if self.is_eager:
            self.joining = set()
            return
        most = -(-len(self.logs) // len(self.members))
        counts = dict.fromkeys(self.members, 0)
        self.target = {}
        for place in self.logs:
            owner = self.owners.get(place)
            if owner in counts and counts[owner] < most and not (shuffle and self._rng.random() < 0.5):
                self._give(place, owner, counts)
        for place in self.logs:
            if place not in self.target:
                least = min(counts.values())
                self._give(place, self._rng.choice([name for name in self.members if counts[name] == least]), counts)

    def _give(self, place: Place, member: str, counts: dict[str, int]) -> None:
        self.target[place] = member
        counts[member] += 1

    def joined(self, member: str) -> None:
        """Eager: a member let everything go; with the last one the new assignment is there."""
        if self.joining is None:
            return
        self.joining.add(member)
        if self.joining >= set(self.members):
            self.joining = None
            self.target = {place: self._rng.choice(self.members) for place in self.logs}

    def to_release(self, member: str) -> list[Place]:
        """What a member has to let go."""
        mine = [place for place, owner in self.owners.items() if owner == member]
        if self.joining is not None:
            return mine
        return [place for place in mine if self.target.get(place) != member]

    def to_take(self, member: str) -> list[Place]:
        """What a member may take over now."""
        if self.joining is not None:
            return []
        return [place for place, owner in self.target.items() if owner == member and place not in self.owners]

    def commit(self, member: str, offsets: Mapping[Place, Committed]) -> Errors:
        """Take a commit of a member that is one; what it owns is not looked at. Returns what was wrong."""
        if member not in self.members:
            self._trace.note("group", f"refuses a commit of {member}, who is no member")
            return dict.fromkeys(offsets, kafka_error(KafkaError.UNKNOWN_MEMBER_ID))
        if self.joining is not None and member in self.joining:
            return dict.fromkeys(offsets, kafka_error(KafkaError.REBALANCE_IN_PROGRESS))
        errors: Errors = {}
        for place, what in offsets.items():
            if self.owners.get(place) != member:
                self._oracle.fail(f"{member} commits {what.offset} in {place}, which it does not own")
            if len(what.note) > self.most_note_bytes:
                errors[place] = kafka_error(KafkaError.OFFSET_METADATA_TOO_LARGE)
                continue
            self._take_commit(member, place, what)
        return errors

    def _take_commit(self, member: str, place: Place, what: Committed) -> None:
        note = restore(what.note, identity=self.topic_ids[place[0]], committed=what.offset)
        above = " ".join(f"{first}-{end - 1}" for first, end in note.ranges)
        self._trace.note(
            "group", f"{member} commits {what.offset} in {place[0]}-{place[1]}, above it {above or 'none'}"
        )
        self.committed[place] = what
        if not note.is_foreign:
            self._oracle.committed(place, what.offset, note.ranges)
