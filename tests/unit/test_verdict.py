"""Each line of the verdict table, and each answer that must not be taken for an acceptance."""

from __future__ import annotations

from typing import Final

import orjson
import pytest

from connector.core.codes import CODES, NAMING_CODES, NO_ANSWERS, NOT_SENT, STATUSES, Action, NoAnswer
from connector.core.verdict import Answer, Asked, EndpointKind, Verdict, judge

_HTML: Final = b"<html><body>Bad Gateway</body></html>"

# The published codes by what the project decided about them, written out a second time: a changed row has to be
# changed here too.
_PUBLISHED: Final = {
    Action.ACCEPT: "0301-200",
    Action.RETRY: "0000-503 0200-504 0201-503 0202-502 0203-502 0205-502 0300-502 0307-502",
    Action.RETRY_FEW: "0001-500 0100-500",
    Action.ISOLATE: "0101-400 0102-400 0103-400 0104-422 0105-400 0302-409 0304-400 0305-400 0306-400 0308-400",
    Action.DEFECT: "0109-408",
    Action.HALVE: "0112-413",
    Action.HOLD: (
        "0002-400 0003-400 0004-422 0010-422 0011-422 0012-422 0013-422 0106-400 0107-400 0108-400 0110-400 "
        "0111-415 0113-400 0400-403 0501-401 0504-401 0505-401 0506-401"
    ),
    Action.RENEW_TOKEN: "0500-401 0502-401 0503-401",
}
_ACTIONS: Final = {code: action for action, codes in _PUBLISHED.items() for code in codes.split()}


def _judge(
    answer: Answer | NoAnswer, *, kind: EndpointKind = "collect", silent: bool = False, count: int = 10
) -> Verdict:
    return judge(answer, Asked(kind=kind, is_silent=silent, count=count))


def _answer(status: int, document: object = None, *, body: bytes | None = None) -> Answer:
    return Answer(status=status, body=orjson.dumps(document) if body is None else body)


def _problem(code: str, detail: str = "", *, status: int | None = None, **more: object) -> Answer:
    document = {"type": f"https://ns.adobe.com/aep/errors/EXEG-{code}", "title": "A title", "detail": detail, **more}
    return _answer(status or int(code[-3:]), document)


def test_the_table_holds_exactly_the_published_codes() -> None:
    """No published code is missing, and none was made up."""
    assert set(CODES) == set(_ACTIONS)


@pytest.mark.parametrize(("code", "action"), [(code, action) for code, action in _ACTIONS.items() if code[-3] != "2"])
@pytest.mark.parametrize("kind", ["collect", "interact"])
def test_published_code(code: str, action: Action, kind: EndpointKind) -> None:
    """Each published code gets its action, is its own cause, and says what it means and what to mend."""
    verdict = _judge(_problem(code), kind=kind)
    assert (verdict.action, verdict.cause) == (action, f"EXEG-{code}")
    assert verdict.is_published
    assert verdict.meaning
    assert verdict.remedy
    assert verdict.status == int(code[-3:])


@pytest.mark.parametrize("status", [402, 406, 410, 418, 428, 451])
def test_a_refusal_that_the_edge_does_not_give_is_foreign(status: int) -> None:
    """A document without a code blames events only under a status that the Edge refuses events with."""
    verdict = _judge(_answer(status, {"error": "no"}))
    assert (verdict.action, verdict.cause) == (Action.FOREIGN, f"http_{status}")
    assert _judge(_problem(f"9999-{status}")).action is Action.ISOLATE


def test_a_limit_that_one_event_breaks_is_foreign() -> None:
    """413 without a code halves a batch, but is no fault of a lone event: decoding has held it to the Edge's limit."""
    for body in (_HTML, b'{"error":"no"}'):
        assert _judge(_answer(413, body=body), count=2).action is Action.HALVE
        assert _judge(_answer(413, body=body), count=1).action is Action.FOREIGN
    assert _judge(_problem("0112-413"), count=1).action is Action.HALVE


