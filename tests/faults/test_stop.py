"""A stop that was asked for doubles nothing, loses nothing, and ends in time, whatever is going on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from connector.app import ExitCode
from tests.faults.edge_process import slow
from tests.faults.events import one_percent_bad
from tests.faults.rig import QUICK

if TYPE_CHECKING:
    from tests.faults.rig import Rig

_UNAVAILABLE = {"effect": {"kind": "status", "code": "EXEG-0201-503", "retry_after": 60}}
_NARROW = {"edge": {"max_in_flight": 4}, "consume": {"max_open_bytes": 1_048_576}}
_HANG = {"effect": {"kind": "hang"}}


def test_a_stop_with_requests_under_way_doubles_nothing(rig: Rig) -> None:
    """SIGTERM in mid-flow waits for the answers and commits exactly what they settled; a restart goes on there."""
    rig.edge.set_faults(slow(200))
    rig.send(20_000)
    first = rig.start(QUICK, _NARROW)
    rig.until_accepted(2_000)

    assert first.stop() == ExitCode.STOPPED

    accepted = rig.edge.accepted_count()
    assert accepted < 20_000
    assert sum(rig.committed().values()) == accepted
    rig.edge.set_faults()
    rig.start(QUICK)
    rig.until_settled()
    rig.findings().assert_clean(max_duplicates=0)


def test_a_stop_while_the_edge_is_unavailable_ends_without_waiting_for_it(rig: Rig) -> None:
    """SIGTERM in an outage gives the waiting events back; after the outage a restart delivers them once."""
    rig.send(3_000)
    first = rig.start(QUICK)
    rig.until_settled()
    rig.edge.set_faults(_UNAVAILABLE)
    rig.send(3_000)
    rig.until("an answer 503", lambda: rig.edge.faults()[0]["matched"])

    assert first.stop() == ExitCode.STOPPED

    assert first.lines("connector_stopped")[0]["uncommitted_partitions"] == 0
    rig.edge.set_faults()
    rig.start(QUICK)
    rig.until_settled()
    rig.findings().assert_clean(max_duplicates=0)


def test_a_stop_does_not_send_what_only_waits_in_line(rig: Rig) -> None:
    """Near the end of a slow drain nothing is cut off: what was read and not sent is left to the next start."""
    rig.edge.set_faults({**slow(1000), "accept_first": True})
    rig.send(20_000)
    first = rig.start(QUICK, {"edge": {"max_in_flight": 4}, "shutdown": {"grace_ms": 5000}})
    rig.until_accepted(100)

    assert first.stop() == ExitCode.STOPPED

    rig.edge.set_faults()
    rig.start(QUICK)
    rig.until_settled()
    rig.findings().assert_clean(max_duplicates=0)


def test_a_stop_that_cuts_requests_off_says_so(rig: Rig) -> None:
    """Where the grace period ends before the answers come, the exit code tells that events come twice."""
    rig.edge.set_faults({**_HANG, "accept_first": True})
    rig.send(1_000)
    first = rig.start(QUICK, {"shutdown": {"grace_ms": 500}})
    rig.until_accepted(1_000)

    assert first.stop() == ExitCode.UNFINISHED

    rig.edge.set_faults()
    rig.start(QUICK)
    rig.until_settled()
    rig.findings().assert_clean(max_duplicates=1_000)


def test_a_stop_while_nothing_happens_ends_with_success(rig: Rig) -> None:
    """SIGTERM to an idle connector ends it with exit code 0 and every commit in place."""
    rig.send(1_000, one_percent_bad)
    connector = rig.start(QUICK)
    rig.until_logged(connector, "partitions_assigned")
    rig.until("a first commit", rig.committed)

    assert connector.stop() == ExitCode.STOPPED


def test_a_stop_before_the_first_assignment_ends_with_success(rig: Rig) -> None:
    """SIGTERM while the group still forms ends with exit code 0, and nothing was taken."""
    rig.send(1_000)
    connector = rig.start()
    rig.until_logged(connector, "connector_started")

    assert connector.stop() == ExitCode.STOPPED

    committed = sum(rig.committed().values())
    assert rig.edge.accepted_count() == committed


def test_a_second_signal_ends_at_once(rig: Rig) -> None:
    """While a stop waits for an answer that does not come, another SIGTERM ends it with its own exit code."""
    rig.edge.set_faults(_HANG)
    rig.send(1_000)
    connector = rig.start(QUICK)
    rig.until("a request that hangs", lambda: rig.edge.faults()[0]["matched"])
    connector.terminate()
    rig.until_logged(connector, "stop_asked")

    assert connector.stop() == ExitCode.FORCED

    rig.edge.set_faults()
    rig.start(QUICK)
    rig.until_settled()
    rig.findings().assert_clean(max_duplicates=0)
