"""What bounds memory counts everything that an open record holds, and not only what is sent of it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from connector.core.decode import Decoder, DecodeRules, Shape
from connector.counts import RouteCounts
from connector.route import Route, RouteSettings
from tests.builders import FakeRecord, fragment_of

if TYPE_CHECKING:
    from connector.core.offsets import PartitionOffsets
    from connector.model import Headers

_MOST_BYTES = 10_000_000
_POLLED = 20


class UnreadableRecord(FakeRecord):
    """A record with a header's name that is not UTF-8."""

    def headers(self) -> Headers | None:
        raise SystemError


def _route() -> Route:
    nothing = cast("Any", SimpleNamespace())
    brake = SimpleNamespace(note=lambda **_: None, trip=None)
    rules = DecodeRules(
        shape=Shape.AUTO, needs_primary_identity=False, derive_missing_id=False, max_fragment_bytes=60_000
    )
    return Route(
        RouteSettings(
            name="web", topics=(), max_open_bytes=_MOST_BYTES, event_overhead_bytes=400, skips_tombstones=True
        ),
        decoder=Decoder(rules),
        batcher=nothing,
        delivery=nothing,
        burial=nothing,
        outcomes=cast("Any", SimpleNamespace(brake=brake)),
        gate=cast("Any", SimpleNamespace(is_braked=False, is_held=False)),
        counts=RouteCounts(),
    )


def _read_until_full(route: Route, record: FakeRecord) -> int:
    """Read the same record again and again, as in an outage; how often, until reading stops."""
    owner, count = cast("PartitionOffsets", object()), 0
    while not route.is_full:
        events, _, _ = route.decode(owner, [record] * _POLLED)
        route.open_bytes += route.open_bytes_of(events)
        count += _POLLED
    return count


@pytest.mark.parametrize(
    "record",
    [
        FakeRecord(value_bytes=fragment_of(1), key_bytes=b"k" * 100_000),
        FakeRecord(value_bytes=fragment_of(1), header_list=(("baggage", b"b" * 100_000),)),
        FakeRecord(value_bytes=fragment_of(1), header_list=(("b", None), ("n" * 1000, b"")) * 100),
    ],
    ids=["key", "header", "names"],
)
def test_keys_and_headers_are_held_within_the_bound(record: FakeRecord) -> None:
    """Small events with huge keys or headers stop the reading where their memory ends, not that of their values."""
    route = _route()
    beside = len(record.key_bytes or b"") + sum(len(name) + len(value or b"") for name, value in record.header_list)
    assert _read_until_full(route, record) * beside < 2 * _MOST_BYTES + 16 * _POLLED * beside
    route.open_bytes = 0
    assert route.has_room


@pytest.mark.parametrize("kind", [FakeRecord, UnreadableRecord])
def test_what_has_nothing_beside_its_value_is_held_by_that(kind: type[FakeRecord]) -> None:
    """Without keys and headers, or where they cannot be read, the open bytes alone count."""
    route = _route()
    record = kind(value_bytes=fragment_of(1))
    count = _read_until_full(route, record)
    assert 0 <= count * (len(fragment_of(1)) + 400) - _MOST_BYTES < _POLLED * 1000
