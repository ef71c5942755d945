"""Whatever befalls a group, no record is passed over, and what is known to be settled is not delivered again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from connector.core.offsets import runs
from connector.model import offset_of
from tests.builders import event_at
from tests.property.group_model import ANSWER_LOST, NOT_DONE, OK, Answer, Committed, Partition, Process, Term

if TYPE_CHECKING:
    from collections.abc import Sequence

_PARTITIONS: Final = 2
_ANY: Final = st.integers(0, 10**6)
_ANSWERS: Final = st.sampled_from([OK, OK, NOT_DONE, ANSWER_LOST])


class GroupMachine(RuleBasedStateMachine):
    """Two processes and two partitions; the books are plain sets of offsets."""

    @initialize(most_bytes=st.sampled_from([4096, 4096, 36]))
    def begin(self, most_bytes: int) -> None:
        """A coordinator that takes notes of some length."""
        self.most_bytes = most_bytes
        self.partitions = [Partition(number) for number in range(_PARTITIONS)]
        self.processes = [self._process(), self._process()]
        self.terms: list[Term] = []  # all there ever were

    def _process(self) -> Process:
        return Process(self.partitions, most_bytes=self.most_bytes)

    @property
    def live(self) -> list[tuple[Process, Term]]:
        """The assignments that are not over, as their processes believe."""
        return [(process, term) for process in self.processes for term in process.terms.values()]

    # Few rules with much in each, because a run leaves some of them out altogether.

    @rule(which=_ANY, number=_ANY, gap=st.sampled_from([0, 0, 1, 3]), count=st.integers(1, 9))
    def read(self, which: int, number: int, gap: int, count: int) -> None:
        """A process polls a partition, takes it over if nobody has it; what settled before is left out."""
        process, partition = self.processes[which % 2], self.partitions[number % _PARTITIONS]
        if partition.number not in process.terms:
            if partition.holder is not None or process.is_outdated(partition):
                return
            self._assign(process, partition)
        term = process.terms[partition.number]
        if term.incarnation != partition.incarnation:
            term = process.recreated(term)
            self.terms.append(term)
        if which % 3:
            partition.produce(gap, count)
        fresh = {offset_of(record) for record in process.read(term, count)}
        assert not fresh & term.handed, "it was handed over before"
        assert not fresh & term.left_out, "it is known to be settled"
        term.handed |= fresh

    @precondition(lambda self: any(term.handed for term in self.terms))
    @rule(which=_ANY, chosen=st.integers(0, 2**16), is_late=st.booleans())
    def settle(self, which: int, chosen: int, is_late: bool) -> None:
        """Verdicts come in any order, also for an assignment that is over: then they change nothing."""
        terms = [term for term in self.terms if term.handed and (is_late or not term.owner.is_closed)]
        if not terms:
            return
        term = terms[which % len(terms)]
        candidates = sorted(term.handed - term.settled) or sorted(term.handed)
        offsets = [offset for place, offset in enumerate(candidates) if chosen >> place % 16 & 1]
        before = self._positions()
        for owner, first, end in runs(event_at(term.owner, offset) for offset in offsets):
            assert owner.settle(first, end) is not owner.is_closed
        if term.owner.is_closed:
            assert self._positions() == before
            return
        term.settled.update(offsets)
        if term.incarnation == term.partition.incarnation:
            term.partition.done.update(offsets)
        if term.handed - term.settled and which % 5 == 0:
            term.owner.abandon(1)
            term.abandoned += 1

    @precondition(lambda self: self.live)
    @rule(which=_ANY, answers=st.lists(_ANSWERS, max_size=2))
    def commit(self, which: int, answers: list[Answer]) -> None:
        """A process commits what is due; the coordinator answers this or an earlier commit, now or later."""
        process, _ = self.live[which % len(self.live)]
        process.start_commits()
        for answer in answers:
            if process.under_way:
                process.hear(answer)

    def _assign(self, process: Process, partition: Partition) -> None:
        left_out = self._left_out(process, partition)
        term = process.assign(partition, left_out)
        partition.holder = term
        self.terms.append(term)
        assert left_out <= partition.done
        restored = {offset for first, end in term.owner.restored for offset in range(first, end)}
        assert restored & partition.records == left_out

    def _left_out(self, process: Process, partition: Partition) -> set[int]:
        """The records that need not be delivered again by this process, as the books have it."""
        commit, memory = partition.commit, process.memories.get(partition.number)
        is_ours = commit is not None and (not commit.note or f" {partition.identity} " in commit.note[4:])
        start = commit.offset if commit is not None and is_ours else 0
        known: set[int] = set()
        if commit is not None and is_ours and not commit.note.endswith(" ") and commit.note:
            known |= commit.noted
        if memory is not None and memory.incarnation == partition.incarnation:
            committed = commit.offset if commit is not None and is_ours else -1
            if committed >= (-1 if memory.confirmed is None else memory.confirmed):
                known |= memory.known
        return {offset for offset in known & partition.records if offset >= start}

    @precondition(lambda self: any(partition.holder for partition in self.partitions))
    @rule(which=_ANY, is_all=st.booleans(), answer=_ANSWERS)
    def revoke(self, which: int, is_all: bool, answer: Answer) -> None:
        """A process hands on one or all of its partitions in order."""
        held = [(process, term) for process, term in self.live if term.partition.holder is term]
        process, term = held[which % len(held)]
        process.revoke([other for owner, other in held if owner is process] if is_all else [term], answer)

    @precondition(lambda self: self.live)
    @rule(which=_ANY, is_told=st.booleans(), answer=_ANSWERS)
    def expire(self, which: int, is_told: bool, answer: Answer) -> None:
        """The coordinator gives a process up, which hears of it sooner or later, or of an earlier commit first."""
        process, _ = self.live[which % len(self.live)]
        process.vanish()
        if is_told:
            process.lose()
        elif process.under_way:
            process.hear(answer)

    @rule(
        number=st.integers(0, _PARTITIONS - 1),
        what=st.sampled_from(["", "", "crash", "rewind", "recreate", "trim"]),
        at=_ANY,
    )
    def befall(self, number: int, what: str, at: int) -> None:
        """Something happens to a process, the group's offset, or a topic; mostly nothing."""
        partition = self.partitions[number]
        match what:
            case "crash":
                self._crash(number % 2)
            case "rewind":
                self._rewind(partition, at % (partition.end + 1))
            case "recreate":
                self._recreate(partition, keeps_commit=at % 3 > 0)
            case "trim":
                self._trim(partition, at % 3)
            case _:
                pass

    def _crash(self, which: int) -> None:
        """A process ends at once, and another one comes in its place."""
        process = self.processes[which]
        process.vanish()
        self.terms = [term for term in self.terms if term not in process.terms.values()]
        self.processes[which] = self._process()

    def _rewind(self, partition: Partition, to: int) -> None:
        """A person moves the offset of a group that nobody is in: what lies above is wanted once more."""
        if partition.holder or any(partition.number in process.terms for process in self.processes):
            return
        found = [process.memories.get(partition.number) for process in self.processes]
        memories = [memory for memory in found if memory is not None]
        if any(memory.confirmed is None or memory.confirmed <= to for memory in memories):
            return  # it is not seen that a person was there
        partition.commit = Committed(to, "", frozenset())
        for memory in memories:
            memory.outdated_by = memory.outdated_by or partition.commit
        partition.done = {offset for offset in partition.records if offset < to}

    def _recreate(self, partition: Partition, *, keeps_commit: bool) -> None:
        """The topic is deleted and made anew; the group's commit goes with it, or comes back from a late member."""
        if not self._has_only_notes(partition):
            return
        partition.incarnation += 1
        partition.records, partition.done = set(), set()
        partition.earliest = partition.end = 0
        if not keeps_commit:
            partition.commit = None

    def _trim(self, partition: Partition, count: int) -> None:
        """Retention takes the oldest records away."""
        if any(term.owner.next_offset is None for _, term in self.live if term.partition is partition):
            return
        partition.earliest = min(partition.end, partition.earliest + count)
        partition.records = {offset for offset in partition.records if offset >= partition.earliest}

    def _has_only_notes(self, partition: Partition) -> bool:
        """Whether each commit that is there or may come says for which topic it is."""
        commits = [partition.commit] if partition.commit else []
        for process in self.processes:
            commits += [commit for sent in process.under_way for term, _, commit in sent if term.partition is partition]
        takes_notes = all(term.owner.takes_notes for _, term in self.live if term.partition is partition)
        return takes_notes and all(commit.note for commit in commits) and self.most_bytes == 4096

    # What always holds

    @invariant()
    def a_successor_misses_nothing(self) -> None:
        """What whoever comes next would neither read nor deliver was settled."""
        for partition in self.partitions:
            start = self.processes[0].start_of(partition)
            skipped = set(range(start.offset or 0))
            skipped.update(offset for first, end in start.settled for offset in range(first, end))
            assert skipped & partition.records <= partition.done

    @invariant()
    def the_watermark_waits(self) -> None:
        """It is not above what is open, and what is open is what was handed over and not settled."""
        for term in self.terms:
            left = term.handed - term.settled
            watermark = term.owner.watermark
            assert watermark is not None or not left
            assert watermark is None or watermark <= min(left, default=watermark)
            assert term.owner.open_count == len(left)
            assert term.owner.under_way_count == max(0, len(left) - term.abandoned)

    @invariant()
    def commits_go_up(self) -> None:
        """Under one assignment no commit lies below an earlier one, and none comes after its end."""
        for term in self.terms:
            assert term.sent == sorted(term.sent)

    def _positions(self) -> Sequence[object]:
        return [(term.owner.watermark, term.owner.settled_ranges, term.owner.committable) for term in self.terms]


TestGroup = GroupMachine.TestCase
TestGroup.settings = settings(max_examples=150, stateful_step_count=50, deadline=None)
