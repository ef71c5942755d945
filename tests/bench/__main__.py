"""`python -m tests.bench`: fill a topic, drain it, print what it took.

With `--pair DIR` another checkout of the connector drains the same topic in turn with this one (A B, B A, …), so
that whatever else the machine does falls on both.

With `--interact` the events go to interact, one in a request, through the local Edge as a process of its own: once at
any rate, once with the default allowance of 4,000 request units a second.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shlex
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tests.bench.drain import RUN, Bench, Candidate
from tests.bench.events import SMALLEST_BYTES, fill
from tests.bench.interact import DEFAULT_UNITS_PER_S, drain_interact
from tests.bench.report import print_interact_table, print_json, print_table, ratios
from tests.kafka.broker import start_kafka
from tests.kafka.client import Kafka

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.bench.drain import Figures
    from tests.bench.interact import InteractFigures

_HERE = Path(__file__).parents[2]
COLLECT_EVENTS = 1_000_000
INTERACT_EVENTS = 50_000


def main() -> int:
    """Run the benchmark and print its report; 0 if every run delivered everything, else 1."""
    options = _read_options()
    candidates = _candidates(options)
    try:
        if options.interact:
            return _main_interact(candidates[0], options)
        figures = _measure(candidates, options)
    except (RuntimeError, TimeoutError) as error:
        _say(f"no figures: {error}")
        return 1
    base, other = candidates[0].name, candidates[1].name if options.pair else None
    compared = ratios(figures, base=base, other=other) if other else None
    if options.json:
        print_json(figures, compared)
    else:
        print_table(figures, compared, base=base, other=other)
    return 0


def _main_interact(candidate: Candidate, options: argparse.Namespace) -> int:
    figures: list[InteractFigures] = []
    with _kafka() as kafka, tempfile.TemporaryDirectory(prefix="xdm-bench-") as directory:
        bench = _prepare(kafka, options, Path(directory))
        for run in range(options.runs):
            for units_per_s in (None, DEFAULT_UNITS_PER_S):
                _say(f"run {run + 1} of {options.runs}: {units_per_s or 'any number of'} request units a second")
                figures.append(drain_interact(bench, candidate, units_per_s))
    if options.json:
        print_json(figures, None)
    else:
        print_interact_table(figures)
    return 0


def this_checkout(command: str | None = None) -> Candidate:
    """The connector of this checkout, or what `command` starts in its place."""
    start = shlex.split(command) if command else [sys.executable, "-c", RUN]
    return Candidate(name="this checkout", directory=_HERE, command=start)


def _read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--interact", action="store_true", help="measure interact, through the local Edge")
    parser.add_argument("--events", type=int, help="how many (default: 1000000; with --interact 50000)")
    parser.add_argument("--bytes", type=int, default=650, help="mean size of an event (default: 650)")
    parser.add_argument("--partitions", type=int, default=6, help="of the topic (default: 6)")
    parser.add_argument("--in-flight", type=int, default=32, help="edge.max_in_flight (default: 32)")
    parser.add_argument("--runs", type=int, default=1, help="drains of each candidate (default: 1)")
    parser.add_argument("--pair", type=Path, metavar="DIR", help="another checkout to compare with")
    parser.add_argument("--command", help="what to start in place of xdm-connector, as a shell would read it")
    parser.add_argument("--timeout", type=float, default=300, help="seconds for one drain (default: 300)")
    parser.add_argument("--json", action="store_true", help="print JSON in place of the table")
    options = parser.parse_args()
    options.events = options.events or (INTERACT_EVENTS if options.interact else COLLECT_EVENTS)
    if options.interact and options.pair:
        parser.error("--pair compares collect only: leave --interact out")
    if options.bytes < SMALLEST_BYTES:
        parser.error(f"--bytes: an event has at least {SMALLEST_BYTES} bytes")
    if not Path("/proc/self/stat").exists():
        parser.error("CPU time and memory are read from /proc: this needs Linux")
    return options


def _candidates(options: argparse.Namespace) -> list[Candidate]:
    candidates = [this_checkout(options.command)]
    if options.pair:
        other = options.pair.resolve()
        python = other / ".venv" / "bin" / "python"
        start = str(python) if python.exists() else sys.executable
        candidates.append(Candidate(name=other.name, directory=other, command=[start, "-c", RUN]))
    return candidates


@contextlib.contextmanager
def _kafka() -> Iterator[Kafka]:
    named = os.environ.get("KAFKA_BOOTSTRAP_SERVERS")
    if named:
        yield Kafka(named)
        return
    _say("starting Apache Kafka")
    with start_kafka() as cluster:
        yield Kafka(cluster.bootstrap_servers)


def _prepare(kafka: Kafka, options: argparse.Namespace, directory: Path) -> Bench:
    topic = kafka.create_topic("bench", partitions=options.partitions)
    _say(f"writing {options.events:,} events of about {options.bytes} bytes")
    return Bench(
        kafka=kafka,
        filling=fill(
            kafka.bootstrap_servers,
            topic,
            partitions=options.partitions,
            count=options.events,
            size_bytes=options.bytes,
        ),
        dead_letter_topic=kafka.create_topic("bench-dead-letter"),
        directory=directory,
        max_in_flight=options.in_flight,
        timeout_s=options.timeout,
    )


def _measure(candidates: Sequence[Candidate], options: argparse.Namespace) -> list[Figures]:
    with _kafka() as kafka, tempfile.TemporaryDirectory(prefix="xdm-bench-") as directory:
        return _run(_prepare(kafka, options, Path(directory)), candidates, options.runs)


def _run(bench: Bench, candidates: Sequence[Candidate], runs: int) -> list[Figures]:
    figures: list[Figures] = []
    for run in range(runs):
        for candidate in candidates if run % 2 == 0 else reversed(candidates):
            _say(f"run {run + 1} of {runs}: {candidate.name}")
            figures.append(bench.drain(candidate))
    return figures


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
