"""The generated catalogues are what the code says."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from connector.core.codes import CODES, NO_ANSWERS, STATUSES, Action
from connector.counts import RouteCounts
from connector.docs import SHOWN, telemetry_markdown, told, verdicts_markdown, write_docs
from connector.metrics import ROUTE_COUNTERS, ROUTE_GAUGES
from connector.telemetry import Telemetry

FOLDER: Final = Path(__file__).parents[2] / "config"
COMMAND: Final = "run `python -m connector.docs`"


def test_the_verdicts_are_current() -> None:
    """`config/verdicts.md` is what the tables say today."""
    assert (FOLDER / "verdicts.md").read_text(encoding="utf-8") == verdicts_markdown(), COMMAND


def test_the_catalogue_is_current() -> None:
    """`config/telemetry.md` is what telemetry and metrics say today."""
    assert (FOLDER / "telemetry.md").read_text(encoding="utf-8") == telemetry_markdown(), COMMAND


def test_both_are_written_into_a_folder(tmp_path: Path) -> None:
    """The command writes what the functions return."""
    verdicts, catalogue = write_docs(tmp_path)
    assert verdicts.read_text(encoding="utf-8") == verdicts_markdown()
    assert catalogue.read_text(encoding="utf-8") == telemetry_markdown()


def test_every_verdict_is_in_the_document() -> None:
    """No row of the tables is left out, and each says what it means and what to mend."""
    text = verdicts_markdown()
    names = [*(f"EXEG-{code}" for code in CODES), *(f"http_{status}" for status in STATUSES), *NO_ANSWERS]
    for name in names:
        assert f"| `{name}` | " in text
    rows = [*CODES.values(), *STATUSES.values(), *NO_ANSWERS.values()]
    assert all(row.meaning and (row.remedy or row.action is Action.ACCEPT) for row in rows)


def test_every_action_is_shown_by_events_that_exist() -> None:
    """What the document names as the sign of an action is in the catalogue, and is logged."""
    logged = {event.name for event in told() if event.level}
    assert set(SHOWN) == set(Action)
    assert {name for names in SHOWN.values() for name in names} <= logged


def test_every_event_is_in_the_catalogue() -> None:
    """No method of telemetry is left out, and each is logged under its own name, or counted, or both."""
    parts = (Telemetry, *Telemetry.__bases__)
    public = {name for part in parts for name in vars(part) if not name.startswith("_")}
    events = list(told())
    assert {event.name for event in events} == public
    assert all(event.meaning and (event.level or event.counters) for event in events)


@pytest.mark.parametrize(
    ("name", "level", "field"),
    [
        ("route_held", "error, rolled up", "held_s"),
        ("request_failed", "warning, rolled up", "cause"),
        ("request_answered", "debug", "request_id"),
        ("summary", "info", "lag"),
        ("events_accepted", "", None),
    ],
)
def test_levels_and_fields_are_read_from_the_source(name: str, level: str, field: str | None) -> None:
    """A line's level and fields are those of the call that writes it."""
    event = next(event for event in told() if event.name == name)
    assert event.level == level
    assert field is None or field in event.fields


def test_every_count_of_a_route_is_a_metric_and_is_counted() -> None:
    """What a route counts can be read as a metric, and something in telemetry or delivery changes it."""
    names = set(RouteCounts.__slots__)
    assert names == {*ROUTE_COUNTERS, *ROUTE_GAUGES, "answers", "rejections"}
    text = telemetry_markdown()
    for name in names:
        suffix = "" if name in ROUTE_GAUGES else "_total"
        assert f"| `xdm_connector_{name}{suffix}` | " in text
