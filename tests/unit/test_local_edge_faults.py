"""Faults on demand: their JSON and the switch, without a server."""

from __future__ import annotations

from datetime import UTC, datetime
from random import Random
from typing import Any

import orjson
import pytest

from connector.local.edge import faults as edge_faults
from connector.local.edge.delays import HeavyTailDelay, UniformDelay
from connector.local.edge.effects import retry_after_text, status_problem
from connector.local.edge.fault_switch import Candidate, FaultSwitch
from connector.local.edge.faults import (
    DateRetryAfter,
    Fault,
    FaultsNotUnderstoodError,
    StatusEffect,
    parse_faults,
)


def make_switch(*faults: dict[str, Any], now_ms: float = 0) -> FaultSwitch:
    switch = FaultSwitch(Random(1))
    switch.replace(parse_faults(orjson.dumps({"faults": list(faults)})), now_ms)
    return switch


def make_candidate(path: str = "/ee/v2/collect", body: bytes = b"", **changes: Any) -> Candidate:  # noqa: ANN401 - fields of several types
    values: dict[str, Any] = {"datastream": "d", "is_event_endpoint": True} | changes
    return Candidate(path=path, body=body, **values)


def names(switch: FaultSwitch, *candidates: Candidate, now_ms: float = 0) -> list[str | None]:
    picked = [switch.pick(candidate, now_ms) for candidate in candidates]
    return [None if fault is None else fault.name for fault in picked]


HANG = {"effect": {"kind": "hang"}}


@pytest.mark.parametrize(
    ("fault", "place"),
    [
        ({"effect": {"kind": "status"}}, "faults[0].effect: "),
        ({"effect": {"kind": "status", "status": 200}}, "faults[0].effect.status: "),
        ({"effect": {"kind": "status", "code": "EXEG-1-400"}}, "faults[0].effect.code: "),
        ({"effect": {"kind": "status", "status": 500, "code": "EXEG-0306-400"}}, "faults[0].effect: "),
        ({"effect": {"kind": "explode"}}, "faults[0].effect: "),
        ({"effect": {"kind": "status", "status": 503, "retry_after": "1\r\n"}}, "faults[0].effect.retry_after"),
        ({"effect": {"kind": "multi_status"}}, "faults[0].effect: "),
        (HANG | {"select": {"share": 2}}, "faults[0].select.share: "),
        (HANG | {"select": {"shares": 1}}, "faults[0].select.shares: "),
        (HANG | {"select": {"requests": "3"}}, "faults[0].select.requests: "),
        (HANG | {"delay": {"kind": "uniform", "min_ms": 2, "max_ms": 1}}, "faults[0].delay: "),
        ({"effect": {"kind": "reset", "when": "before_body"}, "accept_first": True}, "faults[0]: "),
        ({"effect": {"kind": "status", "status": 400, "name_events": "matching"}}, "faults[0]: "),
    ],
)
def test_a_wrong_fault_is_refused_with_its_place(fault: dict[str, Any], place: str) -> None:
    """The reason starts with where the fault's description is wrong."""
    with pytest.raises(FaultsNotUnderstoodError) as error:
        parse_faults(orjson.dumps({"faults": [fault]}))
    assert str(error.value).startswith(place)


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"faults":1}'])
def test_what_is_no_list_of_faults_is_refused(body: bytes) -> None:
    """A body of any other shape is refused with a reason."""
    with pytest.raises(FaultsNotUnderstoodError, match=r".+: .+"):
        parse_faults(body)


def test_all_reasons_are_told_at_once() -> None:
    """Two mistakes are told as two lines."""
    faults = [HANG | {"select": {"share": 2}}, {"effect": {"kind": "status"}}]
    with pytest.raises(FaultsNotUnderstoodError) as error:
        parse_faults(orjson.dumps({"faults": faults}))
    assert len(str(error.value).splitlines()) == 2


def test_the_next_requests_meet_the_fault_and_then_no_more() -> None:
    """A fault for the next two requests meets two."""
    switch = make_switch(HANG | {"name": "a", "select": {"requests": 2}})
    assert names(switch, *[make_candidate()] * 3) == ["a", "a", None]


def test_a_fault_ends_after_its_seconds() -> None:
    """A fault of five seconds meets requests until then, counted from when it was set."""
    switch = make_switch(HANG | {"name": "a", "select": {"seconds": 5}}, now_ms=1000)
    assert names(switch, make_candidate(), now_ms=5999) == ["a"]
    assert names(switch, make_candidate(), now_ms=6000) == [None]


