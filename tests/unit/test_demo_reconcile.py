"""The demo's books are held against each other by event id, and every disagreement is found."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from connector.local.demo.reconcile import (
    Acceptance,
    Coordinates,
    DeadLetter,
    Produced,
    Reconciliation,
    reconcile,
)
from connector.local.demo.report import print_report
from connector.local.demo.stage import Outcome

GOOD, OTHER, FLAWED = (Coordinates("xdm.web", 0, offset) for offset in range(3))
BOOK = {
    GOOD: Produced(event_id="a", crc32=1),
    OTHER: Produced(event_id="b", crc32=2),
    FLAWED: Produced(event_id="c", flaw="no xdm", reason="no_xdm"),
}
LETTER = DeadLetter(FLAWED, "no_xdm")


def once(crc32: int | None) -> Acceptance:
    return Acceptance(times=1, request_ids=frozenset({"r1"}), crc32=crc32)


ACCEPTED = {"a": once(1), "b": once(2)}


def outcome(sums: Reconciliation, *, uncommitted: tuple[str, ...] = (), exit_code: int = 0) -> Outcome:
    return Outcome(reconciliation=sums, uncommitted=list(uncommitted), exit_code=exit_code, resends=0, seconds=1.0)


def printed(result: Outcome) -> str:
    text = io.StringIO()
    print_report(Console(file=text, width=100), result, Path(".demo"))
    return text.getvalue()


def test_what_is_accepted_once_or_rightly_dead_lettered_adds_up() -> None:
    """Each event with one right verdict: it adds up, and the last line says so."""
    sums = reconcile(BOOK, ACCEPTED, [LETTER])
    assert (sums.produced, sums.accepted, sums.dead_lettered, sums.duplicated) == (3, 2, 1, 0)
    assert sums.flaws == {("no xdm", "no_xdm"): 1}
    assert outcome(sums).is_good
    assert printed(outcome(sums)).endswith(
        "It adds up:\nproduced 3 = accepted 2 + dead-lettered 1, lost 0, duplicated 0\n"
    )


def test_an_event_in_no_book_is_lost() -> None:
    """An event that is neither accepted nor dead-lettered is named, and the sums fail."""
    sums = reconcile(BOOK, {"a": once(1)}, [LETTER])
    assert sums.lost == ["b"]
    assert not outcome(sums).is_good
    assert "lost: neither accepted nor dead-lettered: b" in printed(outcome(sums))
    assert "It does NOT add up:\nproduced 3 ≠ accepted 1 + dead-lettered 1, lost 1" in printed(outcome(sums))


def test_a_loss_is_not_made_up_for_by_a_phantom() -> None:
    """Sums that are equal by chance do not add up where the ids differ."""
    sums = reconcile(BOOK, {"a": once(1), "x": once(None)}, [LETTER])
    assert (sums.lost, sums.phantoms) == (["b"], ["x"])
    assert not sums.adds_up


def test_a_dead_letter_of_a_record_that_nobody_produced_is_a_phantom() -> None:
    """A dead letter whose coordinates are unknown is found."""
    sums = reconcile(BOOK, ACCEPTED, [LETTER, DeadLetter(Coordinates("xdm.web", 0, 9), "no_xdm")])
    assert sums.phantoms == ["('xdm.web', 0, 9)"]
    assert not sums.adds_up


def test_a_request_that_was_resent_explains_its_duplicates() -> None:
    """Accepted twice under one request id: counted, and in order."""
    twice = Acceptance(times=2, request_ids=frozenset({"r1"}), crc32=1)
    sums = reconcile(BOOK, ACCEPTED | {"a": twice}, [LETTER])
    assert sums.duplicated == 1
    assert sums.adds_up


def test_an_event_accepted_in_two_requests_is_a_needless_duplicate() -> None:
    """Accepted twice under two request ids: nothing that a lost answer explains."""
    twice = Acceptance(times=2, request_ids=frozenset({"r1", "r2"}), crc32=1)
    sums = reconcile(BOOK, ACCEPTED | {"a": twice}, [LETTER])
    assert (sums.duplicated, sums.unexplained_duplicates) == (1, ["a"])
    assert not sums.adds_up


def test_a_record_buried_twice_is_a_needless_duplicate() -> None:
    """Two dead letters of one record are found, though its event id is one."""
    sums = reconcile(BOOK, ACCEPTED, [LETTER, LETTER])
    assert (sums.dead_lettered, sums.unexplained_duplicates) == (1, ["c"])
    assert not sums.adds_up


def test_an_event_with_two_verdicts_does_not_add_up() -> None:
    """Accepted and dead-lettered at once is wrong whichever was right."""
    sums = reconcile(BOOK, ACCEPTED, [LETTER, DeadLetter(GOOD, "no_xdm")])
    assert (sums.settled_twice, sums.wrongly_dead_lettered) == (["a"], ["a"])
    assert not sums.adds_up


def test_a_good_event_in_the_dead_letter_topic_is_wrong() -> None:
    """Nothing was lost and the sums are equal, and yet it does not add up."""
    sums = reconcile(BOOK, {"a": once(1)}, [LETTER, DeadLetter(OTHER, "EXEG-0305-400")])
    assert sums.produced == sums.accepted + sums.dead_lettered
    assert sums.wrongly_dead_lettered == ["b"]
    assert not sums.adds_up


def test_a_flawed_event_that_was_accepted_is_wrong() -> None:
    """An acceptance where there could be none is found."""
    sums = reconcile(BOOK, ACCEPTED | {"c": once(3)}, [])
    assert sums.wrongly_accepted == ["c"]
    assert not sums.adds_up


def test_a_dead_letter_has_to_name_the_right_reason() -> None:
    """A dead letter that blames something else is found."""
    sums = reconcile(BOOK, ACCEPTED, [DeadLetter(FLAWED, "not_json")])
    assert sums.misnamed == ["c"]
    assert not sums.adds_up


@pytest.mark.parametrize(("arrived", "altered"), [(1, []), (7, ["a"]), (None, [])])
def test_an_event_has_to_arrive_as_it_was_produced(arrived: int | None, altered: list[str]) -> None:
    """Checksums are compared where both sides have one."""
    sums = reconcile(BOOK, ACCEPTED | {"a": once(arrived)}, [LETTER])
    assert sums.altered == altered
    assert sums.adds_up is not bool(altered)


def test_equal_sums_are_not_enough_without_a_commit_and_a_graceful_end() -> None:
    """A partition that was not committed, or a connector that failed, spoils the run."""
    sums = reconcile(BOOK, ACCEPTED, [LETTER])
    assert not outcome(sums, uncommitted=("xdm.web[0]",)).is_good
    assert not outcome(sums, exit_code=5).is_good
    assert "xdm.web[0]" in printed(outcome(sums, uncommitted=("xdm.web[0]",)))
