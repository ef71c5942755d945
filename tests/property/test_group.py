"""Whatever befalls a group, no record is passed over, and what is known to be settled is not delivered again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hypothesis import assume, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

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

    # Records, their delivery and their verdicts

    @rule(number=st.integers(0, _PARTITIONS - 1), gap=st.sampled_from([0, 0, 1, 3]), count=st.integers(1, 8))
    def produce(self, number: int, gap: int, count: int) -> None:
        """Records come, perhaps above offsets that hold none."""
        partition = self.partitions[number]
        first = partition.end + gap
        partition.records.update(range(first, first + count))
        partition.end = first + count

    @rule(which=_ANY, count=st.integers(1, 12))
    def read(self, which: int, count: int) -> None:
        """A process polls: what settled before is left out, and nothing else."""
        process, term = self._pick(which)
        if term.incarnation != term.partition.incarnation:
            term = process.recreated(term)
            self.terms.append(term)
        before = set(term.handed)
        fresh = {offset_of(record) for record in process.read(term, count)}
        assert not fresh & before, "it was handed over before"
        assert not fresh & term.left_out, "it is known to be settled"
        term.handed |= fresh

    @rule(which=_ANY, data=st.data())
    def settle(self, which: int, data: st.DataObject) -> None:
        """Verdicts come in any order, also for an assignment that is over: then they change nothing."""
        terms = [term for term in self.terms if term.handed]
        assume(terms)
        term = terms[which % len(terms)]
        offsets = data.draw(st.lists(st.sampled_from(sorted(term.handed)), max_size=8))
        before = self._positions()
        for owner, first, end in runs(event_at(term.owner, offset) for offset in offsets):
            assert owner.settle(first, end) is not owner.is_closed
        if term.owner.is_closed:
            assert self._positions() == before
            return
        term.settled.update(offsets)
        if term.incarnation == term.partition.incarnation:
            term.partition.done.update(offsets)

    @rule(which=_ANY, count=st.integers(1, 3))
    def abandon(self, which: int, count: int) -> None:
        """Open records are given up."""
        _, term = self._pick(which)
        assume(len(term.handed - term.settled) - term.abandoned >= count)
        term.owner.abandon(count)
        term.abandoned += count

    # Commits

    @rule(which=st.integers(0, 1))
    def commit(self, which: int) -> None:
        """A process commits what is due."""
        self.processes[which].start_commits()

    @rule(which=st.integers(0, 1), answer=_ANSWERS)
    def answer(self, which: int, answer: Answer) -> None:
        """The coordinator takes a commit or not, and its answer gets through or not."""
        assume(self.processes[which].under_way)
        self.processes[which].hear(answer)

    # Assignments

    @rule(which=st.integers(0, 1), number=st.integers(0, _PARTITIONS - 1))
    def assign(self, which: int, number: int) -> None:
        """A process takes over a partition that nobody owns, as far as the coordinator knows."""
        process, partition = self.processes[which], self.partitions[number]
        assume(partition.holder is None and number not in process.terms)
        left_out = self._left_out(process, partition)
        term = process.assign(partition, left_out)
        partition.holder = term
        self.terms.append(term)
        assert left_out <= partition.done
        self._assert_left_out(term)

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

    def _assert_left_out(self, term: Term) -> None:
        restored = {offset for first, end in term.owner.restored for offset in range(first, end)}
        assert restored & term.partition.records == term.left_out

    @rule(which=_ANY, is_all=st.booleans(), answer=_ANSWERS)
    def revoke(self, which: int, is_all: bool, answer: Answer) -> None:
        """A process hands on one or all of its partitions in order."""
        process, term = self._pick(which)
        held = [each for each in process.terms.values() if each.partition.holder is each]
        assume(term in held)
        process.revoke(held if is_all else [term], answer)

    @rule(which=st.integers(0, 1))
    def expire(self, which: int) -> None:
        """The coordinator gives a process up, which does not know yet."""
        for term in self.processes[which].terms.values():
            if term.partition.holder is term:
                term.partition.holder = None

    @rule(which=st.integers(0, 1))
    def lose(self, which: int) -> None:
        """A process notices that it was given up."""
        process = self.processes[which]
        assume(process.terms and all(term.partition.holder is not term for term in process.terms.values()))
        process.lose()

    @rule(which=st.integers(0, 1))
    def crash(self, which: int) -> None:
        """A process ends at once, and another one comes in its place."""
        self.expire(which)
        self.terms = [term for term in self.terms if term not in self.processes[which].terms.values()]
        self.processes[which] = self._process()

    # What people and retention do

    @rule(number=st.integers(0, _PARTITIONS - 1), data=st.data())
    def rewind(self, number: int, data: st.DataObject) -> None:
        """A person moves the offset of a group that nobody is in: what lies above is wanted once more."""
        partition = self.partitions[number]
        assume(partition.holder is None and partition.end)
        assume(all(number not in process.terms and number not in process.memories for process in self.processes))
        to = data.draw(st.integers(0, partition.end))
        partition.commit = Committed(to, "", frozenset())
        partition.done = {offset for offset in partition.records if offset < to}

    @rule(number=st.integers(0, _PARTITIONS - 1), keeps_commit=st.booleans())
    def recreate(self, number: int, keeps_commit: bool) -> None:
        """The topic is deleted and made anew; the group's commit goes with it, or comes back from a late member."""
        partition = self.partitions[number]
        assume(self._has_only_notes(partition))
        partition.incarnation += 1
        partition.records, partition.done = set(), set()
        partition.earliest = partition.end = 0
        if not keeps_commit:
            partition.commit = None

    def _has_only_notes(self, partition: Partition) -> bool:
        """Whether each commit that is there or may come says for which topic it is."""
        commits = [partition.commit] if partition.commit else []
        for process in self.processes:
            commits += [commit for sent in process.under_way for term, _, commit in sent if term.partition is partition]
        takes_notes = all(term.owner.takes_notes for _, term in self.live if term.partition is partition)
        return takes_notes and all(commit.note for commit in commits) and self.most_bytes == 4096

    @rule(number=st.integers(0, _PARTITIONS - 1), data=st.data())
    def trim(self, number: int, data: st.DataObject) -> None:
        """Retention takes the oldest records away."""
        partition = self.partitions[number]
        assume(not any(term.owner.next_offset is None for _, term in self.live if term.partition is partition))
        partition.earliest = data.draw(st.integers(partition.earliest, partition.end))
        partition.records = {offset for offset in partition.records if offset >= partition.earliest}

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

    def _pick(self, which: int) -> tuple[Process, Term]:
        live = self.live
        assume(live)
        return live[which % len(live)]

    def _positions(self) -> Sequence[object]:
        return [(term.owner.watermark, term.owner.settled_ranges, term.owner.committable) for term in self.terms]


TestGroup = GroupMachine.TestCase
TestGroup.settings = settings(max_examples=150, stateful_step_count=50, deadline=None)
