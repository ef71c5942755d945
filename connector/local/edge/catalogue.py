"""Every published code that the local Edge can name: its title, its detail, and how a person may write it.

Promise: codes are published; titles and details are this project's own words, close in meaning to what Adobe's
documentation says and not a copy of it. A code that stands nowhere here is never guessed at. Values only: who is
answered so is decided by the rules and the faults.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

CODE_PATTERN = re.compile(r"EXEG-\d{4}-[1-5]\d\d", re.ASCII)
NAMES_EVENTS = frozenset({"EXEG-0304-400", "EXEG-0306-400", "EXEG-0308-400"})
"""The codes whose detail names events as `#index` (published)."""

_SHORT = re.compile(r"(?:EXEG-)?(\d{1,4})(?:-(\d{3}))?", re.ASCII | re.IGNORECASE)

TITLES: Mapping[str, str] = {
    "EXEG-0000-503": "The service is unavailable",
    "EXEG-0001-500": "Unexpected error",
    "EXEG-0002-400": "No datastream ID",
    "EXEG-0003-400": "Invalid datastream ID",
    "EXEG-0004-422": "The datastream cannot be used",
    "EXEG-0010-422": "The datastream's configuration is not valid",
    "EXEG-0011-422": "The datastream's configuration is not valid",
    "EXEG-0012-422": "The datastream's configuration is not valid",
    "EXEG-0013-422": "The datastream's configuration is not valid",
    "EXEG-0100-500": "Unexpected error while the request was read",
    "EXEG-0101-400": "Malformed JSON",
    "EXEG-0102-400": "Invalid request body",
    "EXEG-0103-400": "No event in the request",
    "EXEG-0104-422": "Unprocessable entity",
    "EXEG-0105-400": "Too many events in the request",
    "EXEG-0106-400": "Requests from this country are not served",
    "EXEG-0107-400": "Invalid request",
    "EXEG-0108-400": "Invalid request",
    "EXEG-0109-408": "Empty request",
    "EXEG-0110-400": "Invalid request",
    "EXEG-0111-415": "Unsupported media type",
    "EXEG-0112-413": "Request too large",
    "EXEG-0113-400": "Invalid request",
    "EXEG-0200-504": "An upstream service took too long",
    "EXEG-0201-503": "An upstream service is temporarily unavailable",
    "EXEG-0201-504": "An upstream service is temporarily unavailable",
    "EXEG-0202-502": "The call of an upstream service failed",
    "EXEG-0203-502": "The call of an upstream service failed",
    "EXEG-0204-200": "A warning occurred in an upstream service",
    "EXEG-0205-502": "The call of an upstream service failed",
    "EXEG-0300-502": "The identity service failed",
    "EXEG-0301-200": "The event was ignored for lack of consent",
    "EXEG-0302-409": "The consent update is not supported",
    "EXEG-0304-400": "Invalid identity map",
    "EXEG-0305-400": "Invalid ECID",
    "EXEG-0306-400": "No primary identity set in request (event)",
    "EXEG-0307-502": "The identity service failed",
    "EXEG-0308-400": "Invalid identity",
    "EXEG-0400-403": "Forbidden",
    "EXEG-0500-401": "Invalid authorization token",
    "EXEG-0501-401": "Invalid user authorization token",
    "EXEG-0502-401": "Invalid authorization token",
    "EXEG-0503-401": "Invalid authorization token",
    "EXEG-0504-401": "Required product context is missing",
    "EXEG-0505-401": "Required authorization token scope is missing",
    "EXEG-0506-401": "No access to the sandbox for writing",
}
_DETAILS: Mapping[str, str] = {
    "EXEG-0000-503": "The service cannot be reached for the moment. Try again later.",
    "EXEG-0001-500": "The request could not be processed. Try again later.",
    "EXEG-0002-400": "The query parameter datastreamId is missing.",
    "EXEG-0003-400": "The datastream does not exist. Correct its ID and try again.",
    "EXEG-0004-422": "The datastream cannot take this request. Check its settings.",
    "EXEG-0010-422": "A service of the datastream is not set up. Check its settings.",
    "EXEG-0011-422": "A service of the datastream lacks a setting. Check its settings.",
    "EXEG-0012-422": "A service of the datastream has a setting that is not valid. Check its settings.",
    "EXEG-0013-422": "A service of the datastream is not enabled. Check its settings.",
    "EXEG-0100-500": "The request could not be read. Try again later.",
    "EXEG-0101-400": "The request body is not valid JSON.",
    "EXEG-0102-400": "The request body has not the expected form.",
    "EXEG-0103-400": "The request has no event.",
    "EXEG-0104-422": "Invalid request (report attached). Check the events and try again.",
    "EXEG-0105-400": "This endpoint takes fewer events in one request.",
    "EXEG-0106-400": "Requests from this country are not served.",
    "EXEG-0107-400": "The request is not valid for this datastream.",
    "EXEG-0108-400": "A parameter of the request is not valid for this datastream.",
    "EXEG-0109-408": "The request has no body.",
    "EXEG-0110-400": "A parameter of the request is not valid.",
    "EXEG-0111-415": "The content type must be application/json.",
    "EXEG-0112-413": "The request is larger than the limit of 65536 bytes (64 KB).",
    "EXEG-0113-400": "The request is not valid for this endpoint.",
    "EXEG-0200-504": "An upstream service did not answer in time. Try again later.",
    "EXEG-0201-503": "An upstream service is not available. Try again later.",
    "EXEG-0201-504": "An upstream service is not available. Try again later.",
    "EXEG-0202-502": "The call of an upstream service failed. Try again later.",
    "EXEG-0203-502": "An upstream service answered with an error. Try again later.",
    "EXEG-0204-200": "An upstream service reported a warning.",
    "EXEG-0205-502": "An upstream service gave an answer that could not be read. Try again later.",
    "EXEG-0300-502": "The identity service could not be called. Try again later.",
    "EXEG-0301-200": "The event was ignored, because its visitor gave no consent.",
    "EXEG-0302-409": "The consent update cannot be applied.",
    "EXEG-0304-400": "The identity map is malformed in {events}.",
    "EXEG-0305-400": "'{identity}' is not a valid ECID.",
    "EXEG-0306-400": "No primary identity was found for {events}. Mark one as primary and try again.",
    "EXEG-0307-502": "The identity service answered with an error. Try again later.",
    "EXEG-0308-400": "The identity '{identity}' is not valid in {events}.",
    "EXEG-0400-403": "The datastream does not take requests from this place.",
    "EXEG-0500-401": "The Authorization header is missing or is no Bearer token.",
    "EXEG-0501-401": "The user token is not valid for this call.",
    "EXEG-0502-401": "The authorization token is not valid.",
    "EXEG-0503-401": "The authorization token has expired.",
    "EXEG-0504-401": "The token lacks the product context that this call needs.",
    "EXEG-0505-401": "The token lacks the scope acp.foundation.",
    "EXEG-0506-401": "The account has no right to write to this sandbox.",
}
_OTHER_DETAIL = "A fault of the local Edge asked for this answer."


def read_code(text: str | int) -> str:
    """Read a code as a person writes it: `0306`, `306`, `0306-400` or `EXEG-0306-400`; `0201` alone is `0201-503`.

    Raises:
        ValueError: it is not published.
    """
    found = _SHORT.fullmatch(str(text))
    if found is None:
        raise ValueError(f"{text!r} is no code; write it as 0306, 0306-400 or EXEG-0306-400")
    stem, status = f"EXEG-{int(found[1]):04d}-", found[2] or ""
    codes = [code for code in TITLES if code.startswith(stem + status)]
    if codes:
        return codes[0]
    raise ValueError(f"{text!r} is not published; GET /_edge/codes lists what is")


def detail_of(code: str | None, event_indexes: Sequence[int], identity: str) -> str:
    """Write the detail of a code, with the events or the identity that it names; a plain one for no code."""
    detail = _DETAILS.get(code or "", _OTHER_DETAIL)
    events = name_events(event_indexes) if event_indexes else "an event"
    if event_indexes and "{events}" not in detail:
        detail += " It concerns {events}."
    return detail.replace("{events}", events).replace("{identity}", identity)


def name_events(indexes: Sequence[int]) -> str:
    """Name events by their place in the request, from 0: `event(s) #3, #17`."""
    return "event(s) " + ", ".join(f"#{index}" for index in indexes)
