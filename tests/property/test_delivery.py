"""Whatever is answered, and in whatever order: each event ends where it should, once, and on evidence."""

from __future__ import annotations

import asyncio
from math import ceil, log2
from typing import TYPE_CHECKING, Final

import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.builders import open_events
from tests.property.delivery_truth import (
    DOUBTFUL,
    NAMING,
    PASSING,
    POISON,
    REASONS,
    RESENT,
    UNNAMED,
    CountedOffsets,
    Evidence,
    HonestEdge,
    Interruption,
    Truth,
)
from tests.unit.delivery_scene import UNEXPECTED_TRIES, Scene, accepted, problem, status
from tests.virtual_time import run_virtually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from random import Random

    from connector.core.codes import NoAnswer
    from connector.core.verdict import Answer
    from connector.model import Event
    from tests.unit.delivery_scene import Sent

_MOST_EVENTS: Final = 40
_COMPANIONS: Final = 3_000  # more than any search needs; what then is still open, is so for good


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    with structlog.testing.capture_logs():
        yield


_sizes = st.lists(st.integers(1, 12), min_size=1, max_size=5)
_bad = st.dictionaries(
    st.integers(0, _MOST_EVENTS), st.sampled_from([Truth.NAMED, Truth.UNNAMED, Truth.POISON]), max_size=6
)
_interruption = st.builds(
    Interruption, answer=st.one_of(st.none(), st.none(), st.sampled_from(PASSING)), is_late=st.booleans()
)
_resending = st.builds(Interruption, answer=st.none() | st.sampled_from(RESENT), is_late=st.booleans())
_jitter = st.randoms(use_true_random=False)


def _too_few_to_blame(interruptions: Sequence[Interruption]) -> list[Interruption]:
    """The same without those that, met by one event alone, would be evidence against it."""
    left = UNEXPECTED_TRIES
    kept = []
    for met in interruptions:
        left -= met.answer in DOUBTFUL
        kept.append(met if left >= 0 or met.answer not in DOUBTFUL else Interruption(answer=None))
    return kept


def _batches(events: Sequence[Event], sizes: Sequence[int]) -> list[Sequence[Event]]:
    starts = [sum(sizes[:number]) for number in range(len(sizes))]
    return [events[start : start + size] for start, size in zip(starts, sizes, strict=True)]


async def _deliver(scene: Scene, owner: CountedOffsets, sizes: Sequence[int]) -> None:
    """Deliver batches side by side, and good companions one after the other until those have their verdicts."""
    batches = _batches(open_events(owner, range(sum(sizes))), sizes)
    work = asyncio.gather(*(scene.deliver(batch) for batch in batches))
    others = CountedOffsets()
    for number in range(1_000_000, 1_000_000 + _COMPANIONS):
        if work.done():
            break
        await scene.deliver(open_events(others, [number]))
        await asyncio.sleep(0.5)
    assert work.done(), "an event has no verdict although thousands of others got through"
    await work


def _check_settled_once(owner: CountedOffsets, count: int) -> None:
    assert owner.times_settled == dict.fromkeys(range(count), 1)
    assert owner.watermark == count


@settings(max_examples=200, deadline=None)
@given(
    sizes=_sizes,
    bad=_bad,
    interruptions=st.lists(_interruption, max_size=40),
    checks_first=st.sampled_from(Truth),
    jitter=_jitter,
)
def test_the_truth_comes_out(
    sizes: list[int], bad: dict[int, Truth], interruptions: list[Interruption], checks_first: Truth, jitter: Random
) -> None:
    """Whatever passing fault comes wherever, also within a search: the bad are dead-lettered, each with its reason."""

    async def main() -> None:
        count = sum(sizes)
        truth = {offset: kind for offset, kind in bad.items() if offset < count}
        edge = HonestEdge(truth, _too_few_to_blame(interruptions), checks_first=checks_first)
        scene, owner = Scene(edge, jitter=jitter.random, most=4), CountedOffsets()
        await _deliver(scene, owner, sizes)
        reasons = {offset: letter.reason for offset, letter in scene.dead_letters.written.items()}
        assert reasons == {offset: REASONS[kind] for offset, kind in truth.items()}
        assert {offset for offset in edge.taken if offset < count} == set(range(count)) - set(truth)
        if not any(met.is_late for met in interruptions):
            assert len(edge.taken) == len(set(edge.taken))
        _check_settled_once(owner, count)
        assert scene.gate.hold is None

    run_virtually(main())


