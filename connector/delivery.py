"""From a batch to a verdict for each of its events, whatever the endpoint does.

Promise: `deliver` returns when every event of the batch is settled (accepted, or confirmed in the dead-letter topic)
or abandoned because its assignment ends. A passing fault or a configuration fault dead-letters nothing, however long
it lasts; an event is dead-lettered only when `core/isolation.py` found it at fault.

Not promised: order between batches. Owner: the event loop; one `Delivery` serves one route, one task one batch.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final, assert_never

from tenacity import AsyncRetrying, RetryCallState, retry_if_result

from connector.core.codes import Action
from connector.core.isolation import Fate, Group, Isolation, Named, Outcome
from connector.core.pacing import request_units
from connector.core.retry import WaitForEdge, retry_after_s
from connector.core.verdict import Asked, Verdict, judge
from connector.ports import Credentials, Edge, TokenFailed
from connector.request import Health, Request, Shipment

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from connector.burial import Burial
    from connector.gate import Gate
    from connector.model import Event
    from connector.outcomes import Outcomes
    from connector.request import RouteTarget
    from connector.telemetry import Telemetry


class Defect(Exception):  # noqa: N818 - it says what it is: this connector broke a rule of its own
    """An answer shows that this connector sends what it must never send."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a delivery works with."""

    edge: Edge
    credentials: Credentials
    telemetry: Telemetry
    monotonic_s: Callable[[], float]
    unix_s: Callable[[], float]


_FINAL: Final = frozenset({Action.ACCEPT, Action.ISOLATE, Action.HALVE})
"""What ends the tries of a request whatever came before, and shows that the route's configuration works."""

_SOLO_FACTOR: Final = 3  # a lone batch that fails unexpectedly is searched after this many times the usual tries
_ALONE_FACTOR: Final = 2
_TRIES_PER_TURN: Final = 8  # with the waits doubling from 200 ms to 30 s: about a minute
_HEALTHY_RATIO: Final = 9  # acceptances for each unexpected fault of others, above which the fault is not theirs


