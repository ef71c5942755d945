"""A dead letter is the record as it was, with the reason, and is there for good when `write` returns."""

from __future__ import annotations

import asyncio
import logging
import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from confluent_kafka import TIMESTAMP_NOT_AVAILABLE, KafkaError, KafkaException, Producer

from connector.adapters.dead_letter_topic import DeadLetterTopic
from connector.adapters.kafka_properties import producer_properties
from connector.model import Rejection
from connector.ports import WriteFailed
from tests.builders import FakeRecord
from tests.kafka.client import Kafka

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from confluent_kafka import Message

    from connector.model import Headers
    from tests.adapters.conftest import Place

DECODED = Rejection(stage="decode", reason="not_json", title="It is not JSON.")
REFUSED = Rejection(
    stage="deliver",
    reason="EXEG-0306-400",
    title="An event has no primary identity.",
    detail="#3: é \ud800",
    status=400,
    request_id="11111111-0000",
    attempts=2,
    first_attempt_ms=1_760_000_000_001,
    last_attempt_ms=1_760_000_000_002,
)
FATAL = KafkaException(KafkaError(KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER, "sequence lost", True))


@asynccontextmanager
async def dead_letters(bootstrap_servers: str, topic: str, **overrides: object) -> AsyncIterator[DeadLetterTopic]:
    """The topic's writer; closed at the end of the block."""
    shared = {"bootstrap.servers": bootstrap_servers, "group.id": "g"}
    writer = DeadLetterTopic(producer_properties(shared, overrides), topic, logger=logging.getLogger("librdkafka"))
    try:
        yield writer
    finally:
        await writer.close()


async def bury(writer: DeadLetterTopic, record: FakeRecord | None = None, rejection: Rejection = DECODED) -> None:
    """Write one dead letter, in bounded time."""
    async with asyncio.timeout(30):
        await writer.letter("web", "datastream", record or FakeRecord(), rejection)()


def headers_of(message: Message) -> list[tuple[str, str | bytes | None]]:
    """The headers in order."""
    return list(message.headers() or [])  # type: ignore[arg-type] # of a message that was read they are a list


@pytest.mark.parametrize(
    "record",
    [
        FakeRecord(key_bytes=b"key", value_bytes=b'{"xdm": {}}', header_list=(("h", b"1"),)),
        FakeRecord(key_bytes=None, value_bytes=b""),
        FakeRecord(key_bytes=b"", value_bytes=b"\x00\xff\xfe" * 100),
        FakeRecord(key_bytes=b"\xff", value_bytes=None),
        FakeRecord(header_list=(("twice", b"1"), ("twice", b"2"), ("binary", b"\x00\xff"), ("none", None), ("", b""))),
        FakeRecord(header_list=(("xdm.error.route", b"of an earlier life"),)),
    ],
    ids=["plain", "empty", "binary", "null", "headers", "returned"],
)
async def test_the_record_is_kept_byte_for_byte(place: Place, record: FakeRecord) -> None:
    """Key, value, headers and timestamp are those of the record, whatever they hold; its headers come first."""
    async with dead_letters(place.kafka.bootstrap_servers, place.topic) as writer:
        await bury(writer, record)
    (message,) = place.read()
    assert (message.key(), message.value()) == (record.key_bytes, record.value_bytes)
    assert message.timestamp()[1] == record.timestamp_ms
    kept = list(record.header_list)
    assert headers_of(message)[: len(kept)] == kept


async def test_the_reason_stands_in_the_headers(place: Place) -> None:
    """Kafka Connect's names and our own say which record, where, why, and after what."""
    record = FakeRecord(topic_name="xdm.web", partition_number=3, offset_number=42)
    async with dead_letters(place.kafka.bootstrap_servers, place.topic) as writer:
        await bury(writer, record, REFUSED)
    (message,) = place.read()
    assert headers_of(message) == [
        ("__connect.errors.topic", b"xdm.web"),
        ("__connect.errors.partition", b"3"),
        ("__connect.errors.offset", b"42"),
        ("__connect.errors.connector.name", b"xdm-connector"),
        ("__connect.errors.stage", b"deliver"),
        ("__connect.errors.exception.class.name", b"connector.EXEG-0306-400"),
        ("__connect.errors.exception.message", b"An event has no primary identity."),
        ("xdm.error.route", b"web"),
        ("xdm.error.datastream", b"datastream"),
        ("xdm.error.status", b"400"),
        ("xdm.error.code", b"EXEG-0306-400"),
        ("xdm.error.title", b"An event has no primary identity."),
        ("xdm.error.detail", "#3: é ?".encode()),
        ("xdm.error.request_id", b"11111111-0000"),
        ("xdm.error.attempts", b"2"),
        ("xdm.error.first_attempt", b"1760000000001"),
        ("xdm.error.last_attempt", b"1760000000002"),
    ]


async def test_what_does_not_apply_has_no_header(place: Place) -> None:
    """A record that was rejected before a request has no status, no request and no attempts' times."""
    async with dead_letters(place.kafka.bootstrap_servers, place.topic) as writer:
        await bury(writer)
    (message,) = place.read()
    names = {name for name, _ in headers_of(message)}
    assert not names & {"xdm.error.status", "xdm.error.request_id", "xdm.error.first_attempt", "xdm.error.last_attempt"}


