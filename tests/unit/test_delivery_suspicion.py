"""Faults that pass for most and never for one event: found and kept from costing others, without blaming anybody."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import orjson
import pytest
import structlog

from connector.core.body_limit import LOWERED_S
from connector.core.codes import NoAnswer
from connector.core.pacing import UNIT_BYTES
from connector.core.verdict import Answer
from tests.builders import event_at, fragment_of, open_events, owner_at
from tests.unit.delivery_scene import PROBE_INTERVAL_S, Scene, Sent, accepted, problem, status
from tests.virtual_time import run_virtually, virtually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from connector.core.offsets import PartitionOffsets
    from connector.model import Event

_HOUR_S = 3600.0


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Nothing is printed."""
    with structlog.testing.capture_logs():
        yield


def _meeting(answer: Answer | NoAnswer, *poison: int) -> Callable[[Sent], Answer | NoAnswer]:
    """An endpoint, or what stands before it, that gives this answer to whatever holds a poison."""
    return lambda sent: accepted() if set(poison).isdisjoint(sent.offsets) else answer


def _open_large(owner: PartitionOffsets, offsets: Iterable[int]) -> list[Event]:
    """Events of 200 bytes each."""
    events = [event_at(owner, offset, fragment_of(offset).ljust(200)) for offset in offsets]
    for event in events:
        owner.open(event.offset, event.offset + 1)
    return events


async def _deliver_beside(
    scene: Scene, owner: PartitionOffsets, *, until: Callable[[], bool], every_s: float = 1.0
) -> None:
    """Deliver one good event after the other until the condition holds."""
    while not until():
        assert scene.now < 3 * _HOUR_S, "it never came to pass"
        await scene.deliver(open_events(owner, [owner.next_offset or 0]))
        await asyncio.sleep(every_s)


_FIREWALL = [status(403), status(200), status(400), Answer(status=403, body=b'{"message":"blocked"}')]


@pytest.mark.parametrize("answer", _FIREWALL)
def test_what_a_firewall_refuses_for_its_own_sake_stops_nobody(answer: Answer) -> None:
    """One event of ten: its mates and all later ones are delivered, it alone is dead-lettered, the route goes on."""

    async def main() -> None:
        scene, owner, beside = Scene(_meeting(answer, 3)), owner_at(), owner_at(1000, partition=1)
        work = scene.start(open_events(owner, range(10)))
        await _deliver_beside(scene, beside, until=work.done)
        assert set(scene.dead_letters.written) == {3}
        assert owner.watermark == 10
        assert set(range(10)) - {3} <= set(scene.edge.accepted)
        assert scene.gate.hold is None
        assert scene.now < 900

    run_virtually(main())


@pytest.mark.parametrize("answer", _FIREWALL)
def test_what_a_firewall_goes_on_refusing_holds_the_route_once(answer: Answer) -> None:
    """At first it looks like a wrong configuration; once others got through, it waits by itself until it is judged."""

    async def main() -> None:
        scene = Scene(_meeting(answer, 3), lone_failure_s=600.0)
        owner, beside = owner_at(), owner_at(1000, partition=1)
        work = scene.start(open_events(owner, range(2, 5)))
        with structlog.testing.capture_logs() as lines:
            await _deliver_beside(scene, beside, until=work.done, every_s=0.05)
        assert set(scene.dead_letters.written) == {3}
        assert scene.now > 600
        assert [line["event"] for line in lines].count("route_released") == 1

    run_virtually(main())


@pytest.mark.parametrize("answer", [status(502), problem("0202-502"), NoAnswer.DISCONNECTED])
@pytest.mark.parametrize("is_allowed", [True, False])
def test_a_gateways_poison_is_narrowed_down(answer: Answer | NoAnswer, is_allowed: bool) -> None:
    """Its mates are delivered in any case; it is dead-lettered only if the setting allows that, else tried again."""

    async def main() -> None:
        scene = Scene(_meeting(answer, 3), dead_letters_gateway_faults=is_allowed)
        owner, beside = owner_at(), owner_at(1000, partition=1)
        work = scene.start(open_events(owner, range(10)))
        await _deliver_beside(scene, beside, until=lambda: work.done() or scene.now > _HOUR_S)
        assert set(range(10)) - {3} <= set(scene.edge.accepted)
        assert owner.open_count == (0 if is_allowed else 1)
        assert set(scene.dead_letters.written) == ({3} if is_allowed else set())
        scene.edge.script = lambda _: accepted()
        await work
        assert owner.watermark == 10

    run_virtually(main())


