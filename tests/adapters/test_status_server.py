"""What the status port says is what is so."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import aiohttp
import orjson
import pytest
from confluent_kafka import KafkaError
from prometheus_client.parser import text_string_to_metric_families

from connector.adapters.release_request import ask_release
from connector.adapters.status_server import MOST_CONNECTIONS, StatusServer
from connector.assembly import assemble
from connector.config import Listen
from connector.core.rate import PLANNED_PART
from connector.metrics import ROUTE_COUNTERS, ROUTE_GAUGES
from connector.model import Rejection
from connector.ports import Start
from tests.builders import FakeRecord
from tests.unit.config_sample import SAMPLE, load

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping

    from connector.assembly import Assembly
    from connector.core.offsets import PartitionOffsets
    from connector.ports import Commit
    from connector.route import Route

RELEASE = {"X-XDM-Connector": "release"}
SECOND_ROUTE = {"name": "app", "topics": ["xdm.app"], "datastream_id": "d"}
OF_THE_PROCESS = {
    "commits",
    "commit_failures",
    "rebalances",
    "source_faults",
    "partitions",
    "open_records",
    "log_lines_dropped",
}


class QuietSource:
    """A source that has nothing to say."""

    def __init__(self, *_: object, **__: object) -> None: ...

    def pause(self, owners: Iterable[PartitionOffsets]) -> None: ...

    def commit(self, commits: Iterable[Commit]) -> None: ...


@pytest.fixture
async def assembly(monkeypatch: pytest.MonkeyPatch) -> Assembly:
    """A connector with two routes that is joined to no Kafka."""
    monkeypatch.setattr("connector.assembly.KafkaSource", QuietSource)
    return assemble(load({**SAMPLE, "routes": [*SAMPLE["routes"], SECOND_ROUTE]}))


@asynccontextmanager
async def listening(assembly: Assembly) -> AsyncIterator[str]:
    """The address of a status server."""
    server = StatusServer(assembly, Listen(host="127.0.0.1", port=0))
    await server.start()
    try:
        yield f"http://{server.bound}"
    finally:
        await server.close()


async def get(url: str) -> tuple[int, str, str]:
    """Status, content type and text of an answer."""
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        return answer.status, answer.content_type, await answer.text()


async def post(url: str, headers: Mapping[str, str] = RELEASE) -> tuple[int, str]:
    """Status and text of the answer to a POST."""
    async with aiohttp.ClientSession() as session, session.post(url, headers=headers) as answer:
        return answer.status, await answer.text()


def pull_brake(route: Route) -> None:
    """Try to dead-letter one more event than the default allows."""
    brake = route.outcomes.brake
    rejection = Rejection(stage="decode", reason="not_json", title="t")
    assert sum(brake._may_pass(rejection) for _ in range(101)) == 100


async def metrics(assembly: Assembly) -> dict[str, float]:
    """Every sample, by name and labels."""
    async with listening(assembly) as address:
        status, content_type, text = await get(f"{address}/metrics")
    assert (status, content_type) == (200, "text/plain")
    families = list(text_string_to_metric_families(text))
    assert all(family.documentation for family in families)
    return {
        " ".join([sample.name.removeprefix("xdm_connector_"), *sample.labels.values()]): sample.value
        for family in families
        for sample in family.samples
    }


async def test_a_turning_loop_is_healthy(assembly: Assembly) -> None:
    """Health asks nothing of Kafka or the Edge: a restart would mend neither."""
    assembly.routes[0].gate.close("http_404", "prober")
    async with listening(assembly) as address:
        assert await get(f"{address}/healthz") == (200, "text/plain", "ok\n")


async def test_readiness_needs_partitions_and_routes_that_are_not_held(assembly: Assembly) -> None:
    """Not ready before the first assignment and while a route is held, each time with the reason."""
    async with listening(assembly) as address:
        assert await get(f"{address}/readyz") == (503, "text/plain", "no partitions are assigned yet\n")
        await assembly.pipeline.membership.assigned([Start("xdm.web", 0, 5, 5)])
        assert await get(f"{address}/readyz") == (200, "text/plain", "ready\n")
        assembly.routes[1].gate.close("http_404", "prober")
        assert await get(f"{address}/readyz") == (503, "text/plain", "held: app\n")
        assembly.routes[1].gate.open("prober")
        assert (await get(f"{address}/readyz"))[0] == 200


async def test_every_metric_is_there_from_the_start(assembly: Assembly) -> None:
    """A dashboard finds each metric before anything has happened, for each route."""
    found = await metrics(assembly)
    assert {f"{name}_total {route}" for name in ROUTE_COUNTERS for route in ("web", "app")} <= found.keys()
    assert {f"{name} {route}" for name in ROUTE_GAUGES for route in ("web", "app")} <= found.keys()
    assert {name.removesuffix("_total") for name in found} >= OF_THE_PROCESS
    assert found.pop("request_units_per_second collect") > 0
    assert set(found.values()) == {0.0}


async def test_metrics_are_the_counts(assembly: Assembly) -> None:
    """What the telemetry counts is what is shown, by route, cause and reason."""
    telemetry = assembly.telemetry
    telemetry.events_accepted("web", 7, late=1)
    telemetry.event_dead_lettered("web", FakeRecord(), Rejection(stage="decode", reason="not_json", title="t"))
    telemetry.route_held("app", "http_404", meaning="m", remedy="r", is_new=True, held_s=0.0)
    telemetry.routes["app"].answers["http_404"] = 3
    telemetry.source_fault(KafkaError(KafkaError._TRANSPORT))
    (owner,) = await assembly.pipeline.membership.assigned([Start("xdm.web", 0, 5, 5)])
    owner.open(5, 8)
    found = {name: value for name, value in (await metrics(assembly)).items() if value}
    assert found == {
        "accepted_total web": 7,
        "late_answers_total web": 1,
        "dead_lettered_total web": 1,
        "rejections_total not_json web": 1,
        "is_held app": 1,
        "answers_total http_404 app": 3,
        "source_faults_total": 1,
        "rebalances_total": 1,
        "request_units_per_second collect": 6000 * PLANNED_PART,
        "partitions": 1,
        "open_records": 3,
    }


async def test_the_rate_follows_the_assignment(assembly: Assembly) -> None:
    """Each change of what this member owns moves its part of the allowance, and the gauge shows it."""
    assert assembly.shares is not None
    assembly.shares._known = {"xdm.web": 4, "xdm.app": 4}
    membership = assembly.pipeline.membership

    async def rate() -> float:
        return (await metrics(assembly))["request_units_per_second collect"] / (6000 * PLANNED_PART)

    web = await membership.assigned([Start("xdm.web", partition, 5, 5) for partition in range(4)])
    assert await rate() == 0.5
    await membership.revoked(web[:2])
    assert await rate() == 0.25
    await membership.lost(web[2:3])
    assert await rate() == 0.125


async def test_the_status_is_json_for_people(assembly: Assembly) -> None:
    """Routes with what they wait for, and partitions with where they stand."""
    (owner,) = await assembly.pipeline.membership.assigned([Start("xdm.app", 2, 5, None)])
    owner.open(5, 9)
    owner.settle(5, 6)
    assembly.routes[1].gate.close("EXEG-0003-400", "prober")
    async with listening(assembly) as address:
        status, content_type, text = await get(f"{address}/status")
    document = orjson.loads(text)
    assert (status, content_type) == (200, "application/json")
    assert [(route["name"], route["held"]) for route in document["routes"]] == [("web", None), ("app", "EXEG-0003-400")]
    assert document["routes"][0] == {
        "name": "web", "held": None, "brake": None, "paused": False, "open_bytes": 0, "accepted": 0, "dead_lettered": 0,
        "in_flight": 0, "events_per_s": 0.0, "lag": 0,
    }  # fmt: skip
    assert document["partitions"] == [
        {"topic": "xdm.app", "partition": 2, "watermark": 6, "committed": None, "open": 3}
    ]


async def test_a_brake_is_seen_everywhere_and_released_by_a_post(assembly: Assembly) -> None:
    """Readiness, status and metrics tell of it; a POST with the header ends it, and another hold stays."""
    pull_brake(assembly.routes[0])
    async with listening(assembly) as address:
        await assembly.pipeline.membership.assigned([Start("xdm.web", 0, 5, 5)])
        assert await get(f"{address}/readyz") == (503, "text/plain", "held: web\n")
        route = orjson.loads((await get(f"{address}/status"))[2])["routes"][0]
        assert route["held"] == "brake"
        assert route["brake"] == {
            "stage": "decode", "share_percent": 100.0, "dead_letters": 101, "events": 101, "reason": "not_json",
            "waiting": 0,
        }  # fmt: skip
        assert (await metrics(assembly))["brake_on web"] == 1
        assert await post(f"{address}/release?route=web") == (200, "web: the brake is released\n")
        assert await post(f"{address}/release?route=web") == (409, "web: the brake is not on\n")
        assert (await get(f"{address}/readyz"))[0] == 200
        assert (await metrics(assembly))["brake_on web"] == 0


async def test_the_command_speaks_as_the_server_does(assembly: Assembly) -> None:
    """What the command sends is what the server wants, whatever the route's name holds."""
    pull_brake(assembly.routes[0])
    async with listening(assembly) as address:
        listen = Listen(host="127.0.0.1", port=int(address.rpartition(":")[2]))
        assert (await asyncio.to_thread(ask_release, listen, "no body&route=web")).status == 404
        assert await asyncio.to_thread(ask_release, listen, "web") == (200, "web: the brake is released")
        assert (await asyncio.to_thread(ask_release, listen, "web")).status == 409


