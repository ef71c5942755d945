"""The batcher's cases with a story; `tests/property/test_batcher.py` has the search."""

from __future__ import annotations

import pytest

from connector.core.batcher import Batcher, BatchLimits
from connector.core.envelope import COLLECT
from tests.builders import event_at, owner_at

_OWNER = owner_at()


def _batcher(*, max_bytes: int = 1000, max_events: int = 100) -> Batcher:
    return Batcher(
        BatchLimits(max_bytes=max_bytes, max_events=max_events, linger_s=0.2, overhead_bytes=COLLECT.overhead_bytes)
    )


def test_a_batch_lingers_from_its_first_event() -> None:
    """Later events do not postpone it: the first one waits no longer than was promised."""
    batcher = _batcher()
    assert batcher.due_at is None
    batcher.add([event_at(_OWNER, 0)], now=10.0)
    batcher.add([event_at(_OWNER, 1)], now=10.1)
    assert batcher.due_at == pytest.approx(10.2)
    assert len(batcher.flush()) == 2
    assert batcher.due_at is None
    assert batcher.flush() == []


def test_a_new_batch_lingers_anew() -> None:
    """What opens when another batch becomes full is due one linger from then."""
    batcher = _batcher(max_events=2)
    batcher.add([event_at(_OWNER, 0)], now=10.0)
    closed = batcher.add([event_at(_OWNER, 1), event_at(_OWNER, 2)], now=10.1)
    assert [[event.offset for event in batch] for batch in closed] == [[0, 1]]
    assert batcher.due_at == pytest.approx(10.3)
    assert batcher.count == 1


def test_the_comma_counts() -> None:
    """Two events whose bytes fit but for the comma between them are two batches."""
    events = [event_at(_OWNER, 0, b"x" * 10), event_at(_OWNER, 1, b"x" * 10)]
    exact = len(COLLECT.body([event.fragment for event in events]))
    assert _batcher(max_bytes=exact).add(events, 0.0) == []
    assert len(_batcher(max_bytes=exact - 1).add(events, 0.0)) == 1


def test_an_event_that_fits_exactly_alone_is_taken() -> None:
    """The limit itself is allowed."""
    batcher = _batcher(max_bytes=COLLECT.overhead_bytes + 50)
    batcher.add([event_at(_OWNER, 0, b"x" * 50)], 0.0)
    assert batcher.count == 1


def test_an_event_that_fits_no_body_is_a_mistake() -> None:
    """Decoding rejects those; here they would make a request that is refused as a whole."""
    batcher = _batcher(max_bytes=COLLECT.overhead_bytes + 50)
    with pytest.raises(ValueError, match="cannot fit"):
        batcher.add([event_at(_OWNER, 0, b"x" * 51)], 0.0)