@pytest.mark.parametrize("answer", [status(500), status(403), status(502)])
def test_an_outage_that_begins_in_a_retry_wait_blames_nobody(answer: Answer) -> None:
    """Hundreds were accepted while one event waited for its next try; what fails for all then is an outage."""

    async def main() -> None:
        outage_s = 2 * _HOUR_S

        def script(sent: Sent) -> Answer | NoAnswer:
            if 40 < sent.at < outage_s:
                return answer
            return status(503) if 0 in sent.offsets and sent.at < 40 else accepted()

        scene = Scene(script, dead_letters_gateway_faults=True, most=2)
        owner, beside = owner_at(), owner_at(1000, partition=1)
        work = scene.start(open_events(owner, [0]))
        for offset in range(1000, 1300):
            if scene.now < 40:
                await scene.deliver(open_events(beside, [offset]))
        assert len(scene.edge.accepted) > 200
        await work
        assert scene.now > outage_s
        assert (owner.watermark, scene.dead_letters.written) == (1, {})

    run_virtually(main())


@virtually
async def test_two_poisons_of_one_batch_wait_for_nobody() -> None:
    """Each is tried alone, side by side: one that is not judged yet keeps neither its mates nor the other waiting."""
    scene = Scene(_meeting(status(502), 3, 4))
    owner, beside = owner_at(), owner_at(1000, partition=1)
    work = scene.start(open_events(owner, range(10)))
    await _deliver_beside(scene, beside, until=lambda: owner.open_count == 2)
    scene.edge.script = _meeting(status(502), 3)
    await _deliver_beside(scene, beside, until=lambda: owner.open_count == 1)
    scene.edge.script = lambda _: accepted()
    await work
    assert (owner.watermark, scene.dead_letters.written) == (10, {})


@virtually
async def test_a_suspect_that_rests_takes_no_place() -> None:
    """With one place for all, a good event waits for nothing longer than the suspect's request."""
    scene = Scene(_meeting(status(502), 3), most=1)
    owner, beside = owner_at(), owner_at(1000, partition=1)
    work = scene.start(open_events(owner, [3, 4]))
    await _deliver_beside(scene, beside, until=lambda: 4 in scene.edge.accepted)
    for _ in range(600):
        started = scene.now
        await scene.deliver(open_events(beside, [beside.next_offset or 0]))
        assert scene.now - started < 3 * scene.edge.latency_s
        await asyncio.sleep(1)
    scene.edge.script = lambda _: accepted()
    await work


@virtually
async def test_a_batch_that_fails_again_among_acceptances_rests_without_its_place() -> None:
    """It waits half a minute for its next try, and every place is for those that get through meanwhile."""
    doubts = 0

    def script(sent: Sent) -> Answer:
        nonlocal doubts
        if 0 not in sent.offsets:
            return accepted()
        if sent.at < 20:
            return status(503)
        doubts += 1
        return status(500)

    scene = Scene(script, most=4)
    owner, beside = owner_at(), owner_at(1000, partition=1)
    work = scene.start(open_events(owner, range(3)))
    await _deliver_beside(scene, beside, until=lambda: doubts == 2, every_s=0.05)
    scene.edge.most_at_once = 0
    await scene.deliver_all([event] for event in open_events(beside, range(2000, 2004)))
    assert (scene.edge.most_at_once, doubts) == (4, 2)
    scene.edge.script = lambda _: accepted()
    await work


@virtually
async def test_mates_of_a_poison_on_a_quiet_topic_are_delivered() -> None:
    """No other batch is there to compare with: the good ones do not wait, and the poison is tried on, unblamed."""
    scene, owner = Scene(_meeting(status(500), 2)), owner_at()
    work = scene.start(open_events(owner, range(5)))
    await asyncio.sleep(_HOUR_S)
    assert sorted(scene.edge.accepted) == [0, 1, 3, 4]
    assert (owner.open_count, scene.dead_letters.written) == (1, {})
    scene.edge.script = lambda _: accepted()
    await work


@virtually
async def test_an_outage_of_500_does_not_tear_batches_to_pieces() -> None:
    """Hours of 500 for everybody: each batch goes out whole afterwards."""
    scene, owner = Scene(lambda sent: accepted() if sent.at > 6 * _HOUR_S else status(500), most=4), owner_at()
    events = open_events(owner, range(100))
    await scene.deliver_all([events[start : start + 10] for start in range(0, 100, 10)])
    assert {len(sent.offsets) for sent in scene.edge.sent} == {10}
    assert (owner.watermark, scene.dead_letters.written) == (100, {})


# Holds are probed with one event


