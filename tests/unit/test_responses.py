"""What the Edge answers to an event is handed on before the event counts as settled."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import pytest
import structlog

from connector.core.verdict import Answer
from connector.ports import WriteFailed
from tests.builders import open_events, owner_at
from tests.unit.delivery_scene import BACKOFF, Scene, Sent, problem, status
from tests.virtual_time import virtually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, MutableMapping, Sequence

    from connector.core.codes import NoAnswer

_DECISIONS: Final = b'{"type":"personalization:decisions","payload":[{"n":12345678901234567890123}],"eventIndex":0}'
_STATE: Final = b'{"payload": [], "type": "state:store"}'
_FAILURE: Final = WriteFailed("timed_out", "Check the brokers.")
_HOUR_S: Final = 3600.0


@pytest.fixture(autouse=True)
def logged() -> Iterator[list[MutableMapping[str, Any]]]:
    """What was logged during the test."""
    with structlog.testing.capture_logs() as lines:
        yield lines


def answered(*handles: bytes) -> Answer:
    """200, as interact says it."""
    return Answer(status=200, body=b'{"requestId":"an-id","handle":[%b]}' % b",".join(handles))


def _scene(
    script: Callable[[Sent], Answer | NoAnswer] = lambda _: answered(_DECISIONS, _STATE),
    types: Sequence[str] = (),
    most: int = 8,
) -> Scene:
    return Scene(script, kind="interact", response_types=types, most=most)


@virtually
async def test_an_event_is_settled_when_its_response_is_confirmed_and_not_before() -> None:
    """The handles stand in the response as in the answer; until it is confirmed the event is open."""
    scene, owner = _scene(), owner_at()
    scene.responses.latency_s = 5.0
    work = scene.start(open_events(owner, [0]))
    await scene.responses.until_tried(1)
    await asyncio.sleep(4.9)
    assert (owner.watermark, owner.under_way_count) == (0, 1)
    await work
    assert scene.responses.written == {0: ("an-id", b"[" + _DECISIONS + b"," + _STATE + b"]")}
    assert owner.watermark == 1
    counts = scene.telemetry.routes["web"]
    assert (counts.accepted, counts.responses, counts.abandoned) == (1, 1, 0)


@pytest.mark.parametrize(
    ("types", "answer", "handles"),
    [
        (("personalization:decisions",), answered(_STATE, _DECISIONS), b"[" + _DECISIONS + b"]"),
        (("state:store", "no:such"), answered(_STATE, _DECISIONS), b"[" + _STATE + b"]"),
        (("no:such",), answered(_STATE, _DECISIONS), b"[]"),
        ((), answered(), b"[]"),
        ((), Answer(status=200, body=b'{"requestId":"an-id"}'), b"[]"),
    ],
)
@virtually
async def test_each_event_gets_one_response_with_the_handles_that_are_wanted(
    types: Sequence[str], answer: Answer, handles: bytes
) -> None:
    """Also where there are none: then the array is empty."""
    scene, owner = _scene(lambda _: answer, types), owner_at()
    await scene.deliver(open_events(owner, [0]))
    assert scene.responses.written == {0: ("an-id", handles)}
    assert owner.watermark == 1


@virtually
async def test_an_answer_without_a_request_id_is_traced_by_our_own() -> None:
    """The request can always be found again."""
    scene, owner = _scene(lambda _: Answer(status=200, body=b'{"handle":[]}')), owner_at()
    await scene.deliver(open_events(owner, [0]))
    assert scene.responses.written == {0: (scene.edge.sent[0].request_id, b"[]")}


@virtually
async def test_a_refused_event_gets_a_dead_letter_and_no_response() -> None:
    """Only what was accepted is answered."""
    scene, owner = _scene(lambda sent: problem("0104-422") if sent.offsets == (0,) else answered()), owner_at()
    await scene.deliver_all([event] for event in open_events(owner, range(3)))
    assert (set(scene.dead_letters.written), set(scene.responses.written)) == ({0}, {1, 2})
    assert owner.watermark == 3


@virtually
async def test_without_responses_the_handles_are_dropped() -> None:
    """A route that hands nothing on settles at once."""
    scene, owner = Scene(lambda _: answered(_STATE), kind="interact"), owner_at()
    await scene.deliver(open_events(owner, [0]))
    assert (owner.watermark, scene.responses.tries) == (1, 0)


# While the topic cannot be written


@virtually
async def test_while_no_response_can_be_written_the_route_holds(logged: list[MutableMapping[str, Any]]) -> None:
    """For hours nothing is settled and little is sent; mended, all go on, and none is sent to the Edge twice."""
    scene, owner = _scene(most=4), owner_at()
    scene.responses.failure = _FAILURE
    works = [scene.start([event]) for event in open_events(owner, range(20))]
    await asyncio.sleep(3 * _HOUR_S)
    assert scene.gate.hold is not None
    assert scene.gate.hold.cause == "responses_timed_out"
    assert (owner.watermark, len(scene.edge.sent)) == (0, 4)
    held = next(line for line in logged if line["event"] == "route_held")
    assert (held["cause"], held["remedy"]) == ("responses_timed_out", "Check the brokers.")
    scene.responses.failure = None
    await asyncio.gather(*works)
    assert set(scene.responses.written) == set(range(20))
    assert (owner.watermark, len(scene.edge.sent)) == (20, 20)
    assert not scene.telemetry.routes["web"].is_held
    assert scene.now < 3 * _HOUR_S + 2 * BACKOFF.max_s
    assert {line["event"] for line in logged} >= {"response_failed", "route_released"}


@virtually
async def test_a_topic_that_fails_stops_no_other_route() -> None:
    """What waits for it leaves the places that all routes share: another route, with a topic of its own, goes on."""
    scene = Scene(
        lambda _: answered(_STATE), routes=("web", "app"), kind="interact", response_types=(), most_together=4
    )
    scene.responses.failure, scene.responses.fails_for = _FAILURE, "web"
    web, app = owner_at(), owner_at(100, partition=1)
    waiting = [scene.start([event]) for event in open_events(web, range(4))]
    await scene.responses.until_tried(4)
    await asyncio.sleep(scene.responses.latency_s)
    async with asyncio.timeout(_HOUR_S):
        await scene.deliver_all(([event] for event in open_events(app, range(100, 110))), route="app")
    assert (web.watermark, app.watermark) == (0, 110)
    scene.responses.failure = None
    await asyncio.gather(*waiting)
    assert web.watermark == 4


@virtually
async def test_no_more_answers_wait_than_requests_may_be_under_way() -> None:
    """A request keeps its place until its response is confirmed, so memory does not grow with a slow topic."""
    scene, owner = _scene(most=3), owner_at()
    scene.responses.latency_s = 20.0
    await scene.deliver_all([event] for event in open_events(owner, range(30)))
    assert scene.responses.most_at_once == 3
    assert owner.watermark == 30


@virtually
async def test_a_hold_for_another_cause_is_not_released_by_a_response() -> None:
    """A response that is confirmed while a configuration fault holds the route proves nothing about that."""
    answers = [answered(_STATE), problem("0003-400")]
    scene, owner = _scene(lambda _: answers.pop(0) if answers else problem("0003-400")), owner_at()
    scene.responses.failure, scene.responses.latency_s = _FAILURE, 5.0
    first, second = (scene.start([event]) for event in open_events(owner, [0, 1]))
    await scene.responses.until_tried(2)
    scene.responses.failure = None
    await first
    assert owner.watermark == 1
    assert scene.gate.hold is not None
    assert scene.gate.hold.cause == "EXEG-0003-400"
    scene.edge.script = lambda _: answered()
    await second
    assert owner.watermark == 2
    assert not scene.telemetry.routes["web"].is_held


# When the assignment ends


@pytest.mark.parametrize(("failure", "watermark"), [(None, 1), (_FAILURE, 0)])
@virtually
async def test_a_leaving_events_response_gets_one_try(failure: WriteFailed | None, watermark: int) -> None:
    """With no time left a response is written if the topic works at once; else its event stays open."""
    scene, owner = _scene(), owner_at()
    scene.responses.failure = failure
    owner.is_leaving = True
    await scene.deliver(open_events(owner, [0]))
    assert (owner.watermark, scene.responses.tries, owner.is_drained) == (watermark, 1, True)
    assert scene.gate.hold is None or scene.lacks_prober


@virtually
async def test_a_response_that_waits_for_another_try_is_abandoned_when_its_partition_leaves() -> None:
    """Nobody waits for a back-off then: the next owner delivers the event again, and gets an answer again."""
    scene, owner = _scene(), owner_at()
    scene.responses.failure = _FAILURE
    work = scene.start(open_events(owner, [0]))
    await scene.responses.until_tried(10)
    await asyncio.sleep(scene.responses.latency_s * 2)
    now = scene.now
    owner.is_leaving = True
    scene.gate.cut()
    await work
    assert scene.now <= now + 0.001
    assert (scene.responses.tries, owner.watermark, owner.is_drained) == (10, 0, True)
    assert scene.gate.hold is None or scene.lacks_prober
    assert scene.telemetry.routes["web"].abandoned == 1


@virtually
async def test_nothing_is_written_for_an_assignment_that_is_over() -> None:
    """Its next owner has the event by now, and the answer to it."""
    owner = owner_at()

    def script(_: Sent) -> Answer:
        owner.close()
        return answered(_STATE)

    scene = _scene(script)
    await scene.deliver(open_events(owner, [0]))
    assert (scene.responses.tries, owner.watermark) == (0, 0)


@virtually
async def test_a_passing_fault_of_the_edge_gives_one_response() -> None:
    """However often a request was sent, its event is answered once."""
    answers = [status(503), status(503)]
    scene, owner = _scene(lambda _: answers.pop() if answers else answered(_STATE)), owner_at()
    await scene.deliver(open_events(owner, [0]))
    assert set(scene.responses.written) == {0}
    assert len(scene.edge.sent) == 3
