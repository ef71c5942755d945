"""A response has the key of its event's record and says what it answers, and is there for good when `write` returns."""

from __future__ import annotations

import asyncio
import logging
import os
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from confluent_kafka import TIMESTAMP_CREATE_TIME, KafkaError, Producer

from connector.adapters.kafka_properties import response_producer_properties
from connector.adapters.response_topic import ResponseTopic
from connector.adapters.whole_or_parts import RecordWriter
from connector.ports import WriteFailed
from tests.builders import FakeRecord
from tests.kafka.client import Kafka

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from tests.adapters.conftest import Place

SETTING = "routes[0].responses"


@asynccontextmanager
async def responses(bootstrap_servers: str, *topics: str, **shared: object) -> AsyncIterator[list[ResponseTopic]]:
    """Writers of topics, on one producer; closed at the end of the block."""
    properties = response_producer_properties({"bootstrap.servers": bootstrap_servers, "group.id": "g", **shared})
    writer = RecordWriter(properties, logger=logging.getLogger("librdkafka"))
    try:
        yield [ResponseTopic(writer, topic, setting=SETTING) for topic in topics]
    finally:
        await writer.close()


async def respond(writer: ResponseTopic, record: FakeRecord | None = None, handles: bytes = b"[]") -> None:
    """Write one response, in bounded time."""
    async with asyncio.timeout(30):
        await writer.response("web", "a-datastream", record or FakeRecord(), "an-id", handles)()


@pytest.mark.parametrize("key", [b"key", b"", b"\x00\xff", None])
async def test_a_response_says_what_it_answers(place: Place, key: bytes | None) -> None:
    """The record's key, byte for byte; the handles as they are; where the record stands, and what was asked."""
    record = FakeRecord(topic_name="xdm.web", partition_number=3, offset_number=42, key_bytes=key, timestamp_ms=1)
    async with responses(place.kafka.bootstrap_servers, place.topic) as (writer,):
        await respond(writer, record, b'[{"type":"a"}]')
    (message,) = place.kafka.read_all(place.topic)
    assert (message.key(), message.value()) == (key, b'[{"type":"a"}]')
    assert message.headers() == [
        ("xdm.source.topic", b"xdm.web"),
        ("xdm.source.partition", b"3"),
        ("xdm.source.offset", b"42"),
        ("xdm.route", b"web"),
        ("xdm.datastream", b"a-datastream"),
        ("xdm.request_id", b"an-id"),
    ]
    kind, timestamp_ms = message.timestamp()
    assert kind == TIMESTAMP_CREATE_TIME
    assert timestamp_ms > record.timestamp_ms, "a response is of now, not of its record"


async def test_routes_share_a_producer_and_many_writes_share_its_polls(place: Place) -> None:
    """Each write returns by its own confirmation, whichever route it is for."""
    values = [b"[%d]" % number for number in range(1000)]
    async with responses(place.kafka.bootstrap_servers, place.topic, place.topic) as writers:
        await asyncio.gather(*(respond(writers[at % 2], None, value) for at, value in enumerate(values)))
    assert sorted(message.value() or b"" for message in place.kafka.read_all(place.topic)) == sorted(values)


async def test_a_key_gets_the_partition_that_javas_clients_give_it(kafka: Kafka) -> None:
    """So the responses can be joined with other topics by key."""
    topic = kafka.create_topic(partitions=100)
    keys = [b"21", b"foobar", b"a-little-bit-long-string"]
    hashes = [-973932308, -790332482, -985981536]  # murmur2, as Kafka's own tests have them
    async with responses(kafka.bootstrap_servers, topic) as (writer,):
        await asyncio.gather(*(respond(writer, FakeRecord(key_bytes=key)) for key in keys))
    found = {message.key(): message.partition() for message in kafka.read_all(topic)}
    assert found == {key: (number & 0x7FFFFFFF) % 100 for key, number in zip(keys, hashes, strict=True)}


async def test_a_missing_topic_is_named_with_its_setting_and_stops_no_other(kafka: Kafka) -> None:
    """The remedy speaks of this topic; another route's responses go on being written."""
    missing, present = kafka.unique_name("responses"), kafka.create_topic()
    quick = {"topic.metadata.propagation.max.ms": 100}
    async with responses(kafka.bootstrap_servers, missing, present, **quick) as (lost, sound):
        with pytest.raises(WriteFailed) as caught:
            await respond(lost)
        await respond(sound)
    assert caught.value.cause in ("unknown_topic_or_part", "unknown_topic")
    assert caught.value.remedy == f"Create the responses topic {missing}, or set {SETTING}.create."
    assert len(kafka.read_all(present)) == 1


async def test_a_topic_that_takes_not_even_a_part_is_named_and_stops_no_other(kafka: Kafka) -> None:
    """Where the headers alone are too large no division helps: the setting to raise is named; others are written."""
    small, sound = kafka.create_topic(max_message_bytes="100"), kafka.create_topic()
    async with responses(kafka.bootstrap_servers, small, sound) as (refused, taken):
        with pytest.raises(WriteFailed) as caught:
            await respond(refused, None, os.urandom(5000))
        await respond(taken, None, b"[]")
    assert caught.value.cause == "msg_size_too_large"
    assert caught.value.remedy == f"Raise max.message.bytes of the responses topic {small}: not even the headers fit."
    assert [message.value() for message in kafka.read_all(sound)] == [b"[]"]


class FatalReports(Producer):
    """Kafka's own producer, whose first instance reports that it failed for good."""

    made = 0

    def __init__(self, *arguments: Any, **named: Any) -> None:  # noqa: ANN401
        super().__init__(*arguments, **named)
        type(self).made += 1
        self._is_first = type(self).made == 1
        self._reports: list[Callable[..., None]] = []

    def produce(self, *arguments: Any, **named: Any) -> None:  # noqa: ANN401
        if self._is_first:
            self._reports.append(named["on_delivery"])
        else:
            super().produce(*arguments, **named)

    def poll(self, timeout: float = -1) -> int:
        while self._reports:
            self._reports.pop(0)(KafkaError(KafkaError._FATAL, "sequence lost", True), None)
        return super().poll(timeout)


async def test_a_fatal_report_fails_every_write_under_way_and_the_next_one_goes_through(
    embedded_kafka: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """None waits for ever, and nothing else breaks by it."""
    monkeypatch.setattr(FatalReports, "made", 0)
    monkeypatch.setattr("connector.adapters.confirmed_producer.Producer", FatalReports)
    broken: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: broken.append(context))
    async with responses(embedded_kafka, "answers") as (writer,):
        failed = await asyncio.gather(*(respond(writer) for _ in range(3)), return_exceptions=True)
        assert {type(failure) for failure in failed} == {WriteFailed}
        await respond(writer)
        assert FatalReports.made == 2
    assert len(Kafka(embedded_kafka).read_all("answers")) == 1
    assert broken == []
