"""What has to be true at every moment of a simulation: a ledger of each record, and what became of it.

Each acceptance beyond the first needs an excuse: an answer that did not arrive, or an assignment that ended without
its last commit after the record was first sent. A graceful end excuses nothing.
"""

from __future__ import annotations

import re
import sys
from bisect import bisect_left
from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

import orjson

from tests.simulation.plan import ORDERED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from connector.core.settled import Range
    from connector.model import Record, Rejection
    from tests.simulation.trace import Trace

Place = tuple[str, int]
"""Topic and partition."""

_ID: Final = re.compile(rb'"_id":"([^"]+)"')
_MOST_FAILURES: Final = 5


@dataclass(slots=True, eq=False)
class Entry:
    """One record and its fate."""

    name: str
    place: Place
    offset: int
    kind: str
    fragment: bytes | None  # as it has to stand in a body; None where an id has to be added, until first seen
    content: dict[str, object]
    key: bytes
    first_sent_at: float | None = None
    accepted: int = 0
    buried: int = 0
    has_verdict: bool = False
    is_gone: bool = False
    excuses: int = 0
    breaks: list[Break] = field(default_factory=list)  # of its partition in its topic, which may be made anew
    strays: set[str] = field(default_factory=set)  # who delivered it without knowing that the assignment was over

    @property
    def is_bad(self) -> bool:
        """Whether it belongs into the dead letters."""
        return self.kind in ("not_json", "no_object", "named", "unnamed", "poison")


@dataclass(frozen=True, slots=True)
class Break:
    """An assignment that ended without its last commit: what follows is read again."""

    at: float
    offset: int
    settled: tuple[Range, ...] = ()
    member: str = ""  # whose assignment it was, where he may not know that it ended

    def covers(self, entry: Entry) -> bool:
        """Whether it explains that a record was delivered again."""
        if entry.first_sent_at is None or entry.first_sent_at > self.at or entry.offset < self.offset:
            return False
        return not any(first <= entry.offset < end for first, end in self.settled)


@dataclass(slots=True)
class Log:
    """The records of one partition as the oracle knows them."""

    offsets: list[int] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    checked: int = 0  # so many of them lie below a commit, and have their verdict
    breaks: list[Break] = field(default_factory=list)
    chains: dict[bytes, list[Entry]] = field(default_factory=dict)  # by key, what waits for its turn


