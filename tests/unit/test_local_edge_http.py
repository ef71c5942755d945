"""The local Edge over HTTP: acceptances, refusals, tokens, the interface of its own."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import aiohttp
import orjson
import pytest

from connector.local.edge import EdgeSettings, RunningEdge, start_edge

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

DATASTREAM = "11111111-2222-3333-4444-555555555555"
QUERY = {"datastreamId": DATASTREAM}
JSON = {"Content-Type": "application/json"}
FORM = {
    "grant_type": "client_credentials",
    "client_id": "not-a-real-client-id",
    "client_secret": "not-a-real-secret",
    "scope": "openid,AdobeID,acp.foundation",
}


class Client:
    """One HTTP client on one running Edge."""

    def __init__(self, edge: RunningEdge, session: aiohttp.ClientSession) -> None:
        self.edge = edge
        self._session = session

    async def ask(self, method: str, path: str, **arguments: Any) -> tuple[aiohttp.ClientResponse, bytes]:  # noqa: ANN401 - as the HTTP client takes them
        async with self._session.request(method, self.edge.url + path, **arguments) as response:
            return response, await response.read()

    async def collect(
        self, *events: object, path: str = "/ee/v2/collect", headers: dict[str, str] | None = None, **query: str
    ) -> tuple[aiohttp.ClientResponse, Any]:
        body = orjson.dumps({"events": events})
        arguments = {"params": QUERY | query, "data": body, "headers": JSON | (headers or {})}
        response, answer = await self.ask("POST", path, **arguments)
        return response, orjson.loads(answer or b"null")

    async def get(self, path: str) -> Any:  # noqa: ANN401 - whatever JSON holds
        return orjson.loads((await self.ask("GET", path))[1])


@pytest.fixture
async def settings(request: pytest.FixtureRequest) -> EdgeSettings:
    return EdgeSettings(**getattr(request, "param", {}))


@pytest.fixture
async def client(settings: EdgeSettings) -> AsyncIterator[Client]:
    edge = await start_edge(settings, "127.0.0.1", 0)
    async with aiohttp.ClientSession() as session:
        yield Client(edge, session)
    await edge.close()


def make_event(name: str) -> dict[str, Any]:
    return {"xdm": {"_id": name, "identityMap": {"CRM": [{"id": "a", "primary": True}]}}}


async def test_collect_accepts_and_keeps_account(client: Client) -> None:
    """A good request is answered 202 with its request id continued, and each event is in the ledger."""
    response, answer = await client.collect(make_event("a"), make_event("b"), requestId="r")
    assert response.status == 202
    assert list(answer) == ["requestId"]
    assert answer["requestId"].startswith("r-")
    assert response.headers["x-request-id"] == answer["requestId"]
    sums = await client.get("/_edge/ledger")
    assert sums["ids"]["accepted"] == 2
    assert sums["requests"] == {"/ee/v2/collect 202": 1}
    assert sums["request_units"] == 1
    assert (await client.get("/_edge/ledger/a"))["accepted"] == 1


async def test_silent_is_answered_without_a_body(client: Client) -> None:
    """`silent=true` is answered 204."""
    response, answer = await client.collect(make_event("a"), silent="true")
    assert (response.status, answer) == (204, None)


async def test_a_location_hint_may_stand_in_the_path(client: Client) -> None:
    """A known form of hint is served; an unknown one is 404 without a body."""
    response, _ = await client.collect(make_event("a"), path="/ee/irl1/v2/collect")
    assert response.status == 202
    assert response.headers["x-adobe-edge"].startswith("IRL1;")
    response, answer = await client.collect(make_event("a"), path="/ee/invalid/v2/collect")
    assert (response.status, answer) == (404, None)


@pytest.mark.parametrize("spelling", ["datastreamId", "dataStreamId"])
async def test_both_spellings_of_the_datastream_are_known(client: Client, spelling: str) -> None:
    """The datastream's parameter may be spelt in both ways."""
    body = orjson.dumps({"events": [make_event("a")]})
    response, _ = await client.ask("POST", "/ee/v2/collect", params={spelling: DATASTREAM}, data=body, headers=JSON)
    assert response.status == 202


