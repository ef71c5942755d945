"""The benchmark of interact: one request for each event, into the local Edge as a process of its own.

Promise: the local Edge checks, answers and accounts for every request as it always does, so the rate is that of
both together on this machine; the CPU time is the connector's alone. Two drains of the same topic: one with
request units for any rate, one with an organisation's default allowance, which the local Edge enforces with 429.
Times are as exact as the Edge is looked at, ten times a second.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from tests.bench.drain import CLIENT_ID, NO_LIMIT, RUN, TOKEN, StandIn
from tests.bench.sink import HOST, Counts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.bench.drain import Bench, Candidate

DEFAULT_UNITS_PER_S = 4_000
_LOOK_EVERY_S = 0.1
_THROTTLED = "/ee/v2/interact 429"


@dataclass(frozen=True, slots=True, kw_only=True)
class InteractFigures:
    """What one drain through interact took."""

    candidate: str
    units_per_s: int | None  # the allowance, None for any rate
    events: int
    seconds: float
    events_per_s: float
    cpu_us_per_request: float
    cores: float  # CPU seconds per second
    peak_rss_mb: float
    requests: int
    throttled: int  # answered with 429


def drain_interact(bench: Bench, candidate: Candidate, units_per_s: int | None) -> InteractFigures:
    """Let a candidate drain the whole topic into a local Edge of its own.

    Raises:
        RuntimeError: as `Bench.measure`.
        TimeoutError: as `Bench.measure`.
    """
    bench = replace(bench, endpoint="interact", units_per_s=units_per_s or NO_LIMIT)
    throttled = 0

    def read(ledger: dict[str, Any]) -> Counts:
        nonlocal throttled
        throttled = ledger["requests"].get(_THROTTLED, 0)
        return read_ledger(ledger)

    with _local_edge(units_per_s) as port:
        stand_in = StandIn(port=port, stats_path="/_edge/ledger", read=read, look_every_s=_LOOK_EVERY_S)
        measured = bench.measure(candidate, stand_in)
    first, last = measured.first, measured.last
    seconds = last.last_request_s - first.last_request_s
    return InteractFigures(
        candidate=candidate.name,
        units_per_s=units_per_s,
        events=last.events,
        seconds=seconds,
        events_per_s=(last.events - first.events) / seconds,
        cpu_us_per_request=measured.cpu_us / max(1, last.requests - first.requests),
        cores=measured.cpu_us / 1e6 / seconds,
        peak_rss_mb=measured.peak_rss / 1e6,
        requests=last.requests,
        throttled=throttled,
    )


def read_ledger(ledger: dict[str, Any]) -> Counts:
    """Read the sums of a local Edge as counts, as of now; a repeated event counts each time."""
    return Counts(
        requests=sum(ledger["requests"].values()),
        events=ledger["times"]["accepted"],
        last_request_s=time.monotonic(),
    )


@contextlib.contextmanager
def _local_edge(units_per_s: int | None) -> Iterator[int]:
    command = [sys.executable, "-c", RUN, "edge", "--listen", f"{HOST}:0"]
    command += ["--auth", "--client-id", CLIENT_ID, "--static-token", TOKEN]
    if units_per_s is not None:
        command += ["--interact-units-per-second", str(units_per_s)]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().split(" (")[0]
            yield int(url.rpartition(":")[2])
        finally:
            process.kill()