@virtually
async def test_a_hold_is_probed_with_one_event() -> None:
    """Of a batch of hundred one event finds out whether the fault is mended; the others follow in one request."""
    scene, owner = Scene(lambda sent: accepted() if sent.at > 100 else problem("0003-400")), owner_at()
    await scene.deliver(open_events(owner, range(100)))
    assert [len(sent.offsets) for sent in scene.edge.sent] == [100, 1, 1, 1, 1, 99]
    assert owner.watermark == 100
    assert scene.edge.sent[-1].at < 100 + PROBE_INTERVAL_S + 1


# Bodies that are too large for something in between


def _no_larger_than(events: int, answer: Answer | NoAnswer) -> Callable[[Sent], Answer | NoAnswer]:
    return lambda sent: accepted() if len(sent.offsets) <= events else answer


@pytest.mark.parametrize("answer", [status(413), problem("0112-413"), NoAnswer.DISCONNECTED])
def test_a_body_that_is_too_large_lowers_the_limit_for_a_while(answer: Answer | NoAnswer) -> None:
    """Refused or reset for its size: sent in halves, and the route's next bodies are smaller; one line says so."""

    async def main() -> None:
        scene, owner = Scene(_no_larger_than(100, answer)), owner_at()
        with structlog.testing.capture_logs() as lines:
            await scene.deliver_all([_open_large(owner, range(200)), _open_large(owner, range(200, 400))])
        assert (owner.watermark, scene.dead_letters.written) == (400, {})
        largest = max(len(sent.offsets) for sent in scene.edge.sent)
        assert largest == 200
        assert 1024 <= scene.body_limit.at(scene.now) < 64_000 / 2
        assert [line["route"] for line in lines if line["event"] == "body_limit_lowered"] == ["web"]
        assert scene.body_limit.at(scene.now + LOWERED_S + 1) == 64_000

    run_virtually(main())


@virtually
async def test_an_outage_of_resets_does_not_tear_batches_to_pieces() -> None:
    """Six hours of broken connections: what holds no more than one request unit is not halved any further."""
    scene, owner = (
        Scene(lambda sent: accepted() if sent.at > 6 * _HOUR_S else NoAnswer.DISCONNECTED, most=4),
        owner_at(),
    )
    events = _open_large(owner, range(2000))
    await scene.deliver_all([events[start : start + 200] for start in range(0, 2000, 200)])
    assert (owner.watermark, scene.dead_letters.written) == (2000, {})
    assert min(len(sent.offsets) for sent in scene.edge.sent) * 200 > UNIT_BYTES / 2
    assert sorted(scene.edge.accepted) == list(range(2000))


# Accepted, then failed upstream


def _multi_status(*named: int) -> Callable[[Sent], Answer]:
    def answer(sent: Sent) -> Answer:
        errors = [
            {"type": "https://ns.adobe.com/aep/errors/EXEG-0201-503", "report": {"eventIndex": place}}
            for place, offset in enumerate(sent.offsets)
            if offset in named
        ]
        return Answer(status=207, body=orjson.dumps({"requestId": "an-id", "errors": errors}))

    return answer


@pytest.mark.parametrize("is_wanted", [True, False])
def test_what_failed_upstream_can_be_dead_lettered(is_wanted: bool) -> None:
    """A 207 accepts every event and sends none again; with the setting, the named ones are dead letters as well."""

    async def main() -> None:
        scene, owner = Scene(_multi_status(2, 4), dead_letters_reported=is_wanted), owner_at()
        await scene.deliver(open_events(owner, range(5)))
        assert len(scene.edge.sent) == 1
        assert owner.watermark == 5
        assert set(scene.dead_letters.written) == ({2, 4} if is_wanted else set())
        counts = scene.telemetry.routes["web"]
        assert (counts.accepted, counts.reports) == (3 if is_wanted else 5, 2)
        if is_wanted:
            assert scene.dead_letters.written[2].reason == "EXEG-0201-503"

    run_virtually(main())


# Searches leave room


@virtually
async def test_a_burst_of_bad_events_leaves_room_for_good_ones() -> None:
    """Batches that are searched hold at most half of the places; good ones that came later pass them."""
    scene = Scene(lambda sent: problem("0104-422") if min(sent.offsets) < 800 else accepted(), most=8)
    bad, good = owner_at(), owner_at(800, partition=1)
    events = open_events(bad, range(800))
    searching = [scene.start(events[start : start + 50]) for start in range(0, 800, 50)]
    await scene.edge.until_sent(60)
    at_once = scene.start(open_events(good, range(800, 850)))
    done, _ = await asyncio.wait([at_once, *searching], return_when=asyncio.FIRST_COMPLETED)
    assert at_once in done
    await asyncio.gather(*searching)
    assert (bad.watermark, good.watermark) == (800, 850)
    assert len(scene.dead_letters.written) == 800
