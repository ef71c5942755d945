"""Records made to break the connector cost nobody else anything, and each gets its one verdict."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

import orjson
import pytest
from confluent_kafka import TIMESTAMP_CREATE_TIME, Producer

from connector.local.edge.ledger import canonical_crc32
from tests.faults.hostile_records import ACCEPTED, SKIPPED, Headers, Hostile, heavy, hostile_records
from tests.faults.oracle import origin, reconcile, split_headers
from tests.faults.rig import PARTITIONS, QUICK

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from confluent_kafka import KafkaError, Message

    from tests.faults.edge_process import Accepted
    from tests.faults.rig import Rig
    from tests.parts import Whole

    Place = tuple[int, int]

_MIB = 1024 * 1024
UNBRAKED = {"dead_letter": {"brake": {"max_share_percent": 100}}}


def test_hostile_records_get_one_verdict_each(rig: Rig) -> None:
    """Bad inputs, header abuse: all at once between good records, twice.

    What can be delivered is delivered whole, what cannot is a dead letter byte for byte with its reason, and the good
    ones of the same batches all arrive, once.
    """
    placed: dict[Place, tuple[Hostile, int]] = {}
    for _ in range(2):
        rig.send(1_000)
        placed |= _write(rig, hostile_records(f"{rig.feed.run}-hostile{len(placed)}"))
    rig.send(1_000)
    connector = rig.start(QUICK, UNBRAKED)

    rig.until_settled(timeout_s=120)

    rig.send(10)
    rig.until_settled()
    assert connector.stop() == 0
    letters = _by_place(rig.dead_letters())
    accepted = rig.edge.accepted()
    ids = {_id(rig, place, hostile, at_ms) for place, (hostile, at_ms) in placed.items() if hostile.fate == ACCEPTED}
    others = [letter for place, found in letters.items() if place not in placed for letter in found]
    good = {identity: entry for identity, entry in accepted.items() if identity not in ids}
    reconcile(rig.feed.sent, good, others).assert_clean(max_duplicates=0)
    faults = []
    for place, (hostile, at_ms) in placed.items():
        entry = accepted.get(_id(rig, place, hostile, at_ms))
        faults += [f"{hostile.name}: {fault}" for fault in _faults(hostile, at_ms, entry, letters.get(place, []))]
    assert not faults, "\n".join(faults)
    assert len(placed) > 150


@pytest.mark.long
def test_huge_headers_wait_in_kafka_while_the_edge_is_away(rig: Rig) -> None:
    """Memory squeeze: small events with large headers stop the reading in an outage, and all arrive after it."""
    rig.edge.set_faults({"effect": {"kind": "status", "status": 503}})
    bounds = {"consume": {"max_open_bytes": 8 * _MIB}, "edge": {"retry": {"max_ms": 300}}}
    connector = rig.start(QUICK, bounds)
    rig.send(60)
    rig.until_logged(connector, "request_failed")
    before = connector.peak_memory_bytes()
    headers: Headers = [("baggage", b"b" * 500_000)]
    ids = [f"{rig.feed.run}-heavy-{number}" for number in range(600)]
    _write(rig, [heavy(event_id, headers) for event_id in ids])
    rig.send(60)

    rig.until_logged(connector, "consumption_paused")
    rig.until_logged(connector, "summary", len(connector.lines("summary")) + 3)
    assert connector.peak_memory_bytes() - before < 150 * _MIB, "300 MB are waiting"

    rig.edge.set_faults()
    rig.until_settled()
    assert connector.stop() == 0
    accepted = rig.edge.accepted()
    assert [event_id for event_id in ids if accepted.pop(event_id).times != 1] == []
    reconcile(rig.feed.sent, accepted, rig.dead_letters()).assert_clean(max_duplicates=0)


def _write(rig: Rig, records: Iterable[Hostile]) -> dict[Place, tuple[Hostile, int]]:
    """Write records to every partition in turn; each with its partition, offset and timestamp."""
    producer = Producer(
        {"bootstrap.servers": rig.kafka.bootstrap_servers, "message.max.bytes": 2_000_000, "log_level": 0}
    )
    placed: dict[Place, tuple[Hostile, int]] = {}
    at_ms = int(time.time() * 1000) - 60_000

    def note(hostile: Hostile, error: KafkaError | None, message: Message) -> None:
        assert error is None, f"{hostile.name}: {error}"
        partition, offset = message.partition(), message.offset()
        assert partition is not None
        assert offset is not None
        placed[partition, offset] = hostile, at_ms

    for number, hostile in enumerate(records):
        producer.produce(
            rig.topic,
            hostile.value,
            hostile.key,
            number % PARTITIONS,
            on_delivery=partial(note, hostile),
            timestamp=at_ms,
            headers=hostile.headers,
        )
        producer.poll(0)
    assert producer.flush(60) == 0, "not every record was acknowledged"
    producer.close()
    return placed


def _id(rig: Rig, place: Place, hostile: Hostile, at_ms: int) -> str:
    """Under which `_id` it is accepted, if it is."""
    partition, offset = place
    return hostile.event_id or f"{rig.topic}-{partition}-{offset}-{at_ms}"


def _by_place(letters: list[Whole]) -> dict[Place, list[Whole]]:
    found: dict[Place, list[Whole]] = {}
    for letter in letters:
        _, partition, offset = origin(split_headers(letter)[1])
        found.setdefault((partition, offset), []).append(letter)
    return found


def _faults(hostile: Hostile, at_ms: int, entry: Accepted | None, letters: list[Whole]) -> Iterator[str]:
    """What is not as it should be with one record."""
    is_accepted, is_buried = hostile.fate == ACCEPTED, hostile.fate not in {ACCEPTED, SKIPPED}
    if (entry.times if entry else 0) != is_accepted:
        yield f"accepted {entry.times if entry else 0} times"
    if len(letters) != is_buried:
        yield f"{len(letters)} dead letters, {[split_headers(letter)[1]['xdm.error.code'] for letter in letters]}"
    if entry is not None and hostile.event_id and entry.crc32 != _crc32(hostile.value or b""):
        yield "not accepted as it was written"
    for letter in letters:
        own, added = split_headers(letter)
        if added["xdm.error.code"] != hostile.fate:
            yield f"dead-lettered as {added['xdm.error.code']}: {added['xdm.error.detail']}"
        if (letter.key(), letter.value(), own) != (hostile.key, hostile.value, hostile.headers or []):
            yield "not kept byte for byte"
        if letter.timestamp() != (TIMESTAMP_CREATE_TIME, at_ms):
            yield "not kept with its timestamp"


def _crc32(value: bytes) -> int:
    return canonical_crc32(orjson.loads(value.removeprefix(b"\xef\xbb\xbf")))
