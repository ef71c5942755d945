"""Faults that a broker answers with: no dead letter is lost, and none is there twice unless the producer ended.

DLQ topic missing / unauthorised / oversize / producer fatal: this is the producer's part, on the embedded broker, which
answers with errors as a test tells it to.
"""

from __future__ import annotations

import asyncio
import ctypes
import logging
from base64 import b64decode
from collections import Counter
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import confluent_kafka
import orjson
import pytest
from confluent_kafka import KafkaError, Producer

from connector.adapters.dead_letter_topic import DeadLetterTopic
from connector.adapters.kafka_properties import producer_properties
from connector.local.embedded_kafka import EmbeddedKafka
from connector.model import Rejection
from connector.ports import WriteFailed
from tests.builders import FakeRecord
from tests.kafka.client import Kafka

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

REJECTION = Rejection(stage="decode", reason="not_json", title="It is not JSON.")
PRODUCE = 0  # the request's number in Kafka's protocol
COUNT = 100


class FaultyBroker:
    """An embedded broker whose next answers can be errors; its own interface has no Python."""

    def __init__(self, broker: EmbeddedKafka) -> None:
        self.kafka = Kafka(broker.bootstrap_servers)
        (library,) = (Path(confluent_kafka.__file__).parents[1] / "confluent_kafka.libs").glob("librdkafka*")
        self._librdkafka = ctypes.CDLL(str(library))
        self._librdkafka.rd_kafka_handle_mock_cluster.restype = ctypes.c_void_p
        # A client object begins with the two words of every Python object; librdkafka's own handle comes next.
        handle = ctypes.c_void_p.from_address(id(broker._host) + object.__basicsize__)
        self._cluster = ctypes.c_void_p(self._librdkafka.rd_kafka_handle_mock_cluster(handle))

    def fail_produce(self, *codes: int) -> None:
        """Answer the next requests that write records with these errors, one each."""
        errors = (ctypes.c_int * len(codes))(*codes)
        push = self._librdkafka.rd_kafka_mock_push_request_errors_array
        push(self._cluster, ctypes.c_int16(PRODUCE), ctypes.c_size_t(len(codes)), errors)


@pytest.fixture
def broker() -> Iterator[FaultyBroker]:
    """A broker that fails as it is told."""
    with EmbeddedKafka() as embedded:
        yield FaultyBroker(embedded)


@asynccontextmanager
async def dead_letters(broker: FaultyBroker, **overrides: object) -> AsyncIterator[DeadLetterTopic]:
    """The topic's writer, which has written once; closed at the end of the block.

    It has one request on its way at a time: where a later one is confirmed, the client takes an earlier one of unknown
    fate for written, as a broker refuses what leaves out a number. The embedded one does not look at numbers.
    """
    kafka = {"bootstrap.servers": broker.kafka.bootstrap_servers, "topic.metadata.refresh.interval.ms": 100}
    properties = producer_properties(kafka, {"max.in.flight.requests.per.connection": 1, **overrides})
    writer = DeadLetterTopic(properties, "dead", logger=logging.getLogger("librdkafka"))
    try:
        await bury(writer, 0)
        yield writer
    finally:
        await writer.close()


async def bury(writer: DeadLetterTopic, number: int) -> list[str]:
    """Write one dead letter until it is confirmed, in bounded time; the causes of what failed before."""
    write = writer.letter("web", "datastream", FakeRecord(offset_number=number, value_bytes=b"%d" % number), REJECTION)
    causes: list[str] = []
    async with asyncio.timeout(30):
        while True:
            try:
                await write()
            except WriteFailed as failure:
                causes.append(failure.cause)
                await asyncio.sleep(0.05)
            else:
                return causes


def _unpacked(value: bytes | None) -> bytes | None:
    """The value of a dead letter, also of one whose record was packed into a document."""
    return b64decode(orjson.loads(value)["value"]) if value and value.startswith(b"{") else value


