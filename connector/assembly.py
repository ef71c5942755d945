"""Builds the parts from the configuration and joins them.

Promise: after `load_config` nothing here decides what a setting means; each one is handed to the part that it is for,
in that part's units. This and `route_assembly.py` are the only places where adapters and pipeline meet.
"""

from __future__ import annotations

import logging
import random
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from connector.adapters.dead_letter_topic import DeadLetterTopic
from connector.adapters.edge_client import EdgeClient, HttpSettings
from connector.adapters.ims import ClientCredentials, NoCredentials, StaticToken, TokenRequest
from connector.adapters.kafka_properties import (
    admin_properties,
    consumer_properties,
    producer_properties,
    response_producer_properties,
)
from connector.adapters.kafka_source import KafkaSource
from connector.adapters.kafka_topic_ids import TopicIds
from connector.adapters.response_topic import ResponseTopic
from connector.adapters.whole_or_parts import RecordWriter
from connector.config import Auth, Config, Endpoint, StartAt
from connector.core.rate import PLANNED_PART, Rate
from connector.line import Budget
from connector.logs import KAFKA_LOGGER
from connector.pace import Pace
from connector.pipeline import Pipeline, PipelineSettings
from connector.progress import Progress
from connector.route_assembly import Shared, build_route
from connector.sending import Surroundings
from connector.shares import Shares
from connector.telemetry import Telemetry

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from connector.ports import CountingSource, Credentials, DeadLetters, PartitionCounts, ResponseSink
    from connector.route import Route


@dataclass(frozen=True, slots=True, kw_only=True)
class Outside:
    """What the pipeline is joined to: the adapters, or what a simulation puts in their place."""

    source: CountingSource
    surroundings: Surroundings
    dead_letters: DeadLetters
    responses: Callable[[str, str], ResponseSink]  # by topic, and by the setting that names it
    jitter: Callable[[], float]  # evenly drawn from [0, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Inside:
    """The parts between the adapters, joined to each other and to the outside."""

    pipeline: Pipeline
    routes: tuple[Route, ...]
    paces: Mapping[str, Pace]  # by endpoint
    shares: Shares | None  # None where the configuration sets this member's part of the allowance


@dataclass(frozen=True, slots=True, kw_only=True)
class Assembly(Inside):
    """The parts of one running connector, joined."""

    source: KafkaSource
    telemetry: Telemetry
    edge: EdgeClient
    credentials: Credentials
    dead_letters: DeadLetterTopic
    responses: RecordWriter


def assemble(config: Config) -> Assembly:
    """Build and join the parts; nothing is connected yet. Needs a running event loop."""
    telemetry = Telemetry([route.name for route in config.routes])
    logger = logging.getLogger(KAFKA_LOGGER)
    kafka = config.kafka_properties()
    edge = EdgeClient(_http_settings(config))
    source = _source(config, logger)
    letter_properties = producer_properties(kafka, config.dead_letter.kafka_properties())
    dead_letters = DeadLetterTopic(letter_properties, config.dead_letter.topic, logger=logger)
    responses = RecordWriter(response_producer_properties(kafka), logger=logger)
    surroundings = Surroundings(
        edge=edge,
        credentials=_credentials(config.edge.auth, telemetry),
        telemetry=telemetry,
        monotonic_s=time.monotonic,
        unix_s=time.time,
    )
    outside = Outside(
        source=source,
        surroundings=surroundings,
        dead_letters=dead_letters,
        responses=lambda topic, setting: ResponseTopic(responses, topic, setting=setting),
        jitter=random.random,
    )
    inside = join(config, outside)
    return Assembly(
        pipeline=inside.pipeline,
        routes=inside.routes,
        paces=inside.paces,
        shares=inside.shares,
        source=source,
        telemetry=telemetry,
        edge=edge,
        credentials=surroundings.credentials,
        dead_letters=dead_letters,
        responses=responses,
    )


def join(config: Config, outside: Outside) -> Inside:
    """Build what lies between the adapters, and join it to them. Needs a running event loop."""
    surroundings = outside.surroundings
    shared = Shared(
        surroundings=surroundings,
        dead_letters=outside.dead_letters,
        responses=outside.responses,
        jitter=outside.jitter,
        progress=Progress(),
        paces=_paces(config, surroundings.monotonic_s),
        budget=Budget(config.edge.max_in_flight),
    )
    routes = tuple(build_route(config, index, shared) for index in range(len(config.routes)))
    pipeline = Pipeline(
        _pipeline_settings(config),
        source=outside.source,
        routes=routes,
        telemetry=surroundings.telemetry,
        progress=shared.progress,
        monotonic_s=surroundings.monotonic_s,
    )
    shares = _shares(config, shared, routes, pipeline, outside.source)
    return Inside(pipeline=pipeline, routes=routes, paces=shared.paces, shares=shares)


def _source(config: Config, logger: logging.Logger) -> KafkaSource:
    properties = config.kafka_properties()
    return KafkaSource(
        consumer_properties(properties),
        [topic for route in config.routes for topic in route.topics],
        starts_at_latest=config.consume.start_at is StartAt.LATEST,
        topic_ids=TopicIds(admin_properties(properties), logger=logger),
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


def _paces(config: Config, clock: Callable[[], float]) -> dict[str, Pace]:
    """The pace of each endpoint that a route has."""
    units = config.edge.request_units_per_second
    of_all = {Endpoint.COLLECT: units.collect, Endpoint.INTERACT: units.interact}
    share = units.fixed_share or 1.0  # one that moves begins with everything
    endpoints = {route.endpoint for route in config.routes}
    return {
        endpoint.value: Pace(Rate(of_all[endpoint] * PLANNED_PART, share), clock=clock)
        for endpoint in Endpoint
        if endpoint in endpoints
    }


def _shares(
    config: Config, shared: Shared, routes: Sequence[Route], pipeline: Pipeline, source: PartitionCounts
) -> Shares | None:
    """What moves this member's part of the allowance with its partitions."""
    if config.edge.request_units_per_second.fixed_share is not None:
        return None
    endpoints = {route: setting.endpoint.value for route, setting in zip(routes, config.routes, strict=True)}
    membership, telemetry = pipeline.membership, shared.surroundings.telemetry
    shares = Shares(shared.paces, endpoints, membership.owners, source=source, telemetry=telemetry)
    membership.on_change = shares.assignment_changed
    return shares
