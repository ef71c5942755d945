"""Contradictions: settings that are valid each by itself and cannot stand together.

Promise: each rule names the settings that it looked at, so it can be left out where one of them is wrong already.
A finding's message quotes no value; `load.py` adds those that may be shown.

Not promised: overlaps of two regular expressions that are written differently; which topics those match is only
known when the topics are.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from connector.config.kafka import REQUIRED
from connector.config.route import Endpoint, Order
from connector.config.secret import Secret
from connector.config.shape import nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from connector.config.errors import Path
    from connector.config.model import Config

_AUTHENTICATED_HOST: Final = "server.adobedc.net"
_MEMBERSHIP_MS: Final = {"session.timeout.ms": 45_000, "max.poll.interval.ms": 300_000}  # librdkafka's defaults


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong between the settings at `paths`; the first of them is the one to look at."""

    paths: tuple[Path, ...]
    message: str


def required_properties(config: Config) -> Iterator[Finding]:
    """`kafka` has `bootstrap.servers` and `group.id`."""
    for name in REQUIRED:
        value = config.kafka.get(name)
        near = nearest(name, config.kafka, likeness=0.85)
        if value is None and near:
            yield Finding((("kafka", near),), f'unknown property; did you mean "{name}"?')
        elif value is None:
            yield Finding((("kafka", name),), "missing; the connector cannot start without it")
        elif not value:
            yield Finding((("kafka", name),), "is empty; give it a value")


def waits_in_order(config: Config) -> Iterator[Finding]:
    """`edge.connect_timeout_ms` is at most `edge.timeout_ms`; `edge.retry.initial_ms` at most `edge.retry.max_ms`."""
    retry = config.edge.retry
    if config.edge.connect_timeout_ms > config.edge.timeout_ms:
        why = "edge.connect_timeout_ms must not be longer than edge.timeout_ms, which includes it"
        yield Finding((("edge", "connect_timeout_ms"), ("edge", "timeout_ms")), why)
    if retry.initial_ms > retry.max_ms:
        why = "edge.retry.initial_ms must not be longer than edge.retry.max_ms"
        yield Finding((("edge", "retry", "initial_ms"), ("edge", "retry", "max_ms")), why)


def revoke_within_membership(config: Config) -> Iterator[Finding]:
    """`consume.revoke_timeout_ms` is below `kafka.max.poll.interval.ms`, and with the classic group protocol below
    `kafka.session.timeout.ms`."""
    revoke: Path = ("consume", "revoke_timeout_ms")
    for name, default_ms in _MEMBERSHIP_MS.items():
        if name == "session.timeout.ms" and config.kafka.get("group.protocol") == "consumer":
            continue  # that protocol's session time-out belongs to the brokers
        bound_ms = _number(config, name, default_ms)
        if bound_ms is not None and config.consume.revoke_timeout_ms >= bound_ms:
            why = f"consume.revoke_timeout_ms must be below kafka.{name}, by default {default_ms}: a rebalance that"
            paths = (revoke, ("kafka", name), ("kafka", "group.protocol"))
            yield Finding(paths, f"{why} waits longer ends the membership, and its events are repeated")


def _number(config: Config, name: str, default: int) -> int | None:
    value = config.kafka.get(name, default)
    return None if isinstance(value, Secret) or not re.fullmatch("[0-9]{1,10}", str(value)) else int(value)


def brake_can_hold(config: Config) -> Iterator[Finding]:
    """`dead_letter.brake.min_events` is below `dead_letter.brake.window_events`, unless the brake is switched off."""
    brake = config.dead_letter.brake
    if brake.min_events >= brake.window_events and brake.max_share_percent < 100:
        path = ("dead_letter", "brake")
        why = "dead_letter.brake.min_events must be below dead_letter.brake.window_events, or the brake never holds"
        remedy = "lower the first, raise the second, or switch the brake off by max_share_percent: 100"
        yield Finding(((*path, "min_events"), (*path, "window_events")), f"{why}; {remedy}")


def endpoint_has_credentials(config: Config) -> Iterator[Finding]:
    """The authenticated endpoint, `server.adobedc.net`, has `edge.auth`."""
    if config.edge.auth is None and urlsplit(config.edge.base_url).hostname == _AUTHENTICATED_HOST:
        why = f"{_AUTHENTICATED_HOST} is the authenticated endpoint and answers 401 without credentials"
        remedy = "give edge.auth, or use https://edge.adobedc.net"
        yield Finding((("edge", "base_url"), ("edge", "auth")), f"{why}; {remedy}")


def one_credential(config: Config) -> Iterator[Finding]:
    """`edge.auth` has either `client_secret`, `scopes` and `token_url`, or `access_token` alone."""
    auth = config.edge.auth
    if auth is None:
        return
    secret, token = ("edge", "auth", "client_secret"), ("edge", "auth", "access_token")
    if auth.client_secret is None and auth.access_token is None:
        why = "no credential: give client_secret (with scopes and token_url) or access_token"
        yield Finding((secret, token), why)
    if auth.client_secret is not None and auth.access_token is not None:
        yield Finding((token, secret), "client_secret and access_token are both given; remove one of them")
        return
    for name, value in (("scopes", auth.scopes), ("token_url", auth.token_url)):
        path: Path = ("edge", "auth", name)
        if auth.client_secret is not None and value is None:
            yield Finding((path, secret), f"client_secret needs {name} to ask for a token; add it")
        if auth.access_token is not None and value is not None:
            yield Finding((path, token), f"{name} means nothing to access_token; remove one of the two")


