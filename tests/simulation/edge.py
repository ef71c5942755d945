"""A simulated Edge: it decides about a request when it has arrived, and its answer may never get back."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final

import orjson

from connector.core.codes import NoAnswer
from connector.core.verdict import Answer

if TYPE_CHECKING:
    from tests.simulation.member import Member
    from tests.simulation.oracle import Entry
    from tests.simulation.world import World

TIMEOUT_S: Final = 3.0
_ENVELOPES: Final = {"collect": (b'{"events":[', b"]}"), "interact": (b'{"event":', b"}")}
_ACCEPTED: Final = {"reported": Answer(status=207, body=b'{"requestId":"r","errors":[{"report":{"eventIndex":0}}]}'),
                    "collect": Answer(status=202, body=b'{"requestId":"r"}'),
                    "interact": Answer(status=200, body=b'{"requestId":"r","handle":[]}')}  # fmt: skip
_BROKEN: Final = {
    "reset": NoAnswer.DISCONNECTED,
    "reset_accepted": NoAnswer.DISCONNECTED,
    "timeout": NoAnswer.TIMEOUT,
    "timeout_accepted": NoAnswer.TIMEOUT,
}


def _problem(code: str, detail: str = "") -> Answer:
    document = {"type": f"https://ns.adobe.com/aep/errors/EXEG-{code}", "title": "A title", "detail": detail}
    return Answer(status=int(code[-3:]), body=orjson.dumps(document))


@dataclass(slots=True, eq=False)
class Flight:
    """One request under way."""

    member: Member
    entries: list[Entry]
    kind: str
    answer: asyncio.Future[Answer | NoAnswer]
    fault: str | None
    sent_at: float
    sender: str  # as what member of the group
    decided: Answer | NoAnswer | None = None
    is_accepted: bool = False

    @property
    def is_answered(self) -> bool:
        """Whether the process has heard how it ended; not if it gave it up."""
        return self.answer.done() and not self.answer.cancelled()


@dataclass(slots=True)
class SimulatedEdge:
    """The endpoint that all members send to."""

    world: World
    fault: str | None = None  # what everybody meets for now
    flights: list[Flight] = field(default_factory=list)
    requests: int = 0

    async def post(self, member: Member, url: str, body: bytes) -> Answer | NoAnswer:
        """Send a body once, for a member that may be killed meanwhile."""
        sender = str(member.source.id)  # a process that was stopped sends it as who it was before
        await member.awake()
        world, rng = self.world, self.world.rng
        kind = "interact" if "/interact?" in url else "collect"
        prefix, suffix = _ENVELOPES[kind]
        self.requests += 1
        fault = self.fault or world.draw(world.plan.edge_faults)
        if fault == "refused":
            await asyncio.sleep(0.001)
            world.trace.note(member.name, "nobody listens at the Edge")
            return NoAnswer.REFUSED
        answer: asyncio.Future[Answer | NoAnswer] = asyncio.get_running_loop().create_future()
        flight = Flight(member, world.oracle.read(body, prefix, suffix), kind, answer, fault, world.now, sender)
        self.flights.append(flight)
        latency_s = world.plan.latency_s * rng.uniform(0.5, 1.5)
        if rng.random() < world.faults(world.plan.tail):
            latency_s *= rng.uniform(2, 100)
        is_late = latency_s > TIMEOUT_S or fault in ("timeout", "timeout_accepted")
        loop = asyncio.get_running_loop()
        loop.call_later(rng.uniform(0, latency_s), self._arrive, flight)
        loop.call_later(TIMEOUT_S if is_late else latency_s + 1e-6, self._come_back, flight, is_late)
        return await answer

    def _arrive(self, flight: Flight) -> None:
        """The body is at the Edge, which decides."""
        world, entries = self.world, flight.entries
        flight.decided = self._decide(flight)
        flight.is_accepted = isinstance(flight.decided, Answer) and flight.decided.status in (200, 202, 207)
        flight.is_accepted &= flight.fault != "html"
        what = f"{entries[0].name} and {len(entries) - 1} more of {flight.member.name}" if entries else "nothing"
        world.trace.note("edge", f"{'accepts' if flight.is_accepted else 'does not accept'} {what} ({flight.fault})")
        if flight.is_accepted:
            world.oracle.accepted(entries, stale=partial(world.group.stale_owner, flight.sender))

    def _come_back(self, flight: Flight, is_late: bool) -> None:
        """The answer is back, or what there is in its place; nobody hears it in a process that is dead or stopped."""
        member = flight.member
        if member.is_dead:
            self.flights.remove(flight)
        elif not member.is_awake:
            member.held.append(lambda: self._come_back(flight, is_late))
        else:
            self.flights.remove(flight)
            answer = NoAnswer.TIMEOUT if is_late or flight.decided is None else flight.decided
            answer = _BROKEN.get(str(flight.fault), answer)
            if isinstance(answer, NoAnswer) or flight.answer.cancelled():
                self._check_cut_off(flight)
                if flight.is_accepted or flight.decided is None:
                    self.world.oracle.excuse(flight.entries)
            elif flight.is_accepted:
                self.world.oracle.answered(flight.entries)
            if not flight.answer.done():
                member.hear(flight.entries)
                flight.answer.set_result(answer)

    def _check_cut_off(self, flight: Flight) -> None:
        """A process that runs does not give a request up before its time to stop is over."""
        world, stopped_at = self.world, flight.member.stopped_at
        is_time_up = stopped_at is not None and world.now - stopped_at >= world.config.shutdown.grace_ms / 1000
        if flight.answer.cancelled() and not is_time_up:
            world.oracle.fail(f"{flight.member.name} gave up a request under way, {flight.entries[0].name}")

    def _decide(self, flight: Flight) -> Answer | NoAnswer:
        fault = flight.fault
        match fault:
            case "503":
                return Answer(status=503, body=b"<html>", retry_after=None)
            case "429":
                return Answer(status=429, body=b"{}", retry_after=str(self.world.rng.randint(1, 3)))
            case "500" | "502":
                return Answer(status=int(fault), body=b"<html>")
            case "reset" | "timeout":
                return _BROKEN[fault]
            case "html":
                return Answer(status=200, body=b"<html>")
            case "404" | "413" | "400":
                return Answer(status=int(fault), body=b"<html>")
            case "0400-403" | "0003-400" | "0502-401":
                return _problem(fault)
            case _:
                return self._judge(flight)

    def _judge(self, flight: Flight) -> Answer:
        """What the Edge says of the events themselves."""
        kinds = [entry.kind for entry in flight.entries]
        if "poison" in kinds:
            return Answer(status=500, body=b"<html>")
        if "named" in kinds:
            return _problem("0304-400", f"The identity map of the event #{kinds.index('named')} is not valid.")
        if "unnamed" in kinds:
            return _problem("0104-422")
        return _ACCEPTED["reported" if flight.fault == "207" else flight.kind]
