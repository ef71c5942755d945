"""A record that is too large for its topic is written in parts, and nobody else is taken for too large."""

from __future__ import annotations

import asyncio
import logging
import os
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from connector.adapters.dead_letter_topic import DeadLetterTopic
from connector.adapters.kafka_properties import producer_properties, response_producer_properties
from connector.adapters.response_topic import ResponseTopic
from connector.adapters.whole_or_parts import RecordWriter
from connector.model import Rejection
from connector.ports import WriteFailed
from tests.builders import FakeRecord
from tests.parts import DEAD_LETTERS, RESPONSES, Whole, join

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from confluent_kafka import Message

    from tests.kafka.client import Kafka

REJECTION = Rejection(stage="decode", reason="not_json", title="It is not JSON.", detail="d" * 200)
HEADERS = (("a", b"1"), ("a", b"\xff\x00"), ("none", None), ("xdm.error.part", b"1/9"))


@asynccontextmanager
async def dead_letters(kafka: Kafka, topic: str, **overrides: object) -> AsyncIterator[DeadLetterTopic]:
    """The topic's writer; closed at the end of the block."""
    properties = producer_properties({"bootstrap.servers": kafka.bootstrap_servers, "group.id": "g"}, overrides)
    writer = DeadLetterTopic(properties, topic, logger=logging.getLogger("librdkafka"))
    try:
        yield writer
    finally:
        await writer.close()


async def bury(kafka: Kafka, topic: str, *records: FakeRecord, **overrides: object) -> list[Message]:
    """Write dead letters side by side, in bounded time, and read the topic."""
    async with dead_letters(kafka, topic, **overrides) as writer, asyncio.timeout(60):
        await asyncio.gather(*(writer.letter("web", "datastream", record, REJECTION)() for record in records))
    return kafka.read_all(topic)


def assert_kept(letter: Whole, record: FakeRecord) -> None:
    """A dead letter is its record, byte for byte, and says where it came from and why."""
    assert (letter.key(), letter.value()) == (record.key_bytes, record.value_bytes)
    assert letter.timestamp()[1] == record.timestamp_ms
    headers = letter.headers()
    own = len(record.header_list)
    assert tuple(headers[:own]) == record.header_list
    added = dict(headers[own:])
    assert (added["__connect.errors.topic"], added["__connect.errors.offset"]) == (b"xdm.web", b"7")
    assert (added["xdm.error.code"], added["xdm.error.detail"]) == (b"not_json", b"d" * 200)


@pytest.mark.parametrize("key", [b"key", None])
async def test_a_record_that_is_too_large_is_written_in_parts(kafka: Kafka, key: bytes | None) -> None:
    """In order, in one partition, each with key and origin, and the other headers on the first; no byte is lost."""
    topic = kafka.create_topic(partitions=6, max_message_bytes="20000")
    record = FakeRecord(offset_number=7, key_bytes=key, value_bytes=os.urandom(100_001), header_list=HEADERS)
    parts = await bury(kafka, topic, record)

    (letter,) = join(parts)
    assert_kept(letter, record)
    assert letter.parts == 8, "the fewest halvings with which it fits"
    headers = [list(part.headers() or []) for part in parts]
    assert [each[-1] for each in headers] == [("xdm.error.part", b"%d/8" % number) for number in range(1, 9)]
    origin = [f"__connect.errors.{each}" for each in ("topic", "partition", "offset")]
    assert all([name for name, *_ in each] == [*origin, "xdm.error.part"] for each in headers[1:])


async def test_a_record_stays_whole_where_the_topic_takes_it(kafka: Kafka) -> None:
    """What counts is its size on the broker: one that compresses well is not divided."""
    topic = kafka.create_topic(max_message_bytes="20000")
    record = FakeRecord(offset_number=7, value_bytes=b'{"a":1}' * 100_000, header_list=HEADERS)
    (letter,) = join(await bury(kafka, topic, record))
    assert_kept(letter, record)
    assert letter.parts == 1


async def test_small_records_are_not_refused_for_their_batch_mates(kafka: Kafka) -> None:
    """The client makes batches up to its own limit, and the broker refuses those whole: each record is in one piece."""
    topic = kafka.create_topic(max_message_bytes="20000")
    values = [os.urandom(3000) for _ in range(100)]
    letters = await bury(kafka, topic, *(FakeRecord(key_bytes=b"one", value_bytes=value) for value in values))
    assert sorted(letter.value() or b"" for letter in letters) == sorted(values)


