"""Rights that are taken away from a running member, on a broker that asks for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._acl import AclBinding, AclBindingFilter, AclOperation, AclPermissionType
from confluent_kafka.admin._resource import ResourcePatternType, ResourceType

from connector.app import ExitCode
from tests.faults.commit_log import assert_commits_follow_verdicts
from tests.faults.edge_process import slow
from tests.faults.members import COOPERATIVE, KIP_848, quick
from tests.kafka.broker import start_kafka
from tests.kafka.client import Kafka

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.faults.child import Child
    from tests.faults.rig import Rig, Settings

pytestmark = pytest.mark.long

EVENTS = 20_000
MAX_IN_FLIGHT = 2
EVENTS_PER_REQUEST = 50
NARROW: Settings = {"edge": {"max_in_flight": MAX_IN_FLIGHT}, "consume": {"commit_interval_ms": 200}}

_AUTHORIZER = {
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "allow.everyone.if.no.acl.found": "true",
}
_TIMEOUT_S = 30.0


@pytest.fixture(scope="module")
def guarded_kafka() -> Iterator[Kafka]:
    """Apache Kafka that asks for rights; everybody has all of them until a test takes some away."""
    with start_kafka(properties=_AUTHORIZER) as cluster:
        yield Kafka(cluster.bootstrap_servers)


@pytest.fixture
def guarded_rig(guarded_kafka: Kafka, make_rig: Callable[..., Rig]) -> Rig:
    """A rig on the broker that asks for rights."""
    return make_rig(guarded_kafka)


class ReadRight:
    """Everybody's right to read one topic or group."""

    def __init__(self, kafka: Kafka, kind: ResourceType, name: str) -> None:
        self._admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers, "log_level": 0})
        self._kind, self._name = kind, name
        self._write(AclOperation.ALL, AclPermissionType.ALLOW)

    def take_away(self) -> None:
        """Let nobody read."""
        self._write(AclOperation.READ, AclPermissionType.DENY)

    def give_back(self) -> None:
        """Let everybody read again."""
        anybody: Any = None  # as the client documents it; its types do not know
        which = AclBindingFilter(
            self._kind,
            self._name,
            ResourcePatternType.LITERAL,
            anybody,
            anybody,
            AclOperation.READ,
            AclPermissionType.DENY,
        )
        self._admin.delete_acls([which])[which].result(_TIMEOUT_S)

    def _write(self, operation: AclOperation, permission: AclPermissionType) -> None:
        literal = ResourcePatternType.LITERAL
        rule = AclBinding(self._kind, self._name, literal, "User:ANONYMOUS", "*", operation, permission)
        self._admin.create_acls([rule])[rule].result(_TIMEOUT_S)


def _settings(rig: Rig, protocol: Settings) -> tuple[Settings, ...]:
    return (*quick(rig, protocol), NARROW, {"routes": [rig.route(batch={"max_events": EVENTS_PER_REQUEST})]})


def _start(rig: Rig, protocol: Settings) -> Child:
    """A connector in the middle of its work, with requests under way."""
    rig.edge.set_faults(slow(100))
    rig.send(EVENTS)
    connector = rig.start(*_settings(rig, protocol))
    rig.until_accepted(1_000)
    return connector


@pytest.mark.parametrize("protocol", [COOPERATIVE, KIP_848], ids=["classic", "kip-848"])
def test_a_topic_that_may_not_be_read_for_a_while(guarded_rig: Rig, guarded_kafka: Kafka, protocol: Settings) -> None:
    """Authorisation lost, topic: the connector says so and waits; with the right back it goes on, none twice."""
    rig = guarded_rig
    right = ReadRight(guarded_kafka, ResourceType.TOPIC, rig.topic)
    connector = _start(rig, protocol)

    right.take_away()
    rig.until("a line that says so", lambda: _causes(connector.lines("source_fault")) >= {"TOPIC_AUTHORIZATION_FAILED"})
    right.give_back()
    rig.edge.set_faults()

    rig.until_settled()
    assert connector.stop() == ExitCode.STOPPED
    rig.findings().assert_clean(max_duplicates=0)
    assert_commits_follow_verdicts(rig)


def test_a_group_that_may_not_be_read_for_a_while(guarded_rig: Rig, guarded_kafka: Kafka) -> None:
    """Authorisation lost, group, classic: the membership ends, the connector waits, and rejoins with the right back."""
    rig = guarded_rig
    right = ReadRight(guarded_kafka, ResourceType.GROUP, rig.group)
    connector = _start(rig, COOPERATIVE)

    right.take_away()
    rig.until_logged(connector, "partitions_lost")
    rig.until("a line that says so", lambda: _causes(connector.lines("source_fault")) >= {"GROUP_AUTHORIZATION_FAILED"})
    right.give_back()
    rig.edge.set_faults()

    rig.until_settled()
    assert connector.stop() == ExitCode.STOPPED
    # What was under way when the partitions were lost; what had settled is remembered.
    rig.findings().assert_clean(max_duplicates=MAX_IN_FLIGHT * EVENTS_PER_REQUEST)
    assert_commits_follow_verdicts(rig)


def test_a_group_of_the_new_protocol_that_may_not_be_read(guarded_rig: Rig, guarded_kafka: Kafka) -> None:
    """Authorisation lost, group, KIP-848: the client is at its end, and so is the connector, with code 3 and why."""
    rig = guarded_rig
    right = ReadRight(guarded_kafka, ResourceType.GROUP, rig.group)
    connector = _start(rig, KIP_848)
    connector.may_end()

    right.take_away()

    assert connector.wait() == ExitCode.KAFKA
    assert "Group authorization failed" in connector.lines("connector_failed")[0]["text"]
    right.give_back()
    at_risk = rig.edge.accepted_count() - sum(rig.committed().values())
    rig.edge.set_faults()
    rig.start(*_settings(rig, KIP_848))
    rig.until_settled()
    rig.findings().assert_clean(max_duplicates=at_risk)
    assert_commits_follow_verdicts(rig)


def _causes(lines: list[dict[str, object]]) -> set[object]:
    return {line["cause"] for line in lines}
