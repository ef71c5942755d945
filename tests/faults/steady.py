"""A steady feed beside everything else that a test does.

Promise: from `start` to `stop` every topic gets its events at its rate, a known share of them bad, and `fed_ms` holds
when each number was written, on the monotonic clock that the Edge's ledger uses too. `stop` returns when every record
is acknowledged, and raises what went wrong meanwhile.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.faults.events import Kind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.faults.feed import Feed

_TICK_S = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """What one topic is fed: at which rate, and which kinds of bad event in turn, if any, one event in `bad_every`."""

    topic: str
    partitions: int
    events_per_s: float
    bad_kinds: Sequence[Kind]
    bad_every: int

    def kind(self, index: int) -> Kind:
        """The kind of the topic's event number `index`."""
        if self.bad_kinds and index % self.bad_every == self.bad_every // 2:
            return self.bad_kinds[index // self.bad_every % len(self.bad_kinds)]
        return Kind.GOOD


class SteadyFeed:
    """Feeds several topics from a thread of its own, which alone uses the `Feed` meanwhile."""

    def __init__(self, feed: Feed, streams: Sequence[Stream]) -> None:
        self.fed_ms: dict[int, int] = {}
        self._feed = feed
        self._streams = streams
        self._stopping = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="steady-feed", daemon=True)

    def start(self) -> None:
        """Begin to feed."""
        self._thread.start()

    def stop(self) -> None:
        """End the feed once everything is acknowledged."""
        self._stopping.set()
        self._thread.join()
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        try:
            self._write()
        except BaseException as failure:  # noqa: BLE001 - `stop` raises it in the test's thread
            self._failure = failure

    def _write(self) -> None:
        written = dict.fromkeys(self._streams, 0)
        began_s = time.monotonic()
        with self._feed.writing() as write:
            while not self._stopping.wait(_TICK_S):
                elapsed_s = time.monotonic() - began_s
                for stream, count in written.items():
                    due = int(elapsed_s * stream.events_per_s)
                    for index in range(count, due):
                        number = write(stream.kind(index), stream.topic, index % stream.partitions)
                        self.fed_ms[number] = time.monotonic_ns() // 1_000_000
                    written[stream] = due
