"""How things stand while the demo runs, as the connector's own metrics and status tell it.

Promise: a reading that fails leaves the figures as they were; only the final reconciliation has to be exact, and it
does not come from here.
"""

from __future__ import annotations

import re
from collections import defaultdict, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import orjson

from connector.local.demo.files import TOPICS
from connector.local.demo.loopback import NoAnswer, ask

if TYPE_CHECKING:
    from connector.local.demo.bad_minute import Mood
    from connector.local.demo.feed import Feed

_METRIC: Final = re.compile(r'^xdm_connector_([a-z_]+)\{route="([a-z0-9_-]+)"\} ([0-9.e+]+)$', re.MULTILINE)
_RATE_OVER_S: Final = 1.0
_SLICE_S: Final = 0.5
_SLICES: Final = 120


@dataclass(slots=True)
class Figures:
    """How one route stands; `lag` counts the records that are not committed."""

    produced: int = 0
    accepted: int = 0
    dead_lettered: int = 0
    resends: int = 0
    lag: int = 0

    @property
    def waiting(self) -> int:
        """Records without a verdict so far."""
        return max(0, self.produced - self.accepted - self.dead_lettered)

    def __add__(self, other: Figures) -> Figures:
        """The sums of two routes."""
        return Figures(*(getattr(self, name) + getattr(other, name) for name in self.__slots__))


@dataclass(slots=True)
class Slice:
    """Half a second of the past: events accepted in it, events that waited at its end, and how the Edge did."""

    accepted: int
    waiting: int
    mood: Mood


@dataclass(slots=True)
class Reading:
    """Everything that the screen shows of the parts. Times are seconds since the demo began."""

    routes: dict[str, Figures] = field(default_factory=lambda: {stream.value: Figures() for stream in TOPICS})
    rate: float = 0.0
    history: deque[Slice] = field(default_factory=lambda: deque(maxlen=_SLICES))

    @property
    def total(self) -> Figures:
        """The sums over all routes."""
        return sum(self.routes.values(), Figures())

    @property
    def is_settled(self) -> bool:
        """Whether everything that was produced has its verdict and is committed."""
        total = self.total
        return total.waiting == 0 and total.lag == 0


class Watch:
    """Reads the connector's figures again and again into one `Reading`."""

    def __init__(self, address: str, feed: Feed, reading: Reading) -> None:
        self._address = address
        self._feed = feed
        self._reading = reading
        self._accepted_at: deque[tuple[float, int]] = deque()
        self._slice_began = (0.0, 0)
        self.looked_at = float("-inf")

    def look(self, now: float, mood: Mood) -> None:
        """Read everything once."""
        self.looked_at = now
        try:
            metrics = ask(self._address, "GET", "/metrics").decode()
            status = orjson.loads(ask(self._address, "GET", "/status"))
        except (NoAnswer, orjson.JSONDecodeError):
            return  # busy or not there yet; whether it has ended is asked elsewhere
        values = {(name, route): int(float(value)) for name, route, value in _METRIC.findall(metrics)}
        lag = self._lag({(each["topic"], each["partition"]): each["committed"] for each in status["partitions"]})
        for stream, topic in TOPICS.items():
            name = stream.value
            self._reading.routes[name] = Figures(
                produced=self._feed.confirmed[topic],
                accepted=values.get(("accepted_total", name), 0),
                dead_lettered=values.get(("dead_lettered_total", name), 0),
                resends=values.get(("resends_total", name), 0),
                lag=lag[topic],
            )
        self._note_rate(now, mood)

    def _lag(self, committed: dict[tuple[str, int], int | None]) -> dict[str, int]:
        lag: dict[str, int] = defaultdict(int)
        for (topic, partition), end in self._feed.ends.items():
            lag[topic] += end - (committed.get((topic, partition)) or 0)
        return lag

    def _note_rate(self, now: float, mood: Mood) -> None:
        reading, accepted = self._reading, self._reading.total.accepted
        self._accepted_at.append((now, accepted))
        while now - self._accepted_at[0][0] > _RATE_OVER_S:
            self._accepted_at.popleft()
        since, before = self._accepted_at[0]
        reading.rate = (accepted - before) / (now - since) if now > since else 0.0
        if now - self._slice_began[0] >= _SLICE_S:
            reading.history.append(Slice(accepted - self._slice_began[1], reading.total.waiting, mood))
            self._slice_began = (now, accepted)
