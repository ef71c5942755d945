"""When a fault that should pass is an event's own doing: the poison behind a 500, a 502, a reset or a firewall's page.

Promise: events come under suspicion only while others of their route get through and hardly any of them meets the
same. In an outage nobody does; behind a load balancer with one broken gateway everybody meets it sometime.

Not promised: a verdict. What is suspected is searched, and an event is at fault only if it alone failed often enough.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from connector.core.codes import Action, NoAnswer

if TYPE_CHECKING:
    from connector.core.verdict import Verdict

_ALONE_FACTOR: Final = 2  # the verdict on one event is final: more tries, before it is given up
_SOLO_FACTOR: Final = 3  # a batch that has nobody to compare itself with is searched after so many times the tries
_HEALTHY_RATIO: Final = 9  # acceptances for each other batch in doubt, above which the fault is not theirs


@dataclass(slots=True)
class Health:
    """How the requests of one route have fared so far."""

    acceptances: int = 0
    doubts: int = 0  # batches that met a doubtful answer, however often: one that is tried again counts once
    doubtful_answers: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What is known about a request that failed again, since it first met a doubtful answer."""

    doubts: int  # doubtful answers to it, each but the first after acceptances of others since the one before
    unexpected_errors: int  # all answers to it that Adobe advises not to repeat
    others_accepted: int
    others_doubts: int  # other batches that met their first doubtful answer
    has_company: bool  # whether another request met a doubtful answer at all
    is_alone: bool  # it holds the one event that it was narrowed down to
    failing_s: float  # from the first of the tries that met one to the last


def is_doubtful(verdict: Verdict) -> bool:
    """Whether an answer that settles nothing might be an event's doing."""
    return verdict.action is Action.RETRY_FEW or is_gateway_fault(verdict) or is_strange(verdict)


def is_gateway_fault(verdict: Verdict) -> bool:
    """A gateway or a connection that broke over the request, mostly for reasons of its own."""
    return verdict.action is Action.RETRY and (verdict.status == 502 or verdict.cause == NoAnswer.DISCONNECTED)


def is_strange(verdict: Verdict) -> bool:
    """Refused by something that is not the Edge, or says no reason: a firewall may dislike what one event holds."""
    return verdict.action is Action.FOREIGN or (verdict.action is Action.HOLD and verdict.cause.startswith("http_"))


def points_at_events(evidence: Evidence, *, tries: int, lone_failure_s: float) -> bool:
    """Whether a request that failed `tries` times (twice as often if it is one event) fails for its events' sake.

    One event has to fail for `lone_failure_s` too: a part of an endpoint that is down for a few visitors, while all
    others get through, looks just the same, and the verdict on a single event is final.

    A batch that has no others to compare itself with is searched too after many unexpected errors, so that its mates do
    not wait for one of them on a quiet topic. It blames nobody, as one event is never judged so.
    """
    is_solo = not (evidence.is_alone or evidence.has_company)
    if is_solo and evidence.unexpected_errors >= tries * _SOLO_FACTOR:
        return True
    if evidence.doubts < tries * (_ALONE_FACTOR if evidence.is_alone else 1):
        return False
    if evidence.is_alone and evidence.failing_s < lone_failure_s:
        return False
    return evidence.others_accepted > _HEALTHY_RATIO * (evidence.others_doubts + evidence.is_alone)
