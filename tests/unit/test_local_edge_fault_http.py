"""Faults of the local Edge as a client meets them, on real connections."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from typing import TYPE_CHECKING, Any

import aiohttp
import orjson
import pytest

from connector.local.edge import EdgeSettings, RunningEdge, start_edge

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

PATH = "/ee/v2/collect?datastreamId=11111111-2222-3333-4444-555555555555"
MARKED = {"xdm": {"_id": "marked"}, "data": {"x": "POISON"}}
PLAIN = {"xdm": {"_id": "plain"}}


class Client:
    """One HTTP client on one running Edge."""

    def __init__(self, edge: RunningEdge, session: aiohttp.ClientSession) -> None:
        self.edge = edge
        self._session = session

    async def fault(self, effect: dict[str, Any], **rest: Any) -> None:  # noqa: ANN401 - as in JSON
        body = orjson.dumps({"faults": [{"effect": effect} | rest]})
        async with self._session.put(f"{self.edge.url}/_edge/faults", data=body) as response:
            assert response.status == 200, await response.text()

    async def post(self, *events: object, path: str = PATH, **options: Any) -> tuple[int, dict[str, str], bytes]:  # noqa: ANN401 - as the HTTP client takes them
        body = orjson.dumps({"events": events})
        headers = {"Content-Type": "application/json"}
        async with self._session.post(self.edge.url + path, data=body, headers=headers, **options) as response:
            return response.status, dict(response.headers), await response.read()

    def counts(self, name: str) -> tuple[int, int, int]:
        """How often the id was accepted, refused, left unanswered."""
        entry = self.edge.ledger.find(name)
        assert entry is not None
        return entry.accepted, entry.refused, entry.unanswered


@pytest.fixture(autouse=True)
def endless_drain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is dropped for lack of time when the Edge stops: what ends, ends by itself."""
    monkeypatch.setattr("connector.local.edge._DRAIN_S", 3600.0)


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    edge = await start_edge(EdgeSettings(seed=1), "127.0.0.1", 0)
    async with aiohttp.ClientSession() as session:
        yield Client(edge, session)
    await edge.close()