class Oracle:
    """Knows every record, and judges what is done with it."""

    def __init__(self, trace: Trace, clock: Callable[[], float]) -> None:
        self._trace = trace
        self._clock = clock
        self.logs: dict[Place, Log] = defaultdict(Log)
        self._by_name: dict[bytes, Entry] = {}
        self._poisons: list[Entry] = []
        self._company: list[Entry] = []
        self.failures: list[str] = []
        self.duplicates = 0

    def fail(self, text: str) -> None:
        """Note what must not be."""
        self._trace.note("ORACLE", text)
        if len(self.failures) < _MOST_FAILURES:
            self.failures.append(f"{self._clock():.4f} s: {text}")

    def produced(self, place: Place, entry: Entry) -> None:
        """A record was written."""
        log = self.logs[place]
        if place[0] == ORDERED and entry.kind not in ("skip", "not_json", "no_object"):
            log.chains.setdefault(entry.key, []).append(entry)
        entry.breaks = log.breaks
        log.offsets.append(entry.offset)
        log.entries.append(entry)
        self._by_name[entry.name.encode()] = entry
        if entry.kind == "poison":
            self._poisons.append(entry)
        elif entry.kind == "company":
            self._company.append(entry)

    def recreated(self, place: Place) -> None:
        """A topic was deleted and made anew: what was in it is gone, and its offsets mean other records now."""
        self.gone(place, sys.maxsize)
        self.logs[place] = Log()
        self._poisons = [entry for entry in self._poisons if entry.place != place]

    def gone(self, place: Place, below: int) -> None:
        """Kafka deleted records: nobody answers for those that were not delivered."""
        log = self.logs[place]
        for entry in log.entries[: bisect_left(log.offsets, below)]:
            entry.is_gone = True

    # ---- The Edge ----

    def read(self, body: bytes, prefix: bytes, suffix: bytes) -> list[Entry]:
        """The records of a request's body, which has to hold them to the byte."""
        names = _ID.findall(body)
        found = [self._by_name[name] for name in names if name in self._by_name]
        if len(found) != len(names) or not names:
            self.fail(f"phantom: a request holds what was never written: {names}")
            return found
        if any(entry.fragment is None for entry in found):
            self._learn(body, found)
        if body != prefix + b",".join(entry.fragment or b"" for entry in found) + suffix:
            self.fail(f"corrupt: {body!r}")
        now = self._clock()
        for entry in found:
            if entry.first_sent_at is None:
                entry.first_sent_at = now
        return found

    def _learn(self, body: bytes, found: list[Entry]) -> None:
        """Take over the fragments to which an id was added, which have to say the same as the record otherwise."""
        document = orjson.loads(body)
        for entry, event in zip(found, document.get("events") or [document["event"]], strict=True):
            if entry.fragment is None:
                expected = {**entry.content, "_id": entry.name}
                if event != {"xdm": expected}:
                    self.fail(f"corrupt: {entry.name} is sent as {event}")
                entry.fragment = _object_around(body, entry.name)

    def accepted(self, entries: Iterable[Entry], *, stale: Callable[[Place], str | None]) -> None:
        """The Edge took these; `stale` tells who sent them, if he does not own the partition any more."""
        for entry in entries:
            entry.accepted += 1
            if entry.is_bad:
                self.fail(f"the simulation itself accepted {entry.name}")
            if entry.place[0] == ORDERED and entry.accepted == 1:
                self._check_order(entry)
            self._check_times(entry, entry.accepted, "delivered", stale(entry.place))

    def _check_order(self, entry: Entry) -> None:
        """Those of one key are delivered in the order of their offsets, however often some of them come again."""
        chain = self.logs[entry.place].chains.get(entry.key, [])
        while chain and (chain[0].accepted or chain[0].buried or chain[0].is_gone):
            chain.pop(0)
        if chain and chain[0].offset < entry.offset and not entry.is_gone:
            self.fail(f"{entry.name} is delivered before {chain[0].name} of the same key")

    def excuse(self, entries: Iterable[Entry]) -> None:
        """What was done with these, the connector could not know."""
        for entry in entries:
            entry.excuses += 1

    def answered(self, entries: Iterable[Entry]) -> None:
        """A member heard that these are accepted, or that their dead letters are confirmed."""
        for entry in entries:
            entry.has_verdict = True

    def _check_times(self, entry: Entry, times: int, what: str, stale: str | None) -> None:
        if times == 1 and stale is None:
            return
        covering = [each for each in entry.breaks if each.covers(entry)]
        breaks = len(covering)
        if stale is not None and stale not in entry.strays and all(each.member != stale for each in covering):
            entry.strays.add(stale)
            entry.excuses += 1
        self.duplicates += times > 1
        if times > 1 + entry.excuses + breaks:
            self.fail(f"{entry.name} was {what} {times} times, with {entry.excuses} excuses and {breaks} breaks")

    # ---- Dead letters ----

    def entry_of(self, record: Record) -> Entry:
        """What is known of a record."""
        name = f"{record.topic()}-{record.partition()}-{record.offset()}-{record.timestamp()[1]}"
        return self._by_name[name.encode()]

    def buried(self, record: Record, rejection: Rejection, *, stale: Callable[[Place], str | None]) -> Entry:
        """A dead letter was written."""
        entry = self.entry_of(record)
        entry.buried += 1
        if entry.first_sent_at is None:
            entry.first_sent_at = self._clock()
        if not entry.is_bad:
            self.fail(f"{entry.name} ({entry.kind}) is no dead letter, but was written as {rejection.reason}")
        self._check_times(entry, entry.buried, "dead-lettered", stale(entry.place))
        return entry

    # ---- Commits and assignments ----

    def committed(self, place: Place, offset: int, above: Iterable[Range] = ()) -> None:
        """The broker took a commit: everything below has to have its verdict, and what is said to be settled above."""
        log = self.logs[place]
        while log.checked < len(log.entries) and log.offsets[log.checked] < offset:
            self._check_settled(log.entries[log.checked], f"commit of {offset}")
            log.checked += 1
        for first, end in above:
            for entry in log.entries[bisect_left(log.offsets, first) : bisect_left(log.offsets, end)]:
                self._check_settled(entry, f"note of a commit of {offset}")

    def _check_settled(self, entry: Entry, what: str) -> None:
        if not (entry.has_verdict or entry.is_gone or entry.kind == "skip"):
            self.fail(f"{what} passes {entry.name} ({entry.kind}), which has no verdict")

    def broke(self, place: Place, offset: int, settled: tuple[Range, ...] = (), *, member: str = "") -> None:
        """An assignment ended, and the group knows no more than this."""
        self.logs[place].breaks.append(Break(self._clock(), offset, settled, member))

    def remembered(self, place: Place, settled: tuple[Range, ...]) -> None:
        """Who takes the partition now is who had it before the last break, and knows what it settled there."""
        if self.logs[place].breaks:
            last = self.logs[place].breaks.pop()
            self.logs[place].breaks.append(replace(last, settled=(*last.settled, *settled)))

    def has_poison(self, committed: Callable[[Place], int]) -> bool:
        """Whether an event that fails alone may still be tried, be it that it is gone from Kafka by now."""
        self._poisons = [entry for entry in self._poisons if entry.offset >= committed(entry.place)]
        return bool(self._poisons)

    def has_open_company(self) -> bool:
        """Whether what was written to go beside those has not got through yet."""
        self._company = [entry for entry in self._company if not (entry.has_verdict or entry.is_gone)]
        return bool(self._company)

    def open_entries(self, committed: Callable[[Place], int]) -> list[Entry]:
        """What is not delivered or not committed yet, the first one of each partition."""
        found = []
        for place, log in self.logs.items():
            offset = committed(place)
            left = [entry for entry in log.entries[log.checked :] if entry.offset >= offset and not entry.is_gone]
            found += left[:1]
        return found

    def check_end(self) -> None:
        """In the end each record is accepted, or in the dead letters."""
        for log in self.logs.values():
            for entry in log.entries:
                if entry.is_gone or entry.kind == "skip":
                    continue
                if not (entry.buried if entry.is_bad else entry.accepted):
                    self.fail(f"lost: {entry.name} ({entry.kind})")


def _object_around(body: bytes, name: str) -> bytes:
    """The event in a body that holds a name; events hold no braces in their texts."""
    at = body.index(b'"_id":"%s"' % name.encode())
    start = body.rindex(b'{"xdm":', 0, at)
    depth = 0
    for end in range(start, len(body)):
        depth += (body[end] == 0x7B) - (body[end] == 0x7D)
        if depth == 0:
            return body[start : end + 1]
    return b""
