"""The local Edge's ways to leave a sender without an answer, its allowances, its latency, and its token faults."""

from __future__ import annotations

import asyncio
from random import Random
from typing import TYPE_CHECKING, Any

import aiohttp
import orjson
import pytest
import typer
from pydantic import ValidationError

from connector.adapters.edge_client import EdgeClient, HttpSettings
from connector.core.codes import NoAnswer
from connector.core.verdict import Answer
from connector.local.edge import EdgeSettings, RunningEdge, start_edge
from connector.local.edge.command import read_datastreams
from connector.local.edge.delays import FixedDelay, HeavyTailDelay, UniformDelay, read_latency

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

DATASTREAM = "11111111-2222-3333-4444-555555555555"
OTHER = "22222222-2222-3333-4444-555555555555"
FORM = {
    "grant_type": "client_credentials",
    "client_id": "not-a-real-client-id",
    "client_secret": "not-a-real-secret",
    "scope": "openid",
}
Reply = tuple[int, dict[str, str], bytes]


class Client:
    """One HTTP client on one running Edge."""

    def __init__(self, edge: RunningEdge, session: aiohttp.ClientSession) -> None:
        self.edge = edge
        self.session = session

    async def fault(self, effect: dict[str, Any], **rest: Any) -> None:  # noqa: ANN401 - as in JSON
        body = orjson.dumps({"faults": [{"effect": effect} | rest]})
        async with self.session.put(f"{self.edge.url}/_edge/faults", data=body) as response:
            assert response.status == 200, await response.text()

    async def send(self, endpoint: str = "collect", *, datastream: str = DATASTREAM, size: int = 0) -> Reply:
        event = {"xdm": {"_id": "a"}, "data": {"x": "x" * size}}
        body = orjson.dumps({"events": [event]} if endpoint == "collect" else {"event": event})
        url = f"{self.edge.url}/ee/v2/{endpoint}?datastreamId={datastream}"
        async with self.session.post(url, data=body, headers={"Content-Type": "application/json"}) as response:
            return response.status, dict(response.headers), await response.read()

    async def ask_for_token(self) -> Reply:
        async with self.session.post(f"{self.edge.url}/ims/token/v3", data=FORM) as response:
            return response.status, dict(response.headers), await response.read()


@pytest.fixture
async def client(request: pytest.FixtureRequest) -> AsyncIterator[Client]:
    edge = await start_edge(EdgeSettings(seed=1, **getattr(request, "param", {})), "127.0.0.1", 0)
    async with aiohttp.ClientSession() as session:
        yield Client(edge, session)
    async with asyncio.timeout(30):
        await edge.close()


@pytest.fixture
async def connectors_client() -> AsyncIterator[EdgeClient]:
    """The client that the connector itself uses."""
    client = EdgeClient(
        HttpSettings(max_in_flight=1, timeout_s=0.5, connect_timeout_s=5, keep_alive_s=30, max_connection_age_s=300)
    )
    yield client
    await client.close()


async def post(connectors_client: EdgeClient, client: Client) -> Answer | NoAnswer:
    return await connectors_client.post(
        f"{client.edge.url}/ee/v2/collect?datastreamId={DATASTREAM}",
        b'{"events":[{"xdm":{"_id":"a"}}]}',
        {"Content-Type": "application/json"},
    )


async def test_an_endless_body_is_left_by_its_reader(client: Client, connectors_client: EdgeClient) -> None:
    """The connector's client stops reading; the events were not accepted, and the Edge goes on."""
    await client.fault({"kind": "endless_body"}, select={"requests": 1})
    assert await post(connectors_client, client) in (NoAnswer.TOO_LONG, NoAnswer.TIMEOUT)
    entry = client.edge.ledger.find("a")
    assert entry is not None
    assert (entry.accepted, entry.unanswered, entry.last_code) == (0, 1, "endless_body")
    assert (await client.send())[0] == 202