def endpoint_takes_settings(config: Config) -> Iterator[Finding]:
    """`batch` and `silent` are for `collect` only; `responses`, `order: key` and `follow_location_hint` for `interact`
    only."""
    for index, route in enumerate(config.routes):
        path = ("routes", index)
        if route.endpoint is Endpoint.INTERACT and "batch" in route.model_fields_set:
            why = "interact takes one event in each request, so there is no batch; remove it, or use collect"
            yield Finding(((*path, "batch"), (*path, "endpoint")), why)
        if route.endpoint is Endpoint.INTERACT and route.silent:
            why = "only collect can be silent; remove it, or use collect"
            yield Finding(((*path, "silent"), (*path, "endpoint")), why)
        if route.endpoint is Endpoint.COLLECT and route.order is Order.KEY:
            why = "collect takes the events of many keys in one request and has no order; remove it, or use interact"
            yield Finding(((*path, "order"), (*path, "endpoint")), why)
        if route.endpoint is Endpoint.COLLECT and route.follow_location_hint:
            why = "only interact answers with a location hint; remove it, or use interact"
            yield Finding(((*path, "follow_location_hint"), (*path, "endpoint")), why)
        if route.endpoint is not Endpoint.INTERACT and route.responses is not None:
            why = "collect answers nothing that could be handed on; remove it, or use interact"
            yield Finding(((*path, "responses"), (*path, "endpoint")), why)


def one_location_hint(config: Config) -> Iterator[Finding]:
    """A route has either `location_hint` or `follow_location_hint`."""
    for index, route in enumerate(config.routes):
        if route.follow_location_hint and route.location_hint is not None:
            path = ("routes", index)
            why = "the answers choose the region, and location_hint fixes it; remove one of the two"
            yield Finding(((*path, "follow_location_hint"), (*path, "location_hint")), why)


def unique_names(config: Config) -> Iterator[Finding]:
    """Each route has its own name."""
    for (first, one), (second, other) in combinations(enumerate(config.routes), 2):
        if one.name == other.name:
            why = f"routes[{first}] has this name already; logs and metrics need unique names"
            yield Finding((("routes", second, "name"), ("routes", first, "name")), why)


def no_loop(config: Config) -> Iterator[Finding]:
    """No route reads the dead-letter topic or a responses topic."""
    written: list[tuple[Path, str, str]] = [
        (("dead_letter", "topic"), config.dead_letter.topic, "the dead-letter topic, so dead letters"),
        *((path, topic, "a responses topic, so responses") for path, topic in _responses(config)),
    ]
    for path, topic in _listed(config):
        for own, name, what in written:
            if _matches(topic, name):
                why = f"matches {what} would be read again in a loop"
                yield Finding((path, own), f"{why}; narrow it, or rename that topic")


def responses_are_no_dead_letters(config: Config) -> Iterator[Finding]:
    """A responses topic is not the dead-letter topic."""
    for path, topic in _responses(config):
        if topic == config.dead_letter.topic:
            why = "this is the dead-letter topic, whose readers take every record for a failure; name another one"
            yield Finding((path, ("dead_letter", "topic")), why)


def one_route_for_a_topic(config: Config) -> Iterator[Finding]:
    """No topic is listed twice, and none that one route lists is matched by another route's expression."""
    for (first, one), (second, other) in combinations(_listed(config), 2):
        if one == other:
            yield Finding((second, first), "this is listed already; a topic belongs to one route, once")
        elif first[1] != second[1] and (_matches(one, other) or _matches(other, one)):
            why = "two routes match the same topic, and a topic belongs to one; narrow the expression"
            yield Finding((second, first), why)


RULES: Final[tuple[Callable[[Config], Iterator[Finding]], ...]] = (
    required_properties,
    revoke_within_membership,
    waits_in_order,
    brake_can_hold,
    endpoint_has_credentials,
    one_credential,
    endpoint_takes_settings,
    one_location_hint,
    unique_names,
    one_route_for_a_topic,
    no_loop,
    responses_are_no_dead_letters,
)
"""Every rule; its docstring is what the reference says of it."""


def contradictions(config: Config) -> Iterator[Finding]:
    """Everything in a config that does not fit together."""
    for rule in RULES:
        yield from rule(config)


def _listed(config: Config) -> list[tuple[Path, str]]:
    return [
        (("routes", route_index, "topics", topic_index), topic)
        for route_index, route in enumerate(config.routes)
        for topic_index, topic in enumerate(route.topics)
    ]


def _responses(config: Config) -> list[tuple[Path, str]]:
    return [
        (("routes", index, "responses", "topic"), route.responses.topic)
        for index, route in enumerate(config.routes)
        if route.responses is not None
    ]


def _matches(pattern: str, topic: str) -> bool:
    """Whether a setting of `topics` takes in a topic; an expression stands for no topic of its own."""
    if topic.startswith("^"):
        return False
    return re.search(pattern, topic) is not None if pattern.startswith("^") else pattern == topic
