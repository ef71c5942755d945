"""The local Edge's rules and answers, without a server."""

from __future__ import annotations

from random import Random
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.local.edge.answers import make_handles, make_request_id, reported_body
from connector.local.edge.catalogue import CODE_PATTERN, TITLES
from connector.local.edge.problems import problem_body, problem_of_code
from connector.local.edge.rules import (
    Accepted,
    Arrival,
    Endpoint,
    Refused,
    check_ecids,
    check_identities,
    check_identity_maps,
    check_primary_identities,
    decide_body,
    find_head_problem,
    is_flawless,
    read_events,
)

DATASTREAM = "11111111-2222-3333-4444-555555555555"
ECID = "1" * 38


def make_event(name: str = "a", **identities: Any) -> dict[str, Any]:  # noqa: ANN401 - as in JSON
    identity_map = identities or {"ECID": [{"id": ECID, "primary": True}]}
    return {"xdm": {"_id": name, "identityMap": identity_map}}


def decide(events: object, *, primary_needed: bool = True) -> Accepted | Refused:
    return decide_body(Endpoint.COLLECT, orjson.dumps({"events": events}), primary_needed=primary_needed)


def code_of(decision: Accepted | Refused) -> str | None:
    assert isinstance(decision, Refused)
    return decision.problem.code


def make_arrival(**changes: Any) -> Arrival:  # noqa: ANN401 - fields of several types
    arrival: dict[str, Any] = {
        "endpoint": Endpoint.COLLECT,
        "datastream": DATASTREAM,
        "content_type": "application/json",
        "content_encoding": "",
        "body": b"{}",
    }
    return Arrival(**(arrival | changes))


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"content_type": "text/plain"}, "EXEG-0111-415"),
        ({"content_type": ""}, "EXEG-0111-415"),
        ({"content_encoding": "gzip"}, "EXEG-0111-415"),
        ({"datastream": None}, "EXEG-0002-400"),
        ({"datastream": "bogus"}, "EXEG-0003-400"),
        ({"body": b"x" * 101}, "EXEG-0112-413"),
    ],
)
def test_head_faults_have_their_codes(changes: dict[str, Any], code: str) -> None:
    """What can be said before the body is parsed is refused under its own code."""
    problem = find_head_problem(make_arrival(**changes), frozenset(), max_bytes=100)
    assert problem is not None
    assert problem.code == code
    assert problem.status == int(code[-3:])


def test_a_head_in_order_passes() -> None:
    """A content type with a charset, a datastream of a named environment and a body at the limit are in order."""
    arrival = make_arrival(
        content_type="Application/JSON; charset=utf-8", datastream=f"{DATASTREAM}:dev", body=b"x" * 100
    )
    assert find_head_problem(arrival, frozenset(), max_bytes=100) is None


def test_listed_datastreams_are_the_only_ones() -> None:
    """Where datastreams are listed, another one is unknown although it has the form of an id."""
    assert find_head_problem(make_arrival(), frozenset({DATASTREAM}), 100) is None
    assert find_head_problem(make_arrival(), frozenset({"other"}), 100) is not None


def test_the_text_of_413_names_the_limit() -> None:
    """Whoever is refused for size learns the limit."""
    problem = find_head_problem(make_arrival(body=b"x" * 65_537), frozenset(), 65_536)
    assert problem is not None
    assert "65536" in problem.detail


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "EXEG-0109-408"),
        (b" \n", "EXEG-0109-408"),
        (b"{", "EXEG-0101-400"),
        (b'{"events":[NaN]}', "EXEG-0101-400"),
        (b"[]", "EXEG-0102-400"),
        (b"{}", "EXEG-0103-400"),
        (b'{"events":[]}', "EXEG-0103-400"),
        (b'{"events":{}}', "EXEG-0103-400"),
        (b'{"events":[1]}', "EXEG-0104-422"),
        (b'{"events":[{"xdm":[]}]}', "EXEG-0104-422"),
    ],
)
def test_malformed_bodies_have_their_codes(body: bytes, code: str) -> None:
    """Every way in which a body is no list of events has its code."""
    assert code_of(decide_body(Endpoint.COLLECT, body, primary_needed=False)) == code


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b'{"events":[{"xdm":{}},{"xdm":{}}]}', "EXEG-0105-400"),
        (b'{"events":[{"xdm":{}}]}', "EXEG-0105-400"),
        (b"{}", "EXEG-0103-400"),
        (b'{"event":{"data":{}}}', "EXEG-0104-422"),
    ],
)
def test_interact_takes_one_event_only(body: bytes, code: str) -> None:
    """Interact refuses a batch, and a request without a usable event."""
    assert code_of(decide_body(Endpoint.INTERACT, body, primary_needed=False)) == code


