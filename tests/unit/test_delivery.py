"""Deliveries to an endpoint that does what endpoints do, for hours of virtual time where it matters."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st

from connector.core.codes import NoAnswer
from connector.core.verdict import Answer
from connector.model import Rejection
from connector.ports import TokenFailed, WriteFailed
from connector.sending import Defect
from tests.builders import open_events, owner_at
from tests.unit.delivery_scene import (
    BACKOFF,
    FOREIGN_TRIES,
    PROBE_INTERVAL_S,
    UNEXPECTED_TRIES,
    Scene,
    Sent,
    accepted,
    problem,
    refusing,
    status,
)
from tests.virtual_time import run_virtually, virtually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, MutableMapping

_HOUR_S = 3600.0


@pytest.fixture(autouse=True)
def logged() -> Iterator[list[MutableMapping[str, Any]]]:
    """What was logged during the test."""
    with structlog.testing.capture_logs() as lines:
        yield lines


def _in_turn(
    *answers: Answer | NoAnswer, then: Callable[[Sent], Answer | NoAnswer] = lambda _: accepted()
) -> Callable[[Sent], Answer | NoAnswer]:
    """A script that gives these answers first, one after the other."""
    left = list(answers)
    return lambda sent: left.pop(0) if left else then(sent)


# Accepted


@virtually
async def test_an_accepted_batch_is_settled_by_one_request() -> None:
    """The normal case: one request, every offset settled, nobody dead-lettered."""
    scene, owner = Scene(lambda _: accepted()), owner_at(5)
    await scene.deliver(open_events(owner, range(5, 105)))
    assert [sent.offsets for sent in scene.edge.sent] == [tuple(range(5, 105))]
    assert owner.watermark == 105
    assert scene.dead_letters.written == {}


@virtually
async def test_interact_sends_one_event() -> None:
    """An event alone goes out in interact's envelope and is accepted by interact's answer."""
    scene, owner = Scene(lambda _: Answer(status=200, body=b'{"handle":[]}'), kind="interact"), owner_at()
    await scene.deliver(open_events(owner, [0]))
    assert owner.watermark == 1


# Whatever comes first, each event ends as it should

_PASSING = [
    status(503),
    status(503, retry_after="7"),
    status(429, retry_after="2"),
    status(429, retry_after="garbage"),
    status(502),
    status(500),
    problem("0001-500"),
    problem("0201-503"),
    problem("0503-401"),
    status(401),
    problem("0003-400"),
    status(404),
    status(400),
    status(200),
    status(202),
    status(302),
    *NoAnswer,
]


@settings(max_examples=250, deadline=None)
@given(
    passing=st.lists(st.sampled_from(_PASSING), max_size=25),
    sizes=st.lists(st.integers(1, 12), min_size=1, max_size=6),
    bad=st.sets(st.integers(0, 40), max_size=4),
    jitter=st.randoms(use_true_random=False),
)
def test_every_event_ends_as_it_should(
    passing: list[Answer | NoAnswer], sizes: list[int], bad: set[int], jitter: Random
) -> None:
    """Whatever faults come first and pass: the bad events are dead-lettered, the others accepted once."""

    async def main() -> None:
        scene = Scene(_in_turn(*passing, then=refusing(*bad)), jitter=jitter.random, most=3)
        owner, count = owner_at(), sum(sizes)
        events = open_events(owner, range(count))
        starts = [sum(sizes[:number]) for number in range(len(sizes))]
        await scene.deliver_all([events[start : start + size] for start, size in zip(starts, sizes, strict=True)])
        expected = bad & set(range(count))
        assert set(scene.dead_letters.written) == expected
        assert sorted(scene.edge.accepted) == sorted(set(range(count)) - expected)
        assert (owner.watermark, owner.settled_ranges) == (count, ())
        assert scene.gate.hold is None

    run_virtually(main())


@pytest.mark.parametrize("answer", [answer for answer in _PASSING if answer != status(500)])
def test_no_passing_answer_is_ever_final(answer: Answer | NoAnswer) -> None:
    """Six hours of any one of these dead-letter nothing and accept nothing; the end of it settles everything."""

    async def main() -> None:
        scene, owner = Scene(lambda sent: accepted() if sent.at > 6 * _HOUR_S else answer), owner_at()
        await scene.deliver(open_events(owner, range(10)))
        assert scene.now > 6 * _HOUR_S
        assert (owner.watermark, scene.dead_letters.written) == (10, {})
        assert sorted(scene.edge.accepted) == list(range(10))

    run_virtually(main())


# Outages


@virtually
async def test_an_outage_of_hours_is_probed_gently_and_drained_after() -> None:
    """Six hours of 503 for 150 batches: few requests a minute, nothing settled; then everything, once."""
    scene = Scene(lambda sent: accepted() if sent.at >= 6 * _HOUR_S else status(503), most=64)
    owner = owner_at()
    events = open_events(owner, range(1500))
    await scene.deliver_all([events[start : start + 10] for start in range(0, 1500, 10)])
    assert len(scene.edge.sent_between(0, 60)) <= 64 * 8
    minutes = range(60, int(6 * _HOUR_S), 60)
    assert max(len(scene.edge.sent_between(minute, minute + 60)) for minute in minutes) <= 10
    assert sorted(scene.edge.accepted) == list(range(1500))
    assert (owner.watermark, scene.dead_letters.written) == (1500, {})
    assert scene.now < 6 * _HOUR_S + 300


@virtually
async def test_waits_grow_up_to_the_cap() -> None:
    """Between the tries of one request lies its back-off, here half of the bound, and never more than the cap."""
    scene = Scene(_in_turn(*[status(503)] * 12))
    scene.edge.latency_s = 0.0
    await scene.deliver(open_events(owner_at(), [0]))
    times = [sent.at for sent in scene.edge.sent]
    waits = [after - before for before, after in pairwise(times)]
    assert waits == pytest.approx([0.25, 0.5, 1, 2, 4, 8, 16, 30, 30, 30, 30, 30])


@virtually
async def test_a_resend_keeps_its_request_id() -> None:
    """The same events go out under the same id until they have their verdict."""
    scene = Scene(_in_turn(status(503), NoAnswer.TIMEOUT, status(500)))
    await scene.deliver(open_events(owner_at(), range(3)))
    assert len(scene.edge.sent) == 4
    assert len({sent.request_id for sent in scene.edge.sent}) == 1
    await scene.deliver(open_events(owner_at(), range(3)))
    assert len({sent.request_id for sent in scene.edge.sent}) == 2


@virtually
async def test_possible_duplicates_are_counted() -> None:
    """A lost answer to a sent body counts as a possible duplicate, a refused connection does not."""
    scene = Scene(_in_turn(NoAnswer.REFUSED, NoAnswer.DNS, NoAnswer.TIMEOUT, NoAnswer.DISCONNECTED, status(429)))
    await scene.deliver(open_events(owner_at(), [0]))
    counts = scene.telemetry.routes["web"]
    assert (counts.resends, counts.possible_duplicates) == (5, 2)


@virtually
async def test_no_more_at_once_than_allowed() -> None:
    """A hundred batches never have more requests under way than the limit, and fewer after a failure."""
    scene = Scene(lambda _: accepted(), most=8)
    owner = owner_at()
    await scene.deliver_all([[event] for event in open_events(owner, range(100))])
    assert scene.edge.most_at_once == 8


@virtually
async def test_fewer_at_once_after_a_failure() -> None:
    """A round of failures halves what is under way, and those that gave up their place get it back in turn."""
    scene, owner = Scene(lambda sent: status(503) if sent.at < 1 else accepted(), most=8), owner_at()
    scene.edge.latency_s = 1.0
    await scene.deliver_all([[event] for event in open_events(owner, range(30))])
    assert len(scene.edge.sent_between(0, 1)) == 8
    assert len(scene.edge.sent_between(1, 2)) == 4
    assert owner.watermark == 30


# Retry-After


@pytest.mark.parametrize("retry_after", ["120", "Thu, 09 Oct 2025 08:55:20 GMT", "Thursday, 09-Oct-25 08:55:20 GMT"])
@pytest.mark.parametrize("number", [429, 503])
def test_retry_after_stops_the_whole_endpoint(retry_after: str, number: int) -> None:
    """Until the moment that the header named no route of the endpoint sends anything, seconds or date."""

    async def main() -> None:
        scene = Scene(_in_turn(status(number, retry_after=retry_after)), routes=["web", "app"])
        first = scene.start(open_events(owner_at(), range(3)))
        await asyncio.sleep(5)
        others = [scene.start(open_events(owner_at(), [7, 8]), route=route) for route in ("web", "app")]
        await asyncio.gather(first, *others)
        assert [sent.route for sent in scene.edge.sent_between(0, 119)] == ["web"]
        assert sorted(sent.route for sent in scene.edge.sent_between(119, 122)) == ["app", "web", "web"]

    run_virtually(main())


@virtually
async def test_retry_after_is_capped() -> None:
    """A header that asks for a year is followed for as long as the setting allows."""
    scene = Scene(_in_turn(status(503, retry_after="31536000")))
    await scene.deliver(open_events(owner_at(), [0]))
    assert scene.edge.sent[1].at == pytest.approx(BACKOFF.retry_after_max_s, abs=1)


@virtually
async def test_a_shorter_retry_after_does_not_shorten_a_longer_one() -> None:
    """Of two moments the later one counts."""
    scene = Scene(_in_turn(status(503, retry_after="100"), status(503, retry_after="1")))
    await scene.deliver_all([[event] for event in open_events(owner_at(), range(2))])
    assert scene.edge.sent_between(0.2, 100) == []


# Holds


@pytest.mark.parametrize("code", ["0003-400", "0004-422", "0106-400", "0111-415", "0400-403", "0501-401", "0505-401"])
def test_a_configuration_fault_holds_the_route(code: str) -> None:
    """While it lasts one request at a time probes, at its interval; mended, everything goes on by itself."""

    async def main() -> None:
        scene = Scene(lambda sent: accepted() if sent.at > _HOUR_S else problem(code), most=4)
        owner = owner_at()
        work = asyncio.gather(*(scene.start([event]) for event in open_events(owner, range(20))))
        await asyncio.sleep(_HOUR_S / 2)
        assert scene.gate.hold is not None
        assert scene.gate.hold.cause == f"EXEG-{code}"
        assert scene.telemetry.routes["web"].is_held
        await work
        assert scene.gate.hold is None
        assert not scene.telemetry.routes["web"].is_held
        assert (owner.watermark, scene.dead_letters.written) == (20, {})
        probes = scene.edge.sent_between(1, _HOUR_S)
        assert len({sent.request_id for sent in probes}) == 20  # each in line has its turn
        waits = [after.at - before.at for before, after in pairwise(probes)]
        assert min(waits) >= PROBE_INTERVAL_S
        assert max(waits) <= PROBE_INTERVAL_S + BACKOFF.max_s + 1

    run_virtually(main())


@virtually
async def test_a_hold_is_told_with_its_remedy(logged: list[MutableMapping[str, Any]]) -> None:
    """The line at error names route, cause and what to mend, once, and the release how long it took."""
    scene = Scene(lambda sent: accepted() if sent.at > 20 else problem("0003-400"))
    await scene.deliver(open_events(owner_at(), [0]))
    lines = [line for line in logged if line["log_level"] in {"warning", "error"}]
    assert [(line["event"], line["route"], line["cause"]) for line in lines] == [("route_held", "web", "EXEG-0003-400")]
    assert "datastream_id" in lines[0]["remedy"]
    assert [line["route"] for line in logged if line["event"] == "route_released"] == ["web"]


@virtually
async def test_a_hold_that_lasts_is_told_rarely_and_each_new_one_at_once(
    logged: list[MutableMapping[str, Any]],
) -> None:
    """Over hours a reminder every ten minutes, with how long it has lasted; a hold that comes back is news."""
    scene = Scene(lambda sent: accepted() if sent.at > 2 * _HOUR_S else problem("0003-400"))
    await scene.deliver(open_events(owner_at(), [0]))
    told = [line["held_s"] for line in logged if line["event"] == "route_held"]
    assert 11 <= len(told) <= 13
    assert told[0] == 0
    scene.edge.script = _in_turn(problem("0003-400"))
    await scene.deliver(open_events(owner_at(), [0]))
    assert [line["held_s"] for line in logged if line["event"] == "route_held"] == [*told, 0]


@virtually
async def test_a_hold_shows_what_the_last_probe_met() -> None:
    """When another fault stands behind the mended one, the state names that."""
    scene = Scene(lambda sent: problem("0003-400" if sent.at < 100 else "0505-401"))
    work = scene.start(open_events(owner_at(), [0]))
    await asyncio.sleep(300)
    assert scene.gate.hold is not None
    assert scene.gate.hold.cause == "EXEG-0505-401"
    work.cancel()


@virtually
async def test_one_routes_hold_leaves_others_alone() -> None:
    """A wrong datastream of one route costs the others nothing."""
    scene = Scene(
        lambda sent: problem("0003-400") if sent.route == "web" and sent.at < 500 else accepted(),
        routes=["web", "app"],
    )
    held = scene.start(open_events(owner_at(), range(3)))
    await asyncio.sleep(100)
    await scene.deliver(open_events(owner_at(), range(3)), route="app")
    assert scene.now == pytest.approx(100.1)
    await held


@virtually
async def test_a_probe_that_is_refused_for_its_events_releases_the_hold() -> None:
    """A verdict about an event shows that the configuration works, even if the event is bad."""
    scene = Scene(_in_turn(problem("0003-400"), then=refusing(0)))
    owner = owner_at()
    await scene.deliver_all([open_events(owner, range(3)), open_events(owner, range(3, 6))])
    assert set(scene.dead_letters.written) == {0}
    assert scene.gate.hold is None
    assert owner.watermark == 6


# Tokens


@virtually
async def test_a_refused_token_is_renewed_once_and_the_events_sent_again() -> None:
    """An expired token costs one renewal and one resend."""
    scene = Scene(lambda sent: problem("0503-401") if sent.renewals == 0 else accepted())
    owner = owner_at()
    await scene.deliver(open_events(owner, range(4)))
    assert [sent.renewals for sent in scene.edge.sent] == [0, 1]
    assert owner.watermark == 4


@virtually
async def test_many_requests_with_a_refused_token_renew_it_once() -> None:
    """Requests that were refused together do not each throw away what another one has just renewed."""
    scene = Scene(lambda sent: problem("0502-401") if sent.renewals == 0 else accepted())
    await scene.deliver_all([[event] for event in open_events(owner_at(), range(8))])
    assert scene.tokens.renewals == 1
    assert len(scene.edge.sent) == 16


@virtually
async def test_a_token_refused_again_holds_the_route() -> None:
    """After one renewal it is the configuration that is wrong: hold, probe, and renew now and then, until it works."""
    scene = Scene(lambda sent: accepted() if sent.at > _HOUR_S else problem("0502-401"))
    owner = owner_at()
    work = asyncio.gather(*(scene.start([event]) for event in open_events(owner, range(5))))
    await asyncio.sleep(20)
    assert scene.tokens.renewals == 1
    assert scene.gate.hold is not None
    assert scene.gate.hold.cause == "EXEG-0502-401"
    await work
    assert (owner.watermark, scene.dead_letters.written) == (5, {})
    probes = scene.edge.sent_between(20, _HOUR_S)
    assert len(probes) <= _HOUR_S / PROBE_INTERVAL_S
    assert scene.tokens.renewals <= 1 + len(probes) // 2 + 1


@virtually
async def test_a_refused_token_that_cannot_be_replaced_yet_is_no_configuration_fault() -> None:
    """The token endpoint is silent: that passes, so nothing is held. It says no: then a person has to mend that."""
    scene, owner = Scene(lambda sent: problem("0503-401") if sent.renewals == 0 else accepted()), owner_at()
    scene.tokens.renewal_failure = TokenFailed("timeout", "Check the network path.", is_refusal=False)
    work = scene.start(open_events(owner, range(3)))
    await asyncio.sleep(300)
    assert scene.gate.hold is None
    assert len(scene.edge.sent) <= 20
    scene.tokens.renewal_failure = TokenFailed("invalid_client", "Check the secret.", is_refusal=True)
    await asyncio.sleep(100)
    assert scene.gate.hold is not None
    assert scene.gate.hold.cause == "EXEG-0503-401"
    scene.tokens.renewal_failure = None
    await work
    assert owner.watermark == 3


@virtually
async def test_without_a_token_nothing_is_sent() -> None:
    """A token endpoint that is silent is waited for; one that says no holds the route; both pass."""
    scene, owner = Scene(lambda _: accepted()), owner_at()
    scene.tokens.failure = TokenFailed("timeout", "Check the network path.", is_refusal=False)
    work = scene.start(open_events(owner, range(3)))
    await asyncio.sleep(100)
    assert scene.gate.hold is None
    scene.tokens.failure = TokenFailed("invalid_client", "Check the secret.", is_refusal=True)
    await asyncio.sleep(100)
    assert scene.gate.hold is not None
    assert scene.gate.hold.cause == "token_invalid_client"
    assert scene.edge.sent == []
    scene.tokens.failure = None
    await work
    assert owner.watermark == 3
    assert [sent.offsets for sent in scene.edge.sent] == [(0,), (1, 2)]  # one event probes whether a token is enough


# Strangers


@pytest.mark.parametrize("answer", [status(200), status(202), status(204), status(302), status(400), NoAnswer.NOT_HTTP])
def test_foreign_answers_hold_the_route_after_a_few_tries(answer: Answer | NoAnswer) -> None:
    """A proxy's answer accepts nothing and blames nobody: a few tries, then the route holds and probes."""

    async def main() -> None:
        scene, owner = Scene(lambda sent: accepted() if sent.at > _HOUR_S else answer), owner_at()
        work = scene.start(open_events(owner, range(5)))
        await scene.edge.until_sent(FOREIGN_TRIES)
        assert scene.gate.hold is None
        await asyncio.sleep(1)
        assert scene.gate.hold is not None
        assert len(scene.edge.sent_between(0, _HOUR_S)) <= FOREIGN_TRIES
        await work
        assert (owner.watermark, scene.dead_letters.written) == (5, {})
        assert len(scene.edge.sent_between(0, _HOUR_S)) <= FOREIGN_TRIES + _HOUR_S / PROBE_INTERVAL_S

    run_virtually(main())


