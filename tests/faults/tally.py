"""Adds up an outage by route: what was produced, accepted, dead-lettered and doubled, and how long each event took.

Promise: pure, from the producer's ledger, the Edge's and the dead-letter topic; nothing of it comes from the connector.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.faults.events import Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from confluent_kafka import Message

    from tests.faults.feed import Sent
    from tests.faults.oracle import Findings

_COLUMNS = ("route", "produced", "accepted", "dead-lettered", "duplicates", "median s", "slowest s")


@dataclass(slots=True, kw_only=True)
class Delivered:
    """One good event on its way: when it was written and when it was first accepted, in monotonic milliseconds."""

    topic: str
    fed_ms: int
    accepted_ms: int

    @property
    def seconds(self) -> float:
        """How long it took."""
        return (self.accepted_ms - self.fed_ms) / 1000


def deliveries(sent: Iterable[Sent], fed_ms: Mapping[int, int], ledger: Iterable[Mapping[str, Any]]) -> list[Delivered]:
    """The way of each good event that was accepted."""
    first_ms: dict[str, int] = {}
    for line in ledger:
        if line["fate"] == "accepted":
            for identity in line["ids"]:
                first_ms.setdefault(identity, line["t_ms"])
    return [
        Delivered(topic=record.topic, fed_ms=fed_ms[record.number], accepted_ms=at_ms)
        for record in sent
        if record.kind is Kind.GOOD and (at_ms := _first(first_ms, record)) is not None
    ]


def table(
    routes: Mapping[str, str],
    sent: Sequence[Sent],
    delivered: Sequence[Delivered],
    dead_letters: Iterable[Message],
    findings: Findings,
) -> str:
    """What became of the events, a line for each route; `routes` are topics by name."""
    produced = Counter(record.topic for record in sent)
    buried = Counter(_origin(letter) for letter in dead_letters)
    topics = {identity: record.topic for record in sent for identity in _identities(record)}
    doubled: Counter[str] = Counter()
    for identity, extra in findings.duplicates.items():
        doubled[topics[identity]] += extra
    rows: list[tuple[str, ...]] = [_COLUMNS]
    for name, topic in routes.items():
        times = sorted(each.seconds for each in delivered if each.topic == topic) or [0.0]
        figures = (produced[topic], len(times), buried[topic], doubled[topic])
        rows.append((name, *map(str, figures), f"{times[len(times) // 2]:.1f}", f"{times[-1]:.1f}"))
    return "\n".join("".join(f"{cell:>15}" for cell in row) for row in rows)


def _identities(record: Sent) -> tuple[str, str]:
    """The `_id` of its own, and the one that it is given where it has none."""
    return f"{record.run}-{record.number}", record.derived_id


def _first(first_ms: Mapping[str, int], record: Sent) -> int | None:
    return next((first_ms[identity] for identity in _identities(record) if identity in first_ms), None)


def _origin(letter: Message) -> str:
    """The topic of a dead letter's record; the connector's headers stand behind the record's own."""
    values = [value for name, value in list(letter.headers() or []) if name == "__connect.errors.topic"]
    value = values[-1]
    return value.decode() if isinstance(value, bytes) else str(value)
