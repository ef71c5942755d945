"""The adapters are tested on the event loop that they run on in production, and on real and embedded brokers."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests.adapters.group import Group, new_group
from tests.adapters.kafka_member import CLASSIC, QUICK
from tests.kafka.client import Kafka

if sys.platform != "win32":
    import uvloop

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from confluent_kafka import Message


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Run this package's asyncio tests on uvloop, whose connections fail in their own ways."""
    if sys.platform == "win32":
        return {"asyncio": asyncio.new_event_loop}
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture(params=["embedded", pytest.param("classic", marks=pytest.mark.broker)])
def group(request: pytest.FixtureRequest) -> Group:
    """A group on the embedded broker, where the broker assigns, and a classic one on Apache Kafka."""
    return _group(request)


@pytest.fixture(params=[pytest.param(name, marks=pytest.mark.broker) for name in ("classic", "kip-848")])
def group_by_protocol(request: pytest.FixtureRequest) -> Group:
    """A group on Apache Kafka under each of its protocols."""
    return _group(request)


def _group(request: pytest.FixtureRequest) -> Group:
    match request.param:
        case "embedded":
            kafka = Kafka(request.getfixturevalue("embedded_kafka"))
            return new_group(kafka, is_embedded=True, properties=QUICK)
        case "classic":
            return new_group(request.getfixturevalue("kafka"), is_embedded=False, properties=CLASSIC)
        case _:
            return new_group(request.getfixturevalue("kafka"), is_embedded=False, properties=QUICK)


@pytest.fixture
def embedded_group(embedded_kafka: str) -> Group:
    """A group on the embedded broker alone, for what does not depend on the broker."""
    return new_group(Kafka(embedded_kafka), is_embedded=True, properties=QUICK)


@pytest.fixture
def kafka_group(kafka: Kafka) -> Group:
    """A group on Apache Kafka alone, for what the embedded broker cannot do."""
    return new_group(kafka, is_embedded=False, properties=CLASSIC)


@dataclass(frozen=True, slots=True)
class Place:
    """A broker and an empty topic."""

    kafka: Kafka
    topic: str

    def read(self) -> list[Message]:
        """All records."""
        return self.kafka.read_all(self.topic)


@pytest.fixture(params=["embedded", pytest.param("kafka", marks=pytest.mark.broker)])
def place(request: pytest.FixtureRequest) -> Place:
    """A topic on the embedded broker, which makes it on its first use, and on Apache Kafka."""
    if request.param == "embedded":
        kafka = Kafka(request.getfixturevalue("embedded_kafka"))
        return Place(kafka, kafka.unique_name())
    kafka = request.getfixturevalue("kafka")
    return Place(kafka, kafka.create_topic())
