"""Health, readiness and metrics over HTTP, and the one thing that a person can do from outside: release a brake.

`/healthz` says that the event loop turns; `/readyz` that this member has partitions and no route is held; `/metrics`
is Prometheus' text; `/status` is the same as JSON for people. No secret and no event content is ever in reach here.

`POST /release?route=NAME` releases the brake of a route, and never another hold. It needs a header that no web page can
send to another origin without asking first, so a page that somebody has open cannot do it by accident. It is no
protection from those who can reach the port: who may is decided by where it listens.

Clients that hang cost a bounded number of connections, the oldest of which goes when another one comes: so probes get
through, delivery keeps its files, and a stop does not wait for them.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import orjson
from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from connector.config import Listen
from connector.metrics import ConnectorMetrics

if TYPE_CHECKING:
    from connector.assembly import Assembly
    from connector.core.brake import Trip

RELEASE_HEADER: Final = ("X-XDM-Connector", "release")
MOST_CONNECTIONS: Final = 32
_SHUTDOWN_S: Final = 1.0  # for answers under way; the library's minute would outlast an orchestrator's patience


class StatusServer:
    """Serves the state of one connector."""

    def __init__(self, assembly: Assembly, listen: Listen) -> None:
        self._assembly = assembly
        self.address = listen
        self._registry = CollectorRegistry()
        self._registry.register(ConnectorMetrics(assembly))
        self._runner: web.AppRunner | None = None
        self._listener: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen.

        Raises:
            OSError: the address is taken, or is none of this machine's.
        """
        app = web.Application()
        app.add_routes(
            [
                web.get("/healthz", self._health),
                web.get("/readyz", self._ready),
                web.get("/metrics", self._metrics),
                web.get("/status", self._status),
                web.post("/release", self._release),
            ]
        )
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=_SHUTDOWN_S)
        await self._runner.setup()
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(self._admit, self.address.host, self.address.port)
        self._assembly.telemetry.status_listening(str(self.bound))

    @property
    def bound(self) -> Listen:
        """Where it listens, with the port that the operating system chose where the config leaves that to it."""
        if self._listener is None:
            return self.address
        host, port = self._listener.sockets[0].getsockname()[:2]
        return Listen(host=host, port=port)

    async def close(self) -> None:
        """Stop listening."""
        if self._listener is not None:
            self._listener.close()
        if self._runner is not None:
            await self._runner.cleanup()

    def _admit(self) -> asyncio.BaseProtocol:
        """Take one more connection, in the place of the oldest if there are too many."""
        server = self._runner.server if self._runner is not None else None
        if server is None:
            raise AssertionError("it listens only after the set-up")
        connections = server.connections
        for oldest in connections[: max(0, len(connections) - MOST_CONNECTIONS + 1)]:
            if oldest.transport is not None:
                oldest.transport.abort()
        return server()

    async def _health(self, _: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _ready(self, _: web.Request) -> web.Response:
        held = [route.settings.name for route in self._assembly.routes if route.gate.is_held]
        if held:
            return web.Response(status=503, text=f"held: {', '.join(held)}\n")
        if not self._assembly.pipeline.owners:
            return web.Response(status=503, text="no partitions are assigned yet\n")
        return web.Response(text="ready\n")

    async def _metrics(self, _: web.Request) -> web.Response:
        return web.Response(body=generate_latest(self._registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def _status(self, _: web.Request) -> web.Response:
        routes = [self._route(index) for index in range(len(self._assembly.routes))]
        partitions = [
            {
                "topic": owner.topic,
                "partition": owner.partition,
                "watermark": owner.watermark,
                "committed": owner.committed,
                "open": owner.open_count,
            }
            for owner in self._assembly.pipeline.owners
        ]
        body = orjson.dumps({"routes": routes, "partitions": partitions}, option=orjson.OPT_INDENT_2)
        return web.Response(body=body, content_type="application/json")

    async def _release(self, request: web.Request) -> web.Response:
        name, value = RELEASE_HEADER
        if request.headers.get(name) != value:
            return web.Response(status=403, text=f"the header {name}: {value} is missing\n")
        wanted = request.query.get("route")
        route = next((route for route in self._assembly.routes if route.settings.name == wanted), None)
        if route is None:
            names = ", ".join(route.settings.name for route in self._assembly.routes)
            return web.Response(status=404, text=f"no such route; there are: {names}\n")
        if not route.outcomes.brake.release():
            return web.Response(status=409, text=f"{wanted}: the brake is not on\n")
        return web.Response(text=f"{wanted}: the brake is released\n")

    def _route(self, index: int) -> dict[str, Any]:
        route = self._assembly.routes[index]
        brake = route.outcomes.brake
        return {
            "name": route.settings.name,
            "held": route.held_by,
            "brake": _brake(brake.trip, brake.waiting) if brake.trip else None,
            "paused": route.is_paused,
            "open_bytes": route.open_bytes,
            "accepted": route.counts.accepted,
            "dead_lettered": route.counts.dead_lettered,
            "in_flight": route.counts.in_flight,
            "events_per_s": route.events_per_s,
            "lag": route.counts.lag,
        }


def _brake(trip: Trip, waiting: int) -> dict[str, Any]:
    return {
        "stage": trip.stage,
        "share_percent": trip.share_percent,
        "dead_letters": trip.dead_letters,
        "events": trip.events,
        "reason": trip.reason,
        "waiting": waiting,
    }
