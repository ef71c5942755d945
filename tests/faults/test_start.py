"""How a connector starts: where it begins to read, and what it refuses to start with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from connector.app import ExitCode
from tests.faults.rig import QUICK

if TYPE_CHECKING:
    from tests.faults.rig import Rig, Settings

LATEST: Settings = {"consume": {"start_at": "latest"}}


def test_a_group_without_a_commit_starts_at_the_earliest_and_goes_on_at_its_commit(rig: Rig) -> None:
    """What waited is read, and a restart reads only what came since."""
    rig.send(1_000)
    first = rig.start(QUICK)
    rig.until_settled()
    assert first.stop() == ExitCode.STOPPED
    rig.send(1_000)

    second = rig.start(QUICK)

    rig.until_settled()
    assert second.lines("partitions_assigned")[0]["start"] != [0, 0, 0, 0, 0, 0]
    rig.findings().assert_clean(max_duplicates=0)


def test_a_group_told_to_start_at_the_latest_skips_what_waits_and_nothing_else(rig: Rig) -> None:
    """Only what is written after the first assignment arrives, also what is written while no member runs."""
    rig.send(1_000)
    first = rig.start(QUICK, LATEST)
    rig.until_logged(first, "partitions_assigned")
    skipped = list(rig.feed.sent)
    rig.send(1_000)
    rig.until_settled()
    assert first.stop() == ExitCode.STOPPED
    rig.send(1_000)

    rig.start(QUICK, LATEST)

    rig.until_settled()
    findings = rig.findings()
    assert findings.lost == skipped
    findings.lost.clear()
    findings.assert_clean(max_duplicates=0)


def test_a_missing_dead_letter_topic_is_refused_by_its_name(rig: Rig) -> None:
    """Without its topic the connector does not start: exit code 2 and a line that names the topic and the remedy."""
    connector = rig.start(QUICK, {"dead_letter": {"topic": "no-such-topic"}})

    assert connector.wait() == ExitCode.CONFIGURATION

    reason = str(connector.lines("start_refused")[0]["reason"])
    assert "no-such-topic" in reason
    assert "dead_letter.create" in reason


def test_a_missing_dead_letter_topic_is_created_where_that_is_asked_for(rig: Rig) -> None:
    """`dead_letter.create` makes the topic with the partitions that it names."""
    name = rig.kafka.unique_name("made")
    create = {"topic": name, "create": {"partitions": 3, "replication_factor": 1}}
    connector = rig.start(QUICK, {"dead_letter": create})
    rig.send(100)
    rig.until_settled()

    assert rig.kafka.end_offsets(name) == {0: 0, 1: 0, 2: 0}
    assert connector.stop() == ExitCode.STOPPED