# Events at fault


@virtually
async def test_one_bad_event_costs_its_mates_nothing() -> None:
    """Of 97 events one is bad: it alone is dead-lettered, in at most nine requests."""
    scene, owner = Scene(refusing(41)), owner_at()
    await scene.deliver(open_events(owner, range(97)))
    assert set(scene.dead_letters.written) == {41}
    assert sorted(scene.edge.accepted) == sorted(set(range(97)) - {41})
    assert owner.watermark == 97
    assert len(scene.edge.sent) <= 9


@virtually
async def test_named_events_are_dead_lettered_at_once() -> None:
    """What the answer names is believed: one more request delivers all the others."""

    def script(sent: Sent) -> Answer:
        named = [f"#{sent.offsets.index(bad)}" for bad in (12, 17) if bad in sent.offsets]
        return problem("0306-400", f"No primary identity in event(s) {', '.join(named)}") if named else accepted()

    scene, owner = Scene(script), owner_at(10)
    await scene.deliver(open_events(owner, range(10, 20)))
    assert set(scene.dead_letters.written) == {12, 17}
    assert scene.edge.accepted == [10, 11, 13, 14, 15, 16, 18, 19]
    assert len(scene.edge.sent) == 2


@virtually
async def test_a_dead_letter_explains_itself(logged: list[MutableMapping[str, Any]]) -> None:
    """The rejection holds code, status, text, tries and times; the log has the code but never the text."""
    answer = problem("0308-400", "The id 'someone@example.com' of event #1 is not valid.")
    scene = Scene(_in_turn(status(503), answer, then=refusing()))
    await scene.deliver(open_events(owner_at(), range(3)))
    rejection = scene.dead_letters.written[1]
    assert (rejection.stage, rejection.reason, rejection.status, rejection.title) == (
        "deliver",
        "EXEG-0308-400",
        400,
        "A title",
    )
    assert "someone@example.com" in rejection.detail
    assert rejection.attempts == 2
    assert rejection.request_id == scene.edge.sent[1].request_id
    assert rejection.first_attempt_ms == 1_760_000_000_000
    assert rejection.last_attempt_ms == int(1000 * (1_760_000_000 + scene.edge.sent[1].at))
    lines = [line for line in logged if line["event"] == "event_dead_lettered"]
    assert [(line["reason"], line["offset"]) for line in lines] == [("EXEG-0308-400", 1)]
    assert "someone" not in str(logged)