class Delivery:
    """Delivers the batches of one route."""

    def __init__(
        self,
        target: RouteTarget,
        surroundings: Surroundings,
        *,
        gate: Gate,
        wait: WaitForEdge,
        outcomes: Outcomes,
        burial: Burial,
    ) -> None:
        self._target = target
        self._with = surroundings
        self._gate = gate
        self._wait = wait
        self._outcomes = outcomes
        self._burial = burial
        self._health = Health()

    async def deliver(self, batch: Sequence[Event]) -> None:
        """Bring every event of a batch to its verdict.

        Raises:
            Defect: the endpoint answered that this connector broke a rule; nothing is settled by it.
        """
        shipment = Shipment.of(batch)
        try:
            found = await self._search(shipment)
        finally:
            self._leave_place(shipment)
        at_fault = [position for position in found if position not in shipment.abandoned]
        if at_fault:
            await self._burial.bury([(batch[position], shipment.blame[position]) for position in at_fault])

    async def _search(self, shipment: Shipment) -> list[int]:
        """Send a shipment until each event is accepted, found at fault or abandoned; returns those at fault."""
        isolation = Isolation()
        steps = isolation.steps(len(shipment.events))
        group = next(steps, None)
        with suppress(StopIteration):
            while group is not None:
                group = steps.send(await self._send_group(shipment, group))
        return isolation.at_fault

    async def _send_group(self, shipment: Shipment, group: Group) -> Outcome:
        """Send one group until it has a final verdict; settle what is accepted, remember who is blamed."""
        request = Request.of(shipment, group)
        try:
            verdict = await self._until_final(request)
        finally:
            self._outcomes.release(request)
        if verdict is None:
            return Fate.GONE
        if verdict.action is Action.ACCEPT:
            self._accepted(request, verdict)
            return Fate.ACCEPTED if len(request.positions) == len(group) else Fate.GONE
        self._with.telemetry.isolation_started(self._target.route, verdict, events=len(request.positions))
        rejection = request.rejection(verdict)
        shipment.blame.update(dict.fromkeys(request.positions, rejection))
        if verdict.action is Action.HALVE:
            return Fate.TOO_LARGE
        if verdict.places:
            place_in_group = {position: place for place, position in enumerate(group)}
            return Named(frozenset(place_in_group[request.positions[place]] for place in verdict.places))
        return Fate.REFUSED if verdict.action is Action.ISOLATE else Fate.FAILED

    async def _until_final(self, request: Request) -> Verdict | None:
        """Try until there is a final verdict, None if the events were abandoned before.

        The shipment's place among those under way is kept while a request waits for its next try: in an outage
        a few batches probe, and the rest stays in line behind them.
        """
        if not await self._enter(request):
            return None
        verdict = await self._attempt(request)
        if self._is_final(request, verdict):
            return verdict
        tries = AsyncRetrying(
            retry=retry_if_result(lambda last: last is not None and not self._is_final(request, last)),
            wait=self._wait,
            sleep=partial(self._rest, request),
            before_sleep=partial(self._react, request),
        )
        last: Verdict | None = verdict
        async for attempt in tries:
            if attempt.retry_state.attempt_number > 1:
                last = await self._attempt(request) if await self._reenter(request) else None
            attempt.retry_state.set_result(last)
        return last

    async def _enter(self, request: Request) -> bool:
        """Wait until the request may leave and has a place; False if all its events were given up meanwhile.

        Nobody waits for the gate with a place in hand: the one who may pass might need it. What has not been tried
        yet is worth a try even when its partition is about to leave, unless it would have to wait: the endpoint is
        failing, the gate is shut, or every place is taken.
        """
        while True:
            is_shut = self._gate.is_blocked(request)
            stands_in_line = not request.shipment.has_place and not self._gate.has_free_place
            has_to_wait = is_shut or stands_in_line or request.attempts > 0 or self._gate.is_failing
            self._outcomes.abandon(request.drop_ending(only_closed=not has_to_wait))
            if not request.positions:
                return False
            if is_shut:
                self._leave_place(request.shipment)
                await self._gate.wait(request)
            elif request.shipment.has_place:
                return True
            else:
                request.shipment.has_place = await self._gate.take_place()

    def _leave_place(self, shipment: Shipment) -> None:
        if shipment.has_place:
            shipment.has_place = False
            self._gate.leave_place()

    async def _reenter(self, request: Request) -> bool:
        """Before another try: like `_enter`, but the place is kept, unless others should have it.

        It is given up while places are fewer than before, and now and then in any case: a request that fails for its
        own sake must not keep the last place for ever.
        """
        if self._gate.is_crowded or request.attempts % _TRIES_PER_TURN == 0:
            self._leave_place(request.shipment)
        return await self._enter(request)

    async def _rest(self, request: Request, seconds: float) -> None:
        """Wait before another try, unless nothing is left to try."""
        self._outcomes.abandon(request.drop_ending(only_closed=False))
        if request.positions:
            await self._gate.sleep(seconds)

    async def _attempt(self, request: Request) -> Verdict:
        """Send once and judge the answer."""
        target = self._target
        try:
            headers = await self._with.credentials.headers()
        except TokenFailed as failure:
            return _without_token(failure)
        events = request.events
        body = target.envelope.body([event.fragment for event in events])
        await self._gate.keep_pace(request_units(len(body), target.upstreams))
        started_at = self._with.monotonic_s()
        request.note_start(headers, self._health, now=started_at, unix_ms=int(self._with.unix_s() * 1000))
        counts = self._with.telemetry.routes[target.route]
        counts.in_flight += 1
        try:
            answer = await self._with.edge.post(target.url + request.request_id, body, headers)
        finally:
            counts.in_flight -= 1
        verdict = judge(answer, Asked(kind=target.kind, is_silent=target.is_silent, count=len(events)))
        request.note_verdict(verdict)
        self._health = self._health.after(verdict.action)
        seconds = self._with.monotonic_s() - started_at
        self._with.telemetry.request_answered(target.route, verdict, request, size=len(body), seconds=seconds)
        return verdict

    def _is_final(self, request: Request, verdict: Verdict) -> bool:
        if verdict.action is Action.RETRY_FEW:
            return self._is_worth_a_search(request)
        return verdict.action in _FINAL

    def _is_worth_a_search(self, request: Request) -> bool:
        """Whether unexpected faults (500) look like one event's doing rather than like an outage.

        They do when others of the route got through meanwhile, and hardly any of them met the same: behind a load
        balancer with one broken gateway everybody does. A batch that is alone has no others to compare with: after
        many tries it is searched too, which costs requests but blames nobody, as one event is never judged so.
        """
        is_alone = len(request.positions) == 1  # the verdict on it is final: more tries, before it is given up
        tries = self._target.unexpected_error_tries * (_ALONE_FACTOR if is_alone else 1)
        if request.unexpected_errors < tries:
            return False
        since = self._health.since(request.health_at_start)
        others_failed = since.unexpected_errors - request.unexpected_errors
        if since.acceptances > _HEALTHY_RATIO * (others_failed + is_alone):
            return True
        return not is_alone and request.unexpected_errors >= tries * _SOLO_FACTOR

    async def _react(self, request: Request, state: RetryCallState) -> None:
        """Do what a verdict asks for before the next try."""
        if state.outcome is None:
            return
        verdict: Verdict = state.outcome.result()
        self._gate.hand_on_probe(request)
        match verdict.action:
            case Action.RETRY | Action.RETRY_FEW:
                self._failed(request, verdict, state.upcoming_sleep)
            case Action.FOREIGN:
                self._failed(request, verdict, state.upcoming_sleep)
                if request.foreign_answers >= self._target.foreign_answer_tries:
                    self._outcomes.hold(request, verdict.cause, meaning=verdict.meaning, remedy=verdict.remedy)
            case Action.RENEW_TOKEN:
                await self._renew_token(request, verdict)
            case Action.HOLD:
                self._outcomes.hold(request, verdict.cause, meaning=verdict.meaning, remedy=verdict.remedy)
            case Action.DEFECT:
                raise Defect(f"{verdict.cause}: {verdict.meaning} {verdict.remedy}")
            case Action.ACCEPT | Action.ISOLATE | Action.HALVE:
                raise AssertionError("a final verdict has no next try")
            case _:
                assert_never(verdict.action)

    def _failed(self, request: Request, verdict: Verdict, wait_s: float) -> None:
        pause_s = retry_after_s(
            verdict.retry_after, now_unix_s=self._with.unix_s(), max_s=self._wait.backoff.retry_after_max_s
        )
        self._gate.failed(started_at=request.started_at, retry_after_s=pause_s, is_resend=request.attempts > 1)
        self._with.telemetry.request_failed(self._target.route, verdict, wait_s=max(wait_s, pause_s or 0.0))

    async def _renew_token(self, request: Request, verdict: Verdict) -> None:
        """A token is renewed once per request; refused again, it is the configuration that is wrong."""
        if request.token_was_renewed:
            request.token_was_renewed = False  # the next probe renews once more: the secret may be mended
            self._outcomes.hold(request, verdict.cause, meaning=verdict.meaning, remedy=verdict.remedy)
            return
        request.token_was_renewed = True
        with suppress(TokenFailed):  # the next try asks again, and says why there is no token
            await self._with.credentials.renew(request.headers)

    def _accepted(self, request: Request, verdict: Verdict) -> None:
        self._gate.succeeded()
        self._outcomes.accept(request.runs, len(request.positions))
        if verdict.reports:
            self._with.telemetry.acceptance_reported(self._target.route, verdict.reports)


def _without_token(failure: TokenFailed) -> Verdict:
    """What a missing token means for a request that could not even be sent."""
    return Verdict(
        action=Action.HOLD if failure.is_refusal else Action.RETRY,
        cause=f"token_{failure.cause}",
        meaning="There is no token to send the request with.",
        remedy=failure.remedy,
    )
