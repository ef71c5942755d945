"""The table: for each answer that the Edge, or whatever stands in its place, can give, what becomes of five events.

It is written by hand from the published meaning of codes and statuses, and shares nothing with the connector's own
tables: a wrong line there meets a right one here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from connector.core.codes import NoAnswer
from tests.answers.acts import (
    MARKED,
    accepting,
    announce_an_answer,
    answer,
    answer_another,
    close_after_the_body,
    does,
    drip_a_body,
    drip_a_head,
    half_a_head,
    html,
    json,
    never_end,
    refuses,
    speak_another_protocol,
)
from tests.answers.counterparts import AtTheEdge, OnTheWire, Unreachable
from tests.answers.refusals import REFUSALS
from tests.answers.row import ALL_ACCEPTED, FOREIGN_TRIES, DeadLettered, Fates, Held, Retried, Row, but, each

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


# Accepted


def _accepted() -> Iterator[Row]:
    yield Row(covers=202, fault=AtTheEdge(), fates=ALL_ACCEPTED, requests=1)
    yield Row(covers=204, case="to a silent request", fault=AtTheEdge(), fates=ALL_ACCEPTED, requests=1, is_silent=True)
    for body in (b"{}", b'{"requestId":null}', b'{"new":{"fields":[1]}}', b' {"requestId":"r"}\n'):
        case = f"without a usable requestId: {body!r}"
        yield Row(covers=202, case=case, fault=accepting("202 Accepted", body), fates=ALL_ACCEPTED, requests=1)
    said = accepting("202 Accepted", b'{"requestId":"r"}')
    yield Row(covers=202, case="to a silent request", fault=said, fates=ALL_ACCEPTED, requests=1, is_silent=True)
    for early in (b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nLink: </>\r\n\r\n"):
        slow = accepting("202 Accepted", b"{}", before=early)
        yield Row(covers=202, case=f"after {early[9:12]!r}", fault=slow, fates=ALL_ACCEPTED, requests=1)


def _reported() -> Iterator[Row]:
    """Accepted, and never sent again, whatever an upstream service did."""
    codes = ("EXEG-0203-502", "EXEG-0201-504")
    fault = does("multi_status", errors=codes, name_events="none")
    yield Row(covers=207, case="errors of the request", fault=fault, fates=ALL_ACCEPTED, requests=1, reports=codes)
    fault = AtTheEdge(
        ({"select": MARKED, "effect": {"kind": "multi_status", "errors": codes[:1], "name_events": "matching"}},)
    )
    yield Row(covers=207, case="names one", fault=fault, fates=ALL_ACCEPTED, requests=1, reports=codes[:1])
    fault = does("multi_status", errors=codes[:1], warnings=["EXEG-0301-200"], name_events="all")
    reports = (codes[0],) * 5 + ("EXEG-0301-200",) * 5
    yield Row(covers=207, case="names all", fault=fault, fates=ALL_ACCEPTED, requests=1, reports=reports)
    said = accepting("207 Multi-Status", b'{"errors":[{"status":503}],"warnings":"none"}')
    yield Row(covers=207, case="without a code", fault=said, fates=ALL_ACCEPTED, requests=1, reports=("unknown",))
    for status in (202, 207):
        fault = does("multi_status", status=status, warnings=["EXEG-0301-200"], name_events="none")
        case = f"a warning in a {status}"
        warned = ("EXEG-0301-200",)
        yield Row(covers="0301-200", case=case, fault=fault, fates=ALL_ACCEPTED, requests=1, reports=warned)
    document = b'{"type":"https://ns.adobe.com/aep/errors/EXEG-0301-200"}'
    said = json("503 Not Now", document)
    yield Row(covers="0301-200", case="in a refusal", fault=said, fates=each(Retried("EXEG-0301-200")))


# Passing faults


def _passing() -> Iterator[Row]:
    """Waited for without end; nothing is searched, nothing held, nothing given up.

    A gateway that lost the service (502) or waited in vain for it (504) may have passed the request on.
    """
    for code in (
        "0000-503", "0200-504", "0201-503", "0202-502", "0203-502", "0205-502", "0300-502", "0307-502",
    ):  # fmt: skip
        fates, is_ambiguous = each(Retried(f"EXEG-{code}")), code.endswith(("502", "504"))
        yield Row(covers=code, fault=refuses(code=f"EXEG-{code}"), fates=fates, is_ambiguous=is_ambiguous)
    for status in (408, 425, 429, 502, 503, 504):
        fates, is_ambiguous = each(Retried(f"http_{status}")), status in (502, 504)
        page, document = html(f"{status} Not Now"), json(f"{status} Not Now", b'{"status":0}')
        yield Row(covers=status, case="a page", fault=page, fates=fates, is_ambiguous=is_ambiguous)
        yield Row(covers=status, case="JSON", fault=document, fates=fates, is_ambiguous=is_ambiguous)
    for status in (501, 505, 511, 520, 599, 600, 999):
        yield Row(covers="5xx", case=f"{status}", fault=html(f"{status} Oh"), fates=each(Retried(f"http_{status}")))
    for code in ("EXEG-9999-599", "EXEG-9999-503", "EXEG-0201-504", "EXEG-9999-429", "EXEG-9999-408"):
        yield Row(
            covers="unknown code", case=code, fault=refuses(code=code), fates=each(Retried(code)), unknown=code,
            is_ambiguous=code.endswith("504"),
        )  # fmt: skip
    for wait in (0, "soon", {"date_in_seconds": -5}):
        fault = refuses(status=429, retry_after=wait)
        yield Row(covers=429, case=f"Retry-After {wait}", fault=fault, fates=each(Retried("http_429")))
    once = refuses({"requests": 1}, status=429, retry_after=1)
    yield Row(covers=429, case="Retry-After, once", fault=once, fates=ALL_ACCEPTED, requests=2, waits_s=1.0)


def _missing() -> Iterator[Row]:
    """No answer at all: only where the body cannot have left is a duplicate out of the question."""
    for answered, fault in (
        (NoAnswer.REFUSED, Unreachable.NOBODY_LISTENS),
        (NoAnswer.DNS, Unreachable.NO_SUCH_NAME),
        (NoAnswer.TLS, Unreachable.NOT_TRUSTED),
        (NoAnswer.UNREACHABLE, Unreachable.NO_ROUTE),
        (NoAnswer.NO_FILES, Unreachable.NO_FILES),
    ):
        yield Row(covers=answered, fault=fault, fates=each(Retried(answered.value)))
    silent = Unreachable.SILENT_NAME_SERVER
    fates = each(Retried("connect_timeout"))
    yield Row(covers=NoAnswer.CONNECT_TIMEOUT, fault=silent, fates=fates, connect_timeout_ms=20)
    fates = each(Retried("timeout"))
    for first in (False, True):
        case = "and was accepted" if first else ""
        hang = does("hang", accept_first=first)
        yield Row(covers=NoAnswer.TIMEOUT, case=case, fault=hang, fates=fates, is_ambiguous=True, timeout_ms=50)
    for case, dripping in (("byte by byte", drip_a_head), ("with a body byte by byte", drip_a_body)):
        drip = OnTheWire(dripping)
        yield Row(covers=NoAnswer.TIMEOUT, case=case, fault=drip, fates=fates, is_ambiguous=True, timeout_ms=50)
    for case, broken in (
        ("reset before the body", does("reset", when="before_body")),
        ("reset after the body", does("reset")),
        ("reset after it was accepted", does("reset", accept_first=True)),
        ("closed after the body", OnTheWire(close_after_the_body)),
        ("half a head", OnTheWire(half_a_head)),
    ):
        fates = each(Retried("disconnected"))
        yield Row(covers=NoAnswer.DISCONNECTED, case=case, fault=broken, fates=fates, is_ambiguous=True)
    for first in (False, True):
        case = "and was accepted" if first else ""
        half = does("half_body", accept_first=first)
        fates = each(Retried("half_answer"))
        yield Row(covers=NoAnswer.HALF_ANSWER, case=case, fault=half, fates=fates, is_ambiguous=True)
    fates = each(Retried("answer_to_another"))
    yield Row(covers=NoAnswer.ANOTHERS, fault=OnTheWire(answer_another), fates=fates, is_ambiguous=True)


# Unexpected faults


def _unexpected() -> Iterator[Row]:
    """Searched after a few tries; an event is given up only while others get through."""
    for covers, reason, everybody, marked in (
        ("0001-500", "EXEG-0001-500", refuses(code="EXEG-0001-500"), refuses(MARKED, code="EXEG-0001-500")),
        ("0100-500", "EXEG-0100-500", refuses(code="EXEG-0100-500"), refuses(MARKED, code="EXEG-0100-500")),
        (500, "http_500", html("500 Oh"), html("500 Oh", only_marked=True)),
        ("unknown code", "EXEG-9999-500", refuses(code="EXEG-9999-500"), refuses(MARKED, code="EXEG-9999-500")),
    ):
        unknown = reason if covers == "unknown code" else ""
        fates = each(Retried(reason))
        case = f"{reason} for everybody"
        yield Row(covers=covers, case=case, fault=everybody, fates=fates, again=40, is_searched=True, unknown=unknown)
        fates = but(Retried(reason), 4)
        case = f"{reason} for one, alone"
        yield Row(covers=covers, case=case, fault=marked, marked=4, fates=fates, again=20, unknown=unknown)
        fates = but(DeadLettered(reason), 2)
        case = f"{reason} for one while others get through"
        yield Row(covers=covers, case=case, fault=marked, fates=fates, has_companions=True, unknown=unknown)


# Strangers


def _foreign() -> Iterator[Row]:
    """Held after a few tries; what is not surely refused may have gone on to the Edge."""
    for kind, cause in (
        ("html_200", "unexpected_200"),
        ("captive_portal", "unexpected_200"),
        ("empty_202", "no_json_202"),
        ("text_202", "no_json_202"),
        ("redirect_302", "redirect"),
    ):
        yield _stranger(cause, kind, does("foreign", body=kind), is_ambiguous=True)
    yield _stranger("empty_204", "204 to a request that is not silent", answer("204 No Content"), is_ambiguous=True)
    for status in (200, 201, 203, 206, 299):
        fault = json(f"{status} Fine", b'{"requestId":"r"}')
        yield _stranger(f"unexpected_{status}", f"{status} with JSON", fault, is_ambiguous=True)
    for status in (202, 207):
        for body in (b"", b"Accepted", b"[]", b'"accepted"', b"null", b'{"requestId":"r"', b'{"requestId":"\xff"}'):
            fault = answer(f"{status} Fine", body)
            yield _stranger(f"no_json_{status}", f"{status} with {body!r}", fault, is_ambiguous=True)
    for status in (300, 301, 303, 304, 307, 308):
        fault = answer(f"{status} Elsewhere", b"", "Location: /elsewhere")
        yield _stranger("redirect", f"{status}", fault, is_ambiguous=True)
    for status in (400, 402, 406, 407, 409, 410, 418, 422, 451, 499):
        yield _stranger(f"no_json_{status}", f"{status} a page", html(f"{status} No"), is_ambiguous=False)
    for status in (402, 407, 410, 418, 499):
        fault = json(f"{status} No", b'{"message":"no"}')
        yield _stranger(f"http_{status}", f"{status} with JSON", fault, is_ambiguous=False)
    for kind, act in (
        (NoAnswer.NOT_HTTP, speak_another_protocol),
        (NoAnswer.NOT_HTTP, announce_an_answer),
        (NoAnswer.TOO_LONG, never_end),
    ):
        fates, case = each(Held(kind.value)), act.__name__.replace("_", " ")
        yield Row(covers=kind, case=case, fault=OnTheWire(act), fates=fates, requests=FOREIGN_TRIES, is_ambiguous=True)


def _stranger(cause: str, case: str, fault: AtTheEdge | OnTheWire, *, is_ambiguous: bool) -> Row:
    fates = each(Held(cause))
    covers = "4xx" if not is_ambiguous else "foreign"
    return Row(covers=covers, case=case, fault=fault, fates=fates, requests=FOREIGN_TRIES, is_ambiguous=is_ambiguous)


# interact: five requests of one event each


def _interact() -> Iterator[Row]:
    rows: Iterable[tuple[str, AtTheEdge | OnTheWire, Fates, int | None, bool]] = (
        ("200", AtTheEdge(), ALL_ACCEPTED, 5, False),
        ("200 with a handle alone", accepting("200 OK", b'{"handle":[]}'), ALL_ACCEPTED, 5, False),
        ("200 with JSON of somebody else", json("200 OK", b'{"ok":true}'), each(Held("no_handle_200")), None, True),
        ("200 a page", html("200 OK"), each(Held("no_json_200")), None, True),
        ("202", json("202 Accepted", b'{"requestId":"r"}'), each(Held("unexpected_202")), None, True),
        ("204", answer("204 No Content"), each(Held("empty_204")), None, True),
        ("an event at fault", refuses(MARKED, code="EXEG-0104-422"), but(DeadLettered("EXEG-0104-422"), 2), 5, False),
        ("a datastream that is wrong", refuses(code="EXEG-0003-400"), each(Held("EXEG-0003-400")), None, False),
        ("an outage", refuses(code="EXEG-0000-503"), each(Retried("EXEG-0000-503")), None, False),
    )
    for case, fault, fates, requests, is_ambiguous in rows:
        yield Row(
            covers="interact", case=case, fault=fault, fates=fates, requests=requests, is_ambiguous=is_ambiguous,
            endpoint="interact",
        )  # fmt: skip


TABLE: Final[tuple[Row, ...]] = (
    *_accepted(),
    *_reported(),
    *_passing(),
    *_missing(),
    *_unexpected(),
    *REFUSALS,
    *_foreign(),
    *_interact(),
)
