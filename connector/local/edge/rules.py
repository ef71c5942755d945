"""The rules of collect and interact: one arrived request in, an acceptance or a refusal out.

Promise: pure. A request is either accepted as a whole or refused as a whole and dispatched nowhere
(published); a refusal names every event that breaks the rule it was refused for. Rules are asked in a fixed
order and the first that is broken answers. It does not know HTTP, faults or the ledger. Rules marked (given)
or (published) have that source; the choice of a code for the rest is this project's own.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, assert_never

import orjson

from connector.local.edge.catalogue import name_events
from connector.local.edge.problems import Problem, problem_of_code

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

DATASTREAM_PATTERN = re.compile(r"[0-9A-Za-z]{8}(-[0-9A-Za-z]{4}){3}-[0-9A-Za-z]{12}(:[0-9A-Za-z_-]+)?", re.ASCII)
_ECID_PATTERN = re.compile(r"[0-9]{38}", re.ASCII)
# Tuples, not sets: what is looked up came from outside and may not be hashable.
_STATES = (None, "ambiguous", "authenticated", "loggedOut")
_PRIMARIES = (None, True, False, "true", "false")
_TRUE = (True, "true")


class Endpoint(Enum):
    """The two endpoints: collect carries many events, interact exactly one (given)."""

    COLLECT = "collect"
    INTERACT = "interact"


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """One request as it stands on the wire, without its HTTP library."""

    endpoint: Endpoint
    datastream: str | None
    content_type: str  # as sent, with its parameters
    content_encoding: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Accepted:
    """Every event of the request may be dispatched."""

    events: list[dict[str, object]]


@dataclass(frozen=True, slots=True)
class Refused:
    """Nothing is dispatched; `events` is what could be read of the request, for the ledger."""

    problem: Problem
    events: Sequence[object] = ()


Decision = Accepted | Refused


def find_head_problem(arrival: Arrival, datastreams: frozenset[str], max_bytes: int) -> Problem | None:
    """Check what can be said before the body is parsed: media type, datastream and size."""
    if arrival.content_type.partition(";")[0].strip().lower() != "application/json":
        return problem_of_code("EXEG-0111-415", "The content type must be application/json.")
    if arrival.content_encoding.lower() not in {
        "",
        "identity",
    }:  # request compression is not supported (published)
        return problem_of_code("EXEG-0111-415", "Compressed requests are not supported.")
    if not arrival.datastream:
        return problem_of_code("EXEG-0002-400", "The query parameter datastreamId is missing.")
    if not is_known(arrival.datastream, datastreams):
        return problem_of_code("EXEG-0003-400", "The datastream does not exist. Correct its ID and try again.")
    if len(arrival.body) > max_bytes:
        return too_large(max_bytes)
    return None


def too_large(max_bytes: int) -> Problem:
    """Refuse a body for its size; the text names the limit (published)."""
    detail = f"The request is larger than the limit of {max_bytes} bytes ({max_bytes // 1024} KB)."
    return problem_of_code("EXEG-0112-413", detail)


def is_known(datastream: str, datastreams: frozenset[str]) -> bool:
    """Tell whether a datastream exists: it is listed, or nothing is listed and it has the form of an id."""
    if datastreams:
        return datastream in datastreams
    return DATASTREAM_PATTERN.fullmatch(datastream) is not None


def decide_body(endpoint: Endpoint, body: bytes, *, primary_needed: bool) -> Decision:
    """Decide over the events in a body whose head is in order. The body is parsed once."""
    if not body.strip():
        return Refused(problem_of_code("EXEG-0109-408", "The request has no body."))
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return Refused(problem_of_code("EXEG-0101-400", "The request body is not valid JSON."))
    if not isinstance(document, dict):
        return Refused(problem_of_code("EXEG-0102-400", "The request body must be a JSON object."))
    match endpoint:
        case Endpoint.COLLECT:
            return decide_events(document.get("events"), "events", primary_needed=primary_needed)
        case Endpoint.INTERACT:
            return _decide_interact(document, primary_needed=primary_needed)
        case _:
            assert_never(endpoint)


def _decide_interact(document: dict[str, object], *, primary_needed: bool) -> Decision:
    several = document.get("events")
    if several is not None:  # interact refuses batches (given)
        detail = "This endpoint takes exactly one event, in `event`."
        return Refused(problem_of_code("EXEG-0105-400", detail), several if isinstance(several, list) else ())
    event = document.get("event")
    return decide_events(None if event is None else [event], "event", primary_needed=primary_needed)


def decide_events(events: object, member: str, *, primary_needed: bool) -> Decision:
    """Decide over a list of events; `member` is its name in the request, for the text."""
    if not isinstance(events, list) or not events:
        return Refused(problem_of_code("EXEG-0103-400", f"The request has no `{member}`."))
    if all(is_flawless(event, primary_needed) for event in events):
        return Accepted(events)
    shapeless = [i for i, event in enumerate(events) if not _has_xdm(event)]
    if shapeless:
        return Refused(_no_xdm(shapeless), events)
    for rule in _rules(primary_needed=primary_needed):
        problem = rule(events)
        if problem is not None:
            return Refused(problem, events)
    return Accepted(events)


def is_flawless(event: object, primary_needed: bool) -> bool:  # noqa: FBT001 - asked once per event
    """Tell in one pass that an event breaks none of the rules below. It says yes only if they all do."""
    xdm = event.get("xdm") if isinstance(event, dict) else None
    if not isinstance(xdm, dict):
        return False
    identity_map = xdm.get("identityMap")
    if not isinstance(identity_map, dict):
        return identity_map is None and not primary_needed
    found = not primary_needed
    for namespace, items in identity_map.items():
        if not isinstance(items, list):
            return False
        for item in items:
            if not _is_identity(item) or not item["id"]:
                return False
            if namespace == "ECID" and _ECID_PATTERN.fullmatch(item["id"]) is None:
                return False
            found = found or item.get("primary") in _TRUE
    return found


def _has_xdm(event: object) -> bool:
    return isinstance(event, dict) and isinstance(event.get("xdm"), dict)


def _no_xdm(indexes: Sequence[int]) -> Problem:
    detail = "Invalid request (report attached). Check the events and try again."
    errors = [f"An event must be an object with an object `xdm`, at index {index}" for index in indexes]
    return problem_of_code("EXEG-0104-422", detail, errors=errors)


Events = list[dict[str, dict[str, object]]]


def _rules(*, primary_needed: bool) -> Sequence[Callable[[Events], Problem | None]]:
    if primary_needed:
        return (check_identity_maps, check_primary_identities, check_identities, check_ecids)
    return (check_identity_maps, check_identities, check_ecids)


def check_identity_maps(events: Events) -> Problem | None:
    """Each `identityMap` maps a namespace to a list of `{id, authenticatedState?, primary?}` (given)."""
    faulty = [i for i, event in enumerate(events) if not is_identity_map(event["xdm"].get("identityMap"))]
    if not faulty:
        return None
    return problem_of_code("EXEG-0304-400", f"The identity map is malformed in {name_events(faulty)}.")


def is_identity_map(candidate: object) -> bool:
    """Tell whether a value may stand in `identityMap`; None is an event without one."""
    if candidate is None:
        return True
    if not isinstance(candidate, dict):
        return False
    return all(isinstance(items, list) and all(map(_is_identity, items)) for items in candidate.values())


def _is_identity(item: object) -> bool:
    if not isinstance(item, dict) or not isinstance(item.get("id"), str):
        return False
    return item.get("authenticatedState") in _STATES and item.get("primary") in _PRIMARIES


def check_identities(events: Events) -> Problem | None:
    """An empty id identifies nobody. The text names each such event and quotes the identity (published)."""
    faulty = [i for i, event in enumerate(events) if "" in _ids_of(event)]
    if not faulty:
        return None
    return problem_of_code("EXEG-0308-400", f"The identity '' is not valid in {name_events(faulty)}.")


def _ids_of(event: dict[str, dict[str, object]]) -> list[object]:
    identity_map = event["xdm"].get("identityMap")
    if not isinstance(identity_map, dict):
        return []
    return [item["id"] for items in identity_map.values() for item in items]


def check_primary_identities(events: Events) -> Problem | None:
    """On the authenticated endpoint every event needs a primary identity (given, published)."""
    faulty = [i for i, event in enumerate(events) if not has_primary(event["xdm"].get("identityMap"))]
    if not faulty:
        return None
    detail = f"No primary identity was found for {name_events(faulty)}. Mark one as primary and try again."
    return problem_of_code("EXEG-0306-400", detail)


def has_primary(identity_map: object) -> bool:
    """Tell whether a well-formed map has a primary identity; the text `"true"` counts (given sample)."""
    if not isinstance(identity_map, dict):
        return False
    return any(item.get("primary") in _TRUE for items in identity_map.values() for item in items)


def check_ecids(events: Events) -> Problem | None:
    """An ECID has exactly 38 digits (published). The text quotes the first wrong id and names no index."""
    for event in events:
        identity_map = event["xdm"].get("identityMap")
        for item in identity_map.get("ECID", ()) if isinstance(identity_map, dict) else ():
            if _ECID_PATTERN.fullmatch(item["id"]) is None:
                return problem_of_code("EXEG-0305-400", f"'{item['id']}' is not a valid ECID.")
    return None


def read_events(body: bytes) -> list[object]:
    """Read the events of any body as far as possible; what is no request has none. For the ledger."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return []
    if not isinstance(document, dict):
        return []
    if isinstance(events := document.get("events"), list):
        return events
    return [document["event"]] if "event" in document else []


def event_id(event: object) -> str | None:
    """Read `xdm._id`, the unique id of an event; None where it has none."""
    xdm = event.get("xdm") if isinstance(event, dict) else None
    identity = xdm.get("_id") if isinstance(xdm, dict) else None
    return identity if isinstance(identity, str) else None


def first_identity(event: object) -> str:
    """Read the first id in an event's identity map, as refusals quote it; an empty text where there is none."""
    xdm = event.get("xdm") if isinstance(event, dict) else None
    identity_map = xdm.get("identityMap") if isinstance(xdm, dict) else None
    if not isinstance(identity_map, dict) or not is_identity_map(identity_map):
        return ""
    return next((str(item["id"]) for items in identity_map.values() for item in items), "")