def test_a_code_wins_over_its_status() -> None:
    """What the problem document says is more exact than the status that carries it."""
    assert _judge(_problem("0306-400", status=422)).action is Action.ISOLATE
    assert _judge(_problem("0503-401", status=403)).action is Action.RENEW_TOKEN


def test_the_code_of_a_warning_accepts_nothing_that_was_refused() -> None:
    """A refusal stays one even if its document carries the code of a warning."""
    assert _judge(_problem("0301-200", status=400)).action is Action.ISOLATE
    assert _judge(_problem("0301-200", status=503)).action is Action.RETRY


@pytest.mark.parametrize(
    ("status", "action"),
    [
        (400, Action.ISOLATE),
        (401, Action.RENEW_TOKEN),
        (403, Action.HOLD),
        (404, Action.HOLD),
        (405, Action.HOLD),
        (408, Action.RETRY),
        (409, Action.ISOLATE),
        (413, Action.HALVE),
        (415, Action.HOLD),
        (422, Action.ISOLATE),
        (425, Action.RETRY),
        (429, Action.RETRY),
        (500, Action.RETRY_FEW),
        (501, Action.RETRY),
        (502, Action.RETRY),
        (503, Action.RETRY),
        (504, Action.RETRY),
        (599, Action.RETRY),
        (999, Action.RETRY),
    ],
)
def test_status_without_a_known_code(status: int, action: Action) -> None:
    """A problem without a code, or with one that is not published, goes by its status."""
    bare = _judge(_answer(status, {"title": "No"}))
    assert (bare.action, bare.cause, bare.is_published) == (action, f"http_{status}", True)
    unknown = _judge(_problem("9999-" + str(status)))
    assert (unknown.action, unknown.cause, unknown.is_published) == (action, f"EXEG-9999-{status}", False)


@pytest.mark.parametrize("body", [b"", _HTML, b"[]", b'"no"', b"null", b'{"title": ', b"\xff\xfe"])
@pytest.mark.parametrize("status", [*STATUSES, 501, 599])
def test_status_with_a_body_that_is_no_document(status: int, body: bytes) -> None:
    """Statuses that gateways give on their own account mean the same without a problem document."""
    row = STATUSES.get(status, STATUSES[503])
    verdict = _judge(_answer(status, body=body))
    assert (verdict.action, verdict.cause, verdict.title, verdict.detail) == (row.action, f"http_{status}", "", "")


@pytest.mark.parametrize("body", [b"", _HTML, b"[]"])
@pytest.mark.parametrize("status", [400, 402, 406, 409, 410, 418, 422, 451])
def test_refusal_without_a_document_is_foreign(status: int, body: bytes) -> None:
    """The Edge refuses with a problem document: a bare 4xx comes from something in between, and blames no event."""
    verdict = _judge(_answer(status, body=body))
    assert (verdict.action, verdict.cause) == (Action.FOREIGN, f"no_json_{status}")


@pytest.mark.parametrize(
    ("kind", "silent", "answer"),
    [
        ("collect", False, _answer(202, {})),
        ("collect", False, _answer(202, {"requestId": "a", "anything": ["new"]})),
        ("collect", True, _answer(202, {"requestId": "a"})),
        ("collect", True, _answer(204, body=b"")),
        ("collect", False, _answer(207, {"requestId": "a"})),
        ("interact", False, _answer(200, {"requestId": "a", "handle": []})),
        ("interact", False, _answer(200, {"requestId": "a"})),
        ("interact", False, _answer(200, {"handle": [{"type": "new:type", "payload": []}]})),
        ("interact", False, _answer(207, {"requestId": "a", "errors": []})),
    ],
)
def test_acceptance(kind: EndpointKind, silent: bool, answer: Answer) -> None:
    """The answers that the endpoint is published to give to what it accepts."""
    assert _judge(answer, kind=kind, silent=silent).action is Action.ACCEPT


