"""Every published code can be had from the local Edge on demand, in its published shape."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, get_args

import aiohttp
import orjson
import pytest

from connector.core.codes import CODES, NAMING_CODES, STATUSES, Action
from connector.core.verdict import Answer, Asked, judge
from connector.local.edge import EdgeSettings, RunningEdge, start_edge
from connector.local.edge.catalogue import NAMES_EVENTS, TITLES, detail_of, read_code
from connector.local.edge.command import HELP
from connector.local.edge.faults import (
    Effect,
    Fault,
    FaultsNotUnderstoodError,
    MultiStatusEffect,
    OauthErrorEffect,
    Selector,
    StatusEffect,
    parse_faults,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

COLLECT = "/ee/v2/collect?datastreamId=11111111-2222-3333-4444-555555555555"
REFUSALS = sorted(code for code in CODES if not code.endswith("-200"))
EVENTS = [
    {"xdm": {"_id": "a", "identityMap": {"Email": [{"id": "someone@example.com", "primary": True}]}}},
    {"xdm": {"_id": "b", "identityMap": {"Email": [{"id": "POISON", "primary": True}]}}},
]


@pytest.fixture
async def edge() -> AsyncIterator[RunningEdge]:
    edge = await start_edge(EdgeSettings(seed=1), "127.0.0.1", 0)
    yield edge
    await edge.close()


async def ask(edge: RunningEdge, fault: dict[str, Any]) -> tuple[int, dict[str, Any], str | None]:
    """Set a fault over HTTP, post two events to collect: the status, the document, Retry-After."""
    async with aiohttp.ClientSession(headers={"Content-Type": "application/json"}) as session:
        async with session.put(f"{edge.url}/_edge/faults", data=orjson.dumps({"faults": [fault]})) as response:
            assert response.status == 200, await response.text()
        async with session.post(edge.url + COLLECT, data=orjson.dumps({"events": EVENTS})) as response:
            return response.status, orjson.loads(await response.read()), response.headers.get("Retry-After")


def parse(fault: dict[str, Any]) -> Fault:
    return parse_faults(orjson.dumps({"faults": [fault]}))[0]


def refusal_of(fault: dict[str, Any]) -> str:
    with pytest.raises(FaultsNotUnderstoodError) as caught:
        parse(fault)
    return str(caught.value)


@pytest.mark.parametrize("code", REFUSALS)
async def test_a_number_is_enough_for_a_published_refusal(edge: RunningEdge, code: str) -> None:
    """Each is answered with its type, status, title, detail and report, and the connector knows it by that."""
    status, document, _ = await ask(edge, {"code": code[:4]})
    assert document["type"] == f"https://ns.adobe.com/aep/errors/EXEG-{code}"
    assert document["status"] == status == int(code[5:])
    assert document["title"] == TITLES[f"EXEG-{code}"]
    assert document["detail"]
    assert "{" not in document["detail"]
    assert set(document["report"]) >= {"requestId", "orgId", "configId"}
    verdict = judge(
        Answer(status=status, body=orjson.dumps(document), retry_after=None),
        Asked(kind="collect", is_silent=False, count=2),
    )
    assert (verdict.action, verdict.cause) == (CODES[code].action, f"EXEG-{code}")


async def test_the_warning_for_lack_of_consent_is_a_207(edge: RunningEdge) -> None:
    """0301 refuses nothing: it is an acceptance with a warning that names the event."""
    for select, places in (({}, [0, 1]), ({"when_event_contains": "POISON"}, [1])):
        status, document, _ = await ask(edge, {"code": "0301", "select": select})
        assert status == 207
        assert all(warning["type"].endswith("/EXEG-0301-200") for warning in document["warnings"])
        assert [warning["report"]["eventIndex"] for warning in document["warnings"]] == places
    entry = edge.ledger.find("b")
    assert entry is not None
    assert entry.accepted == 2


@pytest.mark.parametrize("code", sorted(NAMING_CODES))
async def test_naming_codes_name_events(edge: RunningEdge, code: str) -> None:
    """As published the text names events as #index: those with the marker, or else the first."""
    _, document, _ = await ask(edge, {"code": code})
    assert re.findall(r"#\d+", document["detail"]) == ["#0"]
    _, document, _ = await ask(edge, {"code": code, "select": {"when_event_contains": "POISON"}})
    assert re.findall(r"#\d+", document["detail"]) == ["#1"]
    effect = {"kind": "status", "code": code, "name_events": "all"}
    _, document, _ = await ask(edge, {"effect": effect})
    assert re.findall(r"#\d+", document["detail"]) == ["#0", "#1"]
    _, document, _ = await ask(edge, {"effect": effect | {"name_events": "none"}})
    assert "#" not in document["detail"]


