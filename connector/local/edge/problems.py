"""Problem documents: how the local Edge says no.

Promise: one place knows every published code that the local Edge can name, and how a problem becomes bytes.
Codes and the members of a document are published; titles and details are this project's own words, close in
meaning to what Adobe's documentation says and not a copy of it. It decides nothing: `edge_rules` and the
faults do.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import orjson

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

CONTENT_TYPE = "application/problem+json;charset=UTF-8"
CODE_PATTERN = re.compile(r"EXEG-\d{4}-[1-5]\d\d", re.ASCII)
_TYPE_BASE = "https://ns.adobe.com/aep/errors/"

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
_TITLES_WITHOUT_CODE: Mapping[int, str] = {
    404: "Not Found",
    405: "Method Not Allowed",
    408: "Request Timeout",
    429: "Too Many Requests",
    500: "Internal Server Error",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One refusal. `code` is None where no code is published for it, as for 404 and 429."""

    code: str | None
    status: int
    title: str
    detail: str
    errors: tuple[str, ...] = ()  # goes into `report.errors`
    headers: tuple[tuple[str, str], ...] = field(default=())


def problem_of_code(code: str, detail: str, *, errors: Sequence[str] = ()) -> Problem:
    """Make the problem of a published code; the status is the last part of the code."""
    title = TITLES.get(code, "Request refused")
    return Problem(code=code, status=status_of(code), title=title, detail=detail, errors=tuple(errors))


def problem_of_status(status: int, detail: str, *, headers: Sequence[tuple[str, str]] = ()) -> Problem:
    """Make a problem that no code is published for; its type is `about:blank` (RFC 7807)."""
    title = _TITLES_WITHOUT_CODE.get(status, "Request refused")
    return Problem(code=None, status=status, title=title, detail=detail, headers=tuple(headers))


def status_of(code: str) -> int:
    """Read the HTTP status out of a code, such as 400 of `EXEG-0306-400`."""
    return int(code.rpartition("-")[2])


def type_of(code: str | None) -> str:
    """Write a code as the URI that stands in `type`."""
    return "about:blank" if code is None else _TYPE_BASE + code


def name_events(indexes: Sequence[int]) -> str:
    """Name events by their place in the request, from 0: `event(s) #3, #17`."""
    return "event(s) " + ", ".join(f"#{index}" for index in indexes)


def problem_body(problem: Problem, request_id: str, datastream: str | None, org_id: str) -> bytes:
    """Write the document: `type`, `status`, `title`, `detail` and `report` (published)."""
    report: dict[str, object] = {"requestId": request_id, "orgId": org_id}
    if datastream:
        report["configId"] = datastream
    if problem.errors:
        report["errors"] = problem.errors
    document = {
        "type": type_of(problem.code),
        "status": problem.status,
        "title": problem.title,
        "detail": problem.detail,
        "report": report,
    }
    return orjson.dumps(document)
