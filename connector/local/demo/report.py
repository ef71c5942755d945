"""The end of the demo in words and sums.

Promise: the last two lines say whether it adds up, and the same ones stand in both kinds of output.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.box import SIMPLE_HEAD
from rich.table import Table

from connector.local.event_flaws import FLAWS

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

    from connector.local.demo.reconcile import Reconciliation
    from connector.local.demo.stage import Outcome

_MOST_IDS: Final = 5


def print_report(console: Console, outcome: Outcome, folder: Path) -> None:
    """Print the dead letters by reason, the sums, what does not add up, and the verdict."""
    sums = outcome.reconciliation
    console.print()
    console.print(_dead_letters(sums))
    console.print(_sums(outcome))
    for text, ids in problems(outcome).items():
        shown = ", ".join(ids[:_MOST_IDS]) + (" …" if len(ids) > _MOST_IDS else "")
        console.print(f"[bold red]{len(ids):,} {text}[/]: {shown}", highlight=False)
    console.print(
        f"[dim]{folder}/connector.yaml  the connector's configuration\n{folder}/connector.log   what it said\n"
        f"{folder}/ledger.jsonl    every request, and what the Edge made of it[/]",
        highlight=False,
        soft_wrap=True,
    )
    console.print()
    style, word = ("bold green", "It adds up") if outcome.is_good else ("bold red", "It does NOT add up")
    console.print(f"[{style}]{word}:\n{summary_line(sums)}[/]", highlight=False, soft_wrap=True)


def summary_line(sums: Reconciliation) -> str:
    """The reconciliation in one line."""
    equals = "=" if sums.produced == sums.accepted + sums.dead_lettered else "≠"
    return (
        f"produced {sums.produced:,} {equals} accepted {sums.accepted:,} + dead-lettered {sums.dead_lettered:,}, "
        f"lost {len(sums.lost):,}, duplicated {sums.duplicated:,}"
    )


def problems(outcome: Outcome) -> dict[str, list[str]]:
    """All that is not as promised, in words, with what it concerns."""
    found = {text: list(ids) for text, ids in outcome.reconciliation.errors.items()}
    if outcome.uncommitted:
        found["partitions whose commit is not their end"] = outcome.uncommitted
    if outcome.exit_code != 0:
        found["exit code of the connector that is not 0"] = [str(outcome.exit_code)]
    return found


def _dead_letters(sums: Reconciliation) -> Table:
    found_by = {flaw.name: flaw.found_by for flaw in FLAWS}
    place = {flaw.name: number for number, flaw in enumerate(FLAWS)}
    table = Table(box=SIMPLE_HEAD, title="[bold]Dead letters[/]", title_justify="left", pad_edge=False)
    for heading in ("what was wrong", "found by", "reason in the dead letter"):
        table.add_column(heading)
    table.add_column("events", justify="right")
    for (flaw, reason), count in sorted(sums.flaws.items(), key=lambda item: place.get(item[0][0], -1)):
        table.add_row(flaw, found_by.get(flaw, "nobody should have"), reason, f"{count:,}")
    return table


def _sums(outcome: Outcome) -> Table:
    sums = outcome.reconciliation
    table = Table(
        box=SIMPLE_HEAD,
        title="[bold]Reconciliation by event id[/]",
        title_justify="left",
        pad_edge=False,
        show_header=False,
    )
    table.add_column(style="bold")
    table.add_column(justify="right")
    table.add_column(style="dim")
    again = "accepted without an answer, so sent again"
    rows = (
        ("produced", sums.produced, "confirmed by Kafka"),
        ("accepted", sums.accepted, "in the Edge's ledger"),
        ("dead-lettered", sums.dead_lettered, "in the dead-letter topic"),
        ("lost", len(sums.lost), "in neither"),
        ("duplicated", sums.duplicated, again if sums.duplicated else "accepted more than once"),
        ("altered", len(sums.altered), "received otherwise than produced"),
        ("wrongly dead-lettered", len(sums.wrongly_dead_lettered), "nothing was wrong with them"),
        ("not committed", len(outcome.uncommitted), "partitions, after the graceful stop"),
    )
    for name, count, meaning in rows:
        table.add_row(name, f"{count:,}", meaning)
    return table
