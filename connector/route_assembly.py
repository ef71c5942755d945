"""Builds the parts of one route from its configuration and joins them.

Promise: as `assembly.py`, whose part this is: each setting is handed to what it is for, in that part's units.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from connector.brake import RouteBrake
from connector.burial import Burial
from connector.config import Config, Endpoint, MissingId, Order, Tombstone
from connector.config import Route as RouteConfig
from connector.core.answer_room import AnswerRoom
from connector.core.batcher import Batcher, BatchLimits
from connector.core.brake import BrakeLimits
from connector.core.decode import Decoder, DecodeRules, Shape
from connector.core.envelope import COLLECT, INTERACT, Envelope
from connector.core.pacing import Concurrency
from connector.core.retry import Backoff, WaitForEdge
from connector.delivery import Delivery
from connector.gate import Gate
from connector.outcomes import Outcomes
from connector.regions import Regions
from connector.request import RouteTarget
from connector.responses import Responses
from connector.route import Route, RouteSettings
from connector.sending import Sender, Surroundings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from connector.line import Budget
    from connector.pace import Pace
    from connector.ports import DeadLetters, ResponseSink
    from connector.progress import Progress


# Events out at once, however few places there are: one that fails for its own sake is found out only beside others that
# get through, and while it is out alone nobody does.
_LEAST_ORDERED: Final = 8
_INTERACT_MAX_BYTES: Final = 64_000  # the published 64 KB, by the same careful reading as batch.max_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """What all routes of one process have in common."""

    surroundings: Surroundings
    dead_letters: DeadLetters
    responses: Callable[[str, str], ResponseSink]  # by topic, and by the setting that names it
    jitter: Callable[[], float]  # evenly drawn from [0, 1)
    progress: Progress
    paces: Mapping[str, Pace]
    budget: Budget  # of requests under way


def build_route(config: Config, index: int, shared: Shared) -> Route:
    """The parts of the route at `index`."""
    route = config.routes[index]
    envelope = COLLECT if route.endpoint is Endpoint.COLLECT else INTERACT
    surroundings = shared.surroundings
    gate = _gate(config, route, shared)
    wait = WaitForEdge(_backoff(config), shared.jitter)
    brake = RouteBrake(route.name, _brake_limits(config), gate, surroundings.telemetry)
    outcomes = Outcomes(route.name, gate, surroundings.telemetry, shared.progress, brake)
    burial = Burial(route.datastream_id, shared.dead_letters, outcomes, gate, wait)
    target = route_target(config, route, envelope)
    limits = _batch_limits(route, envelope)
    batcher = Batcher(limits)
    regions = Regions(target, surroundings.edge, monotonic_s=surroundings.monotonic_s)
    hinted = regions if route.follow_location_hint else None
    delivery = Delivery(
        target,
        surroundings,
        sender=Sender(target, surroundings, gate=gate, wait=wait, outcomes=outcomes, regions=hinted),
        gate=gate,
        outcomes=outcomes,
        burial=burial,
        body_limit=batcher.body_limit,
        responses=_responses(config, index, shared, outcomes, gate),
    )
    return Route(
        _route_settings(config, route),
        decoder=Decoder(_decode_rules(config, route, limits)),
        batcher=batcher,
        delivery=delivery,
        burial=burial,
        outcomes=outcomes,
        gate=gate,
        counts=surroundings.telemetry.routes[route.name],
    )


def _responses(config: Config, index: int, shared: Shared, outcomes: Outcomes, gate: Gate) -> Responses | None:
    route = config.routes[index]
    if route.responses is None:
        return None
    sink = shared.responses(route.responses.topic, responses_setting(index))
    types = frozenset(route.responses.types)
    return Responses(route.datastream_id, types, sink, outcomes, gate, WaitForEdge(_backoff(config), shared.jitter))


def responses_setting(index: int) -> str:
    """The section of the config that holds a route's responses topic."""
    return f"routes[{index}].responses"