@pytest.mark.parametrize(
    ("kind", "silent", "answer", "cause"),
    [
        ("collect", False, _answer(202, body=b""), "no_json_202"),
        ("collect", False, _answer(202, body=_HTML), "no_json_202"),
        ("collect", False, _answer(202, []), "no_json_202"),
        ("collect", False, _answer(202, body=b'{"requestId":"a"'), "no_json_202"),
        ("collect", False, _answer(204, body=b""), "empty_204"),
        ("collect", False, _answer(200, {"requestId": "a"}), "unexpected_200"),
        ("collect", False, _answer(201, {"requestId": "a"}), "unexpected_201"),
        ("collect", False, _answer(206, {"requestId": "a"}), "unexpected_206"),
        ("collect", False, _answer(207, body=b""), "no_json_207"),
        ("interact", True, _answer(204, body=b""), "empty_204"),
        ("interact", False, _answer(202, {"requestId": "a", "handle": []}), "unexpected_202"),
        ("interact", False, _answer(200, body=b""), "no_json_200"),
        ("interact", False, _answer(200, body=_HTML), "no_json_200"),
        ("interact", False, _answer(200, {"status": "ok"}), "no_handle_200"),
        ("interact", False, _answer(200, {"handle": "text"}), "no_handle_200"),
        ("collect", False, _answer(301, {"requestId": "a"}), "redirect"),
        ("collect", False, _answer(307, body=b""), "redirect"),
        ("collect", False, _answer(100, body=b""), "informational"),
        ("collect", False, _answer(0, body=b""), "informational"),
    ],
)
def test_no_acceptance(kind: EndpointKind, silent: bool, answer: Answer, cause: str) -> None:
    """Silence, emptiness, half an answer and strangers accept nothing, and may hide an event that got through."""
    verdict = _judge(answer, kind=kind, silent=silent)
    assert (verdict.action, verdict.cause) == (Action.FOREIGN, cause)
    assert verdict.is_ambiguous
    assert verdict.remedy


def test_reports_of_an_acceptance() -> None:
    """Warnings and errors inside an acceptance are told by code; what has none is told as unknown."""
    answer = _answer(
        207,
        {
            "requestId": "a",
            "errors": [{"type": "https://ns.adobe.com/aep/errors/EXEG-0201-503"}, {"title": "?"}, "odd"],
            "warnings": [{"type": "https://ns.adobe.com/aep/errors/EXEG-0301-200"}],
        },
    )
    assert _judge(answer).reports == ("EXEG-0201-503", "unknown", "EXEG-0301-200")
    assert _judge(_answer(202, {"errors": "text", "warnings": None})).reports == ()


@pytest.mark.parametrize("code", sorted(NAMING_CODES))
@pytest.mark.parametrize(
    ("detail", "places"),
    [
        ("No primary identity in event(s) #3, #7.", {3, 7}),
        ("Event #0: wrong.", {0}),
        ("#9", {9}),
        ("(#2)", {2}),
        ("#1,#2", {1, 2}),
        ("Event #3 and event #3", {3}),
        ("Event #10", set()),  # ten events: 0 to 9
        ("Event #3 and event #10", set()),  # one of them was not sent: the text speaks of something else
        ("Event #3 and event #12345678", set()),
        ("Event 3", set()),
        ("The id 'a #3' is wrong", set()),
        ('The id "a #3" is wrong', set()),
        ("The id `a #3` is wrong", set()),
        ("The id 'a #3' of event #4 is wrong", {4}),
        ("Event #4 has the ids 'a' and 'b'", {4}),
        ("The id 'it's #3' is wrong", set()),
        ("The id 'a' #3 'b' is wrong", set()),
        ('The id "it\'s #3" of event #4 is wrong', {4}),
        ("The id \u201ca #3\u201d of event #4 is wrong", {4}),
        ("The id 'a #3 and so on until the text is cut", set()),
        ("Event #4's id", {4}),
        ("See https://example.com/help#3", set()),
        ("&#39; and a#3 and ##3 and #3rd and #3x", set()),
        ("#-1 #+1 # 1", set()),
        ("#\u0663 is an Arabic three", set()),
        ("", set()),
    ],
)
def test_named_events(code: str, detail: str, places: set[int]) -> None:
    """Only an unquoted `#index` of an event that was sent names anybody."""
    assert _judge(_problem(code, detail)).places == places


def test_the_title_names_events_too() -> None:
    """The place may stand in the title instead of the detail."""
    assert _judge(_problem("0306-400", title="Missing in event #2")).places == {2}