@pytest.fixture(autouse=True)
def quiet_server(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    yield
    assert not [record for record in caplog.records if record.levelname in {"ERROR", "CRITICAL"}]


async def until_seen(edge: RunningEdge, name: str) -> None:
    async with asyncio.timeout(10):
        while edge.ledger.find(name) is None:  # noqa: ASYNC110 - the ledger is plain state, nothing to await
            await asyncio.sleep(0)


def code_of(body: bytes) -> str:
    return str(orjson.loads(body)["type"]).rpartition("/")[2]


async def raw_post(port: int, body: bytes, *, send: bytes | None = None) -> bytes:
    """Post over a bare socket and read until the end; `send` replaces the body that is announced."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    try:
        writer.write(head.encode() + (body if send is None else send))
        async with asyncio.timeout(10):
            return await reader.read()
    finally:
        writer.close()


async def test_a_status_fault_refuses_with_code_and_retry_after(client: Client) -> None:
    """A status fault answers its code's problem and its Retry-After, and the ledger has the events refused."""
    await client.fault({"kind": "status", "code": "EXEG-0201-503", "retry_after": 2}, select={"requests": 1})
    status, headers, body = await client.post(PLAIN)
    assert (status, headers["Retry-After"], code_of(body)) == (503, "2", "EXEG-0201-503")
    assert client.counts("plain") == (0, 1, 0)
    assert (await client.post(PLAIN))[0] == 202


async def test_retry_after_may_be_a_date(client: Client) -> None:
    """Retry-After can be an HTTP date."""
    await client.fault({"kind": "status", "status": 429, "retry_after": {"date_in_seconds": 60}})
    status, headers, body = await client.post(PLAIN)
    assert status == 429
    assert headers["Retry-After"].endswith(" GMT")
    assert code_of(body) == "about:blank"


async def test_a_poison_event_spoils_only_its_own_requests(client: Client) -> None:
    """A fault with a marker meets the requests that hold the marked event, and names its place if asked."""
    effect = {"kind": "status", "code": "EXEG-0304-400", "name_events": "matching"}
    await client.fault(effect, select={"when_event_contains": "POISON"})
    assert (await client.post(PLAIN))[0] == 202
    status, _, body = await client.post(PLAIN, PLAIN, MARKED)
    assert status == 400
    assert "#2" in orjson.loads(body)["detail"]
    assert "#1" not in orjson.loads(body)["detail"]


async def test_accept_first_hides_an_acceptance(client: Client) -> None:
    """With accept_first the events are delivered although the answer is 503; a bad request is refused still."""
    await client.fault({"kind": "status", "status": 503}, accept_first=True)
    assert (await client.post(PLAIN))[0] == 503
    assert client.counts("plain") == (1, 0, 1)
    assert (await client.post(MARKED, {}))[0] == 422
    assert client.counts("marked") == (0, 1, 0)


async def test_multi_status_accepts_and_names_events(client: Client) -> None:
    """207 accepts all events and names those at fault."""
    effect = {"kind": "multi_status", "errors": ["EXEG-0203-502"], "name_events": "matching"}
    await client.fault(effect, select={"when_event_contains": "POISON"})
    status, _, body = await client.post(PLAIN, MARKED)
    assert status == 207
    assert [entry["report"]["eventIndex"] for entry in orjson.loads(body)["errors"]] == [1]
    assert client.counts("plain") == client.counts("marked") == (1, 0, 0)


@pytest.mark.parametrize(
    ("kind", "status", "content_type"),
    [
        ("html_200", 200, "text/html"),
        ("empty_202", 202, None),
        ("text_202", 202, "text/plain"),
        ("captive_portal", 200, "text/html"),
        ("redirect_302", 302, None),
    ],
)
async def test_foreign_answers_accept_nothing(client: Client, kind: str, status: int, content_type: str | None) -> None:
    """What something in between answers is no verdict: nothing is accepted."""
    await client.fault({"kind": "foreign", "body": kind})
    got, headers, body = await client.post(PLAIN, allow_redirects=False)
    assert got == status
    assert content_type is None or headers["Content-Type"].startswith(content_type)
    assert (body == b"") == (content_type is None)
    assert client.counts("plain") == (0, 0, 1)


async def test_half_a_body_is_cut_off(client: Client) -> None:
    """The head promises more than comes before the connection ends."""
    await client.fault({"kind": "half_body"}, accept_first=True)
    head, _, body = (await raw_post(client.edge.port, orjson.dumps({"events": [PLAIN]}))).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 202 ")
    promised = next(int(line[16:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length: "))
    assert 0 < len(body) < promised
    assert client.counts("plain") == (1, 0, 1)
    with pytest.raises(aiohttp.ClientPayloadError):
        await client.post(PLAIN)


async def test_a_reset_after_the_body_is_a_reset(client: Client) -> None:
    """The connection is reset, not closed, after the events have arrived."""
    await client.fault({"kind": "reset"})
    with pytest.raises(ConnectionResetError):
        await raw_post(client.edge.port, orjson.dumps({"events": [PLAIN]}))
    assert client.counts("plain") == (0, 0, 1)


async def test_a_reset_before_the_body_does_not_wait_for_it(client: Client) -> None:
    """The connection is reset although the announced body has never been sent."""
    await client.fault({"kind": "reset", "when": "before_body"})
    with pytest.raises(ConnectionResetError):
        await raw_post(client.edge.port, b"x" * 1000, send=b"")
    assert client.edge.ledger.find("plain") is None


@pytest.mark.parametrize("accept_first", [False, True])
async def test_a_hanging_request_ends_with_its_sender(client: Client, accept_first: bool) -> None:
    """A hang gives no answer; whether the events were accepted is as the fault says."""
    await client.fault({"kind": "hang"}, accept_first=accept_first)
    with pytest.raises(TimeoutError):
        await client.post(PLAIN, timeout=aiohttp.ClientTimeout(total=0.2))
    assert client.counts("plain") == (int(accept_first), 0, 1)


async def test_a_hanging_request_does_not_keep_the_edge(client: Client) -> None:
    """When the Edge stops, a request that hangs is reset and not waited for."""
    await client.fault({"kind": "hang"})
    hanging = asyncio.create_task(client.post(PLAIN))
    await until_seen(client.edge, "plain")
    async with asyncio.timeout(30):
        await client.edge.close()
    with pytest.raises(aiohttp.ClientError):
        await hanging


async def test_a_delay_only_slows(client: Client) -> None:
    """A fault without another effect delays the request and leaves its decision alone."""
    await client.fault({"kind": "slow"}, delay={"kind": "uniform", "min_ms": 1, "max_ms": 5})
    assert (await client.post(PLAIN))[0] == 202
    assert client.counts("plain") == (1, 0, 0)


async def test_who_leaves_during_a_delay_learns_nothing(client: Client) -> None:
    """A sender that gives up while its request is delayed has delivered nothing, unless accepted first."""
    await client.fault({"kind": "slow"}, delay={"kind": "fixed", "ms": 60_000})
    with pytest.raises(TimeoutError):
        await client.post(PLAIN, timeout=aiohttp.ClientTimeout(total=0.1))
    await until_seen(client.edge, "plain")
    assert client.counts("plain") == (0, 0, 1)


async def test_the_token_endpoint_can_fail(client: Client) -> None:
    """A fault whose path names the token endpoint meets it, and collect stays as it is."""
    await client.fault({"kind": "status", "status": 429, "retry_after": 1}, select={"path": "/ims/token"})
    assert (await client.post(PLAIN))[0] == 202
    status, headers, _ = await client.post(path="/ims/token/v3")
    assert (status, headers["Retry-After"]) == (429, "1")


async def test_faults_are_listed_and_cleared_over_http(client: Client) -> None:
    """A wrong list changes nothing and is told why; a cleared list faults nobody."""
    url = f"{client.edge.url}/_edge/faults"
    await client.fault({"kind": "status", "status": 500}, name="bad minute")
    async with aiohttp.ClientSession() as session:
        async with session.put(url, data=b'{"faults":[{"effect":{"kind":"status"}}]}') as response:
            assert response.status == 400
            assert "faults[0].effect" in await response.text()
        assert (await client.post(PLAIN))[0] == 500
        async with session.get(url) as response:
            listed = (await response.json())["faults"]
        assert (listed[0]["fault"]["name"], listed[0]["matched"]) == ("bad minute", 1)
        async with session.delete(url) as response:
            assert response.status == 204
    assert (await client.post(PLAIN))[0] == 202


@contextlib.asynccontextmanager
async def run_process() -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """Run an Edge as a process of its own, where its loop is uvloop; yields it and its base URL."""
    code = "from connector.local.edge import *; run_edge(EdgeSettings(), '127.0.0.1', 0)"
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdout=pipe)
    assert process.stdout is not None
    url = (await process.stdout.readline()).decode().split()[4]
    try:
        yield process, url
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_the_command_stops_gracefully(number: signal.Signals) -> None:
    """Run as a process, the Edge prints one line when it is ready and ends with 0 at a signal."""
    async with run_process() as (process, url):
        async with aiohttp.ClientSession() as session, session.get(f"{url}/_edge/health") as response:
            assert response.status == 200
        process.send_signal(number)
        rest, _ = await process.communicate()
    assert (rest, process.returncode) == (b"", 0)


async def test_the_command_resets_connections_too() -> None:
    """On the loop that the command uses, a reset is a reset as well."""
    faults = b'{"faults":[{"effect":{"kind":"reset"}}]}'
    async with run_process() as (_, url), aiohttp.ClientSession() as session:
        async with session.put(f"{url}/_edge/faults", data=faults) as response:
            assert response.status == 200
        with pytest.raises(ConnectionResetError):
            await raw_post(int(url.rpartition(":")[2]), orjson.dumps({"events": [PLAIN]}))
