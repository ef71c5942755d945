"""One connector process drains a filled topic, and is measured from outside.

Promise: what is measured begins with the first request that the sink has seen and ends with the last, so start,
group join and stop do not count. A drain that is not complete in time, or delivered another number of events
than the topic holds, or did not commit up to the end, is an error and no figure.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.bench.procfs import cpu_us, peak_rss_bytes
from tests.bench.sink import HOST, Counts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from tests.bench.events import Filling
    from tests.kafka.client import Kafka

FULL_BODY_BYTES = 64_000
STOP_TIMEOUT_S = 30.0
TOKEN = "not-a-real-token"  # noqa: S105 - its text says it
CLIENT_ID = "bench"
NO_LIMIT = 1_000_000  # request units per second: more than any process here can spend

# As the script `xdm-connector` does it, but of the checkout it is started in.
RUN = "import sys; from connector.cli import main; sys.argv[0] = 'xdm-connector'; sys.exit(main())"

_CONFIG = """\
kafka:
  bootstrap.servers: {bootstrap_servers}
  group.id: {group}
edge:
  base_url: http://{host}:{port}
  auth: {{org_id: 0123456789ABCDEF@AdobeOrg, client_id: {client_id}, access_token: {token}}}
  max_in_flight: {max_in_flight}
  request_units_per_second: {{collect: {units_per_s}, interact: {units_per_s}}}
routes:
  - name: bench
    topics: [{topic}]
    datastream_id: 11111111-2222-3333-4444-555555555555
    endpoint: {endpoint}
dead_letter:
  topic: {dead_letter_topic}
status:
  listen: 127.0.0.1:0
logging: {{level: info, format: json}}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A connector to measure: how it is named in the report, where and how it starts."""

    name: str
    directory: Path
    command: Sequence[str]  # `run --config FILE` is appended


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What one drain took."""

    candidate: str
    events: int
    seconds: float  # from the first to the last request
    events_per_s: float
    megabytes_per_s: float  # of request bodies; 1 MB = 1,000,000 bytes
    cpu_us_per_event: float
    cores: float  # CPU seconds per second
    peak_rss_mb: float
    requests: int
    request_fill: float  # mean body as a share of 64,000 bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class StandIn:
    """A process that stands where the Edge would, and how to look at what it has seen."""

    port: int
    stats_path: str
    read: Callable[[dict[str, Any]], Counts]
    look_every_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What was seen of one drain, from outside."""

    first: Counts
    last: Counts
    cpu_us: int  # of the connector, between the two
    peak_rss: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What the drains of a benchmark have in common."""

    kafka: Kafka
    filling: Filling
    dead_letter_topic: str
    directory: Path  # for config files and logs
    max_in_flight: int
    timeout_s: float
    endpoint: str = "collect"
    units_per_s: int = NO_LIMIT

    def drain(self, candidate: Candidate) -> Figures:
        """Let a candidate drain the whole topic into the sink, and work its figures out.

        Raises:
            RuntimeError: as `measure`.
            TimeoutError: as `measure`.
        """
        with _sink() as port:
            stand_in = StandIn(port=port, stats_path="/stats", read=lambda counts: Counts(**counts), look_every_s=0.02)
            return _figures(candidate.name, self.measure(candidate, stand_in))

    def measure(self, candidate: Candidate, stand_in: StandIn) -> Measured:
        """Let a candidate drain the whole topic in a consumer group of its own.

        Raises:
            RuntimeError: it ended early, or did not deliver and commit exactly what the topic holds.
            TimeoutError: it was not done in `timeout_s`.
        """
        group = self.kafka.unique_name("bench")
        log = self.directory / f"{group}.log"
        deadline = time.monotonic() + self.timeout_s
        with (
            _connector(candidate, self._write_config(group, stand_in.port), log) as process,
            contextlib.closing(_Watch(process, stand_in, log, deadline)) as watch,
        ):
            watch.until(1)
            cpu_at_first_us, first = cpu_us(process.pid), watch.counts()
            last = watch.until(self.filling.events)
            cpu_us_used = cpu_us(process.pid) - cpu_at_first_us
            self._await_commit(group, watch)
            events, peak_rss = watch.counts().events, peak_rss_bytes(process.pid)
        if events != self.filling.events:
            raise RuntimeError(f"{events:,} events delivered, {self.filling.events:,} produced")
        return Measured(first=first, last=last, cpu_us=cpu_us_used, peak_rss=peak_rss)

    def _write_config(self, group: str, port: int) -> Path:
        path = self.directory / f"{group}.yaml"
        text = _CONFIG.format(
            bootstrap_servers=self.kafka.bootstrap_servers,
            group=group,
            host=HOST,
            port=port,
            client_id=CLIENT_ID,
            token=TOKEN,
            max_in_flight=self.max_in_flight,
            units_per_s=self.units_per_s,
            endpoint=self.endpoint,
            topic=self.filling.topic,
            dead_letter_topic=self.dead_letter_topic,
        )
        path.write_text(text, encoding="utf-8")
        return path

    def _await_commit(self, group: str, watch: _Watch) -> None:
        ends = self.kafka.end_offsets(self.filling.topic)
        while self.kafka.committed(group, self.filling.topic) != ends:
            watch.pause(0.1)


