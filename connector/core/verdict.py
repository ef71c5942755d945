"""Turns an answer, or the lack of one, into a verdict.

Promise: every answer gets exactly one verdict, for any bytes whatever. Only the answers that the endpoint is
published to give to an accepted request count as acceptance; silence, emptiness and strangers never do.

Not promised: what happens next. `delivery.py` acts on the verdict; the table it rests on is `codes.py`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

import orjson

from connector.core.codes import (
    CODES,
    FOREIGN_REMEDY,
    NAMING_CODES,
    NO_ANSWERS,
    NOT_SENT,
    STATUS_CLASSES,
    STATUSES,
    Action,
    NoAnswer,
    Row,
)
from connector.core.handles import read_handles

EndpointKind = Literal["collect", "interact"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back for a request: a status, and at most the first part of a body."""

    status: int
    body: bytes = b""
    retry_after: str | None = None  # the header as sent; `retry.py` reads it


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What one answer means for the whole request.

    `detail` may quote an event's identities: it goes into dead letters only; `handles` are about a visitor and go into
    the responses topic only. Everything else is safe to log.
    """

    action: Action
    cause: str  # a bounded name: EXEG-0306-400, http_503, timeout, …
    meaning: str = ""
    remedy: str = ""
    status: int | None = None
    title: str = ""
    detail: str = ""
    request_id: str | None = None
    places: frozenset[int] = frozenset()  # the events that the answer named as being at fault
    retry_after: str | None = None
    is_ambiguous: bool = False  # the body left and no verdict came back: it may have been accepted
    is_published: bool = True  # False for a code that the table does not hold
    reports: tuple[str, ...] = ()  # codes of the warnings and errors inside an acceptance
    reported: tuple[tuple[int, str], ...] = ()  # (place, code) of the events for which an upstream service failed
    handles: tuple[bytes, ...] = field(default=(), repr=False)  # of interact's acceptance, each as it stands there


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the answer has to be held against."""

    kind: EndpointKind
    is_silent: bool
    count: int  # events in the request


_CODE: Final = re.compile(r"EXEG-([0-9]{4}-[0-9]{3})")
_QUOTE: Final = re.compile("['\"`\u2018\u2019\u201c\u201d\u00ab\u00bb]")
_PLACE: Final = re.compile(r"(?<![\w#&/.=-])#([0-9]+)\b")
_MOST_DIGITS: Final = 6  # no request holds a million events
_REFUSALS: Final = frozenset({400, 409, 422})  # what the Edge refuses events with (published)
_LATE_GATEWAYS: Final = frozenset({502, 504})  # the request went on, and what became of it is not known
_MOST_ITEMS: Final = 1_000  # of the errors or warnings in one answer; more are nobody's reports
_TITLE_LIMIT: Final = 200
_DETAIL_LIMIT: Final = 4_000


def judge(answer: Answer | NoAnswer, asked: Asked) -> Verdict:
    """Judge one answer. Never raises, whatever the bytes."""
    if isinstance(answer, NoAnswer):
        return _from_row(NO_ANSWERS[answer], answer.value, is_ambiguous=answer not in NOT_SENT)
    if 200 <= answer.status < 300:
        return _judge_success(answer, asked)
    if answer.status < 400:
        return _foreign(answer, "redirect" if answer.status >= 300 else "informational")
    return _judge_problem(answer, asked)


def _judge_success(answer: Answer, asked: Asked) -> Verdict:
    """Accept what the endpoint is published to say on success, and nothing else."""
    if answer.status == 204:
        if asked.is_silent and asked.kind == "collect":
            return Verdict(action=Action.ACCEPT, cause="accepted", status=204)
        return _foreign(answer, "empty_204")
    expected = 200 if asked.kind == "interact" else 202
    if answer.status not in (expected, 207):
        return _foreign(answer, f"unexpected_{answer.status}")
    document = _object(answer.body)
    if document is None:
        return _foreign(answer, f"no_json_{answer.status}")
    if asked.kind == "interact" and not ("requestId" in document or isinstance(document.get("handle"), list)):
        return _foreign(answer, "no_handle_200")
    handles = read_handles(answer.body) if asked.kind == "interact" else ()
    if handles is None:
        return _foreign(answer, "unbounded_handles")
    return Verdict(
        action=Action.ACCEPT,
        cause="accepted",
        status=answer.status,
        request_id=_text(document.get("requestId"), _TITLE_LIMIT) or None,
        reports=_reports(document),
        reported=_reported(document, asked.count) if answer.status == 207 else (),
        handles=handles,
    )