@pytest.mark.parametrize("path", ["/ee/v2/interact", "/ee/or2/v2/interact"])
async def test_interact_answers_with_handles(client: Client, path: str) -> None:
    """Interact is answered 200 with the request id and handles of the published types."""
    body = orjson.dumps({"event": make_event("a")})
    response, answer = await client.ask("POST", path, params=QUERY, data=body, headers=JSON)
    assert response.status == 200
    types = {handle["type"] for handle in orjson.loads(answer)["handle"]}
    assert types == {
        "identity:result",
        "locationHint:result",
        "state:store",
        "personalization:decisions",
    }


@pytest.mark.parametrize(("path", "hint"), [("/ee/v2/interact", "or2"), ("/ee/irl1/v2/interact", "irl1")])
async def test_interact_names_the_region_that_answered(client: Client, path: str, hint: str) -> None:
    """The location hint of the Edge Network is the one in the path, where there is one."""
    body = orjson.dumps({"event": make_event("a")})
    _, answer = await client.ask("POST", path, params=QUERY, data=body, headers=JSON)
    [handle] = [handle for handle in orjson.loads(answer)["handle"] if handle["type"] == "locationHint:result"]
    assert {"scope": "EdgeNetwork", "hint": hint, "ttlSeconds": 1800} in handle["payload"]


async def test_a_refused_request_is_dispatched_nowhere(client: Client) -> None:
    """One bad event has the whole request refused: the ledger accepts none and refuses all."""
    response, answer = await client.collect(make_event("a"), {"data": {}}, make_event("b"))
    assert response.status == 422
    assert response.headers["Content-Type"] == "application/problem+json;charset=UTF-8"
    assert answer["type"].endswith("EXEG-0104-422")
    assert answer["report"]["requestId"]
    sums = await client.get("/_edge/ledger")
    assert sums["ids"] == {"seen": 2, "accepted": 0, "refused": 2, "unanswered": 0}
    assert sums["anonymous"]["refused"] == 1
    assert (await client.get("/_edge/ledger/b"))["last_code"] == "EXEG-0104-422"


@pytest.mark.parametrize("size", [65_537, 3_000_000])
async def test_a_body_over_the_limit_is_413(client: Client, size: int) -> None:
    """A body a byte too large and one that is not even read are both refused under the published code."""
    response, answer = await client.ask(
        "POST", "/ee/v2/collect", params=QUERY, data=io.BytesIO(b" " * size), headers=JSON
    )
    assert response.status == 413
    assert orjson.loads(answer)["type"].endswith("EXEG-0112-413")


async def test_compression_is_refused(client: Client) -> None:
    """A compressed request is refused and not unpacked."""
    headers = JSON | {"Content-Encoding": "gzip"}
    response, _ = await client.ask("POST", "/ee/v2/collect", params=QUERY, data=b"x", headers=headers)
    assert response.status == 415


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("POST", "/ee/v1/collect", 404), ("GET", "/ee/v2/collect", 405), ("GET", "/", 404)],
)
async def test_unknown_paths_and_methods_are_problems(client: Client, method: str, path: str, status: int) -> None:
    """What is not served is refused with a problem document of its status."""
    response, answer = await client.ask(method, path)
    assert response.status == status
    assert orjson.loads(answer)["status"] == status
    assert (await client.get("/_edge/ledger"))["requests"] == {f"(other) {status}": 1}


async def _fetch_headers(client: Client) -> dict[str, str]:
    _, answer = await client.ask("POST", "/ims/token/v3", data=FORM)
    token = orjson.loads(answer)["access_token"]
    return {
        "Authorization": f"Bearer {token}",
        "x-gw-ims-org-id": "0123456789ABCDEF@AdobeOrg",
        "x-api-key": "not-a-real-client-id",
    }


@pytest.mark.parametrize("settings", [{"auth": True}], indirect=True)
async def test_authentication_from_token_to_revocation(client: Client) -> None:
    """Without a token 401; with one accepted; after revocation 401 again."""
    response, answer = await client.collect(make_event("a"))
    assert response.status == 401
    assert answer["type"].endswith("EXEG-0500-401")
    headers = await _fetch_headers(client)
    assert (await client.collect(make_event("a"), headers=headers))[0].status == 202
    await client.ask("DELETE", "/_edge/tokens")
    response, answer = await client.collect(make_event("a"), headers=headers)
    assert answer["type"].endswith("EXEG-0502-401")
    assert await client.get("/_edge/tokens") == {"issued": 1, "refused": 0, "live": 0}


