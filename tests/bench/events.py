"""The events of the benchmark, and a topic full of them.

Promise: the same number and size always give the same events, with the variety of real ones in names, pages
and lengths: each has its own `_id` and `timestamp`, one primary identity, and lies within a fifth of the size
asked for. `MARK` stands in each event exactly once, so that whoever sees the bytes can count events.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from confluent_kafka import Producer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from confluent_kafka import KafkaError, Message

MARK = b'"_id":"bench-'
SMALLEST_BYTES = 600  # what an event's fixed parts and its shortest names need, and some room to vary
FLUSH_TIMEOUT_S = 120.0

_EPOCH = datetime(2024, 1, 1, tzinfo=UTC)
_KINDS = 509  # a prime: the kinds do not fall in step with the partitions
_TYPES = ("web.webpagedetails.pageViews", "web.webinteraction.linkClicks", "commerce.productViews")
_PAGES = ("home", "search", "pricing", "cart/review", "products/outdoor/tents", "help/returns-and-refunds")
_AGENTS = ("Mozilla/5.0 (X11; Linux x86_64)", "Mozilla/5.0 (Macintosh)", "ExampleApp/7.4 (iOS 18.1)")
_LANGUAGES = ("en-GB", "de-DE", "fr-FR", "pt-BR", "ja-JP")


def make_events(count: int, *, size_bytes: int) -> Iterator[bytes]:
    """Yield `count` events of `size_bytes` on average, as compact JSON."""
    tails = [_make_tail(random.Random(kind), size_bytes) for kind in range(_KINDS)]
    for second in range(0, count, 1000):
        moment = (_EPOCH + timedelta(seconds=second // 1000)).strftime("%Y-%m-%dT%H:%M:%S")
        for number in range(second, min(second + 1000, count)):
            head = (
                f'{{"xdm":{{"_id":"bench-{number:012d}","timestamp":"{moment}.{number % 1000:03d}Z",'
                f'"identityMap":{{"ECID":[{{"id":"{number * 7919 % 10**12:038d}",'
            )
            yield head.encode() + tails[number % _KINDS]


@dataclass(frozen=True, slots=True, kw_only=True)
class Filling:
    """What a topic was filled with."""

    topic: str
    events: int
    event_bytes: int  # of all events together


def fill(bootstrap_servers: str, topic: str, *, partitions: int, count: int, size_bytes: int) -> Filling:
    """Write `count` events evenly into the topic's partitions.

    Raises:
        RuntimeError: the broker did not confirm all of them.
    """
    confirmed = 0

    def confirm(error: KafkaError | None, _: Message) -> None:
        nonlocal confirmed
        confirmed += error is None

    producer = Producer({"bootstrap.servers": bootstrap_servers, "acks": "all", "linger.ms": 20})
    total = 0
    for number, event in enumerate(make_events(count, size_bytes=size_bytes)):
        total += len(event)
        while True:
            try:
                producer.produce(topic, event, partition=number % partitions, on_delivery=confirm)
                break
            except BufferError:
                producer.poll(0.1)
        producer.poll(0)
    producer.flush(FLUSH_TIMEOUT_S)
    producer.close()
    if confirmed != count:
        raise RuntimeError(f"the broker confirmed {confirmed} of {count} events")
    return Filling(topic=topic, events=count, event_bytes=total)


def _make_tail(choose: random.Random, size_bytes: int) -> bytes:
    page = choose.choice(_PAGES)
    tail = (
        '"authenticatedState":"ambiguous","primary":true}]},'
        f'"eventType":"{choose.choice(_TYPES)}",'
        f'"web":{{"webPageDetails":{{"name":"{page}","URL":"https://www.example.com/{page}?ref={{}}",'
        f'"pageViews":{{"value":1}}}},"webReferrer":{{"URL":"https://search.example/?q={page[:6]}"}}}},'
        f'"environment":{{"browserDetails":{{"userAgent":"{choose.choice(_AGENTS)}",'
        f'"acceptLanguage":"{choose.choice(_LANGUAGES)}","viewportWidth":{choose.randrange(320, 2560)}}}}}}},'
        f'"data":{{"campaign":"spring-{choose.randrange(99)}","score":{choose.random():.4f}}}}}'
    )
    head_bytes = 144  # what `make_events` puts before it
    wanted = round(size_bytes * choose.uniform(0.8, 1.2)) - head_bytes
    padding = "".join(choose.choices("abcdefghijklmnopqrstuvwxyz0123456789", k=max(0, wanted - len(tail) + 2)))
    return tail.replace("{}", padding, 1).encode()
