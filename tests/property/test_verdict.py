"""Every answer gets one verdict, whatever its bytes, and only what is published is an acceptance."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from connector.core.codes import CODES, NAMING_CODES, Action, NoAnswer
from connector.core.verdict import Answer, Asked, Verdict, judge

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

_json: SearchStrategy[object] = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=6,
)
_types = st.one_of(
    st.sampled_from(sorted(CODES)).map(lambda code: f"https://ns.adobe.com/aep/errors/EXEG-{code}"),
    st.from_regex(r"EXEG-[0-9]{4}-[0-9]{3}", fullmatch=True),
    _json,
)
_texts = st.one_of(st.from_regex(r"(.{0,5}#\d{1,4}){0,4}.{0,3}", fullmatch=True), _json)
_documents = st.fixed_dictionaries(
    {},
    optional={
        "type": _types,
        "title": _texts,
        "detail": _texts,
        "requestId": _json,
        "handle": _json,
        "errors": _json,
        "warnings": _json,
        "report": _json,
    },
)
_bodies = st.one_of(st.binary(), _json.map(orjson.dumps), _documents.map(orjson.dumps), st.just(b""))
_statuses = st.one_of(
    st.sampled_from([200, 202, 204, 207, 301, 400, 401, 403, 404, 413, 422, 429, 500, 502, 503, 504]),
    st.integers(-1, 1_000),
)
_answers = st.builds(Answer, status=_statuses, body=_bodies, retry_after=st.none() | st.text(max_size=9))
_asked = st.builds(
    Asked, kind=st.sampled_from(["collect", "interact"]), is_silent=st.booleans(), count=st.integers(1, 1_000)
)


@settings(max_examples=500, deadline=None)
@given(answer=st.one_of(_answers, st.sampled_from(NoAnswer)), asked=_asked)
def test_always_a_verdict(answer: Answer | NoAnswer, asked: Asked) -> None:
    """No bytes make judging raise; a verdict names its cause, and blames only events that were sent."""
    verdict = judge(answer, asked)
    assert verdict.cause
    assert len(verdict.cause) < 40
    assert verdict.cause.isascii()
    assert all(0 <= place < asked.count for place in verdict.places)
    assert verdict.action is Action.ACCEPT or verdict.remedy
    assert isinstance(answer, NoAnswer) or verdict.status == answer.status


@settings(max_examples=500, deadline=None)
@given(answer=st.one_of(_answers, st.sampled_from(NoAnswer)), asked=_asked)
def test_only_published_acceptances(answer: Answer | NoAnswer, asked: Asked) -> None:
    """An acceptance is 202 or 207 with an object, 204 to a silent collect, or 200 or 207 with a handle or an id."""
    verdict = judge(answer, asked)
    assert (verdict.action is Action.ACCEPT) is (isinstance(answer, Answer) and _is_published(answer, asked))
    if verdict.action is Action.ACCEPT:
        assert (verdict.cause, verdict.is_ambiguous, verdict.places) == ("accepted", False, frozenset())


def _is_published(answer: Answer, asked: Asked) -> bool:
    """The rule once more, in other words."""
    if answer.status == 204:
        return asked.is_silent and asked.kind == "collect"
    try:
        document = orjson.loads(answer.body)
    except ValueError:
        return False
    if not isinstance(document, dict):
        return False
    if asked.kind == "collect":
        return answer.status in {202, 207}
    return answer.status in {200, 207} and ("requestId" in document or isinstance(document.get("handle"), list))


@settings(max_examples=500, deadline=None)
@given(body=_bodies, status=st.integers(500, 599), asked=_asked)
def test_a_server_fault_without_a_code_blames_no_event(body: bytes, status: int, asked: Asked) -> None:
    """A status of 500 and above is tried again, except where its document carries a code that says otherwise."""
    verdict: Verdict = judge(Answer(status=status, body=body), asked)
    if verdict.cause == f"http_{status}" or not verdict.is_published:
        assert verdict.action is (Action.RETRY_FEW if status == 500 else Action.RETRY)


@settings(max_examples=500, deadline=None)
@given(
    code=st.sampled_from(sorted(NAMING_CODES)),
    places=st.lists(st.integers(0, 99), min_size=1, max_size=5),
    count=st.integers(1, 100),
    quote=st.sampled_from("'\"`"),
    said=st.text(max_size=30),
)
def test_names_outside_quotes_only(code: str, places: list[int], count: int, quote: str, said: str) -> None:
    """Whatever a producer wrote inside the quotes, the events named are the ones named outside of them."""
    named = ", ".join(f"#{place}" for place in places)
    document = {
        "type": f"https://ns.adobe.com/aep/errors/EXEG-{code}",
        "title": f"Wrong in event(s) {named}",
        "detail": f"The id {quote}{said} #0 {quote} is not valid.",
    }
    answer = Answer(status=400, body=orjson.dumps(document))
    verdict = judge(answer, Asked(kind="collect", is_silent=False, count=count))
    assert verdict.places == (frozenset(places) if max(places) < count else frozenset())
