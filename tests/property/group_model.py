"""A group in small: partitions, the coordinator that keeps its commits, and processes that own partitions for a while.

The processes run the connector's own membership, commits and assignments; in the place of Kafka's client they have a
few sets and numbers. Nothing here waits, and nothing happens unless a test says so.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final, TypeVar

from confluent_kafka import OFFSET_INVALID, KafkaError, KafkaException, TopicPartition

from connector.adapters.kafka_assignments import Assignments
from connector.adapters.kafka_first_sight import FirstSight
from connector.adapters.kafka_last_commit import commit_and_wait
from connector.adapters.kafka_starts import find_starts
from connector.commits import Commits
from connector.core.offsets import leave_out_restored, open_records
from connector.membership import Membership
from connector.ports import Slice
from tests.builders import FakeRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Sequence

    from connector.core.offsets import PartitionOffsets
    from connector.model import Record
    from connector.ports import Commit, Start

T = TypeVar("T")

TOPIC: Final = "xdm.web"
FAILED: Final = KafkaError(KafkaError.GROUP_AUTHORIZATION_FAILED)  # nothing tries again at once after this one
FENCED: Final = KafkaError(KafkaError.ILLEGAL_GENERATION)
TOO_LONG: Final = KafkaError(KafkaError.OFFSET_METADATA_TOO_LARGE)


class Answer(SimpleNamespace):
    """What becomes of a commit at the coordinator."""

    is_applied: bool
    error: KafkaError | None


OK: Final = Answer(is_applied=True, error=None)
NOT_DONE: Final = Answer(is_applied=False, error=FAILED)
ANSWER_LOST: Final = Answer(is_applied=True, error=FAILED)


@dataclass(frozen=True, slots=True)
class Committed:
    """A commit as the coordinator has it."""

    offset: int
    note: str
    noted: frozenset[int]  # what the note should say, by the books of the test


@dataclass(eq=False, slots=True)
class Partition:
    """One partition's records, and the group's commit."""

    number: int
    incarnation: int = 1  # of its topic
    records: set[int] = field(default_factory=set)
    earliest: int = 0
    end: int = 0
    commit: Committed | None = None
    holder: Term | None = None  # whose commits the coordinator takes
    done: set[int] = field(default_factory=set)  # records that need not be delivered any more

    @property
    def identity(self) -> str:
        """The id of its topic."""
        return f"topic-id-{self.incarnation}"

    def produce(self, gap: int, count: int) -> None:
        """Records come, perhaps above offsets that hold none."""
        first = self.end + gap
        self.records.update(range(first, first + count))
        self.end = first + count

    def take(self, commit: Committed, by: Term, answer: Answer, *, most_bytes: int) -> KafkaError | None:
        """Take a commit, if it is not refused; returns what the member hears."""
        if self.holder is not by:
            return FENCED
        if len(commit.note) > most_bytes:
            return TOO_LONG
        if answer.is_applied:
            self.commit = commit
        return answer.error


@dataclass(eq=False, slots=True)
class Term:
    """One assignment of a partition, as the books have it."""

    partition: Partition
    incarnation: int
    owner: PartitionOffsets
    left_out: set[int]  # records that settled before and are not to be handed over
    confirmed: int | None  # by the coordinator
    handed: set[int] = field(default_factory=set)  # to delivery
    settled: set[int] = field(default_factory=set)
    abandoned: int = 0
    sent: list[int] = field(default_factory=list)  # offsets of commits
    outdated_by: Committed | None = None  # a person's, after its end

    @property
    def known(self) -> set[int]:
        """What is settled here or was before."""
        return self.left_out | self.settled

    @property
    def above(self) -> frozenset[int]:
        """What a note has to say now."""
        return frozenset(offset for offset in self.known if offset >= (self.owner.watermark or 0))


class Deaf:
    """Takes every call and hears nothing."""

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_, **__: None


class Process:
    """One member: what `KafkaSource` does around the connector's own parts, without a thread and a client."""

    def __init__(self, partitions: Sequence[Partition], *, most_bytes: int) -> None:
        self._partitions = partitions
        self._most_bytes = most_bytes
        self._assignments = Assignments()
        deaf: Any = Deaf()
        self._commits = Commits(self, deaf, interval_s=0)  # type: ignore[arg-type] # what is used of a source
        route: Any = SimpleNamespace(reads=lambda _: True, gate=deaf, is_paused=False)
        self._membership = Membership(
            [route],
            self,  # type: ignore[arg-type] # what is used of a source
            commits=self._commits,
            telemetry=deaf,
            progress=deaf,
            revoke_timeout_s=0,
            monotonic_s=lambda: 0.0,
            flush=lambda: None,
        )
        self._membership.end_waits()
        self.terms: dict[int, Term] = {}  # by partition: as this process believes
        self.memories: dict[int, Term] = {}  # by partition: the last term that ended
        self.under_way: deque[list[tuple[Term, TopicPartition, Committed]]] = deque()

    # What the connector asks of its source

    def pause(self, _: Iterable[PartitionOffsets]) -> None:
        """Nothing is fetched here that could be paused."""

    def commit(self, commits: Sequence[Commit]) -> None:
        """Send a commit; it is answered later."""
        sent = self._send(self._assignments.begin_commit(commits))
        if sent:
            self.under_way.append(sent)

    def _send(self, targets: Sequence[TopicPartition]) -> list[tuple[Term, TopicPartition, Committed]]:
        sent = []
        for target in targets:
            term = self.terms[target.partition]
            term.sent.append(target.offset)
            sent.append((term, target, Committed(target.offset, target.metadata or "", term.above)))
        return sent

    # What happens to it

    def start_of(self, partition: Partition) -> Start:
        """Where a partition begins for whoever takes it now."""
        found = partition.commit
        answer = TopicPartition(TOPIC, partition.number, found.offset if found else OFFSET_INVALID)
        if found and found.note:
            answer = TopicPartition(TOPIC, partition.number, found.offset, found.note)
        consumer: Any = SimpleNamespace(committed=lambda *_, **__: [answer])
        ids = {TOPIC: partition.identity}
        [start] = find_starts(consumer, [answer], ids, FirstSight([], starts_at_latest=False), report=lambda _: None)
        return start

    def assign(self, partition: Partition, left_out: set[int]) -> Term:
        """Take a partition over."""
        start = self.start_of(partition)
        [owner] = _run(self._membership.assigned([start]))
        self._assignments.take(owner, start.offset)
        return self._begin(partition, owner, left_out, start.committed)

    def _begin(self, partition: Partition, owner: PartitionOffsets, left_out: set[int], at: int | None) -> Term:
        self.terms[partition.number] = term = Term(partition, partition.incarnation, owner, left_out, at)
        self.memories.pop(partition.number, None)
        return term

    def read(self, term: Term, count: int) -> Sequence[Record]:
        """Poll records of one partition; returns what is handed to delivery."""
        partition, owner = term.partition, term.owner
        self._assignments.begin_poll()
        position = max(self._assignments.position(owner).offset, 0)
        if position < partition.earliest and owner.next_offset is not None:
            self._reposition(term)
            position = partition.earliest
        found = sorted(offset for offset in partition.records if offset >= position)[:count]
        records: list[Record] = [FakeRecord(partition_number=partition.number, offset_number=at) for at in found]
        kept, again = self._assignments.hand_over([Slice(owner, records)] if records else [])
        assert not again
        fresh: Sequence[Record] = []
        for part in kept:
            fresh = open_records(part.owner, part.records)
            if part.owner.restored:
                fresh = leave_out_restored(part.owner, fresh)
        return fresh

    def _reposition(self, term: Term) -> None:
        """The next record is gone: go on at the first one that is there."""
        earliest = term.partition.earliest
        successor = _run(self._membership.repositioned(term.owner, earliest))
        assert successor is term.owner
        self._assignments.skip_to(successor, earliest)

    def recreated(self, term: Term) -> Term:
        """Hear that the topic was made anew; returns the term that begins by it."""
        partition = term.partition
        owner = _run(self._membership.recreated(term.owner, partition.identity))
        self._assignments.take(owner, None)
        after = self._begin(partition, owner, set(), None)
        if partition.holder is term:
            partition.holder = after
        return after

    def start_commits(self) -> None:
        """Commit what is due."""
        self._commits.start_if_due(self._membership.owners, 0.0)

    def hear(self, answer: Answer) -> None:
        """Let the coordinator answer the oldest commit under way."""
        for term, target, commit in self.under_way.popleft():
            self._hear(term, target, self._take(term, commit, answer))

    def _take(self, term: Term, commit: Committed, answer: Answer) -> KafkaError | None:
        error = term.partition.take(commit, term, answer, most_bytes=self._most_bytes)
        if error is None:
            term.confirmed = commit.offset
        return error

    def _hear(self, term: Term, target: TopicPartition, error: KafkaError | None) -> None:
        owner = self._assignments.end_commit(target)
        if owner is not None:
            assert owner is term.owner or owner.generation > term.owner.generation
            self._membership.commit_ended(owner, target.offset, error)

    def revoke(self, terms: Sequence[Term], answer: Answer) -> None:
        """Hand partitions on, with a last commit."""
        for term in terms:
            self._remember(term)
        commits = _run(self._membership.revoked([term.owner for term in terms]))
        targets = self._assignments.targets_of(commits)
        error, ended = commit_and_wait(self._client(self._send(targets), answer), targets)
        for target in ended:
            owner = self._assignments.owner(target.topic, target.partition)
            assert owner is self.terms[target.partition].owner
            self._membership.commit_ended(owner, target.offset, error or target.error)
        self._let_go(terms)

    def _client(self, sent: Sequence[tuple[Term, TopicPartition, Committed]], answer: Answer) -> Any:  # noqa: ANN401 - the one method that is used
        noted = {target.partition: (term, commit) for term, target, commit in sent}

        def commit(*, offsets: list[TopicPartition], asynchronous: bool) -> list[TopicPartition]:
            assert not asynchronous
            for target in offsets:
                term, books = noted[target.partition]
                books = Committed(target.offset, target.metadata or "", books.noted)
                error = self._take(term, books, answer)
                if error is not None:
                    raise KafkaException(error)
            return offsets

        return SimpleNamespace(commit=commit)

    def lose(self) -> None:
        """Notice that everything is lost."""
        terms = tuple(self.terms.values())
        for term in terms:
            self._remember(term)
        _run(self._membership.lost([term.owner for term in terms]))
        self._let_go(terms)

    def is_outdated(self, partition: Partition) -> bool:
        """Whether others went on from where a person had moved the offset since it was here: it does not see that."""
        memory = self.memories.get(partition.number)
        return memory is not None and memory.outdated_by not in (None, partition.commit)

    def vanish(self) -> None:
        """Be given up by the coordinator."""
        for term in self.terms.values():
            if term.partition.holder is term:
                term.partition.holder = None

    def _remember(self, term: Term) -> None:
        self.memories[term.partition.number] = term

    def _let_go(self, terms: Iterable[Term]) -> None:
        self._assignments.forget([TopicPartition(TOPIC, term.partition.number) for term in terms])
        for term in terms:
            del self.terms[term.partition.number]
            if term.partition.holder is term:
                term.partition.holder = None


def _run(work: Coroutine[Any, Any, T]) -> T:
    """The result of what does not wait."""
    try:
        work.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    raise AssertionError("it waits")