@virtually
async def test_too_large_a_body_is_halved() -> None:
    """413 sends the events in smaller bodies; only what is too large alone is bad."""
    scene, owner = (
        Scene(lambda sent: problem("0112-413") if len(sent.offsets) > 3 or 7 in sent.offsets else accepted()),
        owner_at(),
    )
    await scene.deliver(open_events(owner, range(10)))
    assert set(scene.dead_letters.written) == {7}
    assert sorted(scene.edge.accepted) == [0, 1, 2, 3, 4, 5, 6, 8, 9]
    assert scene.dead_letters.written[7].status == 413


@virtually
async def test_an_outage_in_the_middle_of_a_search_is_waited_out() -> None:
    """Passing faults between the requests of a search change nothing about whom it finds."""
    calls = iter(range(1000))
    bad = refusing(3, 4)
    scene, owner = Scene(lambda sent: status(503) if next(calls) % 3 else bad(sent)), owner_at()
    await scene.deliver(open_events(owner, range(20)))
    assert set(scene.dead_letters.written) == {3, 4}
    assert owner.watermark == 20


# Unexpected faults (500)


@virtually
async def test_a_500_that_others_do_not_get_is_searched() -> None:
    """One event that the endpoint chokes on is found while others get through, in a few tries each."""
    scene, owner = Scene(lambda sent: status(500) if 13 in sent.offsets else accepted()), owner_at()
    events = open_events(owner, range(1000))
    stream = [scene.start(events[start : start + 10]) for start in range(0, 30, 10)]
    for start in range(30, 1000, 10):
        await scene.deliver(events[start : start + 10])
        await asyncio.sleep(1)
    await asyncio.gather(*stream)
    assert set(scene.dead_letters.written) == {13}
    assert sorted(scene.edge.accepted) == sorted(set(range(1000)) - {13})
    assert 6 <= scene.dead_letters.written[13].attempts <= 16


