"""Each client gets what is meant for it, and no config takes a promise away."""

from __future__ import annotations

import socket
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient

from connector.adapters.kafka_properties import (
    admin_properties,
    consumer_properties,
    producer_properties,
    refused_producer_properties,
    refused_properties,
    refused_response_properties,
    response_producer_properties,
)

SMALLEST: dict[str, Any] = {"bootstrap.servers": "127.0.0.1:1", "group.id": "g"}

CONSUMER_PROMISES = {
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "auto.offset.reset": "error",
    "enable.partition.eof": False,
}
PRODUCER_PROMISES = {"enable.idempotence": True, "acks": "all"}


@pytest.mark.parametrize(("name", "value"), CONSUMER_PROMISES.items())
def test_no_config_takes_a_promise_of_the_consumer(name: str, value: object) -> None:
    """What moves offsets is set here, whatever a config says."""
    assert consumer_properties(SMALLEST)[name] == value
    assert consumer_properties({**SMALLEST, name: "something else"})[name] == value


@pytest.mark.parametrize(("name", "value"), PRODUCER_PROMISES.items())
def test_no_config_takes_a_promise_of_the_producer(name: str, value: object) -> None:
    """What makes a dead letter or a response safe is set here, whatever a config says."""
    assert producer_properties(SMALLEST, {})[name] == value
    assert producer_properties({**SMALLEST, name: "something else"}, {name: "something else"})[name] == value
    assert response_producer_properties({**SMALLEST, name: "something else"})[name] == value


def test_a_config_wins_over_a_default() -> None:
    """Everything that breaks no promise is as the user says; the dead-letter section wins over the shared one."""
    kafka = {**SMALLEST, "client.id": "mine", "check.crcs": "false", "linger.ms": "1"}
    assert consumer_properties(kafka)["client.id"] == "mine"
    assert consumer_properties(kafka)["check.crcs"] == "false"
    assert producer_properties(kafka, {})["linger.ms"] == "1"
    assert producer_properties(kafka, {"linger.ms": "2", "client.id": "dead"})["linger.ms"] == "2"
    assert producer_properties(kafka, {"linger.ms": "2", "client.id": "dead"})["client.id"] == "dead"


def test_the_responses_producer_has_the_shared_properties() -> None:
    """It takes what `kafka` says of producers, and gives a key the partition that Java's clients would."""
    properties = response_producer_properties({**SMALLEST, "linger.ms": "1", "max.poll.interval.ms": "60000"})
    assert (properties["linger.ms"], properties["partitioner"]) == ("1", "murmur2_random")
    assert not {"group.id", "max.poll.interval.ms"} & properties.keys()
    assert response_producer_properties({**SMALLEST, "partitioner": "random"})["partitioner"] == "random"
    assert [name for name, _ in refused_response_properties({**SMALLEST, "linger.ms": "x"})] == ["linger.ms"]
    assert refused_response_properties(SMALLEST) == []


def test_each_client_gets_its_own() -> None:
    """A property of the consumer reaches no producer, and the other way round; the connection reaches all."""
    kafka = {**SMALLEST, "max.poll.interval.ms": "60000", "compression.type": "zstd", "sasl.username": "somebody"}
    consumer, producer, admin = consumer_properties(kafka), producer_properties(kafka, {}), admin_properties(kafka)
    assert all(each["sasl.username"] == "somebody" for each in (consumer, producer, admin))
    assert "compression.type" not in consumer
    assert producer["compression.type"] == "zstd"
    assert not {"group.id", "max.poll.interval.ms"} & producer.keys()
    assert admin == {"bootstrap.servers": "127.0.0.1:1", "sasl.username": "somebody"}


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_the_clients_take_their_properties_without_a_warning(capfd: pytest.CaptureFixture[str], protocol: str) -> None:
    """librdkafka knows every default under both group protocols and warns about none."""
    kafka = {**SMALLEST, "group.protocol": protocol}
    ours = {"bootstrap.servers": "", "client.id": "the-defaults"}  # clients of other tests may still be ending
    Consumer({**consumer_properties(kafka), **ours}).close()
    Producer({**producer_properties(kafka, {}), **ours}).flush()
    Producer({**response_producer_properties(kafka), **ours}).flush()
    AdminClient({**admin_properties(kafka), **ours}).poll(0)
    said = [line for line in capfd.readouterr().err.splitlines() if "the-defaults#" in line]
    assert [line for line in said if line < "%5" and "No `bootstrap.servers` configured" not in line] == []


def test_under_kip_848_the_broker_decides() -> None:
    """What librdkafka refuses with `group.protocol: consumer` is left out, unless the user insists and is told."""
    assert "partition.assignment.strategy" in consumer_properties(SMALLEST)
    modern = {**SMALLEST, "group.protocol": "consumer"}
    assert "partition.assignment.strategy" not in consumer_properties(modern)
    assert refused_properties(modern) == []
    insists = {**modern, "session.timeout.ms": "10000", "heartbeat.interval.ms": "1000"}
    assert {name for name, _ in refused_properties(insists)} == {"session.timeout.ms", "heartbeat.interval.ms"}


def test_everything_that_is_wrong_is_found_at_once() -> None:
    """Unknown names, wrong values and contradictions come together, each with librdkafka's own reason."""
    wrong = {
        **SMALLEST,
        "fetch.mni.bytes": "1",
        "utterly.unknown": "1",
        "fetch.error.backoff.ms": "many",
        "security.protocol": "SSLL",
        "session.timeout.ms": "400000",
    }
    found = dict(refused_properties(wrong))
    assert found.keys() == wrong.keys() - SMALLEST.keys()
    assert found["fetch.mni.bytes"].endswith('; did you mean "fetch.min.bytes"?')
    assert "did you mean" not in found["utterly.unknown"]
    assert "max.poll.interval.ms" in found["session.timeout.ms"]
    assert all(reason == reason.strip() and "\n" not in reason for reason in found.values())


def test_a_fault_is_named_as_the_config_names_it() -> None:
    """librdkafka has two names for some properties and speaks of the one that the config may not hold."""
    wrong = {"linger.ms": "x", "compression.type": "x", "delivery.timeout.ms": "x", "retries": "x"}
    found = dict(refused_producer_properties(SMALLEST, wrong))
    assert found.keys() >= {"linger.ms", "compression.type", "delivery.timeout.ms"}


def test_a_fault_without_a_property_is_told_too() -> None:
    """What is missing has no name to stand at, and ends the search."""
    ((name, reason),) = refused_properties({**SMALLEST, "security.protocol": "SASL_SSL", "sasl.mechanisms": "PLAIN"})
    assert name == ""
    assert "sasl.username" in reason


def test_the_overrides_of_the_producer_are_looked_at() -> None:
    """The dead-letter section's own properties are checked with the connection that they go with."""
    assert refused_producer_properties(SMALLEST, {"compression.type": "zstd"}) == []
    assert [name for name, _ in refused_producer_properties(SMALLEST, {"linger.mss": "1"})] == ["linger.mss"]


def test_no_broker_is_contacted_by_a_check() -> None:
    """A check of the config works where no broker can be reached, and leaves one that can alone."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        listener.settimeout(0.2)
        kafka = {**SMALLEST, "bootstrap.servers": f"127.0.0.1:{listener.getsockname()[1]}"}
        assert refused_properties(kafka) == refused_producer_properties(kafka, {}) == []
        with pytest.raises(TimeoutError):
            listener.accept()
