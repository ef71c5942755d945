"""The searches that everybody meets, step by step; `tests/property/test_isolation.py` has all the others."""

from __future__ import annotations

from math import ceil, log2

import pytest

from connector.core.isolation import Fate, Group, Isolation, Named, Outcome
from tests.unit.isolation_search import refusing, search


def _steps(count: int, outcomes: list[Outcome]) -> tuple[list[Group], list[int]]:
    """The groups that a search sends when it is answered with these outcomes, and whom it finds."""
    isolation = Isolation()
    steps = isolation.steps(count)
    groups = [next(steps)]
    for outcome in outcomes:
        try:
            groups.append(steps.send(outcome))
        except StopIteration:
            break
    return groups, isolation.at_fault


def test_an_accepted_batch_is_sent_once() -> None:
    """Without a refusal there is nothing to search."""
    assert _steps(5, [Fate.ACCEPTED]) == ([(0, 1, 2, 3, 4)], [])


def test_an_empty_batch_is_not_sent() -> None:
    """Nothing to send is nothing sent."""
    assert search(0, refusing(set())).sent == []


def test_one_bad_event_of_97_costs_eight_requests_at_most() -> None:
    """The promise for a batch of typical size: seven halvings, and one request for all the rest."""
    assert max(search(97, refusing({bad})).requests_after_the_first for bad in range(97)) == 8


@pytest.mark.parametrize("count", [2, 3, 64, 97, 100, 1000])
def test_a_batch_of_bad_events_costs_less_than_two_requests_each(count: int) -> None:
    """All n bad: 2n - 1 requests after the first refusal at most, and all of them are found."""
    found = search(count, refusing(set(range(count))))
    assert found.requests_after_the_first <= 2 * count - 1
    assert sorted(found.at_fault) == list(range(count))


@pytest.mark.parametrize("count", range(1, 11))
def test_every_set_of_bad_events_is_found_exactly(count: int) -> None:
    """All sets of bad events of small batches, without exception: found exactly, the others accepted exactly once."""
    for bits in range(2**count):
        bad = {position for position in range(count) if bits >> position & 1}
        found = search(count, refusing(bad))
        assert sorted(found.at_fault) == sorted(bad)
        assert sorted(found.accepted) == sorted(set(range(count)) - bad)
        if bad and count > 1:
            assert found.requests_after_the_first <= min(2 * count - 1, 2 * len(bad) * ceil(log2(count)))


def test_named_events_cost_one_more_request() -> None:
    """The named ones are at fault by their place in the group, and the others go again together."""
    groups, at_fault = _steps(5, [Named(frozenset({1, 3})), Fate.ACCEPTED])
    assert groups == [(0, 1, 2, 3, 4), (0, 2, 4)]
    assert at_fault == [1, 3]


def test_places_are_counted_in_the_group_that_was_sent() -> None:
    """A place named in a later, smaller request is an event of that request."""
    groups, at_fault = _steps(5, [Named(frozenset({0})), Named(frozenset({0})), Fate.ACCEPTED])
    assert groups == [(0, 1, 2, 3, 4), (1, 2, 3, 4), (2, 3, 4)]
    assert at_fault == [0, 1]


def test_one_refusal_is_not_enough_to_blame_by_elimination() -> None:
    """Of two, the first is accepted: the second is sent alone before it is blamed."""
    groups, at_fault = _steps(2, [Fate.REFUSED, Fate.ACCEPTED, Fate.ACCEPTED])
    assert groups == [(0, 1), (0,), (1,)]
    assert at_fault == []


def test_two_refusals_and_accepted_mates_are_enough() -> None:
    """Refused twice while everybody else of the smaller request is accepted: no further request is spent."""
    groups, at_fault = _steps(4, [Fate.REFUSED, Fate.REFUSED, Fate.ACCEPTED, Fate.ACCEPTED])
    assert groups == [(0, 1, 2, 3), (0, 1), (0,), (2, 3)]
    assert at_fault == [1]


def test_unexpected_failures_prove_nothing_by_elimination() -> None:
    """After a 500 among the answers only an event that fails alone is at fault."""
    groups, at_fault = _steps(4, [Fate.FAILED, Fate.REFUSED, Fate.ACCEPTED, Fate.ACCEPTED, Fate.ACCEPTED])
    assert groups == [(0, 1, 2, 3), (0, 1), (0,), (1,), (2, 3)]
    assert at_fault == []


def test_what_only_fails_is_narrowed_down_to_suspects() -> None:
    """A group that fails is halved, its mates go ahead, and the last ones are left to be sent alone."""
    found = search(4, lambda group: Fate.FAILED if 1 in group else Fate.ACCEPTED)
    assert [group for group, _ in found.sent] == [(0, 1, 2, 3), (0, 1), (2, 3)]
    assert (found.suspects, found.at_fault) == ([1, 0], [])


def test_a_batch_of_one_that_fails_is_at_fault() -> None:
    """With nobody left to narrow it down from, whoever judged the request has judged the event."""
    assert search(1, lambda _: Fate.FAILED).at_fault == [0]


def test_one_event_goes_apart_before_the_others() -> None:
    """A probe is the first event alone; the rest follows in one request, and a refusal is searched as ever."""
    outcomes: list[Outcome] = [Fate.APART, Fate.ACCEPTED, Fate.REFUSED, Fate.ACCEPTED, Fate.REFUSED, Fate.ACCEPTED]
    groups, at_fault = _steps(5, outcomes)
    assert groups == [(0, 1, 2, 3, 4), (0,), (1, 2, 3, 4), (1, 2), (3,), (4,)]
    assert at_fault == [3]


def test_what_is_too_large_goes_in_halves_until_it_fits() -> None:
    """Each half is sent for itself; nothing is merged into what was too large before."""
    groups, at_fault = _steps(3, [Fate.TOO_LARGE, Fate.TOO_LARGE, Fate.ACCEPTED, Fate.ACCEPTED, Fate.ACCEPTED])
    assert groups == [(0, 1, 2), (0, 1), (0,), (1,), (2,)]
    assert at_fault == []


def test_what_was_too_large_is_not_merged_again() -> None:
    """After a body was too large the parked halves go one by one: together they would only be too large again."""
    outcomes: list[Outcome] = [Fate.TOO_LARGE, Fate.REFUSED, Fate.REFUSED, *[Fate.ACCEPTED] * 3]
    groups, at_fault = _steps(8, outcomes)
    assert groups == [tuple(range(8)), (0, 1, 2, 3), (0, 1), (0,), (2, 3), (4, 5, 6, 7)]
    assert at_fault == [1]


def test_what_is_too_large_alone_is_at_fault() -> None:
    """An event that alone is refused for its size can never be delivered."""
    groups, at_fault = _steps(2, [Fate.TOO_LARGE, Fate.TOO_LARGE, Fate.ACCEPTED])
    assert groups == [(0, 1), (0,), (1,)]
    assert at_fault == [0]


def test_a_given_up_culprit_does_not_pass_its_guilt_on() -> None:
    """The bad event 0 is given up in the middle of the search: its neighbour is still asked for itself."""
    groups, at_fault = _steps(4, [Fate.REFUSED, Fate.REFUSED, Fate.GONE, Fate.ACCEPTED])
    assert groups == [(0, 1, 2, 3), (0, 1), (0,), (1, 2, 3)]
    assert at_fault == []
