"""Flaws that keep an event from ever being accepted, each with the reason that its dead letter has to name.

Promise: each `spoil` turns an event that would be accepted into a value that never can be, for exactly the reason
named. The connector finds most flaws before it spends a request; some only the Edge finds, with and without naming
the event in its answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import orjson

if TYPE_CHECKING:
    from collections.abc import Callable

JsonEvent = dict[str, Any]

_TOO_MANY_BYTES: Final = 70_000  # a request holds 64 KB (published)
_TOO_MANY_LEVELS: Final = 600
_TOO_MANY_DIGITS: Final = 1200


@dataclass(frozen=True, slots=True, kw_only=True)
class Flaw:
    """One way in which an event can be wrong; `spoil` makes the value of its record."""

    name: str
    found_by: str
    reason: str
    spoil: Callable[[JsonEvent], bytes]


def _cut_off(event: JsonEvent) -> bytes:
    value = orjson.dumps(event)
    return value[: len(value) // 2]


def _empty(_: JsonEvent) -> bytes:
    return b""


def _with_nan(event: JsonEvent) -> bytes:
    return b'{"data":{"load":NaN},' + orjson.dumps(event)[1:]


def _not_utf8(event: JsonEvent) -> bytes:
    return orjson.dumps(event).replace(b'"eventType":"', b'"eventType":"\xe9', 1)  # as Latin-1 writes it


def _half_character(event: JsonEvent) -> bytes:
    return orjson.dumps(event).replace(b'"eventType":"', b'"eventType":"\\ud83e', 1)


def _in_an_array(event: JsonEvent) -> bytes:
    return orjson.dumps([event])


def _without_xdm(event: JsonEvent) -> bytes:
    return orjson.dumps({"data": event["xdm"]})


def _without_identity(event: JsonEvent) -> bytes:
    return _with_xdm(event, identityMap={})


def _without_primary(event: JsonEvent) -> bytes:
    identity = event["xdm"]["identityMap"]["ECID"][0]
    return _with_xdm(event, identityMap={"ECID": [{**identity, "primary": False}]})


def _too_large(event: JsonEvent) -> bytes:
    return orjson.dumps({**event, "data": {"log": "x" * _TOO_MANY_BYTES}})


def _too_deep(event: JsonEvent) -> bytes:
    nested = b"[" * _TOO_MANY_LEVELS + b"]" * _TOO_MANY_LEVELS
    return b'{"data":' + nested + b"," + orjson.dumps({"xdm": event["xdm"]})[1:]


def _long_number(event: JsonEvent) -> bytes:
    return b'{"data":{"pi":3.' + b"1" * _TOO_MANY_DIGITS + b"}," + orjson.dumps({"xdm": event["xdm"]})[1:]


def _unknown_state(event: JsonEvent) -> bytes:
    return _with_identity(event, "CustomerNumber", id="C1", authenticatedState="perhaps")


def _empty_id(event: JsonEvent) -> bytes:
    return _with_identity(event, "CustomerNumber", id="")


def _short_ecid(event: JsonEvent) -> bytes:
    identity = event["xdm"]["identityMap"]["ECID"][0]
    return _with_identity(event, "ECID", **{**identity, "id": identity["id"][:-1]})


def _with_identity(event: JsonEvent, namespace: str, **identity: object) -> bytes:
    return _with_xdm(event, identityMap={**event["xdm"]["identityMap"], namespace: [identity]})


def _with_xdm(event: JsonEvent, **members: object) -> bytes:
    return orjson.dumps({**event, "xdm": {**event["xdm"], **members}})


_CONNECTOR: Final = "connector"
_EDGE_NAMES_IT: Final = "Edge, by #index"
_EDGE: Final = "Edge, unnamed"

FLAWS: Final = (
    Flaw(name="JSON cut off", found_by=_CONNECTOR, reason="not_json", spoil=_cut_off),
    Flaw(name="an empty value", found_by=_CONNECTOR, reason="not_json", spoil=_empty),
    Flaw(name="NaN as a number", found_by=_CONNECTOR, reason="not_json", spoil=_with_nan),
    Flaw(name="Latin-1 text", found_by=_CONNECTOR, reason="not_utf8", spoil=_not_utf8),
    Flaw(name="half a character", found_by=_CONNECTOR, reason="lone_surrogate", spoil=_half_character),
    Flaw(name="an array", found_by=_CONNECTOR, reason="not_object", spoil=_in_an_array),
    Flaw(name="no xdm", found_by=_CONNECTOR, reason="no_xdm", spoil=_without_xdm),
    Flaw(name="no identity", found_by=_CONNECTOR, reason="no_primary_identity", spoil=_without_identity),
    Flaw(name="no primary identity", found_by=_CONNECTOR, reason="no_primary_identity", spoil=_without_primary),
    Flaw(name="70 KB", found_by=_CONNECTOR, reason="too_large", spoil=_too_large),
    Flaw(name="600 levels deep", found_by=_CONNECTOR, reason="too_deep", spoil=_too_deep),
    Flaw(name="1,200 digits", found_by=_CONNECTOR, reason="number_too_long", spoil=_long_number),
    Flaw(name="unknown login state", found_by=_EDGE_NAMES_IT, reason="EXEG-0304-400", spoil=_unknown_state),
    Flaw(name="an empty id", found_by=_EDGE_NAMES_IT, reason="EXEG-0308-400", spoil=_empty_id),
    Flaw(name="an ECID of 37 digits", found_by=_EDGE, reason="EXEG-0305-400", spoil=_short_ecid),
)