async def test_an_endless_body_does_not_keep_the_edge(client: Client) -> None:
    """When the Edge stops, so does the body."""
    await client.fault({"kind": "endless_body"})
    async with client.session.post(
        f"{client.edge.url}/ee/v2/collect?datastreamId={DATASTREAM}",
        data=b'{"events":[{"xdm":{}}]}',
        headers={"Content-Type": "application/json"},
    ) as response:
        assert response.status == 202
        assert await response.content.read(50_000)
        async with asyncio.timeout(30):
            await client.edge.close()


async def test_a_length_that_is_too_long_keeps_the_reader_waiting(
    client: Client, connectors_client: EdgeClient
) -> None:
    """More is announced than comes, on a connection that stays open: only a time-out ends it."""
    await client.fault({"kind": "wrong_length", "announce": "more"}, select={"requests": 1})
    assert await post(connectors_client, client) is NoAnswer.TIMEOUT


async def test_a_length_that_is_too_short_leaves_bytes_over(client: Client, connectors_client: EdgeClient) -> None:
    """Half a body is no acceptance, and the other half must not become the next answer."""
    await client.fault({"kind": "wrong_length", "announce": "less"}, select={"requests": 1}, accept_first=True)
    cut = await post(connectors_client, client)
    assert cut is NoAnswer.NOT_HTTP or (isinstance(cut, Answer) and not cut.body.endswith(b"}"))
    whole = await post(connectors_client, client)
    assert isinstance(whole, Answer)
    assert whole.body.startswith(b'{"requestId"')
    assert whole.body.endswith(b"}")


