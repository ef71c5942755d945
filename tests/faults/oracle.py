"""The oracle: holds what was sent against what the Edge accepted and what the dead-letter topic holds.

Promise: pure. Every acknowledged record is in exactly one of the findings' places or in none of them, and a finding
shows the first few records that it is about.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from confluent_kafka import TIMESTAMP_CREATE_TIME

from tests.faults.events import CODES, GOOD_KINDS, UNSENT_KINDS, Kind, expected_crc32, make_record

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from tests.faults.edge_process import Accepted
    from tests.faults.feed import Sent
    from tests.parts import Whole

Place = tuple[str, int, int]
"""Topic, partition, offset."""

_SHOWN = 5
_ADDED = re.compile(r"__connect\.errors\.|xdm\.error\.")
_AMBIGUOUS = frozenset({"timeout", "disconnected", "half_answer", "answer_to_another"})
_REQUIRED_HEADERS = frozenset(
    {
        "__connect.errors.topic",
        "__connect.errors.partition",
        "__connect.errors.offset",
        "__connect.errors.connector.name",
        "__connect.errors.stage",
        "__connect.errors.exception.class.name",
        "__connect.errors.exception.message",
        "xdm.error.route",
        "xdm.error.datastream",
        "xdm.error.code",
        "xdm.error.title",
        "xdm.error.detail",
        "xdm.error.attempts",
    }
)
_REQUEST_HEADERS = frozenset(
    {"xdm.error.status", "xdm.error.request_id", "xdm.error.first_attempt", "xdm.error.last_attempt"}
)


@dataclass(slots=True)
class Findings:
    """What does not add up; all empty is as it should be, but for duplicates, which the test bounds."""

    lost: list[Sent] = field(default_factory=list)
    wrongly_accepted: list[Sent] = field(default_factory=list)
    wrongly_dead_lettered: list[Sent] = field(default_factory=list)
    corrupt: list[str] = field(default_factory=list)
    phantom: list[str] = field(default_factory=list)
    duplicates: dict[str, int] = field(default_factory=dict)
    """By event id, how often it was accepted more than once."""
    repeated_dead_letters: int = 0

    @property
    def duplicate_count(self) -> int:
        """How many acceptances there were beyond one of each event."""
        return sum(self.duplicates.values())

    def assert_clean(self, *, max_duplicates: int = 0, max_repeated_dead_letters: int = 0) -> None:
        """Fail with every finding, if there is one or there are more duplicates than allowed."""
        faults = [
            f"{len(found)} {name.replace('_', ' ')}, such as:\n    " + "\n    ".join(map(str, found[:_SHOWN]))
            for name in ("lost", "wrongly_accepted", "wrongly_dead_lettered", "corrupt", "phantom")
            if (found := getattr(self, name))
        ]
        if self.duplicate_count > max_duplicates:
            shown = dict(list(self.duplicates.items())[:_SHOWN])
            faults.append(f"{self.duplicate_count} duplicates, {max_duplicates} allowed, such as {shown}")
        if self.repeated_dead_letters > max_repeated_dead_letters:
            faults.append(f"{self.repeated_dead_letters} dead letters too many")
        assert not faults, "\n".join(faults)


def reconcile(sent: Sequence[Sent], accepted: Mapping[str, Accepted], dead_letters: Iterable[Whole]) -> Findings:
    """Hold all three ledgers against each other."""
    findings = Findings()
    by_place = {(record.topic, record.partition, record.offset): record for record in sent}
    buried = _judge_dead_letters(by_place, dead_letters, findings)
    known = set()
    for record in sent:
        place = (record.topic, record.partition, record.offset)
        identity, crc32 = _expected(record)
        known.add(identity)
        _judge(record, accepted.get(identity), crc32, findings, is_buried=place in buried)
    findings.phantom += [f"event {identity}" for identity in accepted.keys() - known]
    findings.duplicates = {identity: entry.times - 1 for identity, entry in accepted.items() if entry.times > 1}
    findings.repeated_dead_letters = sum(buried.values()) - len(buried)
    return findings


def unexplained_duplicates(
    findings: Findings, ledger: Iterable[Mapping[str, Any]], answers: Iterable[Mapping[str, Any]]
) -> dict[str, int]:
    """The duplicates that no ambiguous answer explains, by event id.

    `ledger` holds the Edge's decided requests, `answers` the connector's `request_answered` lines. An event may be
    accepted once more for each answer to a request of its own that the connector did not get whole.
    """
    ambiguous = Counter(str(answer["request_id"]) for answer in answers if answer["cause"] in _AMBIGUOUS)
    requests: dict[str, set[str]] = {identity: set() for identity in findings.duplicates}
    for line in ledger:
        if line["fate"] == "accepted":
            for identity in requests.keys() & set(line["ids"]):
                requests[identity].add(line["request_id"].rpartition("-")[0])
    allowed = {identity: sum(ambiguous[each] for each in ids) for identity, ids in requests.items()}
    return {identity: extra for identity, extra in findings.duplicates.items() if extra > allowed[identity]}


def _expected(record: Sent) -> tuple[str, int]:
    event = make_record(record.run, record.number, record.kind).event
    identity = event["xdm"].get("_id", record.derived_id)
    return identity, expected_crc32(event, identity)


def _judge(record: Sent, accepted: Accepted | None, crc32: int, findings: Findings, *, is_buried: bool) -> None:
    if record.kind in GOOD_KINDS:
        if is_buried:
            findings.wrongly_dead_lettered.append(record)
        elif accepted is None:
            findings.lost.append(record)
        elif accepted.crc32 != crc32:
            findings.corrupt.append(f"event {record}")
        return
    if accepted is not None:
        findings.wrongly_accepted.append(record)
    if record.kind is Kind.TOMBSTONE and is_buried:
        findings.wrongly_dead_lettered.append(record)
    if record.kind is not Kind.TOMBSTONE and not is_buried:
        findings.lost.append(record)


def _judge_dead_letters(
    by_place: Mapping[Place, Sent], dead_letters: Iterable[Whole], findings: Findings
) -> Counter[Place]:
    buried: Counter[Place] = Counter()
    for letter in dead_letters:
        own, added = split_headers(letter)
        place = origin(added)
        record = by_place.get(place)
        if record is None:
            findings.phantom.append(f"dead letter from {place}")
            continue
        buried[place] += 1
        findings.corrupt += [f"dead letter of {record}: {fault}" for fault in _faults(letter, own, added, record)]
    return buried


def split_headers(letter: Whole) -> tuple[list[tuple[str, str | bytes | None]], dict[str, str]]:
    """The record's own headers, and those that the connector added behind them."""
    headers = letter.headers()
    first = max(at for at, (name, _) in enumerate(headers) if name == "__connect.errors.topic")
    added = {name: value.decode() for name, value in headers[first:] if isinstance(value, bytes)}
    return headers[:first], added


def origin(added: Mapping[str, str]) -> Place:
    names = ("topic", "partition", "offset")
    topic, partition, offset = (added[f"__connect.errors.{name}"] for name in names)
    return topic, int(partition), int(offset)


def _faults(
    letter: Whole, own: list[tuple[str, str | bytes | None]], added: Mapping[str, str], record: Sent
) -> list[str]:
    made = make_record(record.run, record.number, record.kind)
    wanted = _REQUIRED_HEADERS | (frozenset() if record.kind in UNSENT_KINDS else _REQUEST_HEADERS)
    checks = {
        "key": letter.key() == record.key,
        "value": letter.value() == made.value,
        "headers": own == (made.headers or []),
        "timestamp": letter.timestamp() == (TIMESTAMP_CREATE_TIME, record.timestamp_ms),
        "names of added headers": added.keys() == wanted,
        "prefix of added headers": all(_ADDED.match(name) for name in added),
        "code": added.get("xdm.error.code") == CODES.get(record.kind),
        "stage": added.get("__connect.errors.stage") == ("decode" if record.kind in UNSENT_KINDS else "deliver"),
    }
    return [f"{name}: {letter.key()!r} {own} {dict(added)}" for name, is_right in checks.items() if not is_right]
