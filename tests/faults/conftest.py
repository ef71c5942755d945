"""The rig as a fixture, and the ends of its logs where a test failed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.faults.rig import Rig
from tests.kafka.client import Kafka

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from pathlib import Path

    from tests.kafka.broker import Cluster

_RIGS = pytest.StashKey[list[Rig]]()


@pytest.fixture
def make_rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[..., Rig]]:
    """Make a rig on a given Kafka, its Edge with tokens if they have a lifetime; its processes end with the test."""
    rigs = request.node.stash.setdefault(_RIGS, [])

    def make(kafka: Kafka, *, token_lifetime_s: float | None = None) -> Rig:
        rig = Rig(kafka, tmp_path, token_lifetime_s=token_lifetime_s)
        rigs.append(rig)
        return rig

    yield make
    for rig in rigs:
        rig.close()


@pytest.fixture
def rig(kafka: Kafka, make_rig: Callable[..., Rig]) -> Rig:
    """A rig on the Kafka of the whole run."""
    return make_rig(kafka)


@pytest.fixture
def crash_rig(kafka_cluster: Cluster, make_rig: Callable[..., Rig]) -> Rig:
    """A rig on a broker for this test alone."""
    return make_rig(Kafka(kafka_cluster.bootstrap_servers))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the ends of the processes' logs with a failure."""
    report = yield
    if report.failed:
        report.sections += [("processes", rig.log_tails()) for rig in item.stash.get(_RIGS, [])]
    return report