async def test_other_codes_name_no_event_unless_asked(edge: RunningEdge) -> None:
    """Where the text names nobody, the sender has to search."""
    _, document, _ = await ask(edge, {"code": "0104"})
    assert "#" not in document["detail"]
    effect = {"kind": "status", "code": "0104", "name_events": "all"}
    _, document, _ = await ask(edge, {"effect": effect})
    assert len(document["report"]["errors"]) == 2


@pytest.mark.parametrize("code", ["0305", "0308"])
async def test_some_codes_quote_the_identity(edge: RunningEdge, code: str) -> None:
    """The detail holds an identity, as Adobe's does: whoever logs it would tell on a visitor."""
    _, document, _ = await ask(edge, {"code": code})
    assert "someone@example.com" in document["detail"]


async def test_statuses_without_a_code(edge: RunningEdge) -> None:
    """404, 429 and the like have a problem document of no published type; Retry-After is as asked for."""
    for number in sorted(STATUSES):
        status, document, retry_after = await ask(
            edge, {"effect": {"kind": "status", "status": number, "retry_after": 3}}
        )
        assert (status, document["status"], retry_after) == (number, number, "3")


@pytest.mark.parametrize("text", ["0306", "306", "0306-400", "EXEG-0306-400", "exeg-0306"])
def test_a_code_has_short_names(text: str) -> None:
    """All of them mean the same code, also as a number."""
    assert read_code(text) == read_code(306) == "EXEG-0306-400"
    effect = parse({"code": text}).effect
    assert isinstance(effect, StatusEffect)
    assert effect.code == "EXEG-0306-400"


def test_a_number_with_two_codes_means_the_first() -> None:
    """The status tells them apart."""
    assert read_code("0201") == "EXEG-0201-503"
    assert read_code("0201-504") == "EXEG-0201-504"


@pytest.mark.parametrize("code", ["9999", "0306-422", "EXEG-9999-400", "EXEG-0306-422", "", "four", "99999", 9999])
def test_an_unknown_code_is_refused_with_its_place(code: object) -> None:
    """A slip is no new code."""
    assert refusal_of({"code": code}).startswith("faults[0].effect")
    assert refusal_of({"effect": {"kind": "multi_status", "errors": [code]}}).startswith("faults[0].effect")
    assert "published" in refusal_of({"code": code}) or "is no code" in refusal_of({"code": code})


def test_an_unpublished_code_has_to_be_called_so() -> None:
    """Whoever wants to see what becomes of a code that is not published says that it is none."""
    effect = parse({"effect": {"kind": "status", "code": "EXEG-9999-418", "unpublished": True}}).effect
    assert isinstance(effect, StatusEffect)
    assert effect.code == "EXEG-9999-418"
    reported = parse({"effect": {"kind": "multi_status", "errors": ["EXEG-9999-418"], "unpublished": True}}).effect
    assert isinstance(reported, MultiStatusEffect)


def test_a_warning_is_no_status() -> None:
    """A problem document with status 200 does not exist."""
    assert "is a warning" in refusal_of({"effect": {"kind": "status", "code": "0301"}})


def test_the_catalogue_holds_all_that_the_connector_knows() -> None:
    """What the connector has a rule for, the local Edge can say; both know which codes name events."""
    assert {f"EXEG-{code}" for code in CODES} <= set(TITLES)
    assert {f"EXEG-{code}" for code in NAMING_CODES} == NAMES_EVENTS
    assert CODES["0301-200"].action is Action.ACCEPT
    for code in TITLES:
        assert "#4" in detail_of(code, [4], "x")
        assert "{" not in detail_of(code, [], "x")


async def test_the_codes_are_listed(edge: RunningEdge) -> None:
    """One line for each code, with its title."""
    async with aiohttp.ClientSession() as session, session.get(f"{edge.url}/_edge/codes") as response:
        lines = (await response.text()).splitlines()
    assert [line.partition("  ")[0] for line in lines] == list(TITLES)


def test_the_help_tells_of_every_fault() -> None:
    """Each kind of effect and each way to select stands in the help."""
    kinds = {get_args(kind.model_fields["kind"].annotation)[0] for kind in get_args(Effect)}
    names = kinds | set(Selector.model_fields) | (set(Fault.model_fields) - {"name"})
    assert not [name for name in names if f'"{name}"' not in HELP]
    foreign = next(kind for kind in get_args(Effect) if "foreign" in str(kind.model_fields["kind"].annotation))
    assert all(body in HELP for body in get_args(foreign.model_fields["body"].annotation))


def test_the_examples_of_the_help_are_understood() -> None:
    """What a newcomer copies from the help works."""
    examples = re.findall(r'\{"faults".*?\]\}', HELP, re.DOTALL)
    parsed = [parse_faults(json.dumps(json.loads(example)).encode())[0] for example in examples]
    assert len(parsed) == 4
    assert any(isinstance(fault.effect, OauthErrorEffect) for fault in parsed)
