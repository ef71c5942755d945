"""The brokers that tests run on, and what happens where a machine has none.

Promise: a test that asks for `kafka`, or for brokers of its own, gets Apache Kafka itself and is marked `broker`
without saying so. Where it cannot run those tests skip, all with the same one line that says what to install;
under `CI=true` they fail instead, because a green run must mean that they ran.
"""

from __future__ import annotations

import os
from functools import cache
from typing import TYPE_CHECKING

import pytest

from connector.adapters import kafka_topic_ids
from connector.local.embedded_kafka import EmbeddedKafka
from tests.kafka.broker import start_kafka
from tests.kafka.client import Kafka
from tests.kafka.installation import why_no_kafka

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.kafka.broker import Cluster

_OWN_BROKERS = {"kafka_cluster", "kafka_trio", "proxied_kafka", "guarded_kafka", "compacting_rig"}
_BROKER_FIXTURES = {"kafka", *_OWN_BROKERS}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that need Apache Kafka, before `-m` chooses among them."""
    for item in items:
        if _BROKER_FIXTURES.intersection(getattr(item, "fixturenames", ())):
            item.add_marker("broker")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip (in CI: fail) what needs Apache Kafka where it cannot run."""
    if item.get_closest_marker("broker") is None:
        return
    missing = _missing(own_broker=bool(_OWN_BROKERS.intersection(getattr(item, "fixturenames", ()))))
    if missing is None:
        return
    if os.environ.get("CI") == "true":
        pytest.fail(missing, pytrace=False)
    pytest.skip(missing)


@pytest.fixture(scope="session")
def kafka() -> Iterator[Kafka]:
    """Apache Kafka for the whole run: the cluster that `KAFKA_BOOTSTRAP_SERVERS` names, or one of its own."""
    named = os.environ.get("KAFKA_BOOTSTRAP_SERVERS")
    if named:
        yield Kafka(named)
        return
    with start_kafka() as cluster:
        yield Kafka(cluster.bootstrap_servers)


@pytest.fixture
def kafka_cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """A Kafka node for one test alone, which may kill it and start it again; a parameter changes what is started."""
    with start_kafka(**getattr(request, "param", {})) as cluster:
        yield cluster


@pytest.fixture
def kafka_trio() -> Iterator[Cluster]:
    """Three Kafka nodes for one test alone, which may kill any of them and start it again."""
    with start_kafka(nodes=3) as cluster:
        yield cluster


@pytest.fixture
def embedded_kafka(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The bootstrap address of an empty embedded broker, for one test alone."""
    monkeypatch.setattr(kafka_topic_ids, "_FIRST_PATIENCE_S", 0.0)  # it tells no topic's id, however long one waits
    with EmbeddedKafka() as broker:
        yield broker.bootstrap_servers


@cache
def _missing(*, own_broker: bool) -> str | None:
    if os.environ.get("KAFKA_BOOTSTRAP_SERVERS") and not own_broker:
        return None
    return why_no_kafka()
