"""Builds the parts from the configuration and joins them.

Promise: after `load_config` nothing here decides what a setting means; each one is handed to the part that it is for,
in that part's units. This is the only place where adapters and pipeline meet.
"""

from __future__ import annotations

import logging
import random
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from connector.adapters.confirmed_producer import ConfirmedProducer
from connector.adapters.dead_letter_topic import DeadLetterTopic
from connector.adapters.edge_client import EdgeClient, HttpSettings
from connector.adapters.ims import ClientCredentials, NoCredentials, StaticToken, TokenRequest
from connector.adapters.kafka_properties import (
    consumer_properties,
    producer_properties,
    response_producer_properties,
)
from connector.adapters.kafka_source import KafkaSource
from connector.adapters.response_topic import ResponseTopic
from connector.burial import Burial
from connector.config import Auth, Config, Endpoint, MissingId, Order, StartAt, Tombstone
from connector.config import Route as RouteConfig
from connector.core.batcher import Batcher, BatchLimits
from connector.core.decode import Decoder, DecodeRules, Shape
from connector.core.envelope import COLLECT, INTERACT, Envelope
from connector.core.location_hints import LocationHints
from connector.core.pacing import Allowance, Concurrency
from connector.core.retry import Backoff, WaitForEdge
from connector.delivery import Delivery
from connector.gate import EndpointPause, Gate
from connector.logs import KAFKA_LOGGER
from connector.outcomes import Outcomes
from connector.pipeline import Pipeline, PipelineSettings
from connector.progress import Progress
from connector.request import RouteTarget
from connector.responses import Responses
from connector.route import Route, RouteSettings
from connector.sending import Sender, Surroundings
from connector.telemetry import Telemetry

if TYPE_CHECKING:
    from connector.ports import Credentials

_INTERACT_MAX_BYTES: Final = 64_000  # the published 64 KB, by the same careful reading as batch.max_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Assembly:
    """The parts of one running connector, joined."""

    pipeline: Pipeline
    source: KafkaSource
    telemetry: Telemetry
    routes: tuple[Route, ...]
    edge: EdgeClient
    credentials: Credentials
    dead_letters: DeadLetterTopic
    responses: ConfirmedProducer


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shared:
    """What all routes of one process have in common."""

    surroundings: Surroundings
    dead_letters: DeadLetterTopic
    responses: ConfirmedProducer
    progress: Progress
    allowances: dict[Endpoint, Allowance]
    pauses: dict[Endpoint, EndpointPause] = field(
        default_factory=lambda: {endpoint: EndpointPause() for endpoint in Endpoint}
    )


def assemble(config: Config) -> Assembly:
    """Build and join the parts; nothing is connected yet. Needs a running event loop."""
    telemetry = Telemetry([route.name for route in config.routes])
    logger = logging.getLogger(KAFKA_LOGGER)
    dead_letters = _dead_letters(config, logger)
    edge = EdgeClient(_http_settings(config))
    surroundings = Surroundings(
        edge=edge,
        credentials=_credentials(config.edge.auth, telemetry),
        telemetry=telemetry,
        monotonic_s=time.monotonic,
        unix_s=time.time,
    )
    shared = _Shared(
        surroundings=surroundings,
        dead_letters=dead_letters,
        responses=ConfirmedProducer(response_producer_properties(config.kafka_properties()), logger=logger),
        progress=Progress(),
        allowances=_allowances(config),
    )
    routes = tuple(_route(config, index, shared) for index in range(len(config.routes)))
    source = _source(config, logger)
    pipeline = Pipeline(
        _pipeline_settings(config),
        source=source,
        routes=routes,
        telemetry=telemetry,
        progress=shared.progress,
        monotonic_s=time.monotonic,
    )
    return Assembly(
        pipeline=pipeline,
        source=source,
        telemetry=telemetry,
        routes=routes,
        edge=edge,
        credentials=surroundings.credentials,
        dead_letters=dead_letters,
        responses=shared.responses,
    )


def _dead_letters(config: Config, logger: logging.Logger) -> DeadLetterTopic:
    properties = producer_properties(config.kafka_properties(), config.dead_letter.kafka_properties())
    return DeadLetterTopic(properties, config.dead_letter.topic, logger=logger)