@pytest.mark.parametrize("batches", [[10], [1], [10, 10, 10], [1, 1]])
def test_500_for_everybody_dead_letters_nothing(batches: list[int]) -> None:
    """Six hours of 500 for all are an outage, however many tries it takes."""

    async def main() -> None:
        scene, owner = Scene(lambda sent: accepted() if sent.at > 6 * _HOUR_S else status(500)), owner_at()
        events = iter(open_events(owner, range(sum(batches))))
        await scene.deliver_all([[next(events) for _ in range(size)] for size in batches])
        assert scene.dead_letters.written == {}
        assert owner.watermark == sum(batches)
        assert sorted(scene.edge.accepted) == list(range(sum(batches)))

    run_virtually(main())


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
def test_500_from_one_gateway_of_several_blames_nobody(share: float) -> None:
    """Behind a load balancer some requests always fail: as everybody meets that, no event is at fault."""

    async def main() -> None:
        luck = Random(7)
        scene, owner = Scene(lambda _: status(500) if luck.random() < share else accepted()), owner_at()
        events = open_events(owner, range(2000))
        await scene.deliver_all([events[start : start + 10] for start in range(0, 2000, 10)])
        assert (scene.dead_letters.written, owner.watermark) == ({}, 2000)

    run_virtually(main())


