"""What waits for a person waits: a held route drops nothing, holds up nobody else, and goes on by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.faults.rig import OTHER_DATASTREAM, PARTITIONS, QUICK

if TYPE_CHECKING:
    from tests.faults.rig import Rig, Settings

PROBING: Settings = {"edge": {"probe_interval_ms": 200}}


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
