"""A route as the connector assembles it, between a counterpart and dead letters that are kept in memory.

The real configuration, client, delivery and burial; only Kafka is missing. Everything that happens is logged, so the
log is the bell that wakes whoever waits for something to become true.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

import structlog

from connector.assembly import assemble
from connector.sending import Defect
from tests.answers.counterparts import MARK
from tests.answers.row import ACCEPTED, FOREIGN_TRIES, DeadLettered, Fate, Held, Retried, Stopped
from tests.builders import event_at, owner_at
from tests.unit.config_sample import load
from tests.unit.delivery_scene import DATASTREAM, FakeDeadLetters

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, MutableMapping

    import pytest

    from connector.config import Config
    from connector.model import Event
    from connector.route import Route
    from tests.answers.counterparts import Counterpart
    from tests.answers.row import Row

COUNT: Final = 5
UNEXPECTED_TRIES: Final = 2

_PATIENCE_S: Final = 30.0  # a wait that is met ends long before; this only ends a test that fails


class Watch:
    """Keeps every line that is logged, and wakes who waits."""

    def __init__(self) -> None:
        self.lines: list[MutableMapping[str, Any]] = []
        self._rung = asyncio.Event()

    def __call__(self, _logger: object, method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        self.lines.append({**line, "level": method})
        self._rung.set()
        raise structlog.DropEvent

    def ring(self) -> None:
        """Wake who waits, to look again."""
        self._rung.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until something is true. In vain it ends too: what is compared next says more than a time-out."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE_S):
                while not condition():
                    self._rung.clear()
                    await self._rung.wait()

    def of(self, event: str) -> list[MutableMapping[str, Any]]:
        """The lines of one kind."""
        return [line for line in self.lines if line["event"] == event]


def _config(row: Row, base_url: str) -> Config:
    edge: dict[str, Any] = {
        "base_url": base_url,
        "timeout_ms": row.timeout_ms,
        "connect_timeout_ms": min(row.timeout_ms, row.connect_timeout_ms),
        "max_connection_age_ms": 100,
        "retry": {"initial_ms": 1, "max_ms": 2},
        "probe_interval_ms": 10,
        "foreign_answer_tries": FOREIGN_TRIES,
        "unexpected_error_tries": UNEXPECTED_TRIES,
        "lone_failure_ms": 0,
    }
    if row.asks_for_token:
        edge["auth"] = {
            "org_id": "0123456789ABCDEF@AdobeOrg",
            "client_id": "not-a-real-client-id",
            "client_secret": "not-a-real-secret",
            "scopes": ["openid", "AdobeID", "acp.foundation"],
            "token_url": f"{base_url}/ims/token/v3",
        }
    route: dict[str, Any] = {"name": "web", "topics": ["xdm.web"], "datastream_id": DATASTREAM}
    route |= {"endpoint": row.endpoint} | ({"silent": True} if row.is_silent else {})
    return load(
        {
            "kafka": {"bootstrap.servers": "127.0.0.1:1", "group.id": "answers"},
            "edge": edge,
            "routes": [route],
            "dead_letter": {"topic": "xdm.dead-letter"},
        }
    )


def _fragment(number: int, *, is_marked: bool) -> bytes:
    note = MARK if is_marked else "good"
    identity = b'{"ECID":[{"id":"%038d","primary":true}]}' % number
    return b'{"xdm":{"_id":"%d","identityMap":%s},"data":{"note":"%s"}}' % (number, identity, note.encode())


class Scene:
    """One route, five events, and how they fare."""

    def __init__(
        self, row: Row, counterpart: Counterpart, route: Route, letters: FakeDeadLetters, watch: Watch
    ) -> None:
        self._row = row
        self._counterpart = counterpart
        self._route = route
        self._owner = owner_at()
        self.letters = letters
        self.watch = watch
        self.counts = route.counts
        self.work: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._companion: asyncio.Task[None] | None = None

    @property
    def is_held(self) -> bool:
        """Whether the route waits for a person."""
        assert self.counts.is_held is (self._route.gate.hold is not None)
        return self.counts.is_held

    def start(self) -> None:
        """Begin to deliver what is open of the five events: together, or to interact one by one."""
        fragments = [_fragment(number, is_marked=number == self._row.marked) for number in range(COUNT)]
        events = [event_at(self._owner, number, fragment) for number, fragment in enumerate(fragments)]
        if self._owner.next_offset == 0:
            self._owner.open(0, COUNT)
        self._deliver([event for event in events if not self.is_settled(event.offset)])
        if self._row.has_companions and self._companion is None:
            self._companion = asyncio.create_task(self._send_companions())

    def _deliver(self, events: list[Event]) -> None:
        batches = [events] if self._row.endpoint == "collect" else [[event] for event in events]
        self.work = asyncio.gather(*(self._route.delivery.deliver(batch) for batch in batches))
        self.work.add_done_callback(lambda _: self.watch.ring())

    async def _send_companions(self) -> None:
        """Other events of the route, all of them good, one after the other while the five are under way."""
        others = owner_at(1000, partition=1)
        for number in range(1000, 10_000):
            if self.work.done():
                return
            others.open(number, number + 1)
            await self._route.delivery.deliver([event_at(others, number, _fragment(number, is_marked=False))])

    def is_settled(self, offset: int) -> bool:
        """Whether an event has its final verdict."""
        watermark = self._owner.watermark
        assert watermark is not None
        return offset < watermark or any(first <= offset < end for first, end in self._owner.settled_ranges)

    def count_open(self) -> int:
        """How many of the five have none."""
        return self._owner.open_count

    def fates(self) -> tuple[Fate, ...]:
        """What became of each event so far, as settled offsets, dead letters and the gate show it."""
        return tuple(self._fate(offset) for offset in range(COUNT))

    def _fate(self, offset: int) -> Fate:
        letter = self.letters.written.get(offset)
        if self.is_settled(offset):
            if letter is None:
                assert self._counterpart.times_accepted(str(offset)) > 0
                return ACCEPTED
            assert self._counterpart.times_accepted(str(offset)) == 0
            return DeadLettered(letter.reason)
        assert letter is None, "a dead letter is confirmed, and its event is open"
        if self.work.done():
            defect = self.work.exception()
            assert isinstance(defect, Defect), defect
            return Stopped(str(defect).partition(":")[0])
        hold = self._route.gate.hold
        return Held(hold.cause) if hold else Retried(self._last_failure())

    def _last_failure(self) -> str:
        causes = [line["cause"] for line in self.watch.of("request_answered") if line["action"] != "accept"]
        return str(causes[-1]) if causes else ""

    async def end(self) -> None:
        """Give up what is still under way."""
        for task in (self.work, self._companion):
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)


@asynccontextmanager
async def open_scene(
    row: Row, counterpart: Counterpart, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Scene]:
    """Assemble the connector as its configuration says, with fakes for both of Kafka's ends."""
    letters = FakeDeadLetters()
    _replace(monkeypatch, "DeadLetterTopic", letters)
    _replace(monkeypatch, "KafkaSource", None)
    assembly = assemble(_config(row, counterpart.base_url))
    scene = Scene(row, counterpart, assembly.routes[0], letters, watch)
    try:
        yield scene
    finally:
        await scene.end()
        await assembly.edge.close()
        close = getattr(assembly.credentials, "close", None)
        if close is not None:
            await close()


def _replace(monkeypatch: pytest.MonkeyPatch, name: str, fake: object) -> None:
    monkeypatch.setattr(f"connector.assembly.{name}", lambda *_, **__: fake)


def causes(lines: Iterable[MutableMapping[str, Any]]) -> set[str]:
    """The causes in some lines."""
    return {str(line["cause"]) for line in lines}