@virtually
async def test_a_single_event_that_gets_500_while_others_get_through_is_given_up() -> None:
    """An event that fails alone, again and again, while dozens of others do not, is at fault."""
    scene, owner = Scene(lambda sent: status(500) if 0 in sent.offsets else accepted()), owner_at()
    events = open_events(owner, range(500))
    work = scene.start(events[:1])
    for start in range(1, 500, 5):
        await scene.deliver_all([[event] for event in events[start : start + 5]])
    await work
    assert set(scene.dead_letters.written) == {0}
    assert owner.watermark == 500
    assert scene.dead_letters.written[0].attempts > UNEXPECTED_TRIES  # alone the verdict is final: more tries first


@virtually
async def test_a_single_event_that_gets_500_while_nobody_else_sends_waits() -> None:
    """Without others to compare with, a lone event that always fails is never given up."""
    scene, owner = Scene(lambda _: status(500)), owner_at()
    work = scene.start(open_events(owner, [0]))
    await asyncio.sleep(6 * _HOUR_S)
    assert (scene.dead_letters.written, owner.watermark) == ({}, 0)
    assert len(scene.edge.sent_between(_HOUR_S, 2 * _HOUR_S)) <= 130
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work


# Dead letters that cannot be written


@virtually
async def test_while_no_dead_letter_can_be_written_the_route_holds() -> None:
    """Nothing is dropped and nothing settled until the broker has confirmed; then everything goes on."""
    scene, owner = Scene(refusing(0, code="0305-400")), owner_at()
    scene.dead_letters.failure = WriteFailed("timed_out", "Check the brokers.")
    events = open_events(owner, range(40))
    first = scene.start(events[:10])
    await asyncio.sleep(10)
    assert scene.gate.hold is not None
    assert scene.gate.hold.cause == "dead_letter_timed_out"
    sent_before = len(scene.edge.sent)
    others = [scene.start(events[start : start + 10]) for start in (10, 20, 30)]
    await asyncio.sleep(6 * _HOUR_S)
    assert len(scene.edge.sent) == sent_before
    assert (owner.watermark, owner.settled_ranges) == (0, ((1, 10),))
    assert scene.dead_letters.tries < 6 * 200
    scene.dead_letters.failure = None
    await asyncio.gather(first, *others)
    assert set(scene.dead_letters.written) == {0}
    assert scene.gate.hold is None
    assert owner.watermark == 40