def test_a_share_of_requests_meets_the_fault() -> None:
    """A share of 0 meets nobody, a share of 1 everybody, a share of a quarter about a quarter."""
    for share, low, high in ((0, 0, 0), (1, 1000, 1000), (0.25, 190, 310)):
        switch = make_switch(HANG | {"name": "a", "select": {"share": share}})
        assert low <= names(switch, *[make_candidate()] * 1000).count("a") <= high


def test_the_first_match_wins_and_only_it_is_counted() -> None:
    """Of two faults that fit, the first is used, until it is over."""
    switch = make_switch(HANG | {"name": "a", "select": {"requests": 1}}, HANG | {"name": "b"})
    assert names(switch, make_candidate(), make_candidate()) == ["a", "b"]
    assert [entry["matched"] for entry in switch.describe(0)] == [1, 1]
    assert [entry["over"] for entry in switch.describe(0)] == [True, False]


def test_filters_must_all_hold() -> None:
    """Path, datastream and marker each keep requests away that do not fit."""
    select = {"path": "collect", "datastream": "d", "when_event_contains": "POISON"}
    switch = make_switch(HANG | {"name": "a", "select": select})
    fitting = make_candidate(body=b'{"x":"POISON"}')
    others = [
        make_candidate(body=b"{}"),
        make_candidate("/ee/v2/interact", body=b"POISON"),
        make_candidate(body=b"POISON", datastream="e"),
    ]
    assert names(switch, fitting, *others) == ["a", None, None, None]


def test_the_token_endpoint_meets_only_faults_that_name_it() -> None:
    """A fault without a path leaves the token endpoint alone."""
    token = make_candidate("/ims/token/v3", is_event_endpoint=False)
    assert names(make_switch(HANG), token) == [None]
    assert names(make_switch(HANG | {"name": "a", "select": {"path": "/ims/"}}), token) == ["a"]


def test_only_a_marker_needs_the_body() -> None:
    """Picking waits for the body only where a fault looks into it."""
    assert not make_switch(HANG).needs_body()
    assert make_switch(HANG | {"select": {"when_event_contains": "x"}}).needs_body()


def test_delays_stay_within_their_bounds() -> None:
    """A uniform delay lies between its bounds; a heavy tail has its median and never passes its maximum."""
    rng = Random(1)
    uniform = UniformDelay(kind="uniform", min_ms=2, max_ms=3)
    assert all(2 <= uniform.draw_ms(rng) <= 3 for _ in range(100))
    tail = HeavyTailDelay(kind="heavy_tail", median_ms=10, max_ms=200, sigma=2)
    drawn = sorted(tail.draw_ms(rng) for _ in range(1001))
    assert 7 < drawn[500] < 14
    assert drawn[-1] == 200


def test_retry_after_is_seconds_date_or_text() -> None:
    """Seconds and text stand as they are, a date is counted from now."""
    now = datetime(2024, 1, 1, 0, 0, 30, tzinfo=UTC)
    assert retry_after_text(7, now) == "7"
    assert retry_after_text("soon", now) == "soon"
    assert retry_after_text(DateRetryAfter(date_in_seconds=-31), now) == "Sun, 31 Dec 2023 23:59:59 GMT"
    assert retry_after_text(None, now) is None


def test_a_status_gets_its_code() -> None:
    """A status effect uses its code, the usual code of its status, or none where none is published."""
    fault = Fault(effect=StatusEffect(kind="status", code="EXEG-0400-403"))
    assert isinstance(fault.effect, StatusEffect)
    assert status_problem(fault.effect, ()).code == "EXEG-0400-403"
    assert status_problem(StatusEffect(kind="status", status=503), ()).code == "EXEG-0000-503"
    assert status_problem(StatusEffect(kind="status", status=429), ()).code is None
    assert status_problem(StatusEffect(kind="status", status=400), [2, 4]).detail.endswith("event(s) #2, #4.")


def test_the_documented_example_is_understood() -> None:
    """The example in the module's description is a list of faults."""
    text = edge_faults.__doc__ or ""
    example = text[text.index('{"faults"') : text.index("]}\n") + 2]
    assert parse_faults(example.encode())[0].name == "bad minute"
