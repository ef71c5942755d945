"""The benchmark counts right: a figure of it is worth what its parts are."""

from __future__ import annotations

import json
import os
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, cast

import pytest

from connector.local.edge.ledger import DecidedRequest, Fate, Ledger
from tests.bench.__main__ import this_checkout
from tests.bench.drain import Bench, Figures
from tests.bench.events import MARK, fill, make_events
from tests.bench.interact import drain_interact, read_ledger
from tests.bench.procfs import cpu_us
from tests.bench.report import ratios
from tests.bench.sink import Connection, Counts

if TYPE_CHECKING:
    from tests.kafka.client import Kafka


class FakeTransport:
    """Keeps what a connection writes."""

    def __init__(self) -> None:
        self.written = b""

    def write(self, data: bytes) -> None:
        self.written += data


def connect(counts: Counts) -> tuple[Connection, FakeTransport]:
    connection, transport = Connection(counts), FakeTransport()
    connection.connection_made(cast("object", transport))  # type: ignore[arg-type] # as much of one as it uses
    return connection, transport


def request(body: bytes) -> bytes:
    return b"POST /ee/v2/collect HTTP/1.1\r\nHost: sink\r\nCONTENT-LENGTH: %d\r\n\r\n%b" % (len(body), body)


def test_events_are_valid_marked_once_and_of_the_size_asked_for() -> None:
    """Each event is JSON with an id of its own, a primary identity and one mark; the mean size is as asked."""
    events = list(make_events(3000, size_bytes=900))
    decoded = [json.loads(event)["xdm"] for event in events]

    assert len({event["_id"] for event in decoded}) == 3000
    assert all(event["identityMap"]["ECID"][0]["primary"] is True for event in decoded)
    assert {event.count(MARK) for event in events} == {1}
    assert mean(map(len, events)) == pytest.approx(900, rel=0.03)
    assert all(0.79 * 900 < len(event) < 1.21 * 900 for event in events)


@pytest.mark.parametrize("size", [1, 7, 64, 10_000])
def test_the_sink_counts_requests_however_they_arrive(size: int) -> None:
    """Cut anywhere or glued together, each request is answered and counted once, with all its events."""
    counts = Counts()
    connection, transport = connect(counts)
    stream = request(b"[%b]" % (MARK * 3)) + request(MARK) + request(b"")

    for start in range(0, len(stream), size):
        connection.data_received(stream[start : start + size])

    assert (counts.requests, counts.events) == (3, 4)
    assert counts.body_bytes == 4 * len(MARK) + 2
    assert counts.largest_body_bytes == 3 * len(MARK) + 2
    assert transport.written.count(b"HTTP/1.1 202 Accepted\r\n") == 3


def test_the_sinks_report_is_no_request() -> None:
    """Asking for the counts changes none of them."""
    counts = Counts(requests=5, events=7)
    connection, transport = connect(counts)

    connection.data_received(b"GET /stats HTTP/1.1\r\nHost: sink\r\n\r\n")

    assert json.loads(transport.written.partition(b"\r\n\r\n")[2])["events"] == 7
    assert counts == Counts(requests=5, events=7)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="this system has no /proc")
def test_a_benchmark_measures_the_real_connector(kafka: Kafka, tmp_path: Path) -> None:
    """A small one runs from end to end: everything delivered and committed, and every figure is one."""
    topic = kafka.create_topic("bench", partitions=2)
    bench = Bench(
        kafka=kafka,
        filling=fill(kafka.bootstrap_servers, topic, partitions=2, count=2000, size_bytes=650),
        dead_letter_topic=kafka.create_topic("bench-dead-letter"),
        directory=tmp_path,
        max_in_flight=4,
        timeout_s=60,
    )

    figures = bench.drain(this_checkout())

    assert figures.events == 2000
    assert 0.9 < figures.request_fill <= 1
    assert figures.peak_rss_mb > 10


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="this system has no /proc")
@pytest.mark.parametrize("units_per_s", [None, 500])
def test_the_benchmark_of_interact_measures_the_real_connector(
    kafka: Kafka, tmp_path: Path, units_per_s: int | None
) -> None:
    """One request an event, through the local Edge: none lost, none doubled, and every figure is one."""
    topic = kafka.create_topic("bench", partitions=2)
    bench = Bench(
        kafka=kafka,
        filling=fill(kafka.bootstrap_servers, topic, partitions=2, count=1000, size_bytes=650),
        dead_letter_topic=kafka.create_topic("bench-dead-letter"),
        directory=tmp_path,
        max_in_flight=4,
        timeout_s=60,
    )

    figures = drain_interact(bench, this_checkout(), units_per_s)

    assert figures.events == 1000
    assert figures.requests - figures.throttled == 1000
    assert figures.units_per_s == units_per_s
    assert figures.cpu_us_per_request > 0
    assert figures.peak_rss_mb > 10


def test_the_ledger_of_the_local_edge_is_read_as_counts() -> None:
    """Events that were accepted count as often as they were, requests whatever became of them."""
    ledger = Ledger(checksums=False)
    for number, (fate, status) in enumerate([(Fate.ACCEPTED, 200), (Fate.ACCEPTED, 200), (Fate.REFUSED, 429)]):
        event = {"xdm": {"_id": "a"}}
        ledger.note(DecidedRequest(path="/p", status=status, code="", request_id="", fate=fate, events=[event]), number)
        ledger.count_request("/p", str(status))

    counts = read_ledger(json.loads(json.dumps(ledger.summarise())))

    assert (counts.requests, counts.events) == (3, 2)


def test_ratios_are_medians_over_pairs() -> None:
    """One disturbed pair of runs does not move a comparison."""
    runs = [
        figure(candidate, rate)
        for pair in ((100, 110), (100, 110), (100, 500))
        for candidate, rate in zip("ab", pair, strict=True)
    ]

    assert ratios(runs, base="a", other="b")["events_per_s"] == pytest.approx(1.1)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="this system has no /proc")
def test_cpu_time_is_that_of_the_named_process() -> None:
    """The kernel's figure is what the process itself is told, within the resolution."""
    own = os.times()

    assert cpu_us(os.getpid()) == pytest.approx((own.user + own.system) * 1e6, abs=50_000)


def figure(candidate: str, rate: float) -> Figures:
    return Figures(
        candidate=candidate,
        events=1,
        seconds=1,
        events_per_s=rate,
        megabytes_per_s=1,
        cpu_us_per_event=1,
        cores=1,
        peak_rss_mb=1,
        requests=1,
        request_fill=1,
    )
