"""One request on its way: which events it carries, under which id, and what it has been through."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from connector.core.codes import Action, NoAnswer
from connector.core.offsets import runs
from connector.core.pacing import UNIT_BYTES
from connector.core.request_ids import make_request_id
from connector.core.suspicion import Evidence, Health, is_doubtful
from connector.model import Event, Rejection

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from connector.core.envelope import Envelope
    from connector.core.isolation import Group
    from connector.core.offsets import PartitionOffsets
    from connector.core.verdict import EndpointKind, Verdict


_RESETS: Final = 5  # of one request, with nobody to compare it with, before its body counts as too large for a proxy

_random_bits: Final = random.Random().getrandbits  # seeded by the operating system, once
_process_mark: Final = _random_bits(32)


def new_request_id() -> str:
    """A random UUID. It only traces a request (published), so the operating system is not asked for each one.

    That would let go of the interpreter's lock, and the Kafka thread would take its turn before every request.
    """
    return make_request_id(_process_mark, _random_bits(128))


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteTarget:
    """Where one route's requests go, and how patient it is with answers that should not be."""

    route: str
    datastream_id: str
    url: str  # complete but for the request id, which is appended
    kind: EndpointKind
    is_silent: bool
    upstreams: int  # services that the datastream has enabled: what multiplies the price of a request
    envelope: Envelope
    foreign_answer_tries: int
    unexpected_error_tries: int
    lone_failure_s: float = 0.0  # how long one event alone has to fail before that is its own doing
    dead_letters_gateway_faults: bool = False  # whether an event may be at fault that shows as a 502 or a reset
    dead_letters_reported: bool = False  # whether events that a 207 names as failed upstream become dead letters too
    hint_at: int = 0  # where in `url` a location hint is put in

    def url_for(self, hint: str | None) -> str:
        """Where a request goes that an answer has given a location hint, up to the request id."""
        return self.url if hint is None else f"{self.url[: self.hint_at]}{hint}/{self.url[self.hint_at :]}"


@dataclass(slots=True, eq=False)
class Shipment:
    """A batch on its way to the verdicts; positions in it name its events."""

    events: Sequence[Event]
    runs: tuple[tuple[PartitionOffsets, int, int], ...]  # of all its events, counted once
    blame: dict[int, Rejection] = field(default_factory=dict)  # by position: the latest refusal that held it
    reported: set[int] = field(default_factory=set)  # accepted, then failed upstream: dead letters, never given up
    abandoned: set[int] = field(default_factory=set)
    accepted: int = 0  # events of which the brake was not told yet
    has_place: bool = False  # among those under way; kept through a search, so that it ends before others begin
    has_turn: bool = False  # as a suspect: kept while it rests without a place
    is_searched: bool = False  # has a place among those too
    is_doubted: bool = False  # one of its requests met a doubtful answer
    is_suspect: bool = False  # its one event was narrowed down to, so that it fails says nothing about others
    strange_at: int | None = None  # the route's acceptances when a stranger last refused one of its requests
    reset_bytes: int = 0  # the size of a body that was sent in halves because connections broke over it

    @classmethod
    def of(cls, batch: Sequence[Event]) -> Shipment:
        """A shipment of one batch."""
        return cls(batch, tuple(runs(batch)))

    def only(self, position: int) -> Shipment:
        """A shipment of one of its events, under the same suspicion."""
        event = self.events[position]
        return Shipment([event], tuple(runs([event])), strange_at=self.strange_at, is_suspect=True)

    @property
    def is_touched(self) -> bool:
        """Whether an assignment of one of its events is over, or about to be."""
        return any(owner.is_leaving for owner, _, _ in self.runs)

    def note_stranger(self, acceptances: int) -> bool:
        """Note that a stranger refuses these events, after so many acceptances of the route.

        Returns whether it did so before, and others were accepted since.
        """
        before, self.strange_at = self.strange_at, acceptances
        return before is not None and acceptances > before

    def open_on_leaving(self) -> set[int]:
        """The events without a verdict whose assignment is about to end."""
        if not self.is_touched:
            return set()
        return {
            position
            for position, event in enumerate(self.events)
            if event.owner.is_leaving
            and not event.owner.is_closed
            and not event.owner.is_settled(event.offset)
            and position not in self.reported
        }

    def abandon(self, positions: Iterable[int]) -> list[Event]:
        """Give up events whose assignment ends; returns those that were not given up before."""
        fresh = [position for position in dict.fromkeys(positions) if position not in self.abandoned]
        self.abandoned.update(fresh)
        return [self.events[position] for position in fresh]


