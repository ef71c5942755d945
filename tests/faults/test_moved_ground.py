"""What the group stands on moves: its offsets are deleted or moved, its topics are made anew or grow."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from confluent_kafka import TopicPartition

from connector.app import ExitCode
from tests.faults.events import POISON_FAULT, Kind
from tests.faults.rig import PARTITIONS, QUICK

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.faults.child import Child
    from tests.faults.feed import Sent
    from tests.faults.rig import Rig, Settings

EACH = 200
EVENTS = EACH * PARTITIONS
HOLDING = 15
"""The number of the event that holds a watermark: all above it is in the commit's note."""

UNAVAILABLE_FOR_IT = {**POISON_FAULT, "effect": {"kind": "status", "code": "EXEG-0201-503"}}
HEARS_SOON: Settings = {"kafka": {"topic.metadata.refresh.interval.ms": 500}}
LATEST: Settings = {"consume": {"start_at": "latest"}}


def one_early(number: int) -> Kind:
    """One of the first events is not accepted for now."""
    return Kind.POISON if number == HOLDING else Kind.GOOD


def batches(rig: Rig) -> Settings:
    """Small batches, so that one event takes few others with it."""
    return {"routes": [rig.route(batch={"max_events": 20})]}


def deliver_with_a_hole(rig: Rig) -> tuple[Child, Mapping[int, int]]:
    """Let a connector deliver nearly everything and commit it, most of it as a note; how often each event arrived."""
    rig.edge.set_faults(UNAVAILABLE_FOR_IT)
    rig.send(EVENTS, one_early)
    connector = rig.start(QUICK, batches(rig))
    rig.until_accepted(EVENTS - 100)
    rig.until("a note", lambda: any(_is_long(commit) for commit in rig.kafka.commits(rig.group, rig.topic)))
    return connector, rig.committed()


def _is_long(commit: TopicPartition) -> bool:
    return len((commit.metadata or "").split(" ")[-1]) > 0


def settled_above(connector: Child) -> int:
    """How many records a connector did not read again for the sake of a note, or of its memory."""
    return sum(line["settled_above"] for line in connector.lines("partitions_assigned"))


def assert_repeated_from(rig: Rig, offsets: Mapping[int, int], first_accepted: set[int]) -> None:
    """Exactly what was accepted before, and lies at or above these offsets, came once more."""
    wanted = {
        sent.number
        for sent in rig.feed.sent
        if sent.number in first_accepted and sent.offset >= offsets.get(sent.partition, 0)
    }
    findings = rig.findings()
    assert numbers(rig, findings.duplicates) == wanted
    findings.assert_clean(max_duplicates=len(wanted))


def numbers(rig: Rig, identities: Mapping[str, object]) -> set[int]:
    """The numbers of the events with these ids."""
    derived = {sent.derived_id: sent.number for sent in rig.feed.sent}
    return {derived[name] if name in derived else int(name.rpartition("-")[2]) for name in identities}


@pytest.mark.long
def test_deleted_offsets_are_read_from_the_start(rig: Rig) -> None:
    """Group offsets deleted: the next start reads everything, and no note of before is applied."""
    first, _ = deliver_with_a_hole(rig)
    assert first.stop() == ExitCode.STOPPED
    accepted = numbers(rig, rig.edge.accepted())
    rig.kafka.delete_group(rig.group)
    rig.edge.set_faults({**POISON_FAULT})

    second = rig.start(QUICK, batches(rig))
    rig.until_settled()

    assert second.stop() == ExitCode.STOPPED
    assert second.lines("partitions_assigned")[0]["start"] == [None] * PARTITIONS
    assert settled_above(second) == 0
    assert_repeated_from(rig, {}, accepted)


def test_offsets_that_were_moved_back_are_read_from_there(rig: Rig) -> None:
    """Group offsets rewound by an admin: reading starts where told, and no note of before is applied."""
    first, committed = deliver_with_a_hole(rig)
    assert first.stop() == ExitCode.STOPPED
    accepted = numbers(rig, rig.edge.accepted())
    told = {partition: min(1 + partition, committed.get(partition, 0)) for partition in range(PARTITIONS)}
    rig.kafka.set_commits(rig.group, [TopicPartition(rig.topic, *place) for place in told.items()])
    rig.edge.set_faults({**POISON_FAULT})

    second = rig.start(QUICK, batches(rig))
    rig.until_settled()

    assert second.stop() == ExitCode.STOPPED
    assert settled_above(second) == 0
    assert_repeated_from(rig, told, accepted)