# Assignments that end


@pytest.mark.parametrize("seconds", [25.0, 31.0, 100.0])
@pytest.mark.parametrize("answer", [status(503), status(503, retry_after="200"), problem("0003-400"), status(401)])
def test_leaving_ends_every_wait_and_nothing_is_sent_again(answer: Answer, seconds: float) -> None:
    """Events in a back-off, behind Retry-After or behind a hold are given up at once when their partition leaves."""

    async def main() -> None:
        scene, owner = Scene(lambda _: answer, most=2), owner_at()
        work = asyncio.gather(*(scene.start([event]) for event in open_events(owner, range(6))))
        await asyncio.sleep(seconds)
        sent_before, now = len(scene.edge.sent), scene.now
        owner.is_leaving = True
        scene.gate.cut()
        await work
        assert len(scene.edge.sent) == sent_before
        assert scene.now <= now + 0.101  # an answer may be under way
        assert (owner.watermark, owner.open_count, owner.is_drained) == (0, 6, True)
        assert scene.telemetry.routes["web"].abandoned == 6
        assert scene.dead_letters.written == {}
        assert scene.gate.hold is None or scene.lacks_prober

    run_virtually(main())


@pytest.mark.parametrize("answer", [status(503), problem("0003-400"), status(400), NoAnswer.TIMEOUT])
def test_leaving_waits_for_no_try_after_the_answer_under_way(answer: Answer | NoAnswer) -> None:
    """What was under way when its partition was to leave, in an outage of hours, is given up with its next answer."""

    async def main() -> None:
        scene, owner = Scene(lambda _: answer), owner_at()
        scene.edge.latency_s = 10.0
        work = scene.start(open_events(owner, range(6)))
        await scene.edge.until_sent(12)
        owner.is_leaving = True
        scene.gate.cut()
        await work
        assert scene.now <= scene.edge.sent[-1].at + 10.001
        assert (len(scene.edge.sent), owner.is_drained) == (12, True)

    run_virtually(main())


@pytest.mark.parametrize("most", [1, 2, 5])
def test_leaving_ends_the_wait_for_a_place(most: int) -> None:
    """In an outage those in line, and those who gave their place up, are given up at once; the others stay in line."""

    async def main() -> None:
        scene = Scene(lambda sent: status(503) if sent.at < _HOUR_S else accepted(), most=most)
        leaving, staying = owner_at(0), owner_at(10, partition=1)
        events = [
            *open_events(staying, range(10, 14)),
            *open_events(leaving, range(6)),
            *open_events(staying, [14, 15]),
        ]
        work = asyncio.gather(*(scene.start([event]) for event in events))
        await asyncio.sleep(100)
        leaving.is_leaving = True
        scene.gate.cut()
        await asyncio.sleep(0.2)
        assert (leaving.is_drained, leaving.watermark) == (True, 0)
        await work
        assert staying.watermark == 16
        assert sorted(scene.edge.accepted) == list(range(10, 16))

    run_virtually(main())


@virtually
async def test_leaving_lets_what_is_under_way_finish() -> None:
    """An answer that comes before the partition is let go settles its events."""
    scene, owner = Scene(lambda _: accepted()), owner_at()
    scene.edge.latency_s = 10.0
    work = scene.start(open_events(owner, range(6)))
    await asyncio.sleep(1)
    owner.is_leaving = True
    scene.gate.cut()
    await work
    assert (owner.watermark, owner.is_drained) == (6, True)


@virtually
async def test_leaving_still_tries_what_was_not_tried_yet() -> None:
    """A batch that was only waiting to be filled is worth one try while the endpoint works, not while it fails."""
    scene, owner = Scene(_in_turn(accepted(), then=lambda _: status(503))), owner_at()
    owner.is_leaving = True
    await scene.deliver(open_events(owner, range(3)))
    assert (owner.watermark, len(scene.edge.sent)) == (3, 1)
    await scene.deliver(open_events(owner, range(3, 6)))
    assert (owner.watermark, len(scene.edge.sent)) == (3, 2)
    await scene.deliver(open_events(owner, range(6, 9)))
    assert (owner.watermark, len(scene.edge.sent)) == (3, 2)
    assert (owner.open_count, owner.is_drained) == (6, True)