async def test_a_release_touches_no_other_hold(assembly: Assembly) -> None:
    """A configuration fault is not ended by saying so."""
    assembly.routes[0].gate.close("http_404", "prober")
    async with listening(assembly) as address:
        assert (await post(f"{address}/release?route=web"))[0] == 409
        pull_brake(assembly.routes[0])
        assert (await post(f"{address}/release?route=web"))[0] == 200
        assert await get(f"{address}/readyz") == (503, "text/plain", "held: web\n")
        assert orjson.loads((await get(f"{address}/status"))[2])["routes"][0]["held"] == "http_404"


@pytest.mark.parametrize(
    ("query", "headers", "status"),
    [
        ("route=nobody", RELEASE, 404),
        ("route=", RELEASE, 404),
        ("", RELEASE, 404),
        ("route=web", {}, 403),
        ("route=web", {"X-XDM-Connector": "please"}, 403),
    ],
)
async def test_a_release_that_is_not_meant_changes_nothing(
    assembly: Assembly, query: str, headers: dict[str, str], status: int
) -> None:
    """Without the header, which a web page cannot send by accident, or without a route's name, the brake stays on."""
    pull_brake(assembly.routes[0])
    async with listening(assembly) as address:
        found, text = await post(f"{address}/release?{query}", headers)
        assert found == status
        assert ("web, app" if status == 404 else "X-XDM-Connector: release") in text
        assert (await get(f"{address}/release?route=web"))[0] == 405
    assert assembly.routes[0].gate.is_braked


