"""Fetches the three books of the reconciliation: the dead-letter topic, the Edge's ledger, the committed offsets.

Promise: everything is read from the witnesses themselves after the connector has stopped, nothing from it.
"""

from __future__ import annotations

import time
from collections import defaultdict
from typing import TYPE_CHECKING, Final

import orjson
from confluent_kafka import Consumer, KafkaException, TopicPartition

from connector.local.demo.files import DEAD_LETTER_TOPIC, GROUP
from connector.local.demo.loopback import NoAnswer, ask
from connector.local.demo.parts import DemoFailed
from connector.local.demo.reconcile import Acceptance, Coordinates, DeadLetter

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from confluent_kafka import Message

_TIMEOUT_S: Final = 20.0
_LEDGER_TIMEOUT_S: Final = 20.0
_REQUEST_ID_CHARS: Final = 36  # a UUID; the Edge appends a dash and 16 digits (published)


class Witness:
    """Reads what the embedded Kafka holds. Close it after use."""

    def __init__(self, bootstrap: str) -> None:
        properties = {
            "bootstrap.servers": bootstrap,
            "group.id": GROUP,  # to ask for its commits; it is never joined
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "fetch.wait.max.ms": 20,
            "log_level": 0,
        }
        self._consumer = Consumer(properties)

    def close(self) -> None:
        """Let go of the broker."""
        self._consumer.close()

    def uncommitted(self, ends: Mapping[tuple[str, int], int]) -> list[str]:
        """The partitions whose committed offset is not the end of what was produced, as `topic[partition]`."""
        asked = [TopicPartition(topic, partition) for topic, partition in ends]
        try:
            committed = self._consumer.committed(asked, timeout=_TIMEOUT_S)
        except KafkaException as error:
            raise DemoFailed(f"the committed offsets cannot be read: {error}") from error
        return [f"{at.topic}[{at.partition}]" for at in committed if at.offset != ends[at.topic, at.partition]]

    def dead_letters(self) -> list[DeadLetter]:
        """Every record of the dead-letter topic."""
        try:
            ends = self._dead_letter_ends()
            self._consumer.assign([TopicPartition(DEAD_LETTER_TOPIC, partition, 0) for partition in ends])
            return self._read(sum(ends.values()))
        except KafkaException as error:
            raise DemoFailed(f"the dead-letter topic cannot be read: {error}") from error

    def _dead_letter_ends(self) -> dict[int, int]:
        partitions = (
            self._consumer.list_topics(DEAD_LETTER_TOPIC, timeout=_TIMEOUT_S).topics[DEAD_LETTER_TOPIC].partitions
        )
        ends = {}
        for partition in partitions:
            low, high = self._consumer.get_watermark_offsets(
                TopicPartition(DEAD_LETTER_TOPIC, partition), timeout=_TIMEOUT_S
            )
            if low > 0:
                raise DemoFailed("the embedded Kafka dropped old dead letters: it keeps 5 MiB of a partition")
            ends[partition] = high
        return ends

    def _read(self, count: int) -> list[DeadLetter]:
        found: list[DeadLetter] = []
        give_up_at = time.monotonic() + _TIMEOUT_S
        while len(found) < count and time.monotonic() < give_up_at:
            found += [_dead_letter(message) for message in self._consumer.consume(500, 0.1) if not message.error()]
        if len(found) < count:
            raise DemoFailed(f"only {len(found)} of {count} dead letters could be read within {_TIMEOUT_S:.0f} s")
        return found


def _dead_letter(message: Message) -> DeadLetter:
    headers = {name: value.decode(errors="replace") for name, value in _pairs(message) if isinstance(value, bytes)}
    origin = Coordinates(
        headers.get("__connect.errors.topic", ""),
        int(headers.get("__connect.errors.partition", -1)),
        int(headers.get("__connect.errors.offset", -1)),
    )
    return DeadLetter(origin, headers.get("xdm.error.code", ""))


def _pairs(message: Message) -> Iterable[tuple[str, str | bytes | None]]:
    headers = message.headers() or []
    return headers.items() if isinstance(headers, dict) else headers


def read_ledger(address: str, file: Path) -> dict[str, Acceptance]:
    """What the Edge accepted, by event id: counts and checksums over HTTP, the requests from the ledger's file.

    An accepted event without an id is entered under a name of its own, so that it is found to be a phantom.
    """
    try:
        lines = ask(address, "GET", "/_edge/ledger?ids=accepted", timeout_s=_LEDGER_TIMEOUT_S).splitlines()
        sums = orjson.loads(ask(address, "GET", "/_edge/ledger"))
        requests = _request_ids(file)
    except (NoAnswer, OSError) as error:
        raise DemoFailed(f"the Edge's ledger cannot be read: {error}") from error
    accepted = {}
    for entry in map(orjson.loads, lines):
        event_id = entry["id"]
        ids = frozenset(requests[event_id])
        accepted[event_id] = Acceptance(times=entry["accepted"], request_ids=ids, crc32=entry.get("crc32"))
    if nameless := sums["anonymous"]["accepted"]:
        accepted[f"{nameless} events without an id"] = Acceptance(times=nameless, request_ids=frozenset())
    return accepted


def _request_ids(file: Path) -> dict[str, set[str]]:
    """The requests in which each event was accepted, by the ids that the connector gave them."""
    requests: dict[str, set[str]] = defaultdict(set)
    for line in file.read_bytes().splitlines():
        decided = orjson.loads(line)
        if decided["fate"] == "accepted":
            for event_id in decided["ids"]:
                requests[event_id].add(decided["request_id"][:_REQUEST_ID_CHARS])
    return requests
