"""The events of the demo: the good ones can be accepted, the flawed ones never, for the reason they name."""

from __future__ import annotations

from collections import Counter

import orjson
import pytest

from connector.core.decode import Decoder, DecodeRules, Shape
from connector.local.edge.rules import Accepted, Refused, decide_events
from connector.local.event_flaws import FLAWS
from connector.local.event_source import SourceRecord, make_records
from connector.model import Rejection
from tests.unit.decode_record import RecordAt

RULES = DecodeRules(
    shape=Shape.AUTO, needs_primary_identity=True, derive_missing_id=True, max_fragment_bytes=64_000
)  # fmt: skip
DERIVED_ID = "xdm.web-3-42-1760000000000"


@pytest.fixture(scope="module")
def records() -> list[SourceRecord]:
    return list(make_records(3_000, seed=7, flawed_share=0.01))


def decode(record: SourceRecord) -> bytes | Rejection:
    return Decoder(RULES).decode(record.value, RecordAt())


def test_each_good_event_is_accepted_as_it_says_it_arrives(records: list[SourceRecord]) -> None:
    """Connector and Edge take every event without a flaw, and it arrives as announced."""
    for record in records:
        if record.arrives is None:
            continue
        fragment = decode(record)
        assert isinstance(fragment, bytes)
        xdm = {**record.arrives["xdm"], "_id": record.event_id or DERIVED_ID}
        event = orjson.loads(fragment)
        assert event == {**record.arrives, "xdm": xdm}
        assert isinstance(decide_events([event], "events", primary_needed=True), Accepted)


@pytest.mark.parametrize("flaw", FLAWS, ids=lambda flaw: flaw.name)
def test_a_flawed_event_is_rejected_for_the_reason_it_names(flaw: object, records: list[SourceRecord]) -> None:
    """The connector finds the flaw before a request, or the Edge does; the reason is the one that is named."""
    found = [record for record in records if record.flaw is flaw]
    assert found
    for record in found:
        assert record.arrives is None
        assert record.flaw is not None
        decoded = decode(record)
        if isinstance(decoded, Rejection):
            assert (decoded.reason, "connector") == (record.flaw.reason, record.flaw.found_by)
            continue
        decision = decide_events([orjson.loads(decoded)], "events", primary_needed=True)
        assert isinstance(decision, Refused)
        assert decision.problem.code == record.flaw.reason
        assert ("#0" in (decision.problem.detail or "")) is (record.flaw.found_by == "Edge, by #index")


def test_one_in_a_hundred_is_flawed_and_every_flaw_has_its_turn(records: list[SourceRecord]) -> None:
    """The share is exact, and no flaw is left out."""
    flaws = Counter(record.flaw.name for record in records if record.flaw)
    assert flaws == {flaw.name: 2 for flaw in FLAWS}


def test_the_events_are_varied(records: list[SourceRecord]) -> None:
    """Bare and enveloped, with and without id and headers, of several kinds, from half to some kilobytes."""
    good = [record for record in records if record.flaw is None]
    values = [orjson.loads(record.value) for record in good]
    sizes = [len(record.value) for record in good]
    assert {"xdm" in value for value in values} == {True, False}
    assert {record.event_id is None for record in good} == {True, False}
    assert {bool(record.headers) for record in good} == {True, False}
    assert any(b'"primary":"true"' in record.value for record in good)
    assert min(sizes) < 700
    assert max(sizes) > 4_000
    assert max(sizes) < 10_000
    assert len({record.key for record in good}) > 1_000
    assert len({value.get("xdm", value)["eventType"] for value in values}) >= 5


def test_the_same_seed_makes_the_same_events() -> None:
    """A run can be repeated: ids, keys, flaws and headers are the seed's."""

    def outline(seed: int) -> list[object]:
        made = make_records(50, seed=seed, flawed_share=0.1)
        return [(record.event_id, record.key, record.flaw, record.headers) for record in made]

    assert outline(3) == outline(3)
    assert outline(3) != outline(4)