class Timeless(FakeRecord):
    """A record of a broker that kept no timestamps."""

    def timestamp(self) -> tuple[int, int]:
        return (TIMESTAMP_NOT_AVAILABLE, -1)


class Unreadable(FakeRecord):
    """A record with a header whose name Kafka's client cannot read."""

    def headers(self) -> Headers | None:
        raise UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte")


@pytest.mark.parametrize("record", [Timeless(), Unreadable()])
async def test_a_record_that_is_not_whole_is_kept_all_the_same(embedded_kafka: str, record: FakeRecord) -> None:
    """A missing timestamp or headers that cannot be read do not keep a record out of the topic."""
    async with dead_letters(embedded_kafka, "dead") as writer:
        await bury(writer, record)
    (message,) = Kafka(embedded_kafka).read_all("dead")
    assert message.value() == record.value_bytes
    assert (("xdm.error.headers", b"unreadable") in headers_of(message)) == isinstance(record, Unreadable)


async def test_many_at_once_are_all_confirmed(place: Place) -> None:
    """Each write returns by its own confirmation."""
    values = [b"%d" % number for number in range(500)]
    async with dead_letters(place.kafka.bootstrap_servers, place.topic) as writer:
        await asyncio.gather(*(bury(writer, FakeRecord(value_bytes=value)) for value in values))
    assert sorted(message.value() or b"" for message in place.read()) == sorted(values)


async def test_nothing_is_confirmed_while_no_broker_answers() -> None:
    """A write without a confirmation is a failure that says what to look at, and no success."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        async with dead_letters(address, "dead", **{"message.timeout.ms": 300}) as writer:
            with pytest.raises(WriteFailed) as caught:
                await bury(writer)
    assert caught.value.cause == "msg_timed_out"
    assert caught.value.remedy == "Check that the brokers can be reached and the dead-letter topic takes writes."


async def test_close_does_not_wait_for_what_is_not_confirmed() -> None:
    """A stop has a deadline; what is not confirmed is open in its source topic."""
    async with dead_letters("127.0.0.1:1", "dead") as writer:
        waiting = asyncio.create_task(bury(writer))
        await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_a_write_that_was_given_up_leaves_the_others_alone(place: Place) -> None:
    """A cancelled write takes nobody's confirmation away."""
    async with dead_letters(place.kafka.bootstrap_servers, place.topic) as writer:
        given_up, kept = asyncio.create_task(bury(writer)), asyncio.create_task(bury(writer))
        await asyncio.sleep(0)
        given_up.cancel()
        await kept
        await bury(writer)
    assert len(place.read()) >= 2


async def test_a_missing_topic_is_named_with_what_mends_it(kafka: Kafka) -> None:
    """When the topic is there the next write goes through."""
    topic = kafka.unique_name("dead")
    async with dead_letters(kafka.bootstrap_servers, topic, **{"topic.metadata.propagation.max.ms": 100}) as writer:
        with pytest.raises(WriteFailed) as caught:
            await bury(writer)
    assert caught.value.cause in ("unknown_topic_or_part", "unknown_topic")
    assert caught.value.remedy == "Create the dead-letter topic, or set dead_letter.create."


async def test_a_compacted_topic_takes_no_record_without_a_key(kafka: Kafka) -> None:
    """The broker's refusal is told with its remedy."""
    topic = kafka.create_topic(cleanup_policy="compact")
    async with dead_letters(kafka.bootstrap_servers, topic) as writer:
        with pytest.raises(WriteFailed) as caught:
            await bury(writer)
    assert caught.value.cause == "invalid_record"
    assert "cleanup.policy=delete" in caught.value.remedy


class FaultyProducer(Producer):
    """Kafka's own producer, which fails for good when a test wants it to."""

    made = 0
    fails_in = ""

    def __init__(self, *arguments: Any, **named: Any) -> None:  # noqa: ANN401
        super().__init__(*arguments, **named)
        type(self).made += 1
        self._fails_in = type(self).fails_in if type(self).made == 1 else ""

    def produce(self, *arguments: Any, **named: Any) -> None:  # noqa: ANN401
        if self._fails_in == "produce":
            raise FATAL
        if self._fails_in != "poll":
            super().produce(*arguments, **named)

    def poll(self, timeout: float = -1) -> int:
        if self._fails_in == "poll":
            raise FATAL
        return super().poll(timeout)


@pytest.mark.parametrize("method", ["produce", "poll"])
async def test_a_producer_that_failed_for_good_is_replaced(
    embedded_kafka: str, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    """Every write under way fails instead of waiting for ever, and the next one goes through a new producer."""
    monkeypatch.setattr(FaultyProducer, "made", 0)
    monkeypatch.setattr(FaultyProducer, "fails_in", method)
    monkeypatch.setattr("connector.adapters.confirmed_producer.Producer", FaultyProducer)
    async with dead_letters(embedded_kafka, "dead") as writer:
        failed = await asyncio.gather(bury(writer), bury(writer), return_exceptions=True)
        assert [type(failure) for failure in failed][:1] == [WriteFailed]
        await bury(writer)
        assert FaultyProducer.made == 2
