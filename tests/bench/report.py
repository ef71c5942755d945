"""The figures of a benchmark, for people and for programs."""

from __future__ import annotations

import json
from dataclasses import asdict
from statistics import median
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.bench.drain import Figures
    from tests.bench.interact import InteractFigures

Ratios = dict[str, float]


def ratios(figures: Sequence[Figures], *, base: str, other: str) -> Ratios:
    """The other candidate's figures divided by the base's: the median over the pairs of runs."""
    pairs = list(
        zip(
            [each for each in figures if each.candidate == base],
            [each for each in figures if each.candidate == other],
            strict=True,
        )
    )
    return {
        "events_per_s": median(b.events_per_s / a.events_per_s for a, b in pairs),
        "cpu_us_per_event": median(b.cpu_us_per_event / a.cpu_us_per_event for a, b in pairs),
        "peak_rss_mb": median(b.peak_rss_mb / a.peak_rss_mb for a, b in pairs),
        "request_fill": median(b.request_fill / a.request_fill for a, b in pairs),
    }


def print_json(figures: Sequence[Figures | InteractFigures], compared: Ratios | None) -> None:
    """Write one JSON object: `runs`, and `ratios` where two checkouts were compared."""
    report: dict[str, object] = {"runs": [asdict(each) for each in figures]}
    if compared is not None:
        report["ratios"] = compared
    print(json.dumps(report, indent=2))


def print_table(figures: Sequence[Figures], compared: Ratios | None, *, base: str, other: str | None) -> None:
    """Write one line for each run, and the ratios where two checkouts were compared."""
    table = Table(title="one connector process, drained from Kafka into a sink that accepts at once")
    for heading in ("", "events", "seconds", "events/s", "MB/s", "CPU µs/event", "cores", "RSS MB", "fill"):
        table.add_column(heading, justify="left" if not heading else "right", no_wrap=True)
    for each in figures:
        table.add_row(
            each.candidate,
            f"{each.events:,}",
            f"{each.seconds:.2f}",
            f"{each.events_per_s:,.0f}",
            f"{each.megabytes_per_s:.1f}",
            f"{each.cpu_us_per_event:.2f}",
            f"{each.cores:.2f}",
            f"{each.peak_rss_mb:.0f}",
            f"{each.request_fill:.1%}",
        )
    console = Console(width=110)
    console.print(table)
    if compared is not None:
        line = ", ".join(f"{name} {ratio:.3f}" for name, ratio in compared.items())
        console.print(f"{other} / {base}, median over the pairs: {line}")


def print_interact_table(figures: Sequence[InteractFigures]) -> None:
    """Write one line for each run of interact."""
    table = Table(title="one connector process, drained from Kafka into the local Edge, one request an event")
    for heading in ("", "units/s", "events", "seconds", "events/s", "CPU µs/request", "cores", "RSS MB", "429"):
        table.add_column(heading, justify="left" if not heading else "right", no_wrap=True)
    for each in figures:
        table.add_row(
            each.candidate,
            "any" if each.units_per_s is None else f"{each.units_per_s:,}",
            f"{each.events:,}",
            f"{each.seconds:.2f}",
            f"{each.events_per_s:,.0f}",
            f"{each.cpu_us_per_request:.0f}",
            f"{each.cores:.2f}",
            f"{each.peak_rss_mb:.0f}",
            f"{each.throttled:,}",
        )
    Console(width=110).print(table)
