"""The search through a refused batch finds exactly the events at fault, and blames nobody on a whim."""

from __future__ import annotations

from math import ceil, log2

from hypothesis import given, settings
from hypothesis import strategies as st

from connector.core.isolation import Fate, Group, Named, Outcome
from tests.unit.isolation_search import Search, refusing, search


@st.composite
def _batches(draw: st.DrawFn) -> tuple[int, set[int]]:
    count = draw(st.integers(1, 120))
    bad = draw(st.one_of(st.sets(st.integers(0, count - 1), max_size=6), st.sets(st.integers(0, count - 1))))
    return count, bad


@settings(max_examples=300, deadline=None)
@given(batch=_batches(), kinds=st.lists(st.sampled_from(["refused", "named", "failed"]), min_size=120, max_size=120))
def test_finds_exactly_the_events_at_fault(batch: tuple[int, set[int]], kinds: list[str]) -> None:
    """Whatever mixture of named, unnamed and failed answers: the bad ones are found, the others accepted once.

    What makes requests fail is no more than suspected, together with at most two mates each.
    """
    count, bad = batch
    failing = {position for position in bad if kinds[position] == "failed"}

    def answer(group: Group) -> Outcome:
        guilty = [position for position in group if position in bad]
        named = frozenset(group.index(position) for position in guilty if kinds[position] == "named")
        if named:
            return Named(named)
        if any(kinds[position] == "failed" for position in guilty):
            return Fate.FAILED
        return Fate.REFUSED if guilty else Fate.ACCEPTED

    found = search(count, answer)
    if count == 1:
        assert found.at_fault == sorted(bad)
        return
    assert sorted([*found.at_fault, *found.suspects, *found.accepted]) == list(range(count))
    assert set(found.at_fault) == bad - set(found.suspects)
    assert failing <= set(found.suspects)
    assert len(found.suspects) <= 3 * len(failing)


@settings(max_examples=300, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 12), min_size=1, max_size=60),
    bad=st.sets(st.integers(0, 59), max_size=6),
    most=st.tuples(st.integers(1, 60), st.integers(1, 80)),
    names=st.booleans(),
)
def test_halves_what_is_too_large(sizes: list[int], bad: set[int], most: tuple[int, int], names: bool) -> None:
    """Too many events or bytes are sent in halves: only what is too large alone, or bad, is at fault."""
    most_events, most_bytes = most

    def answer(group: Group) -> Outcome:
        if len(group) > most_events or sum(sizes[position] for position in group) > most_bytes:
            return Fate.TOO_LARGE
        guilty = [place for place, position in enumerate(group) if position in bad]
        if not guilty:
            return Fate.ACCEPTED
        return Named(frozenset(guilty)) if names else Fate.REFUSED

    found = search(len(sizes), answer)
    too_large = {position for position, size in enumerate(sizes) if size > most_bytes}
    expected = too_large | {position for position in bad if position < len(sizes)}
    assert sorted(found.at_fault) == sorted(expected)
    assert sorted(found.accepted) == sorted(set(range(len(sizes))) - expected)


@settings(max_examples=400, deadline=None)
@given(count=st.integers(1, 40), data=st.data())
def test_blames_nobody_on_a_whim(count: int, data: st.DataObject) -> None:
    """An endpoint that refuses at random never makes an event at fault without the evidence that is promised."""
    drawn = st.sampled_from([*Fate, "named"])

    def answer(group: Group) -> Outcome:
        kind = data.draw(drawn)
        if kind is Fate.APART and len(group) == 1:
            return Fate.ACCEPTED
        if isinstance(kind, Fate):
            return kind
        return Named(data.draw(st.frozensets(st.integers(0, len(group) - 1), min_size=1)))

    found = search(count, answer)
    gone = {position for group, outcome in found.sent if outcome is Fate.GONE for position in group}
    assert len(set(found.at_fault)) == len(found.at_fault)
    assert not set(found.at_fault) & set(found.accepted)
    assert set(found.at_fault) | set(found.accepted) | set(found.suspects) | gone == set(range(count))
    assert not set(found.suspects) & (set(found.at_fault) | set(found.accepted))
    for position in found.at_fault:
        was_alone = any(
            group == (position,) and outcome in {Fate.REFUSED, Fate.TOO_LARGE, *([Fate.FAILED] if count == 1 else [])}
            for group, outcome in found.sent
        )
        assert found.was_named(position) or was_alone or _is_eliminated(found, position)


def _is_eliminated(found: Search, position: int) -> bool:
    """Whether two refused requests held the event, and all others of the smaller one were accepted."""
    refusals = found.refusals_of(position)
    if len(refusals) < 2:
        return False
    fewest = min(len(group) for group in refusals)
    smallest = next(group for group in refusals if len(group) == fewest)
    return set(smallest) - {position} <= set(found.accepted)


@settings(max_examples=200, deadline=None)
@given(count=st.integers(2, 120), whim=st.integers(0, 8))
def test_one_refusal_out_of_the_blue_blames_nobody(count: int, whim: int) -> None:
    """One whim of a gateway, at whichever request of a search, leaves every good event accepted."""
    requests = 0

    def answer(group: Group) -> Outcome:
        nonlocal requests
        requests += 1
        return Fate.REFUSED if requests == whim and len(group) > 1 else Fate.ACCEPTED

    found = search(count, answer)
    assert found.at_fault == []
    assert sorted(found.accepted) == list(range(count))


@settings(max_examples=300, deadline=None)
@given(batch=_batches(), given_up=st.sets(st.integers(0, 119)), step=st.integers(0, 6))
def test_what_was_given_up_puts_no_blame_on_others(batch: tuple[int, set[int]], given_up: set[int], step: int) -> None:
    """Events that are given up in the middle of the search, bad ones among them, never cost a good one."""
    count, bad = batch
    requests = 0

    def answer(group: Group) -> Outcome:
        nonlocal requests
        requests += 1
        sent = [position for position in group if requests <= step or position not in given_up]
        if not bad.isdisjoint(sent):
            return Fate.REFUSED
        return Fate.ACCEPTED if len(sent) == len(group) else Fate.GONE

    found = search(count, answer)
    assert set(found.at_fault) <= bad
    assert bad - given_up <= set(found.at_fault)


@settings(max_examples=300, deadline=None)
@given(count=st.integers(1, 1000), data=st.data())
def test_one_bad_event_is_cheap(count: int, data: st.DataObject) -> None:
    """One bad event of n costs at most ceil(log2 n) + 1 requests after the first refusal."""
    bad = data.draw(st.integers(0, count - 1))
    assert search(count, refusing({bad})).requests_after_the_first <= ceil(log2(count)) + 1


@settings(max_examples=400, deadline=None)
@given(batch=_batches())
def test_many_bad_events_cost_a_bounded_number_of_requests(batch: tuple[int, set[int]]) -> None:
    """k bad events of n cost at most 2k * ceil(log2 n) requests after the first refusal, and never over 2n - 1."""
    count, bad = batch
    requests = search(count, refusing(bad)).requests_after_the_first
    assert requests <= 2 * count - 1
    if bad and count > 1:
        assert requests <= 2 * len(bad) * ceil(log2(count))
