"""A record at given coordinates, for tests of what becomes of its value."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordAt:
    """A record of which only the place and the time matter; asking for its content is a mistake."""

    topic_name: str = "xdm.web"
    partition_number: int = 3
    offset_number: int = 42
    timestamp_ms: int = 1_760_000_000_000

    def topic(self) -> str:
        return self.topic_name

    def partition(self) -> int:
        return self.partition_number

    def offset(self) -> int:
        return self.offset_number

    def timestamp(self) -> tuple[int, int]:
        return (1, self.timestamp_ms)

    def key(self) -> bytes | None:
        raise AssertionError("decoding does not need the key")

    def value(self) -> bytes | None:
        raise AssertionError("decoding is handed the value")

    def headers(self) -> list[tuple[str, bytes | str | None]] | None:
        raise AssertionError("decoding does not need the headers")