def _source(config: Config, logger: logging.Logger) -> KafkaSource:
    return KafkaSource(
        consumer_properties(config.kafka_properties()),
        [topic for route in config.routes for topic in route.topics],
        starts_at_latest=config.consume.start_at is StartAt.LATEST,
        logger=logger,
    )


def _pipeline_settings(config: Config) -> PipelineSettings:
    return PipelineSettings(
        max_poll_records=config.consume.max_poll_records,
        commit_interval_s=config.consume.commit_interval_ms / 1000,
        revoke_timeout_s=config.consume.revoke_timeout_ms / 1000,
        grace_s=config.shutdown.grace_ms / 1000,
    )


def _http_settings(config: Config) -> HttpSettings:
    edge = config.edge
    return HttpSettings(
        max_in_flight=edge.max_in_flight,
        connect_timeout_s=edge.connect_timeout_ms / 1000,
        timeout_s=edge.timeout_ms / 1000,
        keep_alive_s=edge.keep_alive_ms / 1000,
        max_connection_age_s=edge.max_connection_age_ms / 1000,
    )


def _credentials(auth: Auth | None, telemetry: Telemetry) -> Credentials:
    if auth is None:
        return NoCredentials()
    fixed = {"x-gw-ims-org-id": auth.org_id, "x-api-key": auth.client_id}  # given
    if auth.access_token is not None:
        return StaticToken(auth.access_token, fixed)
    if auth.client_secret is None or auth.scopes is None or auth.token_url is None:
        raise AssertionError("load_config lets no other combination pass")
    request = TokenRequest(url=auth.token_url, client_id=auth.client_id, secret=auth.client_secret, scopes=auth.scopes)
    return ClientCredentials(request, fixed, telemetry=telemetry, jitter=random.random)


def _route(config: Config, index: int, shared: _Shared) -> Route:
    route = config.routes[index]
    envelope = COLLECT if route.endpoint is Endpoint.COLLECT else INTERACT
    surroundings = shared.surroundings
    gate = _gate(config, route, shared)
    wait = WaitForEdge(_backoff(config), random.random)
    outcomes = Outcomes(route.name, gate, surroundings.telemetry, shared.progress)
    burial = Burial(route.datastream_id, shared.dead_letters, outcomes, gate, wait)
    target = route_target(config, route, envelope)
    responses = None
    if route.responses is not None:
        sink = ResponseTopic(shared.responses, route.responses.topic, setting=responses_setting(index))
        types = frozenset(route.responses.types)
        responses = Responses(route.datastream_id, types, sink, outcomes, gate, wait)
    limits = _batch_limits(route, envelope)
    batcher = Batcher(limits)
    hints = LocationHints() if route.follow_location_hint else None
    delivery = Delivery(
        target,
        surroundings,
        sender=Sender(target, surroundings, gate=gate, wait=wait, outcomes=outcomes, hints=hints),
        gate=gate,
        outcomes=outcomes,
        burial=burial,
        body_limit=batcher.body_limit,
        responses=responses,
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


def responses_setting(index: int) -> str:
    """The section of the config that holds a route's responses topic."""
    return f"routes[{index}].responses"


def _gate(config: Config, route: RouteConfig, shared: _Shared) -> Gate:
    return Gate(
        concurrency=Concurrency(_places(config)),
        pause=shared.pauses[route.endpoint],
        allowance=shared.allowances[route.endpoint],
        probe_interval_s=config.edge.probe_interval_ms / 1000,
        clock=shared.surroundings.monotonic_s,
    )


def _allowances(config: Config) -> dict[Endpoint, Allowance]:
    units = config.edge.request_units_per_second
    return {Endpoint.COLLECT: Allowance(units.collect), Endpoint.INTERACT: Allowance(units.interact)}


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
        max_open_bytes=config.consume.max_open_bytes // len(config.routes),
        # An event of a batch costs Kafka's object and ours; one that is a request of its own also costs a task.
        event_overhead_bytes=400 if route.endpoint is Endpoint.COLLECT else 4096,
        skips_tombstones=route.event.tombstone is Tombstone.SKIP,
        ordered_at_once=_places(config) if route.order is Order.KEY else None,
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