async def test_a_large_record_takes_no_small_one_with_it(kafka: Kafka) -> None:
    """One of two sizes: the small ones are whole, and there once."""
    topic = kafka.create_topic(max_message_bytes="20000")
    small = [FakeRecord(key_bytes=b"one", value_bytes=b"%d" % number) for number in range(50)]
    large = FakeRecord(key_bytes=b"one", value_bytes=os.urandom(30_000))
    letters = join(await bury(kafka, topic, *small, large))
    assert sorted(letter.value() or b"" for letter in letters) == sorted(
        each.value_bytes or b"" for each in (*small, large)
    )
    assert sum(letter.parts > 1 for letter in letters) == 1


LARGE_HEADER = FakeRecord(offset_number=7, key_bytes=b"k", header_list=(("huge", os.urandom(50_000)), ("none", None)))
LARGE_KEY = FakeRecord(offset_number=7, key_bytes=os.urandom(50_000), header_list=HEADERS)
MANY_HEADERS = FakeRecord(
    offset_number=7, value_bytes=None, header_list=tuple((f"h{at}", os.urandom(90)) for at in range(500))
)
ALL_LARGE = FakeRecord(
    offset_number=7, key_bytes=os.urandom(30_000), value_bytes=os.urandom(90_000), header_list=(("h", b""),)
)


@pytest.mark.parametrize(
    "record", [LARGE_HEADER, LARGE_KEY, MANY_HEADERS, ALL_LARGE], ids=["header", "key", "headers", "everything"]
)
async def test_a_record_whose_key_or_headers_are_too_large_is_packed(kafka: Kafka, record: FakeRecord) -> None:
    """What cannot be divided becomes part of the value; the reader gets all of it back."""
    topic = kafka.create_topic(partitions=3, max_message_bytes="20000")
    parts = await bury(kafka, topic, record)
    (letter,) = join(parts)
    assert_kept(letter, record)
    assert {part.key() for part in parts} == {None}


async def test_a_record_that_the_client_refuses_is_written_in_parts(kafka: Kafka) -> None:
    """`message.max.bytes` is the producer's own limit, before any broker is asked."""
    topic = kafka.create_topic()
    record = FakeRecord(offset_number=7, value_bytes=os.urandom(30_000), header_list=HEADERS)
    (letter,) = join(await bury(kafka, topic, record, **{"message.max.bytes": 10_000}))
    assert_kept(letter, record)
    assert letter.parts > 1


async def test_a_record_that_is_larger_than_a_segment_is_written_in_parts(kafka: Kafka) -> None:
    """Where a topic takes large records and keeps small files, the broker names another fault."""
    topic = kafka.create_topic(segment_bytes="1048576", max_message_bytes="4000000")
    record = FakeRecord(offset_number=7, value_bytes=os.urandom(1_100_000))
    (letter,) = join(await bury(kafka, topic, record))
    assert_kept(letter, record)


async def test_a_topic_that_takes_not_even_the_headers_is_named_with_what_mends_it(kafka: Kafka) -> None:
    """Then no division helps; raised, the record is there in one piece."""
    topic = kafka.create_topic(max_message_bytes="200")
    async with dead_letters(kafka, topic) as writer, asyncio.timeout(60):
        with pytest.raises(WriteFailed) as caught:
            await writer.letter("web", "datastream", FakeRecord(value_bytes=os.urandom(5000)), REJECTION)()
    assert caught.value.cause == "msg_size_too_large"
    assert caught.value.remedy == "Raise max.message.bytes of the dead-letter topic: not even the headers fit."
    assert join(kafka.read_all(topic), DEAD_LETTERS) == []


@pytest.mark.parametrize("key", [b"key", None, os.urandom(40_000)], ids=["key", "no-key", "large-key"])
async def test_a_response_that_is_too_large_is_written_in_parts(kafka: Kafka, key: bytes | None) -> None:
    """Its event was accepted and cannot be refused any more; parts have its key and its origin."""
    topic = kafka.create_topic(partitions=3, max_message_bytes="20000")
    handles = b'[{"type":"x","payload":"%b"}]' % os.urandom(30_000).hex().encode()
    properties = response_producer_properties({"bootstrap.servers": kafka.bootstrap_servers, "group.id": "g"})
    writer = RecordWriter(properties, logger=logging.getLogger("librdkafka"))
    async with asyncio.timeout(60):
        responses = ResponseTopic(writer, topic, setting="routes[0].responses")
        await responses.response("web", "a-datastream", FakeRecord(key_bytes=key), "an-id", handles)()
        await writer.close()
    (response,) = join(kafka.read_all(topic), RESPONSES)
    assert (response.key(), response.value()) == (key, handles)
    assert [name for name, _ in response.headers()] == [
        "xdm.source.topic", "xdm.source.partition", "xdm.source.offset", "xdm.route", "xdm.datastream", "xdm.request_id"
    ]  # fmt: skip
