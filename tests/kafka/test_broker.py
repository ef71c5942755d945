"""The brokers that the other tests rely on do what those tests rely on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

from confluent_kafka import Consumer, Producer, TopicPartition

from tests.kafka.client import Kafka

if TYPE_CHECKING:
    from tests.kafka.broker import Cluster


def test_records_come_back_in_order_with_key_and_headers(kafka: Kafka) -> None:
    """What was produced is read back: every record, its key and its headers."""
    topic = kafka.create_topic(partitions=3)

    kafka.produce(topic, [b"a", b"b", None], key=b"k", partition=1, headers=[("h", b"1")])

    records = kafka.read_all(topic)
    assert [record.value() for record in records] == [b"a", b"b", None]
    assert {record.key() for record in records} == {b"k"}
    assert records[0].headers() == [("h", b"1")]
    assert kafka.end_offsets(topic) == {0: 0, 1: 3, 2: 0}


def test_a_groups_commit_is_seen_and_deleted(kafka: Kafka) -> None:
    """`committed` shows exactly what a group committed, and nothing after the group is deleted."""
    topic, group = kafka.create_topic(partitions=2), kafka.unique_name()
    kafka.produce(topic, [b"a", b"b"], partition=0)
    consumer = Consumer({"bootstrap.servers": kafka.bootstrap_servers, "group.id": group})

    consumer.commit(offsets=[TopicPartition(topic, 0, 2)], asynchronous=False)
    consumer.close()

    assert kafka.committed(group, topic) == {0: 2}
    kafka.delete_group(group)
    assert kafka.committed(group, topic) == {}


def test_a_killed_node_comes_back_with_its_records(kafka_cluster: Cluster) -> None:
    """After kill -9 and a start on the same data, the same address serves the same records."""
    kafka = Kafka(kafka_cluster.bootstrap_servers)
    topic = kafka.create_topic()
    kafka.produce(topic, [b"before"])

    kafka_cluster.nodes[0].kill()
    kafka_cluster.start()
    kafka.produce(topic, [b"after"])

    assert [record.value() for record in kafka.read_all(topic)] == [b"before", b"after"]


def test_a_killed_test_run_takes_its_broker_with_it(kafka_cluster: Cluster) -> None:
    """A broker's guard ends it when the pipe from the test run closes, as any death of the run does."""
    node = kafka_cluster.nodes[0]
    guard = node._guard
    assert guard is not None

    guard.notice_death()

    assert node._process is not None
    assert node._process.wait(timeout=30) == -signal.SIGKILL


def test_the_embedded_broker_serves_other_processes_until_its_starter_is_gone() -> None:
    """As a process it names its address in one line, serves it, and ends when its standard input does."""
    command = [sys.executable, "-m", "connector.local.embedded_kafka"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        address = process.stdout.readline().removeprefix("embedded Kafka ready: ").strip()

        Kafka(address).produce("topic", [b"a"])
        assert [record.value() for record in Kafka(address).read_all("topic")] == [b"a"]

        process.communicate("", timeout=30)
    assert process.returncode == 0


def test_the_embedded_broker_stops_at_sigterm() -> None:
    """SIGTERM ends the embedded broker's process in order."""
    command = [sys.executable, "-m", "connector.local.embedded_kafka"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        os.kill(process.pid, signal.SIGTERM)
        assert process.wait(timeout=30) == 0


def test_embedded_brokers_share_nothing(embedded_kafka: str) -> None:
    """A test's embedded broker starts without topics."""
    assert not Producer({"bootstrap.servers": embedded_kafka}).list_topics(timeout=10).topics