@pytest.mark.parametrize("code", sorted(set(_ACTIONS) - NAMING_CODES - {"0301-200"}))
def test_other_codes_name_nobody(code: str) -> None:
    """A `#3` in the text of a code that is not published to name events is not a name."""
    assert _judge(_problem(code, "Event #3")).places == frozenset()


@pytest.mark.parametrize("missing", NoAnswer)
def test_missing_answer(missing: NoAnswer) -> None:
    """Without an answer nothing is accepted and nobody blamed; it is ambiguous unless no body left this process."""
    verdict = _judge(missing)
    assert verdict.action is (Action.FOREIGN if missing in {NoAnswer.NOT_HTTP, NoAnswer.TOO_LONG} else Action.RETRY)
    assert (verdict.cause, verdict.status) == (missing.value, None)
    assert verdict.is_ambiguous is (missing not in NOT_SENT)
    assert verdict.remedy == NO_ANSWERS[missing].remedy


def test_not_sent_is_what_fails_before_a_body_leaves() -> None:
    """Only faults of the connection itself are known to have sent nothing."""
    assert {missing.value for missing in NOT_SENT} == {
        "connection_refused",
        "name_not_resolved",
        "tls_failed",
        "connect_timeout",
        "unreachable",
        "too_few_files",
    }
    assert set(NO_ANSWERS) == set(NoAnswer)


@pytest.mark.parametrize("status", [429, 503, 400, 301])
def test_retry_after_is_passed_on(status: int) -> None:
    """The header goes to whoever waits, with whatever status it came."""
    assert _judge(Answer(status=status, body=_HTML, retry_after="7")).retry_after == "7"


def test_texts_are_cut() -> None:
    """Titles and details of any length stay within what a dead letter's headers can hold."""
    verdict = _judge(_problem("0306-400", "d" * 10_000, title="t" * 10_000, requestId="r" * 10_000))
    assert (len(verdict.title), len(verdict.detail), len(verdict.request_id or "")) == (200, 4_000, 200)


def test_request_id_of_a_problem() -> None:
    """The server's id of the request stands in the report, or beside it."""
    assert _judge(_problem("0306-400", report={"requestId": "inner"})).request_id == "inner"
    assert _judge(_problem("0306-400", requestId="outer", report={"requestId": "inner"})).request_id == "outer"
    assert _judge(_problem("0306-400", report=["odd"])).request_id is None


_MANY = 100_000


@pytest.mark.parametrize("kind", ["collect", "interact"])
@pytest.mark.parametrize("status", [200, 202, 207, 400, 422, 503])
@pytest.mark.parametrize(
    "members",
    [
        b'"errors":' + b"[" * _MANY + b"]" * _MANY,
        b'"errors":[' + b"{}," * _MANY + b"{}]",
        b'"errors":[' + b'{"type":"EXEG-0201-503","report":{"eventIndex":1}},' * (_MANY // 20) + b"{}]",
        b'"report":{"eventIndex":' + b"9" * _MANY + b"}",
        b'"requestId":"' + b"\\u001b" * _MANY + b'"',
        b'"type":"https://ns.adobe.com/aep/errors/EXEG-0304-400","detail":"' + b"#1 " * _MANY + b'"',
        b'"type":"' + b"EXEG-" * _MANY + b'"',
        b'"handle":[' + b"0," * _MANY + b"0]",
    ],
    ids=["depth", "empty errors", "errors", "digits", "escapes", "names", "code", "handles"],
)
def test_an_answer_without_measure_has_a_small_verdict(kind: EndpointKind, status: int, members: bytes) -> None:
    """Whatever fills an answer, what is kept of it is short."""
    verdict = judge(Answer(status=status, body=b"{%b}" % members), Asked(kind=kind, is_silent=False, count=5))
    assert len(verdict.title) + len(verdict.detail) + len(verdict.request_id or "") <= 5000
    assert len(verdict.reports) <= 2000
    assert len(verdict.reported) <= 5
    assert verdict.places <= {0, 1, 2, 3, 4}
    assert len(verdict.handles) <= 10_000
