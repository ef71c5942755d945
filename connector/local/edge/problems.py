"""Problem documents: how the local Edge says no.

Promise: one place knows how a problem becomes bytes; the members of a document are published. It decides
nothing: the rules and the faults do. Which codes there are stands in `catalogue`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import orjson

from connector.local.edge.catalogue import TITLES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

CONTENT_TYPE = "application/problem+json;charset=UTF-8"
_TYPE_BASE = "https://ns.adobe.com/aep/errors/"

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