@settings(max_examples=200, deadline=None)
@given(
    sizes=_sizes,
    bad=st.sets(st.integers(0, _MOST_EVENTS), max_size=6),
    kind=st.sampled_from([Truth.NAMED, Truth.UNNAMED]),
    interruptions=st.lists(_resending, max_size=30),
    jitter=_jitter,
)
def test_a_search_stays_within_its_requests(
    sizes: list[int], bad: set[int], kind: Truth, interruptions: list[Interruption], jitter: Random
) -> None:
    """Beside its resends, a batch takes no more requests than its search promises, whatever interrupts it."""

    async def main() -> None:
        edge = HonestEdge(dict.fromkeys(bad, kind), interruptions, checks_first=kind)
        scene, owner = Scene(edge, jitter=jitter.random, most=4), CountedOffsets()
        batches = _batches(open_events(owner, range(sum(sizes))), sizes)
        await scene.deliver_all(batches)
        for batch in batches:
            offsets = {event.offset for event in batch}
            requests = {sent.request_id for sent in scene.edge.sent if not offsets.isdisjoint(sent.offsets)}
            assert len(requests) <= 1 + _bound(len(batch), len(offsets & bad), kind)

    run_virtually(main())


def _bound(size: int, bad: int, kind: Truth) -> int:
    """The most requests after the first one."""
    if bad == 0:
        return 0
    if kind is Truth.NAMED:
        return int(bad < size)
    most = ceil(log2(size)) + 1 if bad == 1 else 2 * bad * ceil(log2(size))
    return min(most, 2 * size - 1)


_ANYTHING: Final = (
    *PASSING,
    accepted(),
    problem(UNNAMED),
    problem(POISON),
    problem("0112-413"),
    status(413),
    status(500),
    *(problem(NAMING, f"event(s) #{place}") for place in range(4)),
    problem(NAMING, "event(s) #0, #2"),
    problem(NAMING, "somewhere"),
)


def _in_turn(answers: Sequence[Answer | NoAnswer]) -> Callable[[Sent], Answer | NoAnswer]:
    left = list(answers)
    return lambda _: left.pop(0) if left else accepted()


@settings(max_examples=300, deadline=None)
@given(
    sizes=_sizes,
    answers=st.lists(st.tuples(st.sampled_from(_ANYTHING), st.sampled_from([1, 1, 1, 2, 3, 9])), max_size=40),
    jitter=_jitter,
    most=st.integers(1, 5),
)
def test_nobody_is_given_up_without_evidence(
    sizes: list[int], answers: list[tuple[Answer | NoAnswer, int]], jitter: Random, most: int
) -> None:
    """An endpoint that answers at random: who is dead-lettered was named or isolated, who is settled was accepted."""

    async def main() -> None:
        evidence = Evidence(_in_turn([answer for answer, times in answers for _ in range(times)]))
        scene, owner = Scene(evidence, jitter=jitter.random, most=most), CountedOffsets()
        await _deliver(scene, owner, sizes)
        dead = set(scene.dead_letters.written)
        for offset in range(sum(sizes)):
            assert evidence.is_against(offset) if offset in dead else evidence.was_accepted(offset)
        _check_settled_once(owner, sum(sizes))
        assert scene.gate.hold is None

    run_virtually(main())


@settings(max_examples=200, deadline=None)
@given(
    outages=st.lists(
        st.tuples(st.integers(0, 300), st.integers(1, 120), st.sampled_from(PASSING)), min_size=1, max_size=3
    ),
    unexpected=st.none() | st.tuples(st.integers(0, 300), st.integers(1, 600)),
    sizes=st.lists(st.integers(1, 8), min_size=1, max_size=60),
    share=st.sampled_from([1.0, 1.0, 0.5]),
    jitter=_jitter,
)
def test_an_outage_is_no_poison(
    outages: list[tuple[int, int, Answer | NoAnswer]],
    unexpected: tuple[int, int] | None,
    sizes: list[int],
    share: float,
    jitter: Random,
) -> None:
    """A stream of good batches through outages of every kind, 500 for everybody among them: all of it is accepted."""

    def script(sent: Sent) -> Answer | NoAnswer:
        if unexpected and unexpected[0] <= sent.at < unexpected[0] + unexpected[1]:
            return problem(POISON)
        for start, seconds, answer in outages:
            if start <= sent.at < start + seconds and jitter.random() < share:
                return answer
        return accepted()

    async def main() -> None:
        scene, owner = Scene(script, jitter=jitter.random, most=8), CountedOffsets()
        work = []
        for batch in _batches(open_events(owner, range(sum(sizes))), sizes):
            work.append(scene.start(batch))
            await asyncio.sleep(5)
        await asyncio.gather(*work)
        assert scene.dead_letters.written == {}
        assert set(scene.edge.accepted) == set(range(sum(sizes)))
        _check_settled_once(owner, sum(sizes))

    run_virtually(main())