@pytest.mark.parametrize("announce", ["more", "less"])
async def test_a_wrong_length_stands_before_a_whole_body(client: Client, announce: str) -> None:
    """On the wire the body is whole, and the head says otherwise."""
    await client.fault({"kind": "wrong_length", "announce": announce})
    reader, writer = await asyncio.open_connection("127.0.0.1", client.edge.port)
    writer.write(
        f"POST /ee/v2/collect?datastreamId={DATASTREAM} HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{{}}".encode()
    )
    async with asyncio.timeout(10):
        head = await reader.readuntil(b"\r\n\r\n")
        body = await reader.readuntil(b"}")
    writer.close()
    announced = int(head.partition(b"Content-Length: ")[2].partition(b"\r\n")[0])
    assert announced == (len(body) + 100 if announce == "more" else len(body) // 2)


@pytest.mark.parametrize(
    ("error", "status"), [("invalid_client", 401), ("invalid_scope", 400), ("unauthorized_client", 400)]
)
async def test_the_token_endpoint_can_refuse(client: Client, error: str, status: int) -> None:
    """An error of OAuth meets those who ask for a token, and nobody else."""
    await client.fault({"kind": "oauth_error", "error": error})
    got, _, body = await client.ask_for_token()
    assert (got, orjson.loads(body)["error"]) == (status, error)
    assert (await client.send())[0] == 202


async def test_an_oauth_error_never_meets_an_event(client: Client) -> None:
    """Even where its path names collect."""
    await client.fault({"kind": "oauth_error", "error": "invalid_client"}, select={"path": "/"})
    assert (await client.send())[0] == 202
    assert (await client.ask_for_token())[0] == 401


async def test_the_token_endpoint_can_throttle_fail_and_hang(client: Client) -> None:
    """Status, Retry-After in both forms, silence, a body without end: as for events, where the path names it."""
    select = {"path": "/ims/token/v3"}
    await client.fault({"kind": "status", "status": 429, "retry_after": 7}, select=select)
    status, headers, _ = await client.ask_for_token()
    assert (status, headers["Retry-After"]) == (429, "7")
    await client.fault({"kind": "status", "status": 503, "retry_after": {"date_in_seconds": 60}}, select=select)
    status, headers, _ = await client.ask_for_token()
    assert (status, headers["Retry-After"][-4:]) == (503, " GMT")
    await client.fault({"kind": "status", "status": 500}, select=select)
    assert (await client.ask_for_token())[0] == 500
    for effect in ({"kind": "hang"}, {"kind": "endless_body"}, {"kind": "wrong_length"}):
        await client.fault(effect, select=select)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await client.ask_for_token()
    await client.fault({"kind": "slow"}, select=select, delay={"kind": "fixed", "ms": 1})
    assert (await client.ask_for_token())[0] == 200


async def test_a_207_of_interact_has_its_handles(client: Client) -> None:
    """What the upstream services that did not fail have to say comes along with the report."""
    await client.fault({"kind": "multi_status", "errors": ["0203"]})
    status, _, body = await client.send("interact")
    document = orjson.loads(body)
    assert (status, len(document["errors"])) == (207, 1)
    assert {handle["type"] for handle in document["handle"]} == {
        "identity:result",
        "locationHint:result",
        "state:store",
        "personalization:decisions",
    }
    assert orjson.loads((await client.send())[2])["handle"] == []


UNITS = {"request_units_per_second": 4.0, "datastream_upstreams": {OTHER: 3}}


@pytest.mark.parametrize("client", [UNITS], indirect=True)
async def test_an_allowance_is_shared_by_datastreams_and_priced_by_upstreams(client: Client) -> None:
    """One unit and three units are the four of this second; the next is 429, on whichever datastream."""
    assert (await client.send())[0] == 202
    assert (await client.send(datastream=OTHER))[0] == 202
    assert client.edge.ledger.request_units == 4
    for datastream in (DATASTREAM, OTHER):
        status, headers, body = await client.send(datastream=datastream)
        assert (status, headers["Retry-After"]) == (429, "1")
        assert orjson.loads(body)["title"] == "Too Many Requests"


@pytest.mark.parametrize(
    "client", [{"request_units_per_second": 1.0}, {"request_units_per_second": 9, "interact_units_per_second": 1.0}],
    indirect=True,
)  # fmt: skip
async def test_interact_has_an_allowance_of_its_own(client: Client) -> None:
    """What interact spends is not taken from collect, and its allowance may be another one."""
    assert (await client.send("interact"))[0] == 200
    assert (await client.send("interact"))[0] == 429
    assert (await client.send("collect"))[0] == 202


@pytest.mark.parametrize("client", [{"request_units_per_second": 6.0, "upstreams": 2}], indirect=True)
async def test_upstreams_may_be_those_of_every_datastream(client: Client) -> None:
    """Each started 8 KB costs as many units as there are upstream services."""
    assert (await client.send(size=9_000))[0] == 202
    assert client.edge.ledger.request_units == 4
    assert (await client.send(size=9_000))[0] == 429


@pytest.mark.parametrize("client", [{"latency": UniformDelay(kind="uniform", min_ms=1, max_ms=3)}], indirect=True)
async def test_latency_changes_no_answer(client: Client) -> None:
    """Every answer is delayed and is the same."""
    assert (await client.send())[0] == 202
    assert (await client.send("interact"))[0] == 200


def test_latency_is_written_in_one_word() -> None:
    """Always the same, evenly between two bounds, or a heavy tail."""
    assert read_latency("20") == FixedDelay(kind="fixed", ms=20)
    assert read_latency("0.5-50") == UniformDelay(kind="uniform", min_ms=0.5, max_ms=50)
    assert read_latency(" 20~2000 ") == HeavyTailDelay(kind="heavy_tail", median_ms=20, max_ms=2000)
    drawn = [read_latency("20~2000").draw_ms(Random(seed)) for seed in range(1000)]
    assert min(drawn) < 20 < max(drawn) <= 2000


@pytest.mark.parametrize("text", ["", "fast", "-5", "5-", "5..6", "1e3", "٣"])
def test_what_is_no_latency_is_refused(text: str) -> None:
    """The reason shows the three forms."""
    with pytest.raises(ValueError, match="20~2000"):
        read_latency(text)


def test_bounds_in_the_wrong_order_are_refused() -> None:
    """Nothing lies between 50 and 5."""
    with pytest.raises(ValidationError, match="max_ms"):
        read_latency("50-5")


def test_a_datastream_may_say_its_upstreams() -> None:
    """An id may hold a colon; the number stands behind `=`."""
    assert read_datastreams([DATASTREAM, f"{OTHER}:x=3"]) == {DATASTREAM: None, f"{OTHER}:x": 3}
    for wrong in ("", "0", "x", "-1", "1.5"):
        with pytest.raises(typer.BadParameter, match="UPSTREAMS"):
            read_datastreams([f"{DATASTREAM}={wrong}"])
