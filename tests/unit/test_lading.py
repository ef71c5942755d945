"""What records carry beside their values is estimated from samples, rather too high than too low."""

from __future__ import annotations

from connector.core.lading import Lading, read_headers
from tests.builders import FakeRecord


def laden(size: int) -> FakeRecord:
    """A record with so many bytes in one header."""
    return FakeRecord(header_list=(("name", b"x" * size),))


def test_a_record_without_key_and_headers_carries_nothing() -> None:
    """What most records are costs nothing."""
    assert Lading().estimate(FakeRecord()) == 0


def test_keys_and_headers_count() -> None:
    """The sample's bytes, and something for each header."""
    record = FakeRecord(key_bytes=b"k" * 50, header_list=(("a", b"x" * 1000), ("b", None)))
    assert 50 + 1000 <= Lading().estimate(record) <= 50 + 1000 + 2 * 200


def test_a_rise_is_believed_at_once_and_a_fall_step_by_step() -> None:
    """One large record among small ones raises the estimate for a while."""
    lading = Lading()
    assert lading.estimate(laden(100_000)) >= 100_000
    after = [lading.estimate(FakeRecord()) for _ in range(200)]
    assert after[0] > 90_000
    assert after == sorted(after, reverse=True)
    assert after[-1] < 100


def test_headers_that_cannot_be_read_count_as_none() -> None:
    """Kafka's client raises where a header's name is no UTF-8; the record goes its way."""

    class Unreadable(FakeRecord):
        def headers(self) -> None:
            raise UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte")

    assert read_headers(Unreadable()) is None
    assert Lading().estimate(Unreadable(key_bytes=b"key")) == 3