async def test_what_is_not_there_is_not_found(assembly: Assembly) -> None:
    """Any other path is 404, and nothing can be changed from outside."""
    async with listening(assembly) as address:
        assert (await get(f"{address}/"))[0] == 404
        async with aiohttp.ClientSession() as session, session.post(f"{address}/status") as answer:
            assert answer.status == 405


async def test_a_server_that_is_closed_answers_nothing(assembly: Assembly) -> None:
    """After the stop the port is free again."""
    async with listening(assembly) as address:
        pass
    with pytest.raises(aiohttp.ClientConnectorError):
        await asyncio.wait_for(get(f"{address}/healthz"), 10)


async def test_a_taken_port_is_an_error_of_the_start(assembly: Assembly) -> None:
    """A second server on the same port says so at once, and can be closed all the same."""
    async with listening(assembly) as address:
        second = StatusServer(assembly, Listen(host="127.0.0.1", port=int(address.rpartition(":")[2])))
        with pytest.raises(OSError, match="in use"):
            await second.start()
        await second.close()


async def test_clients_that_hang_keep_nobody_out(assembly: Assembly) -> None:
    """Hundreds of connections that never send a whole request: the oldest go, and probes are answered at once."""
    async with listening(assembly) as address:
        host, port = address.removeprefix("http://").split(":")
        hanging = [await asyncio.open_connection(host, int(port)) for _ in range(3 * MOST_CONNECTIONS)]
        for _, writer in hanging:
            writer.write(b"GET /metrics HTTP/1.1\r\nHost:")
        assert (await get(f"{address}/healthz"))[0] == 200
        async with asyncio.timeout(30):
            for reader, _ in hanging[:MOST_CONNECTIONS]:
                with suppress(ConnectionError):
                    assert await reader.read() == b"", "the oldest are closed"
        for _, writer in hanging:
            writer.close()


async def test_a_stop_does_not_wait_for_an_answer_that_nobody_reads(
    assembly: Assembly, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that asks and never reads is cut off when the server closes."""
    whole = b"x" * 50_000_000  # more than the system takes off the server's hands
    monkeypatch.setattr("connector.adapters.status_server.generate_latest", lambda _: whole)
    async with listening(assembly) as address:
        host, port = address.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port), limit=1024)
        writer.write(b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (await reader.read(8)).startswith(b"HTTP")
        began = asyncio.get_running_loop().time()
    assert asyncio.get_running_loop().time() - began < 30, "the library would wait for a minute"
    writer.close()
