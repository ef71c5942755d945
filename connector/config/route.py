"""The settings of one route: from topics to a datastream and endpoint, in batches of events."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from connector.config.fields import (
    Flag,
    Int,
    Matching,
    NotEmpty,
    Section,
    TopicName,
    TopicPattern,
)
from connector.config.topics import CreateTopic  # noqa: TC001 - pydantic reads annotations at run time
from connector.core.location_hints import LOCATION_HINT


class Endpoint(StrEnum):
    """The two ways to hand events to the Edge Network."""

    COLLECT = "collect"
    """Many events in one request, of any visitors."""
    INTERACT = "interact"
    """Exactly one event in each request."""


class Shape(StrEnum):
    """What a record's value is."""

    AUTO = "auto"
    """An event if it has an object `xdm`, else a bare XDM object."""
    EVENT = "event"
    """`{"xdm": …, "data": …}`, sent as it is."""
    XDM = "xdm"
    """A bare XDM object, which is wrapped."""


class MissingId(StrEnum):
    """What to do with an event without `_id`."""

    DERIVE = "derive"
    """Give it one made from its record's topic, partition, offset and timestamp."""
    LEAVE = "leave"
    """Leave it without one; the server makes one up on each arrival."""


class Tombstone(StrEnum):
    """What to do with a record whose value is null."""

    SKIP = "skip"
    """Count it and go on."""
    DEAD_LETTER = "dead_letter"
    """Send it to the dead-letter topic."""


class Order(StrEnum):
    """Which events wait for each other."""

    NONE = "none"
    """None: each leaves as soon as it may."""
    KEY = "key"
    """Those of one record key: one after another, in the order of their offsets."""


class Batch(Section):
    """When the batch of a route is closed and sent: at the first of its three limits. For collect only."""

    max_bytes: Int = Field(64_000, ge=1024, le=65_536)
    """The most bytes of a request's body, counted exactly. The published limit is 64 KB; whether that is 64,000 or
    65,536 is not, so the default is the smaller."""

    max_events: Int = Field(1000, ge=1, le=100_000)
    """The most events in a batch."""

    linger_ms: Int = Field(200, ge=0, le=60_000)
    """The longest that a batch waits for more events, from its first one. A full 64 KB request wastes no allowance,
    one of 1 KB wastes seven eighths."""


class EventRules(Section):
    """How a record becomes an event."""

    shape: Annotated[Shape, Field(strict=False)] = Shape.AUTO
    """What a record's value is: `event` is `{"xdm": …, "data": …}`, `xdm` is a bare XDM object that is wrapped, `auto`
    looks for an object `xdm`."""

    missing_id: Annotated[MissingId, Field(strict=False)] = MissingId.DERIVE
    """What to do with an event without `_id`. `derive` makes one from its record's topic, partition, offset and
    timestamp, so an event that is repeated after a crash carries the same id; `leave` sends it as it is, byte for
    byte, and a repeated event gets another id."""

    tombstone: Annotated[Tombstone, Field(strict=False)] = Tombstone.SKIP
    """What to do with a record whose value is null: `skip` counts it and goes on, `dead_letter` sends it to the
    dead-letter topic."""


class Responses(Section):
    """What becomes of the Edge Network's answers."""

    topic: TopicName = Field(examples=["xdm.responses"])
    """The topic; no route may read it, several may share it. Each accepted event gives one record: its key is that of
    the event's record, its value a JSON array of handles, and its headers `xdm.source.topic`, `xdm.source.partition`,
    `xdm.source.offset`, `xdm.route`, `xdm.datastream` and `xdm.request_id` say what it answers. A response that is
    larger than the topic's `max.message.bytes` is written in parts as a dead letter is, with `xdm.part` as the last
    header of each (and `xdm.packed`). If the topic's readers cannot join them, raise that limit above the answers."""

    types: Annotated[
        tuple[
            Annotated[str, Matching(r"[!-~]{1,200}", "the type of a handle, such as personalization:decisions")], ...
        ],
        Field(strict=False),
    ] = ()
    """The types of the handles to hand on, such as `personalization:decisions`; all if there is none here. An answer
    without any of them still gives a record, with an empty array."""

    create: CreateTopic | None = None
    """Create the topic at start if it does not exist. Without this it has to exist already."""


class Route(Section):
    """One way from topics to a datastream."""

    name: Annotated[str, Matching(r"[a-z0-9_-]{1,64}", "1 to 64 of: lower-case letters, digits, '-', '_'")] = Field(
        examples=["web"]
    )
    """The name in logs and metrics. Unique."""

    topics: Annotated[tuple[TopicPattern, ...], Field(strict=False), NotEmpty()] = Field(
        examples=[["xdm.web", r"^xdm\.app\..*"]]
    )
    """The topics to read: names, or regular expressions that begin with ^. `^web` also matches `web.old`; an expression
    that ends with $ matches whole names only. No topic may belong to two routes."""

    datastream_id: Annotated[
        str, Matching(r"[0-9A-Za-z:-]{1,100}", "a datastream id: 1 to 100 letters, digits, '-' and ':'")
    ] = Field(examples=["11111111-2222-3333-4444-555555555555"])
    """The datastream that receives the events. It is a UUID, in older set-ups followed by an environment, such as
    `:stage`."""

    endpoint: Annotated[Endpoint, Field(strict=False)] = Endpoint.COLLECT
    """`collect` sends batches; `interact` sends one event in each request and waits for its handles."""

    upstreams: Int = Field(1, ge=1, le=100)
    """How many upstream services the datastream has enabled: the price of its requests in request units."""

    silent: Flag = False
    """Ask for an answer without a body. That hides the warnings in it. For collect only."""

    location_hint: Annotated[str, Matching(LOCATION_HINT, "a location hint such as or2, va6 or irl1")] | None = None
    """The region that requests are pinned to, such as `or2`, `va6` or `irl1`. Without one the Edge Network chooses."""

    follow_location_hint: Flag = False
    """Send the requests of a record key, which should name the visitor, to the region that the last answer to one of
    them named, for as long as it said. Records without a key share one region. For interact only."""

    order: Annotated[Order, Field(strict=False)] = Order.NONE
    """`key` sends the events of one record key and partition one after another, in the order of their offsets: the next
    one leaves when the one before was accepted, or its dead letter is confirmed. A record that is rejected before a
    request has no place in the order, and records without a key have no order. A key gets one event through in the time
    that one answer takes, whatever the others get. For interact only."""

    batch: Batch = Batch()
    """When a batch is sent."""

    event: EventRules = EventRules()
    """How a record becomes an event."""

    responses: Responses | None = None
    """Hand on the handles that the Edge Network answers with. An event is settled when all in-sync replicas have its
    response; while the topic cannot be written the route holds. An event whose response was not confirmed when its
    partition left, or when the connector ended, is delivered and answered again. The producer has the properties of
    `kafka` and none of `dead_letter.kafka`; unless `kafka` sets `partitioner`, a key gets the partition that Java's
    clients would give it. Without this section handles are dropped. For interact only."""
