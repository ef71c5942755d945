"""The brake on dead letters where dead letters are made: who waits, who goes on, and who may release it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
import structlog

from connector.core.brake import BrakeLimits
from connector.model import Rejection
from connector.ports import WriteFailed
from tests.builders import open_events, owner_at
from tests.unit.config_sample import SAMPLE, load
from tests.unit.delivery_scene import PROBE_INTERVAL_S, Scene, accepted, problem, refusing
from tests.virtual_time import run_virtually, virtually

if TYPE_CHECKING:
    from collections.abc import Iterator, MutableMapping

    from tests.unit.delivery_scene import Sent

    Lines = list[MutableMapping[str, Any]]

LIMITS = BrakeLimits(window_events=100, min_events=10, max_share_percent=20)
NOT_JSON = Rejection(stage="decode", reason="not_json", title="The value is not JSON.")


@pytest.fixture(autouse=True)
def logged() -> Iterator[Lines]:
    """What was logged during the test."""
    with structlog.testing.capture_logs() as lines:
        yield lines


def _scene(script: Any = lambda _: accepted(), **options: Any) -> Scene:  # noqa: ANN401 - passed on to Scene
    return Scene(script, brake=LIMITS, **options)


def _told(lines: Lines, event: str) -> Lines:
    return [line for line in lines if line["event"] == event]


@virtually
async def test_what_is_over_the_limit_waits_until_a_person_releases_it(logged: Lines) -> None:
    """Of forty bad events ten are written; for hours nothing is written, settled or sent; each release lets ten go."""
    scene, owner = _scene(refusing(*range(40))), owner_at()
    work = scene.start(open_events(owner, range(40)))
    for round_number in range(1, 4):
        await asyncio.sleep(6 * 3600)
        assert len(scene.dead_letters.written) == owner.watermark == 10 * round_number
        assert scene.brake.waiting == 40 - 10 * round_number
        assert scene.gate.is_held
        assert scene.brake.release()
    await work
    assert sorted(scene.dead_letters.written) == list(range(40))
    assert owner.watermark == 40
    assert not scene.gate.is_held
    assert len(_told(logged, "brake_applied")) == len(_told(logged, "brake_released")) == 3


@virtually
async def test_it_holds_what_was_rejected_before_a_request(logged: Lines) -> None:
    """What no decoder can read counts as well, and the line at error names route, share, reason and remedy."""
    scene, owner = _scene(), owner_at()
    events = open_events(owner, range(15))
    work = asyncio.create_task(scene.routes["web"].burial.bury([(event, NOT_JSON) for event in events]))
    await asyncio.sleep(1)
    assert len(scene.dead_letters.written) == 10
    (line,) = _told(logged, "brake_applied")
    assert (line["log_level"], line["route"], line["share_percent"], line["reason"], line["stage"]) == (
        "error", "web", 100.0, "not_json", "decode",
    )  # fmt: skip
    assert "xdm-connector release --config FILE --route web" in line["remedy"]
    assert scene.telemetry.routes["web"].brake_on
    assert scene.telemetry.routes["web"].is_held
    assert scene.brake.release()
    await work
    assert not scene.telemetry.routes["web"].brake_on
    assert not scene.telemetry.routes["web"].is_held
    (line,) = _told(logged, "brake_released")
    assert (line["log_level"], line["route"], line["by"]) == ("info", "web", "command")


@virtually
async def test_good_events_under_way_still_settle_and_the_next_ones_wait() -> None:
    """An answer that comes after the brake was pulled settles its events; no new request leaves."""
    scene, owner, other = _scene(), owner_at(), owner_at(partition=1)
    scene.edge.latency_s = 10.0
    good = scene.start(open_events(other, range(50)))
    await scene.edge.until_sent(1)
    bad = [(event, NOT_JSON) for event in open_events(owner, range(11))]
    work = asyncio.create_task(scene.routes["web"].burial.bury(bad))
    await good
    assert scene.gate.is_braked
    assert other.watermark == 50
    late = scene.start(open_events(other, range(50, 60)))
    await asyncio.sleep(3600)
    assert len(scene.edge.sent) == 1
    scene.brake.release()
    await asyncio.gather(late, work)
    assert (other.watermark, owner.watermark) == (60, 11)


@virtually
async def test_by_default_a_few_bad_ones_among_many_never_pull_it() -> None:
    """As many searches at once as there are places all end in the same moment, long after their good events settled.

    The window has to be longer than what is under way: or the bad ones of all of them would seem to come in a row.
    """
    bad, end = range(0, 6400, 16), 6400
    settings = load(SAMPLE).dead_letter.brake
    scene, owner = Scene(refusing(*bad), most=64, brake=BrakeLimits(**settings.model_dump())), owner_at()
    events = open_events(owner, range(end))
    await scene.deliver_all([events[start : start + 100] for start in range(0, end, 100)])
    assert sorted(scene.dead_letters.written) == list(bad)
    assert owner.watermark == end


@virtually
async def test_other_routes_are_undisturbed() -> None:
    """One route's bad release costs the others nothing."""
    scene, owner = _scene(routes=["web", "app"]), owner_at()
    bad = [(event, NOT_JSON) for event in open_events(owner, range(11))]
    work = asyncio.create_task(scene.routes["web"].burial.bury(bad))
    await asyncio.sleep(1)
    assert scene.routes["web"].gate.is_held
    assert not scene.routes["app"].gate.is_held
    other = owner_at(partition=1)
    await scene.deliver(open_events(other, range(10)), route="app")
    assert other.watermark == 10
    scene.brake.release()
    await work


