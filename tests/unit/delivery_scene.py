"""A delivery with everything around it that it needs: an endpoint that follows a script, a dead-letter topic, tokens.

Time is the event loop's, so tests run it in virtual time.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final

import orjson

from connector.brake import RouteBrake
from connector.burial import Burial
from connector.core.body_limit import BodyLimit
from connector.core.brake import BrakeLimits
from connector.core.envelope import COLLECT, INTERACT
from connector.core.pacing import Concurrency
from connector.core.rate import Rate
from connector.core.retry import Backoff, WaitForEdge
from connector.core.verdict import Answer, EndpointKind
from connector.delivery import Delivery
from connector.gate import Gate
from connector.line import Budget
from connector.outcomes import Outcomes
from connector.pace import Pace
from connector.progress import Progress
from connector.request import RouteTarget
from connector.responses import Responses
from connector.sending import Sender, Surroundings
from connector.telemetry import Telemetry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from connector.core.codes import NoAnswer
    from connector.model import Event, Record, Rejection
    from connector.ports import TokenFailed, Write, WriteFailed

UNIX_AT_START_S: Final = 1_760_000_000.0  # Thu, 09 Oct 2025 08:53:20 GMT
DATASTREAM: Final = "11111111-2222-3333-4444-555555555555"
PROBE_INTERVAL_S: Final = 30.0
BACKOFF: Final = Backoff(initial_s=0.5, max_s=60.0, retry_after_max_s=300.0)
FOREIGN_TRIES: Final = 5
UNEXPECTED_TRIES: Final = 3
NO_BRAKE: Final = BrakeLimits(window_events=1000, min_events=100, max_share_percent=100)

_ID: Final = re.compile(rb'"_id":"(\d+)"')


def accepted() -> Answer:
    """202, as collect says it."""
    return Answer(status=202, body=b'{"requestId":"an-id"}')


def status(number: int, *, retry_after: str | None = None) -> Answer:
    """An answer without a document."""
    return Answer(status=number, body=b"<html>", retry_after=retry_after)


def problem(code: str, detail: str = "") -> Answer:
    """A problem document with a published code."""
    document = {"type": f"https://ns.adobe.com/aep/errors/EXEG-{code}", "title": "A title", "detail": detail}
    return Answer(status=int(code[-3:]), body=orjson.dumps(document))


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """One request as the endpoint saw it."""

    at: float
    route: str
    offsets: tuple[int, ...]
    request_id: str
    renewals: int  # of the token before it left


def refusing(*bad: int, code: str = "0104-422") -> Callable[[Sent], Answer]:
    """An endpoint that refuses what holds a bad event, and names nobody."""
    return lambda sent: accepted() if set(bad).isdisjoint(sent.offsets) else problem(code)


class ScriptedEdge:
    """An endpoint that answers each request as the script says, after a while."""

    def __init__(self, script: Callable[[Sent], Answer | NoAnswer], *, latency_s: float = 0.1) -> None:
        self.script = script
        self.latency_s = latency_s
        self.sent: list[Sent] = []
        self.accepted: list[int] = []
        self.most_at_once = 0
        self._at_once = 0
        self._arrived = asyncio.Event()

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer | NoAnswer:
        path, _, request_id = url.rpartition("=")
        sent = Sent(
            at=asyncio.get_running_loop().time(),
            route=path.split("/")[-1].split("?")[0],
            offsets=tuple(int(number) for number in _ID.findall(body)),
            request_id=request_id,
            renewals=int(headers["renewals"]),
        )
        self.sent.append(sent)
        self._arrived.set()
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        await asyncio.sleep(self.latency_s)
        self._at_once -= 1
        answer = self.script(sent)
        if answer == accepted():
            self.accepted.extend(sent.offsets)
        return answer

    async def until_sent(self, count: int) -> None:
        """Wait until so many requests have come."""
        while len(self.sent) < count:
            self._arrived.clear()
            await self._arrived.wait()

    def sent_between(self, start: float, end: float) -> list[Sent]:
        """The requests that left within [start, end)."""
        return [sent for sent in self.sent if start <= sent.at < end]


class FakeTokens:
    """Credentials that count how often they were renewed."""

    def __init__(self) -> None:
        self.renewals = 0
        self.failure: TokenFailed | None = None
        self.renewal_failure: TokenFailed | None = None

    async def headers(self) -> Mapping[str, str]:
        if self.failure:
            raise self.failure
        return {"renewals": str(self.renewals)}

    async def renew(self, refused: Mapping[str, str]) -> None:
        if self.renewal_failure:
            raise self.renewal_failure
        if refused["renewals"] == str(self.renewals):
            self.renewals += 1


@dataclass(slots=True)
class FakeDeadLetters:
    """A dead-letter topic that can be made to fail."""

    failure: WriteFailed | None = None
    latency_s: float = 0.01
    tries: int = 0
    written: dict[int, Rejection] = field(default_factory=dict)  # by offset
    _tried: asyncio.Event = field(default_factory=asyncio.Event)

    def letter(self, route: str, datastream: str, record: Record, rejection: Rejection) -> Write:
        return partial(self._write, route, datastream, record, rejection)

    async def _write(self, route: str, datastream: str, record: Record, rejection: Rejection) -> None:
        assert route
        assert datastream == DATASTREAM
        self.tries += 1
        self._tried.set()
        await asyncio.sleep(self.latency_s)
        if self.failure:
            raise self.failure
        offset = record.offset()
        assert offset is not None
        assert offset not in self.written, "a record must be dead-lettered once"
        self.written[offset] = rejection

    async def until_tried(self, count: int) -> None:
        """Wait until so many writes were tried."""
        while self.tries < count:
            self._tried.clear()
            await self._tried.wait()


@dataclass(slots=True)
class FakeResponses:
    """A responses topic that can be made to fail."""

    failure: WriteFailed | None = None
    fails_for: str | None = None  # the one route that it fails for; None: for every one
    latency_s: float = 0.01
    tries: int = 0
    at_once: int = 0
    most_at_once: int = 0
    written: dict[int, tuple[str, bytes]] = field(default_factory=dict)  # by offset: request id, handles
    _tried: asyncio.Event = field(default_factory=asyncio.Event)

    def response(self, route: str, datastream: str, record: Record, request_id: str, handles: bytes) -> Write:
        return partial(self._write, route, datastream, record, request_id, handles)

    async def _write(self, route: str, datastream: str, record: Record, request_id: str, handles: bytes) -> None:
        assert route
        assert datastream == DATASTREAM
        self.tries += 1
        self._tried.set()
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(self.latency_s)
        self.at_once -= 1
        if self.failure and self.fails_for in (None, route):
            raise self.failure
        offset = record.offset()
        assert offset is not None
        assert offset not in self.written, "a record must be answered once"
        self.written[offset] = (request_id, handles)

    async def until_tried(self, count: int) -> None:
        """Wait until so many writes were tried."""
        while self.tries < count:
            self._tried.clear()
            await self._tried.wait()


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteScene:
    """One route's delivery, and what it works with."""

    delivery: Delivery
    burial: Burial
    gate: Gate
    brake: RouteBrake
    body_limit: BodyLimit
    outcomes: Outcomes