@dataclass(slots=True)
class Request:
    """Some events of a shipment on their way; the id is the same on each resend of the same events."""

    shipment: Shipment
    positions: list[int]
    request_id: str = field(default_factory=new_request_id)
    attempts: int = 0
    first_doubted_at: float = 0.0  # monotonic seconds: the start of the try that met the first doubtful answer
    size_bytes: int = 0  # of its body, as sent last
    foreign_answers: int = 0  # in a row
    unexpected_errors: int = 0
    resets: int = 0
    doubts: int = 0  # answers that might be an event's doing
    doubts_among_acceptances: int = 0  # those of them before which others were accepted, and the first
    accepted_at_first: int = 0  # requests of the route, when it met the first of them
    accepted_at_last: int = 0
    doubts_at_first: int = 0
    answers_at_first: int = 0
    token_was_renewed: bool = False
    first_attempt_ms: int = 0  # milliseconds since the epoch
    last_attempt_ms: int = 0
    started_at: float = 0.0  # monotonic seconds
    headers: Mapping[str, str] = field(
        default_factory=dict, repr=False
    )  # as sent last; they hold the token, so never shown

    @classmethod
    def of(cls, shipment: Shipment, group: Group) -> Request:
        """A request for one group of a shipment's events."""
        abandoned = shipment.abandoned
        return cls(shipment, [at for at in group if at not in abandoned] if abandoned else list(group))

    @property
    def events(self) -> Sequence[Event]:
        """The events that it carries now."""
        events = self.shipment.events
        if len(self.positions) == len(events):
            return events
        return [events[position] for position in self.positions]

    @property
    def runs(self) -> Iterable[tuple[PartitionOffsets, int, int]]:
        """The (owner, first, end) runs of the events that it carries now."""
        if len(self.positions) == len(self.shipment.events):
            return self.shipment.runs
        return runs(self.events)

    def drop_ending(self, *, only_closed: bool) -> list[Event]:
        """Leave out events whose assignment is over, or about to be; returns those newly given up.

        Without `only_closed` this request has to wait: then the rest of its batch waits for it, and is given up too.
        """
        shipment = self.shipment
        if not shipment.is_touched:
            return []
        ending: list[int] = []
        staying: list[int] = []
        for position in self.positions:
            owner = shipment.events[position].owner
            is_ending = owner.is_closed or (owner.is_leaving and not only_closed)
            (ending if is_ending else staying).append(position)
        if ending:
            self.positions = staying
        return shipment.abandon(ending if only_closed else [*ending, *shipment.open_on_leaving()])

    def note_start(self, headers: Mapping[str, str], *, now: float, unix_ms: int) -> None:
        """Note that it leaves now."""
        self.headers = headers
        if not self.attempts:
            self.first_attempt_ms = unix_ms
        self.started_at, self.last_attempt_ms = now, unix_ms
        self.attempts += 1

    def note_verdict(self, verdict: Verdict, health: Health) -> None:
        """Count the kinds of answer that are borne only a few times, and note the route's health with this answer."""
        if verdict.action is not Action.RENEW_TOKEN:
            self.token_was_renewed = False  # the token worked: the next one that is refused has expired
        self.foreign_answers = self.foreign_answers + 1 if verdict.action is Action.FOREIGN else 0
        self.unexpected_errors += verdict.action is Action.RETRY_FEW
        self.resets += verdict.cause == NoAnswer.DISCONNECTED
        if verdict.action is Action.ACCEPT:
            health.acceptances += 1
        elif is_doubtful(verdict):
            self._note_doubt(health)

    def _note_doubt(self, health: Health) -> None:
        """Note an answer that may be an event's doing.

        It speaks against its own events only if others were accepted since the one before. In an outage that begins
        while it waits, acceptances from before would otherwise go on speaking against it.
        """
        shipment = self.shipment
        health.doubts += not (shipment.is_suspect or shipment.is_doubted)
        shipment.is_doubted = True
        if not self.doubts:
            self.first_doubted_at = self.started_at
            self.accepted_at_first, self.doubts_at_first = health.acceptances, health.doubts
            self.answers_at_first = health.doubtful_answers
        if not self.doubts or health.acceptances > self.accepted_at_last:
            self.doubts_among_acceptances += 1
        self.accepted_at_last = health.acceptances
        self.doubts += 1
        health.doubtful_answers += 1

    @property
    def is_reset_for_its_size(self) -> bool:
        """Whether connections break over a body that may be too large for something in between.

        One request unit is what everything lets pass, and an outage must not tear every batch into single events.
        """
        return self.resets >= _RESETS and self.size_bytes > UNIT_BYTES and len(self.positions) > 1

    def evidence(self, health: Health) -> Evidence:
        """What speaks for its own events being at fault."""
        return Evidence(
            doubts=self.doubts_among_acceptances,
            unexpected_errors=self.unexpected_errors,
            others_accepted=health.acceptances - self.accepted_at_first,
            others_doubts=health.doubts - self.doubts_at_first,
            has_company=health.doubtful_answers - self.answers_at_first > self.doubts,
            is_alone=len(self.shipment.events) == 1,
            failing_s=self.started_at - self.first_doubted_at,
        )

    def rejection(self, verdict: Verdict, *, reason: str | None = None) -> Rejection:
        """What to write into a dead letter when this request's refusal turns out to be an event's fault."""
        return Rejection(
            stage="deliver",
            reason=reason or verdict.cause,
            title=verdict.title or verdict.meaning,
            detail=verdict.detail,
            status=verdict.status,
            request_id=verdict.request_id or self.request_id,
            attempts=self.attempts,
            first_attempt_ms=self.first_attempt_ms,
            last_attempt_ms=self.last_attempt_ms,
        )
