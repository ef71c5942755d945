"""What waits for a person waits: a held route drops nothing, holds up nobody else, and goes on by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.faults.events import Kind, one_percent_bad
from tests.faults.rig import OTHER_DATASTREAM, PARTITIONS, QUICK

if TYPE_CHECKING:
    from tests.faults.rig import Rig, Settings

PROBING: Settings = {"edge": {"probe_interval_ms": 200}}
BURYING: Settings = {
    "edge": {"retry": {"max_ms": 500}},
    "dead_letter": {"kafka": {"message.timeout.ms": 2000}},
}
"""A dead-letter topic that is away is noticed and tried again soon."""


def test_a_configuration_fault_holds_its_route_and_no_other(rig: Rig) -> None:
    """An unknown datastream: its events stay in Kafka, the other route flows; mended, all of them arrive."""
    other = rig.kafka.create_topic("other", partitions=PARTITIONS)
    rig.edge.set_faults(
        {"select": {"datastream": OTHER_DATASTREAM}, "effect": {"kind": "status", "code": "EXEG-0003-400"}}
    )
    broken = {"name": "broken", "topics": [other], "datastream_id": OTHER_DATASTREAM}
    connector = rig.start(QUICK, PROBING, {"routes": [rig.route(), broken]})
    rig.send(2_000, topic=other)
    rig.until_logged(connector, "route_held")

    rig.send(5_000)
    rig.until_settled(rig.topic)

    assert sum(rig.committed(other).values()) == 0
    assert rig.kafka.read_all(rig.dead_letter_topic) == []
    rig.edge.set_faults()
    rig.until_settled(rig.topic, other)
    assert [line["route"] for line in connector.lines("route_released")] == ["broken"]
    assert connector.stop() == 0
    rig.findings().assert_clean(max_duplicates=0)


def test_a_deleted_dead_letter_topic_holds_the_route_until_it_is_back(rig: Rig) -> None:
    """While the topic is gone nothing is dropped and nothing that is bad is committed; re-created, all is there."""
    connector = rig.start(QUICK, PROBING, BURYING)
    rig.send(1_000)
    rig.until_settled()
    rig.kafka.delete_topic(rig.dead_letter_topic)

    rig.send(2_000, one_percent_bad_without_poison)
    rig.until_logged(connector, "route_held")

    assert rig.committed() != rig.feed.ends(rig.topic)
    rig.create_topic(rig.dead_letter_topic, partitions=2)
    rig.until_settled()
    assert connector.stop() == 0
    rig.findings().assert_clean(max_duplicates=0, max_repeated_dead_letters=20)


def test_a_dead_letter_topic_that_takes_no_writes_holds_the_route(rig: Rig) -> None:
    """While the topic refuses records nothing is dropped; when it takes them again, all is there."""
    rig.alter_topic(rig.dead_letter_topic, {"max.message.bytes": "200"})
    connector = rig.start(QUICK, PROBING, BURYING)
    rig.send(2_000, one_percent_bad_without_poison)
    rig.until_logged(connector, "route_held")

    assert rig.committed() != rig.feed.ends(rig.topic)
    rig.alter_topic(rig.dead_letter_topic, {"max.message.bytes": "1048588"})
    rig.until_settled()
    assert connector.stop() == 0
    rig.findings().assert_clean(max_duplicates=0, max_repeated_dead_letters=20)


def one_percent_bad_without_poison(number: int) -> Kind:
    """As `one_percent_bad`, where the Edge has no fault set."""
    kind = one_percent_bad(number)
    return Kind.NAMED if kind is Kind.POISON else kind