@pytest.mark.parametrize("settings", [{"auth": True}], indirect=True)
async def test_authenticated_events_need_a_primary_identity(client: Client) -> None:
    """On the authenticated endpoint the events without a primary identity are named."""
    headers = await _fetch_headers(client)
    response, answer = await client.collect(make_event("a"), {"xdm": {"_id": "b"}}, headers=headers)
    assert response.status == 400
    assert answer["type"].endswith("EXEG-0306-400")
    assert "#1" in answer["detail"]


async def test_secrets_are_replaced_over_http(client: Client) -> None:
    """A replaced secret gets no more tokens; a body of another shape changes nothing."""
    response, _ = await client.ask("PUT", "/_edge/client-secrets", data=b'{"client_secrets":"x"}')
    assert response.status == 400
    assert (await client.ask("POST", "/ims/token/v3", data=FORM))[0].status == 200
    await client.ask("PUT", "/_edge/client-secrets", data=b'{"client_secrets":["not-a-real-secret-2"]}')
    response, answer = await client.ask("POST", "/ims/token/v3", data=FORM)
    assert (response.status, orjson.loads(answer)["error"]) == (401, "invalid_client")


async def test_credentials_count_in_the_form_only(client: Client) -> None:
    """Credentials in the query get no token."""
    response, answer = await client.ask("POST", "/ims/token/v3", params=FORM, data={"a": "b"})
    assert (response.status, orjson.loads(answer)["error"]) == (400, "unsupported_grant_type")


@pytest.mark.parametrize("settings", [{"request_units_per_second": 1.0}], indirect=True)
async def test_an_allowance_answers_429(client: Client) -> None:
    """Beyond the allowance the answer is 429 with Retry-After in seconds, and nothing is accepted."""
    await client.collect({"xdm": {}, "data": {"fill": "x" * 60_000}})
    response, answer = await client.collect(make_event("a"))
    assert response.status == 429
    assert int(response.headers["Retry-After"]) >= 1
    assert answer["type"] == "about:blank"
    assert client.edge.ledger.find("a") is not None
    assert (await client.get("/_edge/ledger/a"))["accepted"] == 0


async def test_the_ledger_is_streamed_and_cleared(client: Client) -> None:
    """Accepted ids come as JSON lines; after clearing there are none."""
    await client.collect(*[make_event(f"e{n}") for n in range(300)])
    await client.collect(make_event("e7"), make_event("a/b c"))
    _, lines = await client.ask("GET", "/_edge/ledger?ids=accepted")
    counts = {line["id"]: line["accepted"] for line in map(orjson.loads, lines.splitlines())}
    assert len(counts) == 301
    assert [name for name, count in counts.items() if count > 1] == ["e7"]
    assert (await client.get("/_edge/ledger/a%2Fb%20c"))["accepted"] == 1
    assert (await client.ask("DELETE", "/_edge/ledger"))[0].status == 204
    assert (await client.ask("GET", "/_edge/ledger?ids=all"))[1] == b""
    assert (await client.ask("GET", "/_edge/ledger/e7"))[0].status == 404
    assert (await client.ask("GET", "/_edge/ledger?ids=x"))[0].status == 400


async def test_a_repeated_request_id_is_seen(client: Client) -> None:
    """Two arrivals of one request id are counted as such."""
    for _ in range(2):
        await client.collect(make_event("a"), requestId="same")
    assert await client.get("/_edge/request-ids") == {"same": 2}


async def test_health_tells_the_mode(client: Client) -> None:
    """The health path answers as soon as the Edge listens."""
    assert await client.get("/_edge/health") == {"status": "ok", "auth": False}


async def test_the_ledger_file_survives_the_edge(tmp_path: Path) -> None:
    """Two Edges, one after the other, append their decided requests to one file."""
    settings = EdgeSettings(ledger_path=tmp_path / "ledger.jsonl", checksums=True)
    for name in ("a", "b"):
        edge = await start_edge(settings, "127.0.0.1", 0)
        async with aiohttp.ClientSession() as session:
            await Client(edge, session).collect(make_event(name))
        await edge.close()
    lines = [orjson.loads(line) for line in (tmp_path / "ledger.jsonl").read_bytes().splitlines()]
    assert [(line["fate"], line["status"], line["ids"]) for line in lines] == [
        ("accepted", 202, ["a"]),
        ("accepted", 202, ["b"]),
    ]
