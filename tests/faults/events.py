"""The events that tests send: varied, some of them bad on purpose, and every byte known from a number.

Promise: `make_record` is a pure function of the run, the number and the kind, so nothing has to be kept to know what
should have arrived. An event carries its run, its number and a checksum of its payload.
"""

from __future__ import annotations

import random
import zlib
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

import orjson

POISON_MARK = "a poisonous payload"
_BAD_EVERY = 100
_TOMBSTONE_EVERY = 500
_OVERSIZE_BYTES = 80_000
_LARGE_BYTES = 60_000
_HUGE_BYTES = 950_000
_LADING_BYTES = 100_000
_DECISION_BYTES = 500_000


class Kind(Enum):
    """What an event is, and so what has to become of it."""

    GOOD = auto()
    NOT_JSON = auto()
    """Rejected before a request."""
    OVERSIZE = auto()
    """Rejected before a request, and larger than a topic with little room takes at once."""
    NAMED = auto()
    """Refused by the Edge with its `#index` (EXEG-0304-400)."""
    UNNAMED = auto()
    """Refused by the Edge without an index (EXEG-0305-400)."""
    POISON = auto()
    """Refused by a fault of the Edge (`POISON_FAULT`) without an index (EXEG-0102-400)."""
    TOMBSTONE = auto()
    """No value: skipped."""
    LARGE = auto()
    """Good, nearly as large as a request may be, and bare XDM: its fragment is no part of the record."""
    LADEN = auto()
    """Good and small, with headers that are many times larger."""
    TALKED_ABOUT = auto()
    """Good and small; the answer to it is large where it is sent to interact."""
    HUGE = auto()
    """About a megabyte, so rejected before a request."""


GOOD_KINDS = frozenset({Kind.GOOD, Kind.LARGE, Kind.LADEN, Kind.TALKED_ABOUT})
UNSENT_KINDS = frozenset({Kind.NOT_JSON, Kind.OVERSIZE, Kind.HUGE})
"""Rejected before a request."""

BAD_KINDS = (Kind.NOT_JSON, Kind.NAMED, Kind.UNNAMED, Kind.POISON)

POISON_FAULT = {
    "name": "poison",
    "select": {"when_event_contains": POISON_MARK},
    "effect": {"kind": "status", "code": "EXEG-0102-400"},
}

CODES = {
    Kind.NOT_JSON: "not_json",
    Kind.OVERSIZE: "too_large",
    Kind.NAMED: "EXEG-0304-400",
    Kind.UNNAMED: "EXEG-0305-400",
    Kind.POISON: "EXEG-0102-400",
    Kind.HUGE: "too_large",
}
"""What a dead letter of each kind names as its cause."""


def all_good(_: int) -> Kind:
    """Nothing but events that are to be accepted."""
    return Kind.GOOD


def one_percent_bad(number: int) -> Kind:
    """One event in a hundred is bad, each kind in turn; a few tombstones."""
    if number % _BAD_EVERY == _BAD_EVERY // 2:
        return BAD_KINDS[number // _BAD_EVERY % len(BAD_KINDS)]
    return Kind.TOMBSTONE if number % _TOMBSTONE_EVERY == 1 else Kind.GOOD


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """One record to be sent; `event` is what has to arrive, `_id` aside where the connector makes it."""

    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, str | bytes | None]] | None
    event: dict[str, dict[str, Any]]


def make_record(run: str, number: int, kind: Kind) -> Made:
    """The record with this number; every twentieth is bare XDM, lacks an `_id`, or writes `primary` as a text."""
    event = _event(run, number, kind)
    variety = number % 20 if kind is Kind.GOOD else 0
    written = orjson.loads(orjson.dumps(event))
    if kind is Kind.LARGE:
        written = written["xdm"]
    if variety == 5:
        del event["data"]
        written = written["xdm"]
    elif variety == 6:
        del event["xdm"]["_id"], written["xdm"]["_id"]
    elif variety == 7:
        written["xdm"]["identityMap"]["CRMID"][0]["primary"] = "true"
    return Made(key=_key(number), value=_value(written, kind), headers=_headers(number, kind), event=event)


def expected_crc32(event: dict[str, dict[str, Any]], identity: str) -> int:
    """The checksum of an event as it has to arrive."""
    whole = {**event, "xdm": {**event["xdm"], "_id": identity}}
    return zlib.crc32(orjson.dumps(whole, option=orjson.OPT_SORT_KEYS))


def _event(run: str, number: int, kind: Kind) -> dict[str, dict[str, Any]]:
    payload = f"é{number:07d} " * (20 + number % 17)
    if kind is Kind.POISON:
        payload = POISON_MARK
    if kind is Kind.LARGE:
        xdm = {"_id": f"{run}-{number}", "identityMap": {"CRMID": [{"id": f"visitor-{number % 997}", "primary": True}]}}
        return {"xdm": {**xdm, "payload": f"{number:09d} " * (_LARGE_BYTES // 10)}}
    if kind is Kind.OVERSIZE:
        payload = random.Random(number).randbytes(_OVERSIZE_BYTES // 2).hex()  # what does not compress away
    if kind is Kind.HUGE:
        payload = f"{number:09d} " * (_HUGE_BYTES // 10)
    identities: dict[str, Any] = {"CRMID": [{"id": f"visitor-{number % 997}", "primary": True}]}
    if kind is Kind.NAMED:
        identities["CRMID"][0]["authenticatedState"] = "perhaps"
    if kind is Kind.UNNAMED:
        identities["ECID"] = [{"id": "12345"}]
    xdm = {"_id": f"{run}-{number}", "eventType": "web.webpagedetails.pageViews", "identityMap": identities}
    data: dict[str, Any] = {"run": run, "number": number, "payload": payload, "crc32": zlib.crc32(payload.encode())}
    if kind is Kind.TALKED_ABOUT:
        data["decision_bytes"] = _DECISION_BYTES
    return {"xdm": xdm, "data": data}


def _value(written: object, kind: Kind) -> bytes | None:
    if kind is Kind.TOMBSTONE:
        return None
    text = orjson.dumps(written)
    return text[:30] if kind is Kind.NOT_JSON else text


def _key(number: int) -> bytes | None:
    return None if number % 7 == 0 else b"key-\x00\xff-%d" % number


def _headers(number: int, kind: Kind) -> list[tuple[str, str | bytes | None]] | None:
    if kind in {Kind.GOOD, Kind.TOMBSTONE, Kind.LARGE, Kind.TALKED_ABOUT}:
        return None
    if kind is Kind.LADEN:
        return [("lading", b"%09d " % number * (_LADING_BYTES // 10))]
    # Twice the same name, no value, bytes that are no text, and a name that the dead letter uses too.
    return [("a", b"1"), ("a", b"\xff\x00"), ("b", None), ("xdm.error.route", str(number).encode())]
