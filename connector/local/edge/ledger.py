"""The ledger: what happened to every event id, every request and every request id.

Promise: one small entry per event id, so that afterwards it can be added up what was lost and what was
doubled. Its sums are kept as it goes and cost nothing to read. It holds ids and counts, no event content but
an optional checksum. It writes every decided request to a file where it was given one, and never reads that
file. Time is an argument, in milliseconds of one monotonic clock.
"""

from __future__ import annotations

import json
import zlib
from collections import Counter, OrderedDict
from enum import Enum
from typing import TYPE_CHECKING, BinaryIO, assert_never

import orjson
from msgspec import Struct

from connector.local.edge.rules import event_id

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_MAX_REQUEST_IDS = 10_000
_MAX_NAMED_DUPLICATES = 100


class Fate(Enum):
    """What became of the events of one request."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    UNANSWERED = "unanswered"  # no true verdict was sent back


class LedgerEntry(Struct, gc=False):
    """One event id: how often it met each fate, the last code or status, the first and the last time."""

    accepted: int = 0
    refused: int = 0
    unanswered: int = 0
    last_code: str = ""
    first_ms: int = 0
    last_ms: int = 0
    crc32: int | None = None  # of the first accepted event, where checksums are asked for


class DecidedRequest(Struct, frozen=True, kw_only=True):
    """One request with its events' fate; `code` is a published code, a status or the name of a fault."""

    path: str
    status: int | None  # None where no status was sent
    code: str
    request_id: str
    fate: Fate
    events: Sequence[object]


def canonical_crc32(event: object) -> int:
    """Checksum an event by content: the CRC-32 of its compact JSON with sorted keys."""
    try:
        text = orjson.dumps(event, option=orjson.OPT_SORT_KEYS)
    except TypeError:  # what it read it does not always write: it goes 1,024 levels down, and 254 up
        text = json.dumps(event, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    return zlib.crc32(text)


class Ledger:
    """All entries, the sums over them, and the arrivals of request ids."""

    def __init__(self, *, checksums: bool, file: BinaryIO | None = None) -> None:
        self._checksums = checksums
        self._file = file
        self.clear()

    def clear(self) -> None:
        """Forget everything; the file keeps what it has."""
        self._entries: dict[str, LedgerEntry] = {}
        self._totals: Counter[Fate] = Counter()
        self._anonymous: Counter[Fate] = Counter()
        self._ids: Counter[Fate] = Counter()
        self._duplicated: list[str] = []
        self._duplicated_ids = 0
        self._requests: Counter[str] = Counter()
        self._arrivals: OrderedDict[str, int] = OrderedDict()
        self.request_units = 0

    def note(self, request: DecidedRequest, now_ms: int) -> None:
        """Enter the fate of a request's events; a request has two where it was accepted and never told so."""
        ids = [event_id(event) for event in request.events]
        self._write(request, ids, now_ms)
        named = len(ids) - ids.count(None)
        self._anonymous[request.fate] += len(ids) - named
        self._totals[request.fate] += named
        self._ids[request.fate] += sum(
            self._note_event(identity, event, request, now_ms)
            for identity, event in zip(ids, request.events, strict=True)
            if identity is not None
        )

    def count_request(self, path: str, outcome: str) -> None:
        """Count one request by its path and its status, or by the fault that sent none."""
        self._requests[f"{path} {outcome}"] += 1

    def _note_event(self, identity: str, event: object, request: DecidedRequest, now_ms: int) -> bool:
        """Enter one event; returns whether this id met this fate for the first time."""
        entry = self._entries.get(identity)
        if entry is None:
            entry = self._entries[identity] = LedgerEntry(first_ms=now_ms)
        entry.last_ms = now_ms
        entry.last_code = request.code
        match request.fate:
            case Fate.ACCEPTED:
                self._count_accepted(identity, entry, event)
                return entry.accepted == 1
            case Fate.REFUSED:
                entry.refused += 1
                return entry.refused == 1
            case Fate.UNANSWERED:
                entry.unanswered += 1
                return entry.unanswered == 1
            case _:
                assert_never(request.fate)

    def _count_accepted(self, identity: str, entry: LedgerEntry, event: object) -> None:
        entry.accepted += 1
        if entry.accepted == 1 and self._checksums:
            entry.crc32 = canonical_crc32(event)
        if entry.accepted == 2:
            self._duplicated_ids += 1
            if len(self._duplicated) < _MAX_NAMED_DUPLICATES:
                self._duplicated.append(identity)

    def note_arrival(self, request_id: str) -> None:
        """Count the arrival of a request id as its sender gave it; the last 10,000 ids are kept."""
        self._arrivals[request_id] = self._arrivals.pop(request_id, 0) + 1
        if len(self._arrivals) > _MAX_REQUEST_IDS:
            self._arrivals.popitem(last=False)

    def find(self, identity: str) -> LedgerEntry | None:
        """Look one event id up."""
        return self._entries.get(identity)

    def arrivals(self) -> dict[str, int]:
        """Tell how often each remembered request id arrived, the latest last."""
        return dict(self._arrivals)

    def lines(self, wanted: Fate | None) -> Iterator[bytes]:
        """Write the entries as JSON lines: those that met a fate, or all with everything known of them."""
        for identity, entry in list(self._entries.items()):
            if wanted is None:
                yield orjson.dumps(describe_entry(identity, entry)) + b"\n"
            elif count := _count_of(entry, wanted):
                line: dict[str, object] = {"id": identity, wanted.value: count}
                if entry.crc32 is not None:
                    line["crc32"] = entry.crc32
                yield orjson.dumps(line) + b"\n"

    def summarise(self) -> dict[str, object]:
        """Sum up: ids and times by fate, duplicates of acceptance, requests by path and status."""
        accepted_ids = self._ids[Fate.ACCEPTED]
        return {
            "ids": {"seen": len(self._entries)} | {fate.value: self._ids[fate] for fate in Fate},
            "times": {fate.value: self._totals[fate] for fate in Fate},
            "anonymous": {fate.value: self._anonymous[fate] for fate in Fate},
            "duplicates": {
                "ids": self._duplicated_ids,
                "extra_times": self._totals[Fate.ACCEPTED] - accepted_ids,
                "first_ids": list(self._duplicated),
            },
            "requests": dict(self._requests),
            "request_ids": {
                "kept": len(self._arrivals),
                "repeated": sum(n > 1 for n in self._arrivals.values()),
            },
            "request_units": self.request_units,
        }

    def _write(self, request: DecidedRequest, ids: Sequence[str | None], now_ms: int) -> None:
        if self._file is None:
            return
        line = {
            "t_ms": now_ms,
            "path": request.path,
            "status": request.status,
            "code": request.code,
            "request_id": request.request_id,
            "fate": request.fate.value,
            "ids": ids,
        }
        self._file.write(orjson.dumps(line) + b"\n")


def describe_entry(identity: str, entry: LedgerEntry) -> dict[str, object]:
    """Write one entry with everything known of it."""
    return {"id": identity} | {name: getattr(entry, name) for name in entry.__struct_fields__}


def _count_of(entry: LedgerEntry, fate: Fate) -> int:
    match fate:
        case Fate.ACCEPTED:
            return entry.accepted
        case Fate.REFUSED:
            return entry.refused
        case Fate.UNANSWERED:
            return entry.unanswered
