"""Each line of the table, played through the real client, delivery and burial against real connections."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import pytest
import structlog

from connector.core.codes import CODES, STATUS_CLASSES, STATUSES, NoAnswer
from tests.answers.row import ACCEPTED, DeadLettered, Held, Retried, Row
from tests.answers.scene import Scene, Watch, causes, open_scene
from tests.answers.table import TABLE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.answers.counterparts import Counterpart

_PROBES: Final = 3
_FAR_TOO_MANY: Final = 150  # requests; no row needs as many


@pytest.fixture
def watch() -> Iterator[Watch]:
    """All that is logged, also what is only for debugging."""
    before = structlog.get_config()
    watch = Watch()
    structlog.configure(processors=[watch], wrapper_class=structlog.make_filtering_bound_logger(0))
    yield watch
    structlog.configure(**before)


@pytest.mark.parametrize("row", TABLE, ids=str)
async def test_each_event_ends_as_the_table_says(row: Row, monkeypatch: pytest.MonkeyPatch, watch: Watch) -> None:
    """While the fault lasts, each event is where its line says; once it is mended, all that was open is accepted."""
    async with (
        row.fault.open(monkeypatch) as counterpart,
        open_scene(row, counterpart, watch, monkeypatch) as scene,
    ):
        scene.start()
        await _reach_the_fates(row, scene)
        assert scene.fates() == row.fates
        _check_what_was_needed(row, scene)
        await _see_it_last(row, scene)
        assert scene.fates() == row.fates
        await _mend(row, scene, counterpart)
        _check_the_end(row, scene, counterpart)


def test_no_answer_is_left_out() -> None:
    """Each published code, each status and class of the connector's tables, and each missing answer has its row."""
    covered = {row.covers for row in TABLE}
    assert {covers for covers in covered if re.fullmatch(r"\d{4}-\d{3}", str(covers))} == set(CODES)
    assert set(STATUSES) <= covered
    assert {f"{first}xx" for first in STATUS_CLASSES} <= covered
    assert set(NoAnswer) <= covered
    assert len({str(row) for row in TABLE}) == len(TABLE)


async def _reach_the_fates(row: Row, scene: Scene) -> None:
    """Wait until it has come to what the row says, or past it."""
    if not row.open_count or row.is_stopped:
        await scene.watch.until(scene.work.done)
        return

    def is_reached() -> bool:
        return scene.counts.requests > 0 and scene.count_open() == row.open_count and scene.is_held is row.is_held

    def is_missed() -> bool:
        return scene.work.done() or scene.counts.requests > _FAR_TOO_MANY

    await scene.watch.until(lambda: is_reached() or is_missed())


def _check_what_was_needed(row: Row, scene: Scene) -> None:
    if row.requests is not None:
        assert scene.counts.requests <= row.requests
        assert scene.counts.requests == row.requests or not row.is_held
    if row.tokens is not None:
        assert len(scene.watch.of("token_renewed")) == row.tokens
    assert max((line["wait_s"] for line in scene.watch.of("request_failed")), default=0.0) >= row.waits_s
    for line in scene.watch.of("route_held"):
        assert line["level"] == "error"
        assert line["remedy"]


async def _see_it_last(row: Row, scene: Scene) -> None:
    """See it sent again, or probed, many times more."""
    if not row.open_count or scene.work.done():
        return
    seen = scene.counts.requests
    more = _PROBES if scene.is_held else row.again
    await scene.watch.until(lambda: scene.work.done() or scene.counts.requests >= seen + more)
    assert scene.counts.requests >= seen + more


async def _mend(row: Row, scene: Scene, counterpart: Counterpart) -> None:
    if not row.open_count:
        return
    await counterpart.mend()
    if row.is_stopped:
        scene.start()  # as the next process would
    await scene.watch.until(scene.work.done)


def _check_the_end(row: Row, scene: Scene, counterpart: Counterpart) -> None:
    """Every event has its verdict, the route is not held, and what was told is what happened."""
    dead = [fate for fate in row.fates if isinstance(fate, DeadLettered)]
    assert scene.fates() == tuple(fate if fate in dead else ACCEPTED for fate in row.fates)
    assert scene.work.done()
    scene.work.result()
    assert not scene.is_held
    counts = scene.counts
    assert sum(counts.rejections.values()) == counts.dead_lettered == len(dead)
    assert set(counts.rejections) == {fate.reason for fate in dead}
    assert counts.possible_duplicates == (counts.resends if row.is_ambiguous else 0)
    assert (counts.possible_duplicates > 0) is row.is_ambiguous
    assert causes(scene.watch.of("code_unknown")) == ({row.unknown} if row.unknown else set())
    assert counts.reports == len(row.reports)
    assert {line["code"] for line in scene.watch.of("acceptance_reported")} == set(row.reports)
    held = {fate.cause for fate in row.fates if isinstance(fate, Held)}
    assert causes(scene.watch.of("route_held")) == held
    assert len(scene.watch.of("route_released")) == len(held)
    if all(isinstance(fate, Retried) for fate in row.fates):
        assert (counts.isolations > 0) is row.is_searched
        if row.endpoint == "collect" and not row.is_searched:
            assert counts.requests == counts.resends + 1
    if not row.is_ambiguous:
        accepted = [counterpart.times_accepted(str(offset)) for offset in range(5)]
        assert accepted == [0 if isinstance(fate, DeadLettered) else 1 for fate in row.fates]
