"""The bytes around the events."""

from __future__ import annotations

import json

import pytest

from connector.core.envelope import COLLECT, INTERACT, Envelope
from tests.builders import fragment_of


def test_collect_carries_many_events() -> None:
    """The body is the published one, with the fragments as they are."""
    assert COLLECT.body([b'{"xdm":{}}', b' {"xdm": 1}']) == b'{"events":[{"xdm":{}}, {"xdm": 1}]}'


def test_interact_carries_one_event() -> None:
    """The body is the published one, with the fragment as it is."""
    assert INTERACT.body([b'{"xdm":{}}']) == b'{"event":{"xdm":{}}}'


@pytest.mark.parametrize("count", [1, 2, 97])
@pytest.mark.parametrize("envelope", [COLLECT, INTERACT])
def test_the_overhead_is_exact(envelope: Envelope, count: int) -> None:
    """A body's length is its fragments, a comma between each two, and the overhead, to the byte."""
    fragments = [fragment_of(offset) for offset in range(count)]
    expected = envelope.overhead_bytes + sum(map(len, fragments)) + count - 1
    assert len(envelope.body(fragments)) == expected


def test_bodies_are_json() -> None:
    """What is joined parses to the events in order."""
    body = json.loads(COLLECT.body([fragment_of(offset) for offset in range(5)]))
    assert [event["xdm"]["_id"] for event in body["events"]] == ["0", "1", "2", "3", "4"]