def test_interact_accepts_its_event() -> None:
    """One event in `event` is accepted."""
    body = orjson.dumps({"event": make_event()})
    assert decide_body(Endpoint.INTERACT, body, primary_needed=True) == Accepted([make_event()])


@pytest.mark.parametrize("primary", [True, "true"])
def test_a_primary_identity_may_be_text(primary: object) -> None:
    """The text "true" marks a primary identity as the boolean does."""
    events = [make_event(Email=[{"id": "a"}], CRM=[{"id": "b"}, {"id": "c", "primary": primary}])]
    assert decide(events) == Accepted(events)


def test_every_event_without_a_primary_identity_is_named() -> None:
    """The whole request is refused, and its text names each offending event and no other."""
    bare = {"xdm": {"_id": "bare"}}
    unmarked = make_event(Email=[{"id": "a", "primary": "false"}])
    decision = decide([make_event(), bare, make_event(), unmarked])
    assert isinstance(decision, Refused)
    assert decision.problem.code == "EXEG-0306-400"
    assert "#1, #3" in decision.problem.detail
    assert decision.problem.detail.count("#") == 2
    assert len(decision.events) == 4


def test_without_authentication_no_primary_identity_is_needed() -> None:
    """The non-authenticated endpoint takes events without any identity."""
    assert isinstance(decide([{"xdm": {}}], primary_needed=False), Accepted)


@pytest.mark.parametrize(
    "identity_map",
    [
        [],
        "ECID",
        {"ECID": {}},
        {"Email": ["a"]},
        {"Email": [{}]},
        {"Email": [{"id": 1}]},
        {"Email": [{"id": "a", "authenticatedState": "maybe"}]},
        {"Email": [{"id": "a", "authenticatedState": []}]},
        {"Email": [{"id": "a", "primary": "yes"}]},
        {"Email": [{"id": "a", "primary": {}}]},
    ],
)
def test_malformed_identity_maps_are_named(identity_map: object) -> None:
    """A malformed identity map is refused with the place of its event."""
    decision = decide([make_event(), {"xdm": {"identityMap": identity_map}}])
    assert code_of(decision) == "EXEG-0304-400"
    assert isinstance(decision, Refused)
    assert "#1" in decision.problem.detail
    assert "#0" not in decision.problem.detail


@pytest.mark.parametrize("ecid", ["1" * 37, "1" * 39, "x" * 38, "\u0661" * 38])
def test_a_wrong_ecid_is_quoted_and_not_placed(ecid: str) -> None:
    """An ECID that has not 38 ASCII digits is quoted; its event's place is not told."""
    decision = decide([make_event(), make_event(ECID=[{"id": ecid, "primary": True}])])
    assert code_of(decision) == "EXEG-0305-400"
    assert isinstance(decision, Refused)
    assert f"'{ecid}'" in decision.problem.detail
    assert "#" not in decision.problem.detail


def test_an_empty_identity_is_named() -> None:
    """An identity with an empty id is refused with the place of its event."""
    decision = decide([make_event(), make_event(Email=[{"id": "", "primary": True}])])
    assert code_of(decision) == "EXEG-0308-400"
    assert isinstance(decision, Refused)
    assert "#1" in decision.problem.detail


