"""Shows the running demo: a live table on a terminal, one line a second elsewhere.

Promise: it shows and decides nothing. Without a terminal no line depends on colours or on cursor movements.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from rich.box import ROUNDED, SIMPLE_HEAD
from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from connector.local.demo.bad_minute import Mood

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from connector.local.demo.watch import Figures, Reading

_WIDTH: Final = 100
_BARS: Final = " ▁▂▃▄▅▆▇█"
_PLAIN_BARS: Final = " .:-=+*%#"
_BAR_ROWS: Final = 2
_NOTHING: Final = "."
_STYLES: Final = {Mood.WELL: "green", Mood.ILL: "red"}
_MARKS: Final = {Mood.WELL: "●", Mood.ILL: "▲"}
_PLAIN_MARKS: Final = {Mood.WELL: "+", Mood.ILL: "!"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """One moment of the demo."""

    seconds: float  # since the demo began
    step: str  # what the demo itself does right now
    edge: str  # what the Edge does right now
    mood: Mood
    reading: Reading
    events: int  # how many will be produced in all


class Screen(Protocol):
    """Where a demo is shown."""

    def show(self, scene: Scene) -> None:
        """Show one moment."""

    def close(self) -> None:
        """Show no more; the last moment stays."""


def open_screen(console: Console, folder: Path) -> Screen:
    """The screen that suits where the output goes."""
    if console.is_terminal and not console.is_dumb_terminal:
        return LiveScreen(console, folder)
    return PlainScreen(console)


class PlainScreen:
    """One line for each second, and one for each change."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._second = -1
        self._told = {"demo": "", "Edge": ""}

    def show(self, scene: Scene) -> None:
        """Print what is new, and the figures once in a second."""
        for who, what in (("demo", scene.step), ("Edge", scene.edge)):
            if what != self._told[who]:
                self._told[who] = what
                self._print(f"{scene.seconds:5.1f} s  The {who} {what}.")
        if int(scene.seconds) == self._second:
            return
        self._second = int(scene.seconds)
        total = scene.reading.total
        self._print(
            f"{scene.seconds:5.1f} s  produced {total.produced:>6,}  accepted {total.accepted:>6,}  "
            f"dead-lettered {total.dead_lettered:>3,}  waiting {total.waiting:>6,}  {scene.reading.rate:>6,.0f}/s  "
            f"lag {total.lag:>6,}  resends {total.resends}"
        )

    def close(self) -> None:
        """Nothing is held."""

    def _print(self, line: str) -> None:
        self._console.print(line, soft_wrap=True, highlight=False, markup=False)


class LiveScreen:
    """A table that is drawn anew, for a person."""

    def __init__(self, console: Console, folder: Path) -> None:
        self._folder = folder
        self._is_rich = (console.encoding or "").lower().startswith("utf")
        self._live = Live(console=console, refresh_per_second=8, transient=False)
        self._live.start()

    def show(self, scene: Scene) -> None:
        """Draw one moment."""
        self._live.update(self._draw(scene))

    def close(self) -> None:
        """Leave the last picture standing."""
        self._live.stop()

    def _draw(self, scene: Scene) -> Panel:
        body = Group(
            self._draw_edge(scene),
            _draw_routes(scene.reading),
            self._draw_history(scene.reading),
            Text(),
            _draw_step(scene),
            Text(f"Its log   {self._folder}/connector.log", style="dim"),
        )
        return Panel(
            body,
            box=ROUNDED,
            title="[bold]Demo: Kafka, the XDM edge connector, the Edge[/]",
            title_align="left",
            subtitle=f"{scene.seconds:.0f} s",
            subtitle_align="right",
            border_style="cyan",
            padding=(1, 2),
            width=min(_WIDTH, self._live.console.width),
        )

    def _draw_edge(self, scene: Scene) -> Text:
        style = _STYLES[scene.mood]
        mark = (_MARKS if self._is_rich else _PLAIN_MARKS)[scene.mood]
        return Text.assemble(("The Edge  ", "bold"), (f"{mark} {scene.edge}", f"bold {style}"))

    def _draw_history(self, reading: Reading) -> Table:
        """The past in half seconds, the newest to the right: what was accepted, and what waited."""
        slices = list(reading.history)[-(min(_WIDTH, self._live.console.width) - 34) :]
        moods = [each.mood for each in slices]
        table = Table.grid(padding=(0, 2))
        for name, values, now in (
            ("accepted", [each.accepted for each in slices], f"{reading.rate:,.0f}/s now"),
            ("waiting", [each.waiting for each in slices], f"{reading.total.waiting:,} now"),
        ):
            for row, bars in enumerate(self._draw_bars(values, moods)):
                table.add_row(*(("", bars, "") if row < _BAR_ROWS - 1 else (f"[bold]{name}[/]", bars, now)))
        return table

    def _draw_bars(self, values: Sequence[int], moods: Sequence[Mood]) -> list[Text]:
        """Bars of some rows, as high as the largest value of them all; the colour says how the Edge did."""
        blocks = _BARS if self._is_rich else _PLAIN_BARS
        most = max(values, default=0) or 1
        heights = [-(-value * _BAR_ROWS * 8 // most) for value in values]
        rows = []
        for row in reversed(range(_BAR_ROWS)):
            text = Text()
            for height, mood in zip(heights, moods, strict=True):
                level = min(8, max(0, height - row * 8))
                text.append(blocks[level] if height or row else _NOTHING, style=_STYLES[mood])
            rows.append(text)
        return rows


def _draw_routes(reading: Reading) -> Table:
    table = Table(box=SIMPLE_HEAD, expand=True, show_footer=False, pad_edge=False)
    table.add_column("route", style="bold")
    for name in ("produced", "accepted", "dead-lettered", "waiting", "resends", "lag"):
        table.add_column(name, justify="right", no_wrap=True)
    for route, figures in reading.routes.items():
        table.add_row(route, *_cells(figures))
    table.add_section()
    table.add_row("all", *_cells(reading.total), style="bold")
    return table


def _cells(figures: Figures) -> list[str]:
    return [
        f"{figures.produced:,}",
        f"[green]{figures.accepted:,}[/]",
        f"[yellow]{figures.dead_lettered:,}[/]" if figures.dead_lettered else "0",
        f"[red]{figures.waiting:,}[/]" if figures.waiting else "0",
        f"[red]{figures.resends:,}[/]" if figures.resends else "0",
        f"{figures.lag:,}",
    ]


def _draw_step(scene: Scene) -> Text:
    total = scene.reading.total
    share = (total.accepted + total.dead_lettered) / scene.events
    return Text.assemble(("The demo  ", "bold"), f"{scene.step}, ", (f"{share:.0%} done", "bold"))
