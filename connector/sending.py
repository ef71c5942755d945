"""One request until it has a final verdict: when it may leave, what its answer means, how long it waits.

Promise: `until_final` returns a verdict that ends the tries of the request, or says why it was not sent. A passing
fault or a configuration fault never ends them, however long it lasts. The same events go out under the same id.

Not promised: what becomes of the events; `delivery.py` settles them or narrows them down. Owner: the event
loop. One `Sender` serves one route.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum, auto
from functools import partial
from typing import TYPE_CHECKING, Final, assert_never

from tenacity import AsyncRetrying, RetryCallState, retry_if_result

from connector.core.codes import Action
from connector.core.pacing import request_units
from connector.core.retry import WaitForEdge, retry_after_s
from connector.core.suspicion import Health, is_gateway_fault, is_strange, points_at_events
from connector.core.verdict import Asked, Verdict, judge
from connector.ports import Credentials, Edge, TokenFailed

if TYPE_CHECKING:
    from collections.abc import Callable

    from connector.gate import Gate
    from connector.outcomes import Outcomes
    from connector.regions import Regions
    from connector.request import Request, RouteTarget, Shipment
    from connector.telemetry import Telemetry


class Defect(Exception):  # noqa: N818 - it says what it is: this connector broke a rule of its own
    """An answer shows that this connector sends what it must never send."""


class Unsent(Enum):
    """Why a request ended without a verdict."""

    GONE = auto()
    """All its events were given up."""
    APART = auto()
    """The route is held, and only one event of it may probe."""


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

_TRIES_PER_TURN: Final = 8  # with the waits doubling from 200 ms to 30 s: about a minute


class Sender:
    """Sends the requests of one route."""

    def __init__(
        self,
        target: RouteTarget,
        surroundings: Surroundings,
        *,
        gate: Gate,
        wait: WaitForEdge,
        outcomes: Outcomes,
        regions: Regions | None = None,
    ) -> None:
        self._target = target
        self._with = surroundings
        self._gate = gate
        self._wait = wait
        self._outcomes = outcomes
        self._regions = regions
        self._health = Health()

    async def until_final(self, request: Request) -> Verdict | Unsent:
        """Try until there is a final verdict, or nothing is left to try.

        The shipment's place among those under way (of a suspect, its turn) is kept while a request waits for its
        next try: in an outage a few batches probe, and the rest stays in line behind them.

        Raises:
            Defect: the endpoint answered that this connector broke a rule.
        """
        last = await self._send(request)
        if isinstance(last, Unsent) or self._is_final(request, last):
            return last
        tries = AsyncRetrying(
            retry=retry_if_result(lambda last: isinstance(last, Verdict) and not self._is_final(request, last)),
            wait=self._wait,
            sleep=partial(self._rest, request),
            before_sleep=partial(self._react, request),
        )
        async for attempt in tries:
            if attempt.retry_state.attempt_number > 1:
                last = await self._send_again(request)
            attempt.retry_state.set_result(last)
        return last

    def leave_place(self, shipment: Shipment, *, keeps_turn: bool = False) -> None:
        """Give a shipment's place, and a suspect's turn, to the next one in the line."""
        if shipment.has_place:
            shipment.has_place = False
            self._gate.places.leave()
        if shipment.has_turn and not keeps_turn:
            shipment.has_turn = False
            self._gate.suspects.leave()

    async def _enter(self, request: Request) -> Unsent | None:
        """Wait until the request may leave and has a place; why it has not to leave at all, if so.

        Nobody waits for the gate with a place in hand: the one who may pass might need it. What has not been tried
        yet is worth a try even when its partition is about to leave, unless it would have to wait: the endpoint is
        failing, the gate is shut, or every place is taken.
        """
        shipment = request.shipment
        while True:
            is_shut = self._gate.is_blocked(shipment)
            stands_in_line = not shipment.has_place and not self._gate.places.has_free_place
            has_to_wait = is_shut or stands_in_line or request.attempts or shipment.is_suspect or self._gate.is_failing
            self._outcomes.abandon(request.drop_ending(only_closed=not has_to_wait))
            if not request.positions:
                return Unsent.GONE
            if is_shut:
                self.leave_place(shipment)
                await self._gate.wait(shipment)
            elif len(request.positions) > 1 and self._gate.is_prober(shipment):
                return Unsent.APART
            elif shipment.has_place:
                return None
            elif shipment.is_suspect and not shipment.has_turn:
                shipment.has_turn = await self._gate.suspects.take()
            elif self._gate.places.take_at_once():
                shipment.has_place = True
                return None
            else:
                # A search that was begun goes first, or the watermark would wait for it behind the whole backlog.
                is_first = shipment.is_searched and request.attempts == 0
                shipment.has_place = await self._gate.places.take(is_first=is_first)

    async def _send_again(self, request: Request) -> Verdict | Unsent:
        """Another try; the place is given up while there are fewer than before, and now and then in any case."""
        if self._gate.places.is_crowded or request.attempts % _TRIES_PER_TURN == 0:
            self.leave_place(request.shipment)
        return await self._send(request)

    async def _send(self, request: Request) -> Verdict | Unsent:
        """One try, as soon as the request may leave."""
        while True:
            unsent = await self._enter(request)
            if unsent is not None:
                return unsent
            verdict = await self._attempt(request)
            if verdict is not None:
                return verdict

    async def _rest(self, request: Request, seconds: float) -> None:
        """Wait before another try; what fails while others get through leaves its place to them, its evidence."""
        if request.shipment.is_suspect or request.doubts_among_acceptances > 1:
            self.leave_place(request.shipment, keeps_turn=True)
        self._outcomes.abandon(request.drop_ending(only_closed=False))
        if request.positions:
            await self._gate.sleep(seconds)

    async def _attempt(self, request: Request) -> Verdict | None:
        """Send once and judge the answer; None if it has to be looked at again, because units have to be waited for."""
        target = self._target
        try:
            headers = await self._with.credentials.headers()
        except TokenFailed as failure:
            return _without_token(failure)
        events = request.events
        body = target.envelope.body([event.fragment for event in events])
        request.size_bytes = len(body)
        units = request_units(len(body), target.upstreams)
        if not self._gate.take_units_at_once(units) and not await self._wait_for_units(request, units):
            return None
        started_at = self._with.monotonic_s()
        request.note_start(headers, now=started_at, unix_ms=int(self._with.unix_s() * 1000))
        counts = self._with.telemetry.routes[target.route]
        counts.in_flight += 1
        try:
            if self._regions is None:
                answer = await self._with.edge.post(target.url + request.request_id, body, headers)
            else:
                answer = await self._regions.post(request, body, headers)
        finally:
            counts.in_flight -= 1
        verdict = judge(answer, Asked(kind=target.kind, is_silent=target.is_silent, count=len(events)))
        request.note_verdict(verdict, self._health)
        if self._regions is not None:
            self._regions.learn(request, verdict.handles)
        seconds = self._with.monotonic_s() - started_at
        self._with.telemetry.request_answered(target.route, verdict, request, size=len(body), seconds=seconds)
        return verdict

    async def _wait_for_units(self, request: Request, units: int) -> bool:
        """Wait for request units; False if the wait was cut, or events were given up that would have to wait.

        Where the allowance is small hundreds stand here: they would go on leaving until a stop's time is up.
        """
        count = len(request.positions)
        self._outcomes.abandon(request.drop_ending(only_closed=False))
        return len(request.positions) == count and await self._gate.take_units(units)

    def _is_final(self, request: Request, verdict: Verdict) -> bool:
        """Whether the tries end here; if not by the verdict itself, because it is the events that seem to fail."""
        if verdict.action in _FINAL:
            return True
        target, evidence = self._target, request.evidence(self._health)
        is_theirs = points_at_events(
            evidence, tries=target.unexpected_error_tries, lone_failure_s=target.lone_failure_s
        )
        if verdict.action is Action.RETRY_FEW or is_strange(verdict):
            return is_theirs
        if not is_gateway_fault(verdict):
            return False
        if evidence.is_alone:
            return is_theirs and target.dead_letters_gateway_faults
        return is_theirs or request.is_reset_for_its_size

    async def _react(self, request: Request, state: RetryCallState) -> None:
        """Do what a verdict asks for before the next try."""
        if state.outcome is None:
            return
        verdict: Verdict = state.outcome.result()
        self._gate.hand_on_probe(request.shipment)
        match verdict.action:
            case Action.RETRY | Action.RETRY_FEW | Action.FOREIGN:
                self._failed(request, verdict, state.upcoming_sleep)
                if request.foreign_answers >= self._target.foreign_answer_tries and not self._stands_alone(request):
                    self._hold(request, verdict)
            case Action.RENEW_TOKEN:
                await self._renew_token(request, verdict, state.upcoming_sleep)
            case Action.HOLD:
                if is_strange(verdict) and self._stands_alone(request):
                    self._failed(request, verdict, state.upcoming_sleep)
                else:
                    self._hold(request, verdict)
            case Action.DEFECT:
                raise Defect(f"{verdict.cause}: {verdict.meaning} {verdict.remedy}")
            case Action.ACCEPT | Action.ISOLATE | Action.HALVE:
                raise AssertionError("a final verdict has no next try")
            case _:
                assert_never(verdict.action)

    def _stands_alone(self, request: Request) -> bool:
        """Whether it may be a firewall that dislikes one of its events: then the route need not wait for it."""
        return request.shipment.note_stranger(self._health.acceptances) and self._gate.hold is None

    def _hold(self, request: Request, verdict: Verdict) -> None:
        self._outcomes.hold(request.shipment, verdict.cause, meaning=verdict.meaning, remedy=verdict.remedy)

    def _failed(self, request: Request, verdict: Verdict, wait_s: float) -> None:
        pause_s = retry_after_s(
            verdict.retry_after, now_unix_s=self._with.unix_s(), max_s=self._wait.backoff.retry_after_max_s
        )
        is_resend, is_spent = request.attempts > 1 or request.shipment.is_suspect, verdict.status == 429
        self._gate.failed(started_at=request.started_at, retry_after_s=pause_s, is_resend=is_resend, is_spent=is_spent)
        self._with.telemetry.request_failed(self._target.route, verdict, wait_s=max(wait_s, pause_s or 0.0))

    async def _renew_token(self, request: Request, verdict: Verdict, wait_s: float) -> None:
        """A token is renewed once per request; refused again, it is the configuration that is wrong.

        That no other token can be had for the moment is no fault of the configuration: it passes.
        """
        if request.token_was_renewed:
            request.token_was_renewed = False  # the next probe renews once more: the secret may be mended
            self._hold(request, verdict)
            return
        try:
            await self._with.credentials.renew(request.headers)
            request.token_was_renewed = True
        except TokenFailed as failure:
            if failure.is_refusal:
                self._hold(request, replace(verdict, remedy=failure.remedy))
            else:
                self._failed(request, _without_token(failure), wait_s)


def _without_token(failure: TokenFailed) -> Verdict:
    """What a missing token means for a request that could not even be sent."""
    return Verdict(
        action=Action.HOLD if failure.is_refusal else Action.RETRY,
        cause=f"token_{failure.cause}",
        meaning="There is no token to send the request with.",
        remedy=failure.remedy,
    )