def _judge_problem(answer: Answer, asked: Asked) -> Verdict:
    """Find the row for a status of 400 and above."""
    document = _object(answer.body)
    code = _code(document)
    row = CODES.get(code) if code else None
    verdict = Verdict(
        action=Action.RETRY,
        cause=f"EXEG-{code}" if code else f"http_{answer.status}",
        status=answer.status,
        retry_after=answer.retry_after,
        is_ambiguous=answer.status in _LATE_GATEWAYS,
        is_published=row is not None or code is None,
    )
    if document is not None:
        verdict = replace(
            verdict,
            title=_text(document.get("title"), _TITLE_LIMIT),
            detail=_text(document.get("detail"), _DETAIL_LIMIT),
            request_id=_request_id(document),
        )
    if code is None and _is_foreign_refusal(answer.status, asked, has_document=document is not None):
        return _foreign(answer, f"http_{answer.status}" if document else f"no_json_{answer.status}")
    if row is None or row.action is Action.ACCEPT:
        row = STATUSES.get(answer.status) or STATUS_CLASSES.get(answer.status // 100, STATUS_CLASSES[5])
    places = _places(code, verdict, asked.count)
    return replace(verdict, action=row.action, meaning=row.meaning, remedy=row.remedy, places=places)


def _is_foreign_refusal(status: int, asked: Asked, *, has_document: bool) -> bool:
    """Whether a refusal without a published code is somebody else's than the Edge's, which gives one (published).

    To take a proxy's refusal for an event's fault would empty topics into the dead letters. The statuses in the table
    mean the same whoever sends them, but a limit that not even one event keeps is not the Edge's: its own is larger.
    """
    if status >= 500:
        return False
    if status == 413:
        return asked.count == 1
    return status not in STATUSES and not (has_document and status in _REFUSALS)


def _foreign(answer: Answer, cause: str) -> Verdict:
    """An answer that the Edge does not give: the body may or may not have gone on to the Edge."""
    return Verdict(
        action=Action.FOREIGN,
        cause=cause,
        meaning=f"An answer with status {answer.status} that the Edge Network does not give.",
        remedy=FOREIGN_REMEDY,
        status=answer.status,
        retry_after=answer.retry_after,
        is_ambiguous=answer.status < 400,
    )


def _from_row(row: Row, cause: str, *, is_ambiguous: bool) -> Verdict:
    return Verdict(action=row.action, cause=cause, meaning=row.meaning, remedy=row.remedy, is_ambiguous=is_ambiguous)


def _object(body: bytes) -> dict[str, Any] | None:
    """The body as a JSON object, or None for anything else."""
    try:
        document = orjson.loads(body)
    except ValueError:
        return None
    return document if isinstance(document, dict) else None


def _code(document: dict[str, Any] | None) -> str | None:
    """The published code in a problem document, e.g. "0306-400"."""
    if document is None:
        return None
    match = _CODE.search(_text(document.get("type"), _TITLE_LIMIT))
    return match.group(1) if match else None


def _places(code: str | None, verdict: Verdict, count: int) -> frozenset[int]:
    """The events that the text names as `#index`; empty when it names none or one that was not sent.

    Everything from the first quote to the last is skipped: it may repeat what a producer wrote, quotes included, and
    an id such as 'a #3' must not put the blame on the fourth event.
    """
    if code not in NAMING_CODES:
        return frozenset()
    parts = _QUOTE.split(f"{verdict.title} {verdict.detail}")
    text = f"{parts[0]} {parts[-1]}" if len(parts) > 2 else parts[0]  # a lone quote may open what was cut off
    numbers = _PLACE.findall(text)
    if any(len(number) > _MOST_DIGITS or int(number) >= count for number in numbers):
        return frozenset()
    return frozenset(int(number) for number in numbers)


def _reports(document: dict[str, Any]) -> tuple[str, ...]:
    """The codes of the warnings and errors that came with an acceptance."""
    items = [*_items(document.get("errors")), *_items(document.get("warnings"))]
    codes = (_code(item) for item in items)
    return tuple(f"EXEG-{code}" if code else "unknown" for code in codes)


def _reported(document: dict[str, Any], count: int) -> tuple[tuple[int, str], ...]:
    """The events for which an upstream service failed, each once: what the errors of a 207 say (published)."""
    found: dict[int, str] = {}
    for item in _items(document.get("errors")):
        report = item.get("report")
        place = report.get("eventIndex") if isinstance(report, dict) else None
        if type(place) is int and 0 <= place < count:
            code = _code(item)
            found.setdefault(place, f"EXEG-{code}" if code else "upstream_failed")
    return tuple(found.items())


def _items(value: object) -> list[dict[str, Any]]:
    return [item for item in value[:_MOST_ITEMS] if isinstance(item, dict)] if isinstance(value, list) else []


def _request_id(document: dict[str, Any]) -> str | None:
    report = document.get("report")
    inner = report.get("requestId") if isinstance(report, dict) else None
    return _text(document.get("requestId") or inner, _TITLE_LIMIT) or None


def _text(value: object, limit: int) -> str:
    return value[:limit] if isinstance(value, str) else ""