identities = st.fixed_dictionaries(
    {"id": st.sampled_from(["", "a", ECID, 1])},
    optional={
        "primary": st.sampled_from([True, False, "true", "x", None]),
        "authenticatedState": st.sampled_from(["ambiguous", "x", None, []]),
    },
)
identity_maps = st.none() | st.dictionaries(
    st.sampled_from(["ECID", "Email"]), st.lists(identities, max_size=2), max_size=2
)


@given(identity_map=identity_maps, primary_needed=st.booleans())
def test_the_short_cut_says_yes_exactly_where_every_rule_does(identity_map: object, primary_needed: bool) -> None:
    """An event is flawless if and only if no rule by itself finds a fault."""
    event: Any = {"xdm": {"identityMap": identity_map}}
    rules = [check_identity_maps]
    if check_identity_maps([event]) is None:
        rules += [check_identities, check_ecids] + [check_primary_identities] * primary_needed
    assert is_flawless(event, primary_needed) == all(rule([event]) is None for rule in rules)


@given(st.recursive(st.none() | st.booleans() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)))
def test_no_body_breaks_the_rules(document: object) -> None:
    """Any JSON is decided over, never met with an exception."""
    wrapped = {"events": [document, {"xdm": document}, {"xdm": {"identityMap": document}}], "event": document}
    for body in (orjson.dumps(document), orjson.dumps(wrapped)):
        for endpoint in Endpoint:
            assert isinstance(decide_body(endpoint, body, primary_needed=True), Accepted | Refused)
        assert isinstance(read_events(body), list)


def test_a_request_id_is_continued() -> None:
    """The answer's request id is the given one, `-` and 16 hex digits; a new one where none is usable."""
    given_id, _, suffix = make_request_id("abc", Random(1)).rpartition("-")
    assert given_id == "abc"
    assert len(suffix) == 16
    assert int(suffix, 16) >= 0
    assert make_request_id(None, Random(1)) != make_request_id(None, Random(2))
    assert "\n" not in make_request_id("a\r\nb", Random(1))


def test_a_visitor_keeps_an_ecid() -> None:
    """Interact tells the same visitor the same ECID of 38 digits, and the event's own one where it has one."""
    visitor = make_event(Email=[{"id": "a"}])
    ecid = _ecid(visitor)
    assert len(ecid) == 38
    assert ecid.isdigit()
    assert _ecid(make_event("other", Email=[{"id": "a"}])) == ecid
    assert _ecid(make_event()) == ECID


def _ecid(event: dict[str, Any]) -> str:
    payload: Any = make_handles(event)[0]["payload"]
    return str(payload[0]["id"])


def test_a_report_names_each_event() -> None:
    """An acceptance with errors has one entry for each code and event, with the event's place."""
    codes = ["EXEG-0203-502", "EXEG-0201-504"]
    document = orjson.loads(reported_body("r", errors=codes, warnings=[], event_indexes=[0, 3]))
    places = [(entry["status"], entry["report"]["eventIndex"]) for entry in document["errors"]]
    assert places == [(502, 0), (502, 3), (504, 0), (504, 3)]
    assert "warnings" not in document


def test_a_problem_document_has_the_published_members() -> None:
    """A problem document carries type, status, title, detail and a report with the request id."""
    problem = problem_of_code("EXEG-0104-422", "d", errors=["e"])
    document = orjson.loads(problem_body(problem, "r-1", DATASTREAM, "org"))
    assert document["type"] == "https://ns.adobe.com/aep/errors/EXEG-0104-422"
    assert document["status"] == 422
    assert document["title"] == TITLES["EXEG-0104-422"]
    assert document["detail"] == "d"
    assert document["report"] == {"requestId": "r-1", "orgId": "org", "configId": DATASTREAM, "errors": ["e"]}


def test_all_codes_are_well_formed() -> None:
    """Every code of the catalogue has the published form."""
    assert all(CODE_PATTERN.fullmatch(code) for code in TITLES)
