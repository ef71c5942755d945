"""The dead-letter topic fails: the watermark waits, and after the mend every dead letter is there.

The scenario's name in the catalogue of faults is "DLQ topic missing / unauthorised / oversize / producer fatal"; that
of the producer is in `tests/adapters/test_producer_faults.py`.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._acl import AclBinding, AclBindingFilter, AclOperation, AclPermissionType
from confluent_kafka.admin._resource import ResourcePatternType, ResourceType

from connector.app import ExitCode
from tests.faults.edge_process import slow
from tests.faults.events import Kind
from tests.faults.oracle import reconcile
from tests.faults.rig import QUICK

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.faults.child import Child
    from tests.faults.rig import Rig, Settings
    from tests.kafka.broker import Cluster
    from tests.parts import Whole

    Letters = Callable[[], list[Whole]]

PROMPT: Settings = {
    "edge": {"retry": {"max_ms": 500}, "probe_interval_ms": 200},
    "dead_letter": {"kafka": {"message.timeout.ms": 2000}},
}
"""A dead-letter topic that is away is noticed and tried again soon."""
FEW_AT_ONCE: Settings = {"edge": {"max_in_flight": 4}}
"""With small batches and a slow Edge some dead letters are being written at any moment, for seconds."""
AUTHORIZED = {
    "properties": {
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "allow.everyone.if.no.acl.found": "true",
    }
}
MAX_OPEN_BYTES = 1_048_576
BAD = (Kind.NOT_JSON, Kind.NAMED, Kind.UNNAMED, Kind.OVERSIZE)


def some_bad(number: int) -> Kind:
    """Two events in a hundred are bad, of every kind that the Edge refuses by itself, and a few are large."""
    return BAD[number // 50 % len(BAD)] if number % 50 == 25 else Kind.GOOD


def one_in_ten_bad(number: int) -> Kind:
    """So many that some are being written at any moment."""
    return BAD[number // 10 % 2] if number % 10 == 5 else Kind.GOOD


def assert_held(rig: Rig, connector: Child, cause: str, remedy: str, letters: Letters) -> None:
    """The route waits and says for what; no commit passed an event that is neither accepted nor dead-lettered."""
    rig.until("the hold names its cause", lambda: any(line["cause"] == cause for line in connector.lines("route_held")))
    line = next(line for line in connector.lines("route_held") if line["cause"] == cause)
    assert line["remedy"] == remedy
    assert_commits_follow(rig, letters)
    assert rig.committed() != rig.feed.ends(rig.topic), "a dead letter is missing, and all is committed"


def assert_commits_follow(rig: Rig, letters: Letters) -> None:
    """Below a committed offset every event has its final verdict."""
    committed = rig.committed()  # first: what comes later is committed later
    settled = [sent for sent in rig.feed.sent if sent.offset < committed.get(sent.partition, 0)]
    assert reconcile(settled, rig.edge.accepted(), letters()).lost == []


def assert_bounded(connector: Child) -> None:
    """While a dead letter waits no more is read than may be open, but for what one poll brings."""
    assert max(line["open_bytes"] for line in connector.lines("summary")) < 2.5 * MAX_OPEN_BYTES


@contextmanager
def may_not_write(rig: Rig, topic: str) -> Iterator[None]:
    """Forbid everybody to write to a topic."""
    admin = AdminClient({"bootstrap.servers": rig.kafka.bootstrap_servers, "log_level": 0})
    kind, pattern = ResourceType.TOPIC, ResourcePatternType.LITERAL
    who, verb, no = "User:ANONYMOUS", AclOperation.WRITE, AclPermissionType.DENY
    rule = AclBinding(kind, topic, pattern, who, "*", verb, no)
    rules = AclBindingFilter(kind, topic, pattern, who, "*", verb, no)
    admin.create_acls([rule])[rule].result(30)
    yield
    admin.delete_acls([rules])[rules].result(30)


def test_a_missing_topic_holds_the_route_until_it_is_back(rig: Rig) -> None:
    """DLQ topic missing: deleted under way, nothing passes it and memory is bounded; created again, all are there."""
    connector = rig.start(QUICK, PROMPT, {"consume": {"max_open_bytes": MAX_OPEN_BYTES}})
    rig.send(600)
    rig.until_settled()
    rig.kafka.delete_topic(rig.dead_letter_topic)

    rig.send(6_000, some_bad)
    remedy = "Create the dead-letter topic, or set dead_letter.create."
    assert_held(rig, connector, "dead_letter_unknown_topic_or_part", remedy, list)
    summaries = len(connector.lines("summary"))
    rig.until_logged(connector, "summary", summaries + 2)
    assert_commits_follow(rig, list)
    assert_bounded(connector)

    rig.create_topic(rig.dead_letter_topic, partitions=2)
    rig.until_settled()
    assert connector.stop() == ExitCode.STOPPED
    rig.findings().assert_clean(max_duplicates=0, max_repeated_dead_letters=0)


@pytest.mark.long
@pytest.mark.parametrize("kafka_cluster", [AUTHORIZED], indirect=True)
def test_a_topic_that_may_not_be_written_holds_the_route_until_it_may(crash_rig: Rig) -> None:
    """DLQ topic unauthorised: the right is taken away under way, and given back; each dead letter is there once."""
    rig = crash_rig
    connector = rig.start(QUICK, PROMPT)
    rig.send(2_000, some_bad)
    rig.until_settled()
    letters = rig.dead_letters()  # who may not write may not read either
    with may_not_write(rig, rig.dead_letter_topic):
        rig.send(2_000, some_bad)
        remedy = "Allow this principal to write to the dead-letter topic."
        assert_held(rig, connector, "dead_letter_topic_authorization_failed", remedy, lambda: letters)

    rig.until_settled()
    assert connector.stop() == ExitCode.STOPPED
    rig.findings().assert_clean(max_duplicates=0, max_repeated_dead_letters=0)


def test_an_event_that_is_too_large_for_the_topic_stops_nobody(rig: Rig) -> None:
    """DLQ topic oversize: what does not fit is there in parts, small ones in one piece, and the route is not held."""
    rig.alter_topic(rig.dead_letter_topic, {"max.message.bytes": "20000"})
    connector = rig.start(QUICK)
    rig.send(4_000, some_bad)
    rig.until_settled()

    assert connector.stop() == ExitCode.STOPPED
    assert connector.lines("route_held") == []
    rig.findings().assert_clean(max_duplicates=0, max_repeated_dead_letters=0)
    parts = [letter.parts for letter in rig.dead_letters()]
    assert sum(count > 1 for count in parts) == rig.feed.count(Kind.OVERSIZE) > 0


def test_a_topic_that_takes_not_even_the_headers_holds_the_route(rig: Rig) -> None:
    """DLQ topic oversize: no division helps and nothing is dropped; when the topic takes records again all is there."""
    rig.alter_topic(rig.dead_letter_topic, {"max.message.bytes": "200"})
    connector = rig.start(QUICK, PROMPT)
    rig.send(2_000, some_bad)
    remedy = "Raise max.message.bytes of the dead-letter topic: not even the headers fit."
    assert_held(rig, connector, "dead_letter_msg_size_too_large", remedy, list)

    rig.alter_topic(rig.dead_letter_topic, {"max.message.bytes": "1048588"})
    rig.until_settled()
    assert connector.stop() == ExitCode.STOPPED
    rig.findings().assert_clean(max_duplicates=0, max_repeated_dead_letters=0)


def test_a_stop_while_dead_letters_wait_leaves_them_to_the_next_start(rig: Rig) -> None:
    """SIGTERM in DLQ write: it ends in its grace, commits nothing that waits, and the next start buries all, once."""
    rig.alter_topic(rig.dead_letter_topic, {"max.message.bytes": "200"})
    connector = rig.start(QUICK, PROMPT)
    rig.send(2_000, some_bad)
    rig.until_logged(connector, "route_held")
    assert connector.stop() == ExitCode.STOPPED
    assert_commits_follow(rig, list)

    rig.alter_topic(rig.dead_letter_topic, {"max.message.bytes": "20000"})
    rig.start(QUICK, PROMPT)
    rig.until_settled()
    rig.findings().assert_clean(max_duplicates=0, max_repeated_dead_letters=0)


def test_a_rebalance_while_dead_letters_wait_leaves_them_to_the_next_owner(rig: Rig) -> None:
    """Rebalance in DLQ write: what waits is given up and read by its new owner; after the mend each is there once."""
    rig.alter_topic(rig.dead_letter_topic, {"max.message.bytes": "200"})
    first = rig.start(QUICK, PROMPT)
    rig.send(2_000, some_bad)
    rig.until_logged(first, "route_held")
    second = rig.start(QUICK, PROMPT)
    rig.until_logged(second, "route_held")
    assert_commits_follow(rig, list)

    rig.alter_topic(rig.dead_letter_topic, {"max.message.bytes": "20000"})
    rig.until_settled()
    assert (first.stop(), second.stop()) == (ExitCode.STOPPED, ExitCode.STOPPED)
    rig.findings().assert_clean(max_duplicates=0, max_repeated_dead_letters=0)


@pytest.mark.long
def test_a_broker_that_dies_while_dead_letters_are_written_loses_none(crash_rig: Rig, kafka_cluster: Cluster) -> None:
    """Broker bounce in DLQ write: kill -9 of the only one, and its restart; what was under way is there once."""
    rig = crash_rig
    rig.edge.set_faults(slow(100))
    rig.send(6_000, one_in_ten_bad)
    connector = rig.start(PROMPT, FEW_AT_ONCE, {"routes": [rig.route(batch={"max_events": 20})]})
    rig.until_logged(connector, "event_dead_lettered")
    kafka_cluster.nodes[0].kill()
    rig.until_logged(connector, "route_held")
    kafka_cluster.start()
    assert_commits_follow(rig, rig.dead_letters)

    rig.edge.set_faults()
    rig.until_settled()
    assert connector.stop() == ExitCode.STOPPED
    rig.findings().assert_clean(max_duplicates=6_000, max_repeated_dead_letters=0)


def _kill_one(cluster: Cluster) -> Callable[[], None]:
    cluster.nodes[2].kill()
    return cluster.start


def _kill_two(cluster: Cluster) -> Callable[[], None]:
    cluster.nodes[1].kill()
    cluster.nodes[2].kill()
    return cluster.start


@pytest.mark.long
@pytest.mark.parametrize("kill", [_kill_one, _kill_two], ids=["one", "two"])
def test_too_few_replicas_hold_the_route_until_they_are_back(
    trio_rig: Rig, kafka_trio: Cluster, kill: Callable[[Cluster], Callable[[], None]]
) -> None:
    """Broker bounce in DLQ write: with one or two of three nodes gone a topic that wants all of them takes nothing."""
    rig = trio_rig
    rig.alter_topic(rig.dead_letter_topic, {"min.insync.replicas": "3"})
    rig.edge.set_faults(slow(100))
    rig.send(6_000, one_in_ten_bad)
    connector = rig.start(PROMPT, FEW_AT_ONCE, {"routes": [rig.route(batch={"max_events": 20})]})
    rig.until_logged(connector, "event_dead_lettered")
    start_again = kill(kafka_trio)
    rig.until_logged(connector, "route_held")
    start_again()
    assert_commits_follow(rig, rig.dead_letters)

    rig.edge.set_faults()
    rig.until_settled(timeout_s=180)
    assert connector.stop() == ExitCode.STOPPED
    # What was on its way when a long outage took the partitions away may arrive beside what their next owner writes.
    repeated = rig.feed.count(*BAD) if connector.lines("partitions_lost") else 0
    rig.findings().assert_clean(max_duplicates=6_000, max_repeated_dead_letters=repeated)