@pytest.mark.parametrize("ends", ["leaving", "closed"])
def test_what_waits_is_given_up_at_once_when_its_partition_leaves(ends: str) -> None:
    """Nothing is written or settled then, the wait takes no time, and another partition's events wait on."""

    async def main() -> None:
        scene, leaving, staying = _scene(), owner_at(), owner_at(partition=1)
        events = [*open_events(leaving, range(20)), *open_events(staying, range(100, 105))]
        work = asyncio.create_task(scene.routes["web"].burial.bury([(event, NOT_JSON) for event in events]))
        await asyncio.sleep(3600)
        if ends == "leaving":
            leaving.is_leaving = True
        else:
            leaving.close()
        now = scene.now
        scene.gate.cut()
        await asyncio.sleep(0.001)
        assert scene.now < now + 0.01
        assert leaving.is_drained
        assert scene.telemetry.routes["web"].abandoned == 10
        assert scene.brake.waiting == 5
        assert scene.gate.is_braked
        scene.brake.release()
        await work
        assert sorted(scene.dead_letters.written) == [*range(10), *range(100, 105)]

    run_virtually(main())


@virtually
async def test_what_arrives_while_it_is_on_and_is_leaving_does_not_wait() -> None:
    """At a stop nobody waits for a person."""
    scene, owner = _scene(), owner_at()
    owner.is_leaving = True
    await scene.routes["web"].burial.bury([(event, NOT_JSON) for event in open_events(owner, range(15))])
    assert (len(scene.dead_letters.written), owner.watermark, owner.is_drained) == (10, 10, True)


@virtually
async def test_no_probe_releases_it_and_it_outlives_another_hold(logged: Lines) -> None:
    """A configuration fault that is mended meanwhile is released by its probe after the brake, not in its place."""
    mended_at = 1000.0

    def script(sent: Sent) -> Any:  # noqa: ANN401 - an answer
        return accepted() if sent.at > mended_at else problem("0003-400")

    scene, owner, other = _scene(script), owner_at(), owner_at(partition=1)
    prober = scene.start(open_events(other, range(5)))
    await asyncio.sleep(PROBE_INTERVAL_S * 3)
    assert scene.gate.hold is not None
    bad = [(event, NOT_JSON) for event in open_events(owner, range(11))]
    work = asyncio.create_task(scene.routes["web"].burial.bury(bad))
    await asyncio.sleep(1)
    sent_before = len(scene.edge.sent)
    await asyncio.sleep(2 * mended_at)
    assert len(scene.edge.sent) == sent_before, "while the brake is on nobody probes"
    assert scene.brake.release()
    assert scene.telemetry.routes["web"].is_held, "the other hold is still there"
    await asyncio.gather(prober, work)
    assert _told(logged, "brake_released")[0]["is_held"]
    assert not scene.gate.is_held
    assert not scene.telemetry.routes["web"].is_held
    assert (owner.watermark, other.watermark) == (11, 5)


@virtually
async def test_it_outlives_the_hold_of_a_dead_letter_topic_that_is_away() -> None:
    """The topic is back, what was admitted is written and releases its hold; the brake stays on."""
    scene, owner = _scene(), owner_at()
    scene.dead_letters.failure = WriteFailed("timed_out", "Check the brokers.")
    bad = [(event, NOT_JSON) for event in open_events(owner, range(12))]
    work = asyncio.create_task(scene.routes["web"].burial.bury(bad))
    await asyncio.sleep(100)
    assert scene.gate.hold is not None
    assert scene.gate.is_braked
    scene.dead_letters.failure = None
    await asyncio.sleep(1000)
    assert scene.gate.hold is None
    assert scene.gate.is_held
    assert scene.telemetry.routes["web"].is_held
    assert (owner.watermark, scene.brake.waiting) == (10, 2)
    scene.brake.release()
    await work
    assert owner.watermark == 12


@virtually
async def test_it_is_told_again_now_and_then(logged: Lines) -> None:
    """Each time that it is pulled is told at once; while it lasts a reminder comes every ten minutes."""
    scene, owner = _scene(), owner_at()
    bad = [(event, NOT_JSON) for event in open_events(owner, range(25))]
    scene.brake.remind()
    assert _told(logged, "brake_applied") == []
    work = asyncio.create_task(scene.routes["web"].burial.bury(bad))
    await asyncio.sleep(1)
    scene.brake.release()
    await asyncio.sleep(1)
    assert len(_told(logged, "brake_applied")) == 2
    for _ in range(200):
        scene.brake.remind()
        await asyncio.sleep(10)
    assert len(_told(logged, "brake_applied")) == 2 + 3
    scene.brake.release()
    await work


@virtually
async def test_a_brake_that_is_off_cannot_be_released(logged: Lines) -> None:
    """A release changes no other hold, and is not told when there was nothing to release."""
    scene = _scene()
    scene.gate.close("cause", "prober")
    assert not scene.brake.release()
    assert scene.gate.is_held
    assert _told(logged, "brake_released") == []
