"""The rig as a fixture, and the ends of its logs where a test failed."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.faults.proxy import Proxy
from tests.faults.rig import Rig
from tests.kafka.broker import start_kafka
from tests.kafka.client import Kafka

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from pathlib import Path

    from tests.kafka.broker import Cluster


class ProxiedKafka(NamedTuple):
    """A node of its own, and the proxy that its far clients go through."""

    cluster: Cluster
    proxy: Proxy


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


@pytest.fixture
def trio_rig(kafka_trio: Cluster, make_rig: Callable[..., Rig]) -> Rig:
    """A rig on three brokers for this test alone."""
    return make_rig(Kafka(kafka_trio.bootstrap_servers))


@pytest.fixture
def proxied_kafka() -> Iterator[ProxiedKafka]:
    """A broker for this test alone, with a proxy before its far listener."""
    with ExitStack() as stack:
        proxies: list[Proxy] = []

        def advertise(port: int) -> int:
            proxies.append(stack.enter_context(Proxy(port)))
            return proxies[-1].port

        cluster = stack.enter_context(start_kafka(advertise=advertise))
        yield ProxiedKafka(cluster, proxies[0])


@pytest.fixture
def proxied_rig(proxied_kafka: ProxiedKafka, make_rig: Callable[..., Rig]) -> Rig:
    """A rig that goes straight to a broker of its own; `through` sends its connectors by the proxy."""
    return make_rig(Kafka(proxied_kafka.cluster.bootstrap_servers))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the ends of the processes' logs with a failure."""
    report = yield
    if report.failed:
        report.sections += [("processes", rig.log_tails()) for rig in item.stash.get(_RIGS, [])]
    return report
