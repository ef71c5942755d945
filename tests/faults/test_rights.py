"""Rights that are taken away from a running member, on a broker that asks for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from confluent_kafka.admin import AclBinding, AclBindingFilter, AclOperation, AclPermissionType, AdminClient
from confluent_kafka.admin import ResourcePatternType as Pattern
from confluent_kafka.admin import ResourceType

from tests.faults.commit_log import assert_commits_follow_verdicts
from tests.faults.edge_process import slow
from tests.faults.members import COOPERATIVE, KIP_848, quick
from tests.kafka.broker import start_kafka
from tests.kafka.client import Kafka

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.faults.rig import Rig, Settings

BY_COORDINATOR = pytest.mark.parametrize("protocol", [COOPERATIVE, KIP_848], ids=["classic", "kip-848"])
AUTHORIZER = {
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "allow.everyone.if.no.acl.found": "true",
}
USER = "User:ANONYMOUS"


@pytest.fixture(scope="module")
def guarded_kafka() -> Iterator[Kafka]:
    """Apache Kafka that asks for rights."""
    with start_kafka(properties=AUTHORIZER) as cluster:
        yield Kafka(cluster.bootstrap_servers)


class Rights:
    """The rights of everybody to one resource."""

    def __init__(self, kafka: Kafka, kind: ResourceType, name: str) -> None:
        self._admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})
        self._kind, self._name = kind, name
        self._create(AclOperation.ALL, AclPermissionType.ALLOW)

    def deny(self) -> None:
        """Let nobody read."""
        self._create(AclOperation.READ, AclPermissionType.DENY)

    def give_back(self) -> None:
        """Let everybody read again."""
        which = (self._kind, self._name, Pattern.LITERAL, None, None, AclOperation.READ, AclPermissionType.DENY)
        for answer in self._admin.delete_acls([AclBindingFilter(*which)]).values():
            answer.result(30)

    def _create(self, operation: AclOperation, permission: AclPermissionType) -> None:
        acl = AclBinding(self._kind, self._name, Pattern.LITERAL, USER, "*", operation, permission)
        self._admin.create_acls([acl])[acl].result(30)


@BY_COORDINATOR
@pytest.mark.parametrize("kind", [ResourceType.GROUP, ResourceType.TOPIC], ids=["group", "topic"])
def test_rights(guarded_kafka: Kafka, make_rig: Callable[..., Rig], protocol: Settings, kind: ResourceType) -> None:
    import time

    rig = make_rig(guarded_kafka)
    rig.edge.set_faults(slow(100))
    rig.send(20_000)
    rights = Rights(guarded_kafka, kind, rig.group if kind is ResourceType.GROUP else rig.topic)
    c = rig.start(*quick(rig, protocol), {"edge": {"max_in_flight": 2}})
    rig.until_accepted(2000)
    rights.deny()
    c.may_end()
    time.sleep(20)
    rights.give_back()
    time.sleep(15)
    print(c.name, c.exit_code)
    print("\n".join(l[:600] for l in c.text().splitlines() if '"debug"' not in l and '"summary"' not in l))
    print(rig.state())
    c.kill()