@virtually
async def test_a_late_acceptance_settles_nothing() -> None:
    """An answer for an assignment that is over is counted, and changes no offset."""
    scene, owner = Scene(lambda _: accepted()), owner_at()
    scene.edge.latency_s = 10.0
    work = scene.start(open_events(owner, range(6)))
    await asyncio.sleep(1)
    owner.close()
    scene.gate.cut()
    await work
    assert (owner.watermark, owner.committable) == (0, None)
    assert scene.telemetry.routes["web"].late_answers == 6


@virtually
async def test_a_closed_assignment_sends_nothing() -> None:
    """What was not sent yet when the partition was let go is not sent any more."""
    scene, owner = Scene(lambda _: accepted()), owner_at()
    events = open_events(owner, range(3))
    owner.close()
    await scene.deliver(events)
    assert scene.edge.sent == []


@virtually
async def test_events_of_other_partitions_go_on_without_those_that_left() -> None:
    """Of a batch in an outage only the leaving partition's events are given up, and a name still hits the right one."""
    leaving, staying = owner_at(0), owner_at(10, partition=1)
    mixed = [*open_events(leaving, range(3)), *open_events(staying, range(10, 16))]
    batch = [event for pair in zip(mixed[:3], mixed[3:6], strict=True) for event in pair] + mixed[6:]

    def script(sent: Sent) -> Answer:
        if sent.at < 100:
            return status(503)
        return problem("0306-400", f"event #{sent.offsets.index(12)}") if 12 in sent.offsets else accepted()

    scene = Scene(script)
    work = scene.start(batch)
    await asyncio.sleep(50)
    leaving.is_leaving = True
    scene.gate.cut()
    await work
    assert (leaving.watermark, leaving.is_drained) == (0, True)
    assert (staying.watermark, set(scene.dead_letters.written)) == (16, {12})


@pytest.mark.parametrize("mates", [3, 7, 15])
def test_a_culprit_that_leaves_in_the_middle_of_a_search_costs_no_neighbour(mates: int) -> None:
    """The bad event's partition leaves while it is being searched for: nobody else is blamed in its place."""

    async def main() -> None:
        leaving, staying = owner_at(0), owner_at(10, partition=1)
        batch = [*open_events(leaving, [0]), *open_events(staying, range(10, 10 + mates))]

        def script(sent: Sent) -> Answer:
            if 0 in sent.offsets and len(sent.offsets) == len(batch) // 2:
                leaving.close()
            return problem("0104-422") if 0 in sent.offsets else accepted()

        scene = Scene(script)
        await scene.deliver(batch)
        assert scene.dead_letters.written == {}
        assert (staying.watermark, leaving.watermark) == (10 + mates, 0)
        assert sorted(scene.edge.accepted) == list(range(10, 10 + mates))

    run_virtually(main())


@virtually
async def test_one_that_left_before_its_first_request_is_not_searched() -> None:
    """A search among the others, on whatever whim of the endpoint, neither finds nor misses who was given up."""
    leaving, staying = owner_at(0), owner_at(10, partition=1)
    batch = [*open_events(staying, [10]), *open_events(leaving, [0]), *open_events(staying, [11, 12])]
    leaving.close()
    scene = Scene(_in_turn(problem("0104-422"), problem("0104-422")))
    await scene.deliver(batch)
    assert scene.dead_letters.written == {}
    assert (staying.watermark, leaving.is_drained) == (13, True)
    assert scene.telemetry.routes["web"].abandoned == 1


@virtually
async def test_a_leaving_records_dead_letter_gets_one_try() -> None:
    """With no time left a dead letter is written if the topic works at once; else its record stays open."""
    for failure, watermark in ((None, 1), (WriteFailed("timed_out", "Check the brokers."), 0)):
        scene, owner = Scene(refusing(0)), owner_at()
        scene.dead_letters.failure = failure
        owner.is_leaving = True
        await scene.deliver(open_events(owner, [0]))
        assert (owner.watermark, scene.dead_letters.tries, owner.is_drained) == (watermark, 1, True)
        assert scene.gate.hold is None or scene.lacks_prober


@virtually
async def test_a_dead_letter_under_way_when_its_partition_leaves_is_not_tried_again() -> None:
    """After hours of failure the last try ends the wait: a partition that leaves waits for no back-off."""
    scene, owner = Scene(refusing(0)), owner_at()
    scene.dead_letters.failure = WriteFailed("timed_out", "Check the brokers.")
    scene.dead_letters.latency_s = 10.0
    work = scene.start(open_events(owner, [0]))
    await scene.dead_letters.until_tried(10)
    now = scene.now
    owner.is_leaving = True
    scene.gate.cut()
    await work
    assert scene.now <= now + 10.001
    assert (scene.dead_letters.tries, owner.watermark, owner.is_drained) == (10, 0, True)
    assert scene.gate.hold is None or scene.lacks_prober


