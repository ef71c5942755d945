"""The group protocols that members are tested with, and who owns what, as the members themselves tell it.

Promise: `owned` follows a member's log line by line, so it is what the member believes, be it right or not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.faults.rig import PARTITIONS, QUICK

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.faults.child import Child
    from tests.faults.rig import Rig, Settings

SESSION_MS = 6000
"""How long a member may be silent in a group that notices a death as fast as the broker allows."""

COOPERATIVE: Settings = {"kafka": {"partition.assignment.strategy": "cooperative-sticky"}}
EAGER: Settings = {"kafka": {"partition.assignment.strategy": "range"}}
KIP_848: Settings = {"kafka": {"group.protocol": "consumer"}}

_PROTOCOLS = {"cooperative-sticky": COOPERATIVE, "eager": EAGER, "kip-848": KIP_848}
BY_PROTOCOL = pytest.mark.parametrize(
    "protocol",
    [pytest.param(each, marks=[pytest.mark.long] * (each is EAGER), id=name) for name, each in _PROTOCOLS.items()],
)
"""The eager one, which everybody leaves, in the long run alone."""
BY_COORDINATOR = pytest.mark.parametrize(
    "protocol", [COOPERATIVE, pytest.param(KIP_848, marks=pytest.mark.long)], ids=["classic", "kip-848"]
)
"""Where it is the group's coordinator that matters, and not who assigns; the newer one in the long run alone."""

FEW: Settings = {
    "kafka": {"max.partition.fetch.bytes": 32_768},
    "edge": {"max_in_flight": 2},
    "consume": {"max_open_bytes": 2_097_152},
}
"""Fetches so small that there is always something under way of every partition."""


def quick(rig: Rig, protocol: Settings, *, session_ms: int = SESSION_MS) -> tuple[Settings, Settings]:
    """The layers of a member whose group forms and notices a death quickly, with either kind of protocol."""
    if protocol is KIP_848:  # there the broker decides, group by group
        rig.alter_group({"consumer.heartbeat.interval.ms": "300", "consumer.session.timeout.ms": str(session_ms)})
        return {"consume": QUICK["consume"]}, protocol
    return QUICK, protocol


def owned(member: Child) -> set[str]:
    """The partitions that a member believes to own."""
    mine: set[str] = set()
    for line in member.lines("partitions_"):
        if line["event"] == "partitions_assigned":
            mine |= set(line["partitions"])
        else:  # revoked or lost
            mine -= set(line["partitions"])
    return mine


def until_shared(rig: Rig, members: Iterable[Child], *, timeout_s: float = 60.0) -> None:
    """Wait until the members own every partition of the rig's topic, each its part and nobody another's."""
    alive = list(members)

    def is_shared() -> bool:
        parts = [owned(member) for member in alive]
        return all(parts) and sum(map(len, parts)) == len(set().union(*parts)) == PARTITIONS

    rig.until(f"{len(alive)} members share the partitions", is_shared, timeout_s=timeout_s)
