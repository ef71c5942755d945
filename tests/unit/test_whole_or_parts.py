"""Whatever fails on the way, a record arrives once, in one piece or in parts that make one."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.adapters.confirmed_producer import ANY_PARTITION, Destination, TooLarge, Unconfirmed
from connector.adapters.whole_or_parts import Outgoing, RecordWrite, RecordWriter
from connector.ports import WriteFailed
from tests.parts import join
from tests.virtual_time import run_virtually

if TYPE_CHECKING:
    from connector.model import HeaderList

DESTINATION: Final = Destination(topic="dead", name="the dead-letter topic", setting="dead_letter", prefix="xdm.error.")
ORIGIN: Final[HeaderList] = [
    ("__connect.errors.topic", b"xdm.web"),
    ("__connect.errors.partition", b"3"),
    ("__connect.errors.offset", b"42"),
]
FACTS: Final[HeaderList] = [("xdm.error.code", b"not_json"), ("xdm.error.title", b"t" * 50)]
PARTITIONS: Final = 4
ROOM: Final = 400
"""What fits beside the connector's own headers, at least."""


@dataclass(frozen=True, slots=True)
class Written:
    """A record in the topic, with the methods of Kafka's client."""

    key_bytes: bytes | None
    value_bytes: bytes | None
    header_list: HeaderList
    at: int

    def key(self) -> bytes | None:
        return self.key_bytes

    def value(self) -> bytes | None:
        return self.value_bytes

    def headers(self) -> HeaderList:
        return self.header_list

    def partition(self) -> int:
        return self.at

    def timestamp(self) -> tuple[int, int]:
        return (1, 7)

    @property
    def size(self) -> int:
        headers = sum(len(name) + len(value or b"") + 4 for name, value in self.header_list)
        return len(self.key_bytes or b"") + len(self.value_bytes or b"") + headers


@dataclass(slots=True)
class Topic:
    """A topic that takes records up to a size, and whose broker fails as it is told."""

    max_bytes: int
    faults: list[str] = field(default_factory=list)  # one for each record that would fit: "", "refused" or "slow"
    records: list[Written] = field(default_factory=list)
    tries: int = 0

    def producer(self, *_: object, **__: object) -> Topic:
        return self

    def start(
        self,
        _: Destination,
        *,
        key: bytes | None,
        value: bytes | None,
        headers: HeaderList,
        timestamp_ms: int,  # noqa: ARG002 - the names are the producer's
        partition: int,
    ) -> asyncio.Future[int]:
        self.tries += 1
        at = self.tries % PARTITIONS if partition == ANY_PARTITION else partition
        record = Written(key, value, list(headers), at)
        report: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        if record.size > self.max_bytes:
            report.set_exception(TooLarge("msg_size_too_large", "Raise it."))
        elif (fault := self.faults.pop() if self.faults else "") == "refused":
            report.set_exception(WriteFailed("policy_violation", "Read it."))
        else:
            self.records.append(record)
            asyncio.get_running_loop().call_later(100.0 if fault == "slow" else 0.0, report.set_result, at)
        return report

    async def confirmed(self, _: Destination, report: asyncio.Future[int]) -> int:
        try:
            async with asyncio.timeout(30):
                return await asyncio.shield(report)
        except TimeoutError:
            raise Unconfirmed("msg_timed_out", "Look.") from None


def write_until_confirmed(topic: Topic, record: Outgoing) -> int:
    """Write a record as a route does, trying again; returns how often that failed."""

    async def main() -> int:
        writer = RecordWriter({}, logger=logging.getLogger("librdkafka"))
        write = RecordWrite(writer, DESTINATION, record)
        failures = 0
        while True:
            try:
                await write.confirm()
            except WriteFailed:
                failures += 1
            else:
                return failures

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("connector.adapters.whole_or_parts.ConfirmedProducer", topic.producer)
        return run_virtually(main())


names = st.sampled_from(["a", "b", "xdm.error.part", "xdm.error.packed", "__connect.errors.offset"])
records = st.builds(
    Outgoing,
    key=st.none() | st.binary(max_size=2_000),
    value=st.none() | st.binary(max_size=6_000),
    own=st.lists(st.tuples(names, st.none() | st.binary(max_size=800)), max_size=6),
    origin=st.just(ORIGIN),
    facts=st.just(FACTS),
    timestamp_ms=st.just(7),
)
faults = st.lists(st.sampled_from(["", "", "", "refused", "slow"]), max_size=30)
least = sum(len(name) + len(value or b"") + 4 for name, value in (*ORIGIN, *FACTS)) + 60


@given(record=records, room=st.integers(ROOM, 9_000), script=faults)
def test_a_record_arrives_once_and_whole_whatever_fails(record: Outgoing, room: int, script: list[str]) -> None:
    """Refused, slow, too large, in any order: the reader gets the record, byte for byte, and gets it once."""
    topic = Topic(least + room, list(script))
    failures = write_until_confirmed(topic, record)
    (found,) = join(topic.records)  # type: ignore[arg-type] # they have the methods that it needs
    assert (found.key(), found.value()) == (record.key, record.value)
    assert found.headers() == [*record.own, *ORIGIN, *FACTS]
    assert failures <= len(script) * 4


LARGE: Final = Outgoing(key=b"key", value=bytes(range(256)) * 20, origin=ORIGIN, facts=FACTS, own=[("a", None)])


def test_what_is_slow_is_waited_for_and_not_written_again() -> None:
    """Every part takes longer than the patience: each fails a few times and is written once."""
    topic = Topic(least + 1_500, ["slow"] * 4)
    failures = write_until_confirmed(topic, LARGE)
    assert len(topic.records) == 4
    assert failures == 4 * 3
    assert topic.tries == 1 + 1 + 1 + 4, "whole in a batch, whole alone, in two, in four"


def test_what_failed_midway_is_written_again_from_the_start() -> None:
    """A topic that was made anew has lost the first parts: all are written again, and make one record."""
    topic = Topic(least + 1_500, ["", "", "", "", "refused", "", ""])
    assert write_until_confirmed(topic, LARGE) == 1
    numbers = [written.header_list[-1][1] for written in topic.records]
    assert numbers == [b"1/4", b"2/4", b"1/4", b"2/4", b"3/4", b"4/4"]
    assert len(join(topic.records)) == 1  # type: ignore[arg-type] # as above


def test_a_topic_without_room_for_the_headers_refuses_a_record() -> None:
    """Every way is tried, and then the refusal goes out; so it is at the next call, as the topic may be mended."""

    async def main() -> None:
        write = RecordWrite(RecordWriter({}, logger=logging.getLogger("librdkafka")), DESTINATION, LARGE)
        for _ in range(2):
            before = topic.tries
            with pytest.raises(TooLarge):
                await write.confirm()
            assert topic.tries - before == 1 + 5 + 5
        topic.max_bytes = 10_000
        await write.confirm()

    topic = Topic(least - 100)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("connector.adapters.whole_or_parts.ConfirmedProducer", topic.producer)
        run_virtually(main())
    assert [written.value() for written in topic.records] == [LARGE.value]