class Scene:
    """An endpoint and the routes that deliver to it; make one inside a running loop."""

    def __init__(
        self,
        script: Callable[[Sent], Answer | NoAnswer],
        *,
        routes: Sequence[str] = ("web",),
        most: int = 8,
        jitter: Callable[[], float] = lambda: 0.5,
        kind: EndpointKind = "collect",
        brake: BrakeLimits = NO_BRAKE,
        dead_letters_gateway_faults: bool = False,
        dead_letters_reported: bool = False,
        lone_failure_s: float = 0.0,
        response_types: Sequence[str] | None = None,
        most_together: int | None = None,
        units_per_s: float = 1e9,
    ) -> None:
        """With `response_types`, all where it is empty, answers are handed on; `most_together` bounds all routes."""
        self._clock = asyncio.get_running_loop().time
        self.edge = ScriptedEdge(script)
        self.tokens = FakeTokens()
        self.dead_letters = FakeDeadLetters()
        self.responses = FakeResponses()
        self._response_types = response_types
        self.telemetry = Telemetry(routes, clock=self._clock)
        self._pace = Pace(Rate(units_per_s), clock=self._clock)
        self._budget = None if most_together is None else Budget(most_together)
        self._kind = kind
        self._brake_limits = brake
        self._lone_failure_s = lone_failure_s
        self._gateway_faults, self._reported = dead_letters_gateway_faults, dead_letters_reported
        self.routes = {name: self._route(name, most, WaitForEdge(BACKOFF, jitter)) for name in routes}

    @property
    def now(self) -> float:
        """Virtual seconds since the test began."""
        return self._clock()

    @property
    def body_limit(self) -> BodyLimit:
        """The limit of the first route's bodies."""
        return next(iter(self.routes.values())).body_limit

    @property
    def gate(self) -> Gate:
        """The gate of the first route."""
        return next(iter(self.routes.values())).gate

    @property
    def lacks_prober(self) -> bool:
        """Whether the first route is held by a fault, and nobody probes: who did was given up."""
        hold = self.gate.hold
        return hold is not None and hold.prober is None

    @property
    def brake(self) -> RouteBrake:
        """The brake of the first route."""
        return next(iter(self.routes.values())).brake

    async def deliver(self, batch: Sequence[Event], *, route: str = "web") -> None:
        """Deliver one batch."""
        await self.routes[route].delivery.deliver(batch)

    async def deliver_all(self, batches: Iterable[Sequence[Event]], *, route: str = "web") -> None:
        """Deliver batches side by side."""
        await asyncio.gather(*(self.deliver(batch, route=route) for batch in batches))

    def start(self, batch: Sequence[Event], *, route: str = "web") -> asyncio.Task[None]:
        """Begin to deliver a batch."""
        return asyncio.create_task(self.deliver(batch, route=route))

    def _route(self, name: str, most: int, wait: WaitForEdge) -> RouteScene:
        gate = Gate(
            concurrency=Concurrency(most),
            pace=self._pace,
            probe_interval_s=PROBE_INTERVAL_S,
            clock=self._clock,
            budget=self._budget,
        )
        brake = RouteBrake(name, self._brake_limits, gate, self.telemetry)
        outcomes = Outcomes(name, gate, self.telemetry, Progress(), brake)
        burial = Burial(DATASTREAM, self.dead_letters, outcomes, gate, wait)
        responses = None
        if self._response_types is not None:
            types = frozenset(self._response_types)
            responses = Responses(DATASTREAM, types, self.responses, outcomes, gate, wait)
        surroundings = Surroundings(
            edge=self.edge,
            credentials=self.tokens,
            telemetry=self.telemetry,
            monotonic_s=self._clock,
            unix_s=lambda: UNIX_AT_START_S + self._clock(),
        )
        body_limit = BodyLimit(64_000)
        target = self._target(name)
        delivery = Delivery(
            target,
            surroundings,
            sender=Sender(target, surroundings, gate=gate, wait=wait, outcomes=outcomes),
            gate=gate,
            outcomes=outcomes,
            burial=burial,
            body_limit=body_limit,
            responses=responses,
        )
        return RouteScene(
            delivery=delivery, burial=burial, gate=gate, brake=brake, outcomes=outcomes, body_limit=body_limit
        )

    def _target(self, name: str) -> RouteTarget:
        return RouteTarget(
            route=name,
            datastream_id=DATASTREAM,
            url=f"http://127.0.0.1/{name}?requestId=",
            kind=self._kind,
            is_silent=False,
            upstreams=1,
            envelope=COLLECT if self._kind == "collect" else INTERACT,
            foreign_answer_tries=FOREIGN_TRIES,
            unexpected_error_tries=UNEXPECTED_TRIES,
            dead_letters_gateway_faults=self._gateway_faults,
            dead_letters_reported=self._reported,
            lone_failure_s=self._lone_failure_s,
        )
