"""Faults of the log: records that are gone before they were read, and offsets that hold no record."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from connector.app import ExitCode
from tests.faults.events import all_good
from tests.faults.rig import PARTITIONS, QUICK
from tests.kafka.broker import start_kafka
from tests.kafka.client import Kafka

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.faults.child import Child
    from tests.faults.oracle import Findings
    from tests.faults.rig import Rig, Settings

EACH = 100
"""So many records are in each partition at first."""

NARROW: Settings = {"consume": {"max_open_bytes": 1_048_576}, "kafka": {"queued.max.messages.kbytes": 128}}
_UNAVAILABLE = {"effect": {"kind": "status", "code": "EXEG-0201-503"}}


def missing(connector: Child) -> dict[int, int]:
    """By partition, how many records the log says are gone."""
    found: dict[int, int] = {}
    for line in connector.lines("offset_out_of_range"):
        assert line["level"] == "error"
        assert "retention" in line["remedy"]
        found[line["partition"]] = found.get(line["partition"], 0) + line["records_missing"]
    return found


def lost_by_partition(findings: Findings) -> dict[int, int]:
    """By partition, how many records were lost."""
    found: dict[int, int] = {}
    for sent in findings.lost:
        found[sent.partition] = found.get(sent.partition, 0) + 1
    return found


def test_records_that_expired_while_nobody_read_are_told_of(rig: Rig) -> None:
    """Offset out of range: deleted while the connector is stopped. The log counts them, and all others arrive.

    Where nothing is left the commit goes to the end, or the same alarm would come with every start.
    """
    rig.send(EACH * PARTITIONS)
    first = rig.start(QUICK)
    rig.until_settled()
    assert first.stop() == ExitCode.STOPPED
    rig.send(EACH * PARTITIONS)
    rig.kafka.delete_records(rig.topic, {0: EACH + 50, 1: EACH + 20, 2: 2 * EACH, 3: EACH, 4: EACH - 1})

    second = rig.start(QUICK)
    rig.until_settled()

    assert second.stop() == ExitCode.STOPPED
    assert missing(second) == {0: 50, 1: 20, 2: EACH}
    findings = rig.findings()
    assert lost_by_partition(findings) == missing(second)
    assert all(sent.offset < EACH + 50 or sent.partition == 2 for sent in findings.lost)
    findings.lost.clear()
    findings.assert_clean()


def test_records_that_expire_while_the_connector_waits_are_told_of(rig: Rig) -> None:
    """Offset out of range: deleted past the position of a running connector. What is in memory is still delivered."""
    rig.send(PARTITIONS)
    connector = rig.start(QUICK, NARROW)
    rig.until_settled()
    rig.edge.set_faults(_UNAVAILABLE)
    rig.send(2_000 * PARTITIONS)
    rig.until_logged(connector, "consumption_paused")
    rig.kafka.delete_records(rig.topic, dict.fromkeys(range(PARTITIONS), 1_900))

    rig.edge.set_faults()
    rig.until_settled()

    assert connector.stop() == ExitCode.STOPPED
    findings = rig.findings()
    assert lost_by_partition(findings) == missing(connector)
    assert 0 < len(findings.lost) < 1_900 * PARTITIONS
    assert all(sent.offset < 1_900 for sent in findings.lost)
    findings.lost.clear()
    findings.assert_clean()


def test_offsets_without_a_record_hold_nothing_up(rig: Rig) -> None:
    """Transaction markers, aborted transactions: the watermark crosses them, and what was aborted never arrives."""
    connector = rig.start(QUICK)
    rig.send(10 * PARTITIONS)
    for is_aborted in (False, True, True, False):
        with rig.feed.transaction(is_aborted=is_aborted) as write:
            for number in range(20 * PARTITIONS):
                write(all_good(number), rig.topic, number % PARTITIONS)
    rig.until_settled()

    # Behind the last record there is its transaction's marker, and an aborted transaction for the next start.
    with rig.feed.transaction(is_aborted=True) as write:
        for number in range(20 * PARTITIONS):
            write(all_good(number), rig.topic, number % PARTITIONS)
    assert connector.stop() == ExitCode.STOPPED
    again = rig.start(QUICK)
    rig.until_logged(again, "partitions_assigned")
    rig.send(10 * PARTITIONS)
    rig.until_settled()

    assert again.stop() == ExitCode.STOPPED
    rig.findings().assert_clean()


@pytest.fixture
def compacting_rig(make_rig: Callable[..., Rig]) -> Iterator[Rig]:
    """A rig on a broker that compacts at once."""
    with start_kafka(properties={"log.cleaner.backoff.ms": 200}) as cluster:
        yield make_rig(Kafka(cluster.bootstrap_servers))


@pytest.mark.long
@pytest.mark.broker
def test_compaction_leaves_gaps_that_hold_nothing_up(compacting_rig: Rig) -> None:
    """Compaction gaps: the watermark crosses what was compacted away, and all that is left arrives once."""
    rig = compacting_rig
    compacts = {"cleanup.policy": "compact", "min.cleanable.dirty.ratio": "0.01", "segment.ms": "500"}
    rig.alter_topic(rig.topic, compacts)
    for _ in range(4):
        rig.send(50 * PARTITIONS, key=lambda number: b"%d" % (number % 60))
        time.sleep(0.6)  # the segment's age decides when it is closed, and an open one is not compacted
    rig.send(PARTITIONS, key=lambda number: b"last of %d" % number)
    rig.until("compaction", lambda: len(rig.kafka.read_all(rig.topic)) < len(rig.feed.sent) // 2)

    connector = rig.start(QUICK)
    rig.until_settled()

    assert connector.stop() == ExitCode.STOPPED
    left = {(message.partition(), message.offset()) for message in rig.kafka.read_all(rig.topic)}
    findings = rig.findings()
    findings.lost = [sent for sent in findings.lost if (sent.partition, sent.offset) in left]
    findings.assert_clean()