@pytest.mark.long
def test_offsets_that_were_moved_back_under_a_member_that_was_away_are_read_from_there(rig: Rig) -> None:
    """Group offsets rewound by an admin: also what the very process remembers of before is not applied."""
    rig.send(EVENTS)
    connector = rig.start(QUICK)
    rig.until_settled()
    connector.freeze()
    told = dict.fromkeys(range(PARTITIONS), 50)

    def is_moved() -> bool:
        try:
            rig.kafka.set_commits(rig.group, [TopicPartition(rig.topic, *place) for place in told.items()])
        except Exception:  # noqa: BLE001 - while the group has a member the brokers refuse it
            return False
        return True

    rig.until("the end of the session", is_moved)
    connector.thaw()
    rig.until("the second delivery", lambda: rig.findings().duplicate_count >= EVENTS - 50 * PARTITIONS)

    rig.until_settled()
    assert connector.stop() == ExitCode.STOPPED
    assert_repeated_from(rig, told, set(range(EVENTS)))


@pytest.mark.parametrize(
    "commits_survive",
    [pytest.param(False, marks=pytest.mark.long), True],
    ids=["commits-gone", "commits-restored"],
)
def test_a_topic_made_anew_while_nobody_reads_is_read_whole(rig: Rig, *, commits_survive: bool) -> None:
    """Topic re-created with the same name: old commits and their notes say nothing of it, and nothing is skipped."""
    first, _ = deliver_with_a_hole(rig)
    assert first.stop() == ExitCode.STOPPED
    old = rig.kafka.commits(rig.group, rig.topic)
    accepted = _make_anew(rig)
    if commits_survive:  # as from a backup, or a broker that did not clean up
        rig.kafka.set_commits(rig.group, old)
    rig.edge.set_faults()
    rig.send(EVENTS + PARTITIONS)

    second = rig.start(QUICK, batches(rig))
    rig.until_settled()

    assert second.stop() == ExitCode.STOPPED
    assert settled_above(second) == 0
    assert bool(second.lines("topic_recreated")) == commits_survive
    rig.feed.sent += accepted
    rig.findings().assert_clean()


@pytest.mark.parametrize("is_stopped", [True, pytest.param(False, marks=pytest.mark.long)], ids=["stopped", "left"])
def test_a_topic_made_anew_under_a_running_connector_is_read_whole(rig: Rig, *, is_stopped: bool) -> None:
    """Topic re-created with the same name: the new one is longer than the old one was, and nothing is skipped.

    A member may read on where it stood in the old one before it hears of the new one, at most half a minute later;
    if it is stopped until then, its next start hears of it. So at most what stands there comes twice.
    """
    rig.send(EVENTS)
    connector = rig.start(QUICK, HEARS_SOON)
    rig.until_settled()

    accepted = _make_anew(rig)
    rig.send(2 * EVENTS)
    if is_stopped:
        rig.until_accepted(len(accepted) + EVENTS)
        assert connector.stop() == ExitCode.STOPPED
        connector = rig.start(QUICK)
        rig.until_logged(connector, "partitions_assigned")

    rig.until_accepted(len(accepted) + 2 * EVENTS)
    rig.until_settled()
    assert connector.stop() == ExitCode.STOPPED
    rig.feed.sent += accepted
    rig.findings().assert_clean(max_duplicates=EVENTS)


def _make_anew(rig: Rig) -> list[Sent]:
    """Delete the rig's topic and make it again; the records that the Edge accepted of the old one."""
    known = numbers(rig, rig.edge.accepted())
    accepted = [sent for sent in rig.feed.sent if sent.number in known]
    rig.feed.sent.clear()
    rig.kafka.delete_topic(rig.topic)
    rig.create_topic(rig.topic, partitions=PARTITIONS)
    return accepted


@pytest.mark.parametrize("start_at", [pytest.param({}, marks=pytest.mark.long), LATEST], ids=["earliest", "latest"])
def test_partitions_that_are_added_are_read_from_their_first_record(rig: Rig, start_at: Settings) -> None:
    """Partition count grows: what is written to a new partition before the member hears of it is not skipped.

    `latest` skips what waited at the start and says so, and means nothing that comes later.
    """
    if start_at:
        rig.send(EVENTS)
    skipped = list(rig.feed.sent)
    connector = rig.start(QUICK, HEARS_SOON, start_at)
    rig.until_logged(connector, "partitions_assigned")
    rig.kafka.add_partitions(rig.topic, PARTITIONS + 2)
    rig.feed.send([rig.topic], EVENTS, partitions=PARTITIONS + 2)

    rig.until_settled()
    assert connector.stop() == ExitCode.STOPPED
    assert [line["records"] for line in connector.lines("records_skipped")] == ([EVENTS] if start_at else [])
    findings = rig.findings()
    assert findings.lost == skipped
    findings.lost.clear()
    findings.assert_clean()
