"""From a batch to a verdict for each of its events, whatever the endpoint does.

Promise: `deliver` returns when every event of the batch is settled (accepted, or confirmed in the dead-letter topic)
or abandoned because its assignment ends. A passing fault or a configuration fault dead-letters nothing, however long
it lasts; an event is dead-lettered only when `core/isolation.py` found it at fault.

Not promised: order between batches. Owner: the event loop; one `Delivery` serves one route, one task one batch.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final

from connector.core.codes import Action
from connector.core.isolation import Fate, Group, Isolation, Named, Outcome
from connector.core.suspicion import is_gateway_fault
from connector.request import Request, Shipment
from connector.sending import Unsent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from connector.burial import Burial
    from connector.core.body_limit import BodyLimit
    from connector.core.verdict import Verdict
    from connector.gate import Gate
    from connector.model import Event, Rejection
    from connector.outcomes import Outcomes
    from connector.request import RouteTarget
    from connector.responses import Responses
    from connector.sending import Sender, Surroundings


_SHORT_SEARCH: Final = 9  # requests: one bad event of a hundred


class Delivery:
    """Delivers the batches of one route."""

    def __init__(
        self,
        target: RouteTarget,
        surroundings: Surroundings,
        *,
        sender: Sender,
        gate: Gate,
        outcomes: Outcomes,
        burial: Burial,
        body_limit: BodyLimit,
        responses: Responses | None = None,
    ) -> None:
        self._target = target
        self._with = surroundings
        self._gate = gate
        self._outcomes = outcomes
        self._burial = burial
        self._body_limit = body_limit
        self._responses = responses
        self._sender = sender
        self._searches: dict[Shipment, Request] = {}  # with the request that each waits for

    async def deliver(self, batch: Sequence[Event]) -> None:
        """Bring every event of a batch to its verdict.

        Raises:
            Defect: the endpoint answered that this connector broke a rule; nothing is settled by it.
        """
        await self._deliver(Shipment.of(batch))

    def give_up_leaving(self) -> None:
        """Give up the events that wait for a request of their batch, where their assignment is about to end."""
        for shipment, request in self._searches.items():
            self._outcomes.abandon(shipment.abandon(shipment.open_on_leaving() - set(request.positions)))

    async def _deliver(self, shipment: Shipment) -> None:
        isolation = Isolation()
        try:
            await self._search(shipment, isolation)
        finally:
            self._searches.pop(shipment, None)
            self._leave_places(shipment)
        # Together with the bad ones, which are known last: or those of many batches would seem to come in a row.
        self._note_accepted(shipment)
        suspects = [position for position in isolation.suspects if position not in shipment.abandoned]
        if isolation.at_fault or suspects:
            burial = self._bury(shipment, isolation.at_fault)
            alone = [self._deliver(shipment.only(position)) for position in suspects]
            await asyncio.gather(burial, *alone)
        elif shipment.reset_bytes and not shipment.abandoned:
            self._lower_body_limit(shipment.reset_bytes, "disconnected")  # all of it passed, in smaller bodies

    async def _search(self, shipment: Shipment, isolation: Isolation) -> None:
        """Send a shipment until each event is accepted, found at fault, under suspicion or abandoned."""
        steps = isolation.steps(len(shipment.events))
        group = next(steps, None)
        requests = 0
        with suppress(StopIteration):
            while group is not None:
                group = steps.send(await self._send_group(shipment, group))
                requests += 1
                if requests >= _SHORT_SEARCH:
                    await self._take_search_place(shipment)

    async def _send_group(self, shipment: Shipment, group: Group) -> Outcome:
        """Send one group until it has a final verdict; settle what is accepted, remember who is blamed."""
        request = self._searches[shipment] = Request.of(shipment, group)
        verdict = await self._sender.until_final(request)
        if isinstance(verdict, Unsent):
            if verdict is Unsent.APART:
                return Fate.APART
            self._gate.hand_on_probe(shipment)
            return Fate.GONE
        self._outcomes.release(shipment)
        if verdict.action in (Action.ACCEPT, Action.ISOLATE):
            self._gate.succeeded(started_at=request.started_at)
        if verdict.action is Action.ACCEPT:
            is_whole = len(request.positions) == len(group)
            await self._accept(request, verdict)
            return Fate.ACCEPTED if is_whole else Fate.GONE
        self._with.telemetry.isolation_started(self._target.route, verdict, events=len(request.positions))
        shipment.blame.update(dict.fromkeys(request.positions, request.rejection(verdict)))
        return self._outcome_of(request, group, verdict)

    def _outcome_of(self, request: Request, group: Group, verdict: Verdict) -> Outcome:
        """What a final verdict other than an acceptance means for the search."""
        if verdict.action is Action.HALVE:
            self._lower_body_limit(request.size_bytes, verdict.cause)
            return Fate.TOO_LARGE
        if verdict.places:
            place_in_group = {position: place for place, position in enumerate(group)}
            return Named(frozenset(place_in_group[request.positions[place]] for place in verdict.places))
        if verdict.action is Action.ISOLATE:
            return Fate.REFUSED
        if is_gateway_fault(verdict) and request.is_reset_for_its_size:
            request.shipment.reset_bytes = max(request.shipment.reset_bytes, request.size_bytes)
            return Fate.TOO_LARGE
        return Fate.FAILED

    async def _take_search_place(self, shipment: Shipment) -> None:
        """Go on with a long search only beside a bounded number of others.

        Nobody waits here with a place among the requests in hand: a burst of bad events must not starve good ones. A
        short search does not wait, because all that settles above its batch is repeated by a crash. A stop or a revoke
        ends the wait, and the requests that follow are given up at the gate.
        """
        searches = self._gate.searches
        if shipment.is_searched:
            return
        if not searches.has_free_place:
            self._sender.leave_place(shipment)
        while not shipment.is_searched and not shipment.is_touched:
            shipment.is_searched = await searches.take()

    def _leave_places(self, shipment: Shipment) -> None:
        self._sender.leave_place(shipment)
        if shipment.is_searched:
            shipment.is_searched = False
            self._gate.searches.leave()

    async def _accept(self, request: Request, verdict: Verdict) -> None:
        """Settle what was accepted; what is a dead letter as well, or has a response, when that is confirmed."""
        if verdict.reports:
            self._with.telemetry.acceptance_reported(self._target.route, verdict.reports)
        reported = self._set_reported_apart(request, verdict)
        request.shipment.accepted += len(request.positions)
        if self._responses is None:
            self._outcomes.accept(request.runs, len(request.positions))
        else:  # the place is kept while the topic works: no more answers are in memory than requests may be under way
            leave = partial(self._sender.leave_place, request.shipment)  # a topic that fails must not stop other routes
            request_id = verdict.request_id or request.request_id
            await self._responses.respond(request.events, request_id, verdict.handles, on_failure=leave)
        if reported:  # now: the search may wait for hours, and nobody may give them up, as they were accepted
            self._leave_places(request.shipment)
            self._note_accepted(request.shipment)
            await self._burial.bury(reported)

    def _set_reported_apart(self, request: Request, verdict: Verdict) -> list[tuple[Event, Rejection]]:
        """Of an acceptance, keep those events for the dead-letter topic that it names as failed upstream."""
        if not (self._target.dead_letters_reported and verdict.reported):
            return []
        shipment = request.shipment
        why = {request.positions[place]: request.rejection(verdict, reason=code) for place, code in verdict.reported}
        shipment.reported.update(why)
        request.positions = [position for position in request.positions if position not in why]
        return [(shipment.events[position], rejection) for position, rejection in why.items()]

    def _note_accepted(self, shipment: Shipment) -> None:
        self._outcomes.brake.note(accepted=shipment.accepted)
        shipment.accepted = 0

    async def _bury(self, shipment: Shipment, at_fault: Sequence[int]) -> None:
        """Dead-letter what is at fault and was not given up meanwhile."""
        why = {position: shipment.blame[position] for position in at_fault if position not in shipment.abandoned}
        await self._burial.bury([(shipment.events[position], rejection) for position, rejection in why.items()])

    def _lower_body_limit(self, refused_bytes: int, cause: str) -> None:
        lowered = self._body_limit.lower(refused_bytes, self._with.monotonic_s())
        if lowered is not None:
            self._with.telemetry.body_limit_lowered(self._target.route, lowered, refused_bytes, cause)
