"""`python -m connector.local.demo`: run the demo, say how it went, exit 0 only if everything adds up."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.console import Console

from connector.local.demo.parts import DemoFailed, Parts
from connector.local.demo.report import print_report
from connector.local.demo.screen import open_screen
from connector.local.demo.stage import Options, Outcome, Stage

if TYPE_CHECKING:
    from types import FrameType

_FAILED: Final = 1
_INTERRUPTED: Final = 130
_PLAIN_WIDTH: Final = 100
_MOST_EVENTS: Final = 40_000  # the embedded broker keeps 5 MiB of each of its 8 partitions


def demo(
    *,
    events: Annotated[int, typer.Option(min=100, max=_MOST_EVENTS, help="How many events to produce.")] = 30_000,
    folder: Annotated[Path, typer.Option(help="Where its files go: configuration, logs, ledger.")] = Path(".demo"),
    quick: Annotated[bool, typer.Option("--quick", help="A shorter bad minute, for tests.")] = False,
    seed: Annotated[int, typer.Option(help="Of the events; the same seed makes the same ones.")] = 1,
    limit_s: Annotated[float, typer.Option(min=1, help="Fail if it takes longer.")] = 120.0,
) -> None:
    """Run Kafka, the Edge and the connector on this machine, let the Edge have a bad minute, and add up."""
    console = Console() if sys.stdout.isatty() else Console(width=_PLAIN_WIDTH)
    options = Options(events=events, folder=folder, quick=quick, seed=seed, limit_s=limit_s)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _leave)
    try:
        outcome = _run(options, console)
    except (DemoFailed, OSError) as failure:
        headline, _, rest = str(failure).partition("\n")
        console.print(f"The demo failed: {headline}", style="bold red", markup=False, highlight=False, soft_wrap=True)
        console.print(rest, markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(_FAILED) from None
    except KeyboardInterrupt:
        console.print("Interrupted; every part was stopped.")
        raise typer.Exit(_INTERRUPTED) from None
    print_report(console, outcome, folder)
    raise typer.Exit(0 if outcome.is_good else _FAILED)


def _run(options: Options, console: Console) -> Outcome:
    console.print(
        "Starts an embedded Kafka, a local Edge and the connector as processes of their own, produces "
        f"{options.events:,} events of which 1 % can never be accepted, and lets the Edge have a bad time.",
        highlight=False,
    )
    with Parts(options.folder) as parts:
        screen = open_screen(console, options.folder)
        try:
            return Stage(options, parts, screen).play()
        finally:
            screen.close()


def _leave(number: int, _: FrameType | None) -> None:
    """Leave as Ctrl-C does, so that every part is stopped."""
    raise KeyboardInterrupt(number)


if __name__ == "__main__":
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
    typer.run(demo)