@pytest.mark.parametrize(
    ("code", "causes"),
    [
        (KafkaError.INVALID_PRODUCER_EPOCH, {"invalid_producer_epoch"}),
        (KafkaError.TOPIC_AUTHORIZATION_FAILED, {"topic_authorization_failed"}),
        (KafkaError.POLICY_VIOLATION, {"policy_violation"}),
        (KafkaError.MSG_SIZE_TOO_LARGE, set()),
        (KafkaError.RECORD_LIST_TOO_LARGE, set()),
        (KafkaError.UNKNOWN_PRODUCER_ID, set()),
        (KafkaError.NOT_ENOUGH_REPLICAS, set()),
        (KafkaError.NOT_ENOUGH_REPLICAS_AFTER_APPEND, set()),
        (KafkaError.KAFKA_STORAGE_ERROR, set()),
        (KafkaError.NOT_LEADER_FOR_PARTITION, set()),
        (KafkaError.REQUEST_TIMED_OUT, set()),
    ],
    ids=lambda value: value if isinstance(value, int) else "",
)
async def test_whatever_the_broker_answers_each_dead_letter_is_there_once(
    broker: FaultyBroker, code: int, causes: set[str]
) -> None:
    """What the client does not mend by itself is refused, told, and written again.

    One that is refused as too large all by itself, as a slow machine may send it, is there in the form for that.
    """
    async with dead_letters(broker) as writer:
        broker.fail_produce(code, code)
        failed = await asyncio.gather(*(bury(writer, number) for number in range(1, COUNT)))
    values = Counter(_unpacked(message.value()) for message in broker.kafka.read_all("dead"))
    assert values == {b"%d" % number: 1 for number in range(COUNT)}
    assert {cause for each in failed for cause in each} <= causes
    assert bool(causes) == any(failed)


async def test_a_producer_that_failed_for_good_loses_no_dead_letter(broker: FaultyBroker) -> None:
    """Producer fatal: a new one writes all that is not confirmed; only what was under way may be there once more."""
    async with dead_letters(broker) as writer:
        broker.fail_produce(KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER)
        failed = await asyncio.gather(*(bury(writer, number) for number in range(1, COUNT)))
    values = Counter(message.value() for message in broker.kafka.read_all("dead"))
    assert values.keys() == {b"%d" % number for number in range(COUNT)}
    assert max(values.values()) <= 2
    assert {cause for each in failed for cause in each} == {"producer_fatal"}


class Slow(Producer):
    """Kafka's own producer, which hears of nothing until a test lets it."""

    is_deaf = True

    def poll(self, timeout: float = -1) -> int:
        return 0 if type(self).is_deaf else super().poll(timeout)


async def test_a_dead_letter_that_takes_long_is_waited_for_and_not_written_again(
    broker: FaultyBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It counts as failed, so that the route waits and tells why; its next try waits for the same record."""
    monkeypatch.setattr(Slow, "is_deaf", False)
    monkeypatch.setattr("connector.adapters.confirmed_producer.Producer", Slow)
    async with dead_letters(broker, **{"message.timeout.ms": 100}) as writer:
        Slow.is_deaf = True
        write = writer.letter("web", "datastream", FakeRecord(value_bytes=b"once"), REJECTION)
        for _ in range(3):
            with pytest.raises(WriteFailed) as caught:
                await write()
            assert caught.value.cause == "msg_timed_out"
        Slow.is_deaf = False
        await write()
    assert [message.value() for message in broker.kafka.read_all("dead")].count(b"once") == 1


async def test_a_dead_letter_that_was_given_up_leaves_nothing_behind(
    broker: FaultyBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody waits for it any more, and that its report is an error troubles nobody."""
    monkeypatch.setattr(Slow, "is_deaf", False)
    monkeypatch.setattr("connector.adapters.confirmed_producer.Producer", Slow)
    broken: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: broken.append(context))
    async with dead_letters(broker, **{"message.timeout.ms": 50}) as writer:
        Slow.is_deaf = True
        broker.fail_produce(KafkaError.POLICY_VIOLATION)
        with pytest.raises(WriteFailed):
            await writer.letter("web", "datastream", FakeRecord(), REJECTION)()
        Slow.is_deaf = False
        await bury(writer, 1)
    assert broken == []