class _Watch:
    """Looks at the stand-in and the connector until something is reached, the connector ends or time is up."""

    def __init__(self, process: subprocess.Popen[bytes], stand_in: StandIn, log: Path, deadline: float) -> None:
        self._process = process
        self._stand_in = stand_in
        self._connection = http.client.HTTPConnection(HOST, stand_in.port, timeout=10)
        self._log = log
        self._deadline = deadline

    def close(self) -> None:
        """Let go of the stand-in."""
        self._connection.close()

    def counts(self) -> Counts:
        """What the stand-in has seen."""
        self._connection.request("GET", self._stand_in.stats_path)
        return self._stand_in.read(json.load(self._connection.getresponse()))

    def until(self, events: int) -> Counts:
        """Wait until the stand-in has seen this many events, and return its counts."""
        while (counts := self.counts()).events < events:
            self.pause(self._stand_in.look_every_s)
        return counts

    def pause(self, seconds: float) -> None:
        """Let the connector work for a moment."""
        if self._process.poll() is not None:
            raise RuntimeError(f"the connector ended early:\n{_tail(self._log)}")
        if time.monotonic() > self._deadline:
            raise TimeoutError(f"not drained in time: {self.counts()}\n{_tail(self._log)}")
        time.sleep(seconds)


@contextlib.contextmanager
def _sink() -> Iterator[int]:
    command = [sys.executable, "-m", "tests.bench.sink"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield int(process.stdout.readline().removeprefix("sink ready: "))
        finally:
            process.kill()


@contextlib.contextmanager
def _connector(candidate: Candidate, config: Path, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    command = [*candidate.command, "run", "--config", str(config)]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=candidate.directory, stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(timeout=STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _figures(name: str, measured: Measured) -> Figures:
    first, last = measured.first, measured.last
    seconds = last.last_request_s - last.first_request_s
    # CPU time was first read a moment after the first request: what was delivered by then does not count.
    events = max(1, last.events - first.events)
    return Figures(
        candidate=name,
        events=last.events,
        seconds=seconds,
        events_per_s=last.events / seconds,
        megabytes_per_s=last.body_bytes / seconds / 1e6,
        cpu_us_per_event=measured.cpu_us / events,
        cores=measured.cpu_us / 1e6 / seconds,
        peak_rss_mb=measured.peak_rss / 1e6,
        requests=last.requests,
        request_fill=last.body_bytes / last.requests / FULL_BODY_BYTES,
    )


def _tail(log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines()
    return "\n".join(lines[-20:])