def _gate(config: Config, route: RouteConfig, shared: Shared) -> Gate:
    return Gate(
        concurrency=Concurrency(_places(config)),
        pace=shared.paces[route.endpoint],
        probe_interval_s=config.edge.probe_interval_ms / 1000,
        clock=shared.surroundings.monotonic_s,
        budget=shared.budget,
        room=AnswerRoom(_max_open_bytes(config) // 2) if route.responses else None,
    )


def _max_open_bytes(config: Config) -> int:
    return config.consume.max_open_bytes // len(config.routes)


def _brake_limits(config: Config) -> BrakeLimits:
    brake = config.dead_letter.brake
    return BrakeLimits(
        window_events=brake.window_events, min_events=brake.min_events, max_share_percent=brake.max_share_percent
    )


def _backoff(config: Config) -> Backoff:
    retry = config.edge.retry
    return Backoff(
        initial_s=retry.initial_ms / 1000,
        max_s=retry.max_ms / 1000,
        retry_after_max_s=retry.retry_after_max_ms / 1000,
    )


def _places(config: Config) -> int:
    """How many requests one route may have under way.

    Each other route keeps a share that this one cannot take, so a route whose endpoint hangs leaves room.
    """
    most, count = config.edge.max_in_flight, len(config.routes)
    return max(1, most - (count - 1) * (most // (2 * count)))


def _route_settings(config: Config, route: RouteConfig) -> RouteSettings:
    return RouteSettings(
        name=route.name,
        topics=route.topics,
        max_open_bytes=_max_open_bytes(config),
        # An event of a batch costs Kafka's object and ours; one that is a request of its own also costs a task.
        event_overhead_bytes=400 if route.endpoint is Endpoint.COLLECT else 4096,
        skips_tombstones=route.event.tombstone is Tombstone.SKIP,
        ordered_at_once=max(_places(config), _LEAST_ORDERED) if route.order is Order.KEY else None,
    )


def _batch_limits(route: RouteConfig, envelope: Envelope) -> BatchLimits:
    is_collect = route.endpoint is Endpoint.COLLECT
    return BatchLimits(
        max_bytes=route.batch.max_bytes if is_collect else _INTERACT_MAX_BYTES,
        max_events=route.batch.max_events if is_collect else 1,
        linger_s=route.batch.linger_ms / 1000 if is_collect else 0.0,
        overhead_bytes=envelope.overhead_bytes,
    )


def _decode_rules(config: Config, route: RouteConfig, limits: BatchLimits) -> DecodeRules:
    return DecodeRules(
        shape=Shape(route.event.shape),
        needs_primary_identity=config.edge.auth is not None,
        derive_missing_id=route.event.missing_id is MissingId.DERIVE,
        max_fragment_bytes=limits.max_bytes - limits.overhead_bytes,
    )


def route_target(config: Config, route: RouteConfig, envelope: Envelope) -> RouteTarget:
    """Where a route's requests go."""
    return RouteTarget(
        route=route.name,
        datastream_id=route.datastream_id,
        url=request_url(config, route),
        hint_at=len(_hinted_path(config)),
        kind="collect" if route.endpoint is Endpoint.COLLECT else "interact",
        is_silent=route.silent,
        upstreams=route.upstreams,
        envelope=envelope,
        foreign_answer_tries=config.edge.foreign_answer_tries,
        unexpected_error_tries=config.edge.unexpected_error_tries,
        lone_failure_s=config.edge.lone_failure_ms / 1000,
        dead_letters_gateway_faults=config.dead_letter.gateway_faults,
        dead_letters_reported=config.dead_letter.reported_events,
    )


def request_url(config: Config, route: RouteConfig) -> str:
    """Where a route's requests go, up to the request id, which is appended to it."""
    hint = f"{route.location_hint}/" if route.location_hint else ""
    query = {config.edge.datastream_parameter.value: route.datastream_id}
    if route.silent:
        query["silent"] = "true"
    return f"{_hinted_path(config)}{hint}v2/{route.endpoint.value}?{urlencode(query)}&requestId="


def _hinted_path(config: Config) -> str:
    """What stands before a location hint."""
    return f"{config.edge.base_url}/ee/"