@virtually
async def test_a_hold_whose_prober_was_given_up_ends_with_the_next_that_gets_through() -> None:
    """A partition took the prober away: whoever comes next probes after the interval, and the route goes on."""
    scene, owner = Scene(lambda sent: problem("0003-400") if sent.at < 50 else accepted()), owner_at()
    work = scene.start(open_events(owner, [0]))
    await asyncio.sleep(40)
    owner.is_leaving = True
    scene.gate.cut()
    await work
    assert scene.lacks_prober
    staying = owner_at(partition=1)
    await scene.deliver(open_events(staying, range(3)))
    assert (staying.watermark, scene.gate.hold) == (3, None)


@virtually
async def test_a_hold_by_a_dead_letter_that_was_given_up_ends_with_the_next_that_is_written() -> None:
    """Nobody waits for the topic any more when it works again: the next dead letter shows that it does."""
    scene, owner = Scene(refusing(0, 1)), owner_at()
    scene.dead_letters.failure = WriteFailed("timed_out", "Check the brokers.")
    work = scene.start(open_events(owner, [0]))
    await scene.dead_letters.until_tried(3)
    owner.is_leaving = True
    scene.gate.cut()
    await work
    assert scene.lacks_prober
    scene.dead_letters.failure = None
    staying = owner_at(1, partition=1)
    await scene.routes["web"].burial.bury(
        [(open_events(staying, [1])[0], Rejection(stage="decode", reason="r", title=""))]
    )
    assert (staying.watermark, scene.gate.hold) == (2, None)


@virtually
async def test_a_closed_assignments_record_is_not_dead_lettered() -> None:
    """Its next owner reads it again and decides about it: two dead letters for one record help nobody."""
    owner = owner_at()

    def script(_: Sent) -> Answer:
        owner.close()
        return problem("0104-422")

    scene = Scene(script)
    await scene.deliver(open_events(owner, [0]))
    assert (scene.dead_letters.tries, owner.watermark) == (0, 0)


# Defects


@virtually
async def test_a_defect_stops_the_delivery() -> None:
    """An answer that says that this connector is broken ends it, and settles nothing."""
    scene, owner = Scene(lambda _: problem("0109-408")), owner_at()
    with pytest.raises(Defect, match="EXEG-0109-408"):
        await scene.deliver(open_events(owner, range(3)))
    assert (owner.watermark, scene.dead_letters.written) == (0, {})


# Records that never were a request


@virtually
async def test_what_decoding_rejected_is_buried_and_settled() -> None:
    """A record that was rejected before a request is settled by its confirmed dead letter."""
    scene, owner = Scene(lambda _: accepted()), owner_at()
    rejection = Rejection(stage="decode", reason="not_json", title="The value is not JSON.")
    await scene.routes["web"].burial.bury([(event, rejection) for event in open_events(owner, range(3))])
    assert scene.dead_letters.written == dict.fromkeys(range(3), rejection)
    assert owner.watermark == 3
    assert scene.telemetry.routes["web"].rejections == {"not_json": 3}


@virtually
async def test_a_probe_waits_out_a_pause_that_is_longer_than_its_interval() -> None:
    """A route held by a configuration fault, whose probe is told to come back in an hour, probes again then."""
    answers = iter([problem("0003-400"), status(503, retry_after="300")])
    scene, owner = Scene(lambda _: next(answers, accepted())), owner_at()
    await scene.deliver(open_events(owner, range(3)))
    assert owner.watermark == 3
    assert scene.gate.hold is None


@virtually
async def test_an_event_that_always_fails_does_not_keep_the_last_place() -> None:
    """In a trickle of single events, one that always gets 504 lets all the others through."""
    scene, owner = Scene(lambda sent: status(504) if 0 in sent.offsets else accepted()), owner_at()
    events = open_events(owner, range(10))
    poison, *good = (scene.start([event]) for event in events)
    await asyncio.gather(*good)
    assert sorted(scene.edge.accepted) == list(range(1, 10))
    assert owner.watermark == 0
    poison.cancel()
    await asyncio.gather(poison, return_exceptions=True)


@virtually
async def test_a_request_refused_for_its_own_sake_does_not_hold_the_route_for_good() -> None:
    """A batch that a firewall forbids hands the probe on, so the others get through."""
    scene, owner = Scene(lambda sent: status(403) if 0 in sent.offsets else accepted()), owner_at()
    forbidden, *good = (scene.start([event]) for event in open_events(owner, range(10)))
    await asyncio.gather(*good)
    assert sorted(scene.edge.accepted) == list(range(1, 10))
    forbidden.cancel()
    await asyncio.gather(forbidden, return_exceptions=True)


def test_a_broken_gateway_behind_a_balancer_dead_letters_nothing() -> None:
    """While a third of all requests gets 500, an event with three of them is no worse than the others."""
    draws = Random(7)

    async def main() -> None:
        scene = Scene(lambda _: status(500) if draws.random() < 1 / 3 else accepted())
        owner = owner_at()
        await asyncio.gather(*(scene.start([event]) for event in open_events(owner, range(300))))
        assert (owner.watermark, scene.dead_letters.written) == (300, {})

    run_virtually(main())
