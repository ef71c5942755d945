"""What the local Edge says when it accepts: request ids, collect's and interact's bodies, warnings.

Promise: pure; the shapes are published, the values are made up and the same for the same visitor. It refuses
nothing: that is `edge_problems`.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING
from uuid import UUID

import orjson

from connector.local.edge.catalogue import TITLES
from connector.local.edge.problems import status_of, type_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from random import Random

LOCATION_HINT = "or2"
_MOST_DECISION_BYTES = 8 * 1024 * 1024  # more than the connector reads


def make_request_id(given: str | None, rng: Random) -> str:
    """Make the answer's request id: what was given, or a new UUID, then `-` and 16 hex digits (published)."""
    usable = given and given.isascii() and given.isprintable()  # it goes into a header too
    base = given if usable else str(UUID(int=rng.getrandbits(128), version=4))
    return f"{base}-{rng.getrandbits(64):016x}"


def collect_body(request_id: str) -> bytes:
    """Write collect's 202: the request id alone (given)."""
    return orjson.dumps({"requestId": request_id})


def interact_body(request_id: str, event: Mapping[str, object], location_hint: str) -> bytes:
    """Write interact's 200: the request id and a few handles of the published types."""
    return orjson.dumps({"requestId": request_id, "handle": make_handles(event, location_hint)})


def make_handles(event: Mapping[str, object], location_hint: str = LOCATION_HINT) -> list[dict[str, object]]:
    """Make the handles of one event: the visitor's ECID, location hints, state and a decision.

    The decision is empty, or holds as much content as the event asks for with `data.decision_bytes`.
    """
    ecid = _ecid_of(event)
    hints = [
        {"scope": "Target", "hint": "35", "ttlSeconds": 1800},
        {"scope": "AAM", "hint": "9", "ttlSeconds": 1800},
        {"scope": "EdgeNetwork", "hint": location_hint, "ttlSeconds": 1800},
    ]
    state = {
        "key": "kndctr_0123456789ABCDEF_AdobeOrg_identity",
        "value": f"local-{ecid}",
        "maxAge": 34_128_000,
    }
    return [
        {"type": "identity:result", "payload": [{"id": ecid, "namespace": {"code": "ECID"}}]},
        {"type": "locationHint:result", "payload": hints},
        {"type": "state:store", "payload": [state]},
        {"type": "personalization:decisions", "payload": _decisions(event), "eventIndex": 0},
    ]


def _decisions(event: Mapping[str, object]) -> list[dict[str, str]]:
    data = event.get("data")
    wanted = data.get("decision_bytes") if isinstance(data, dict) else None
    return [{"content": "x" * wanted}] if type(wanted) is int and 0 < wanted <= _MOST_DECISION_BYTES else []


def _ecid_of(event: Mapping[str, object]) -> str:
    """Take the event's own ECID, else derive one from its identities, so that a visitor keeps theirs."""
    xdm = event.get("xdm")
    identity_map = xdm.get("identityMap") if isinstance(xdm, dict) else None
    if isinstance(identity_map, dict) and identity_map.get("ECID"):
        return str(identity_map["ECID"][0]["id"])
    digest = hashlib.sha256(orjson.dumps(identity_map, option=orjson.OPT_SORT_KEYS)).digest()
    return f"{int.from_bytes(digest) % 10**38:038d}"


def reported_body(
    request_id: str,
    *,
    errors: Sequence[str],
    warnings: Sequence[str],
    event_indexes: Sequence[int],
    handles: Sequence[object] = (),
) -> bytes:
    """Write an acceptance that reports codes, for each of the named events or, with none, for the request."""
    document: dict[str, object] = {"requestId": request_id, "handle": handles}
    for member, codes in (("errors", errors), ("warnings", warnings)):
        if codes:
            document[member] = [_report(code, index) for code in codes for index in event_indexes or (None,)]
    return orjson.dumps(document)


def _report(code: str, event_index: int | None) -> dict[str, object]:
    """Write one entry; the index of its event stands in `report.eventIndex` (published)."""
    entry: dict[str, object] = {
        "type": type_of(code),
        "status": status_of(code),
        "title": TITLES.get(code, "An upstream service failed"),
        "detail": "A fault of the local Edge asked for this report.",
    }
    if event_index is not None:
        entry["report"] = {"eventIndex": event_index}
    return entry
