"""Whatever a connector is doing, a signal ends it in time, and another one at once; neither costs an event."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from confluent_kafka import ConsumerGroupState
from confluent_kafka.admin import AdminClient

from connector.app import ExitCode
from tests.faults.commit_log import assert_commits_follow_verdicts
from tests.faults.edge_process import slow
from tests.faults.events import Kind
from tests.faults.members import EAGER
from tests.faults.rig import QUICK

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.faults.child import Child
    from tests.faults.rig import Rig, Settings

EVENTS = 3_000
BAD_EVERY = 100
GRACE: Settings = {"shutdown": {"grace_ms": 20_000}}
BURYING: Settings = {
    "dead_letter": {"kafka": {"message.timeout.ms": 2000, "topic.metadata.refresh.interval.ms": 1000}},
    "edge": {"retry": {"max_ms": 1000}, "probe_interval_ms": 1000},
}
_NO_DATASTREAM = {"effect": {"kind": "status", "code": "EXEG-0003-400"}}
_UNAVAILABLE = {"effect": {"kind": "status", "code": "EXEG-0201-503", "retry_after": 60}}


def in_a_retry_wait(rig: Rig) -> Child:
    """The Edge is unavailable, and has named a minute."""
    rig.edge.set_faults(_UNAVAILABLE)
    rig.send(EVENTS)
    connector = rig.start(QUICK, GRACE)
    rig.until("an answer 503", lambda: rig.edge.faults()[0]["matched"])
    return connector


def held(rig: Rig) -> Child:
    """The route is held: the Edge does not know its datastream."""
    rig.edge.set_faults(_NO_DATASTREAM)
    rig.send(EVENTS)
    connector = rig.start(QUICK, GRACE)
    rig.until_logged(connector, "route_held")
    return connector


def in_a_dead_letter_write(rig: Rig) -> Child:
    """The dead-letter topic is gone, and bad events wait for it."""
    connector = rig.start(QUICK, GRACE, BURYING)
    rig.send(500)
    rig.until_settled()
    rig.kafka.delete_topic(rig.dead_letter_topic)
    rig.send(EVENTS, lambda number: Kind.NOT_JSON if number % BAD_EVERY == 1 else Kind.GOOD)
    rig.until_logged(connector, "route_held")
    return connector


def in_a_rebalance(rig: Rig) -> Child:
    """Somebody joins, and a revoke waits for answers."""
    rig.edge.set_faults(slow(3_000))
    rig.send(EVENTS)
    connector = rig.start(QUICK, EAGER, GRACE)
    rig.until("a request under way", lambda: rig.edge.faults()[0]["matched"])
    other = rig.start(QUICK, EAGER)
    rig.until("a rebalance", lambda: _group_state(rig) is ConsumerGroupState.PREPARING_REBALANCING)
    connector.terminate()  # the second signal of a test, if it sends one, follows
    other.may_end()
    return connector


STATES: dict[str, Callable[[Rig], Child]] = {
    state.__name__: state for state in (held, in_a_dead_letter_write, in_a_rebalance)
}
MORE_STATES = {**STATES, in_a_retry_wait.__name__: in_a_retry_wait}


@pytest.mark.parametrize("state", STATES.values(), ids=STATES)
def test_a_signal_ends_it_in_order(rig: Rig, state: Callable[[Rig], Child]) -> None:
    """SIGTERM held, in a dead-letter write, in a rebalance: exit code 0, all that settled is committed, none twice."""
    connector = state(rig)
    if not connector.was_told_to_end:
        connector.terminate()

    assert connector.wait() == ExitCode.STOPPED

    stopped = connector.lines("connector_stopped")[0]
    assert (stopped["uncommitted_partitions"], stopped["cut_off_records"]) == (0, 0)
    _mend(rig, state)
    rig.until_settled()
    rig.findings().assert_clean(max_duplicates=0)
    assert_commits_follow_verdicts(rig)


@pytest.mark.long
@pytest.mark.parametrize("state", MORE_STATES.values(), ids=MORE_STATES)
def test_another_signal_ends_it_at_once(rig: Rig, state: Callable[[Rig], Child]) -> None:
    """SIGINT twice, in every state: the code tells whether it came in time, and nothing is lost or committed too soon.

    What was accepted and not committed comes twice; what was accepted above an open event is in the commit's metadata.
    """
    connector = state(rig)
    connector.interrupt()
    rig.until_logged(connector, "stop_asked")
    connector.interrupt()

    assert connector.wait() in {ExitCode.FORCED, ExitCode.STOPPED}

    at_risk = rig.edge.accepted_count() - sum(rig.committed().values())
    _mend(rig, state)
    rig.until_settled()
    most_buried = EVENTS // BAD_EVERY
    rig.findings().assert_clean(max_duplicates=max(0, at_risk), max_repeated_dead_letters=most_buried)
    assert_commits_follow_verdicts(rig)


def _mend(rig: Rig, state: Callable[[Rig], Child]) -> None:
    """End every fault, and start anew."""
    rig.edge.set_faults()
    if state is in_a_dead_letter_write:
        rig.create_topic(rig.dead_letter_topic, partitions=2)
    rig.start(QUICK, EAGER)


def _group_state(rig: Rig) -> ConsumerGroupState:
    admin = AdminClient({"bootstrap.servers": rig.kafka.bootstrap_servers, "log_level": 0})
    state: ConsumerGroupState = admin.describe_consumer_groups([rig.group])[rig.group].result(30).state
    return state
