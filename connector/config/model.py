"""The whole configuration as a value.

Promise: immutable, and free of printable secrets. Whether its settings fit together is checked by `load_config`
and not by the model itself.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field

from connector.config.edge import Edge  # noqa: TC001 - pydantic reads annotations at run time
from connector.config.fields import (
    Flag,
    Int,
    ListenSetting,
    NotEmpty,
    Section,
    TopicName,
)
from connector.config.kafka import Properties, reveal
from connector.config.route import Route  # noqa: TC001 - as above
from connector.config.topics import CreateTopic  # noqa: TC001 - as above


class StartAt(StrEnum):
    """Where to start in a partition for which the group has no committed offset."""

    EARLIEST = "earliest"
    LATEST = "latest"


class LogLevel(StrEnum):
    """The least important log lines that are written."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class LogFormat(StrEnum):
    """How log lines look."""

    AUTO = "auto"
    """Console on a terminal, JSON elsewhere."""
    JSON = "json"
    CONSOLE = "console"


class Consume(Section):
    """How records are read and offsets committed."""

    start_at: Annotated[StartAt, Field(strict=False)] = StartAt.EARLIEST
    """Where to start in a partition without a committed offset. `earliest` skips nothing that waits; `latest` skips
    everything that was written before; but a partition or a topic that comes while the connector runs is read from its
    first record."""

    max_poll_records: Int = Field(1000, ge=1, le=100_000)
    """The most records taken from Kafka's client at a time."""

    max_open_bytes: Int = Field(67_108_864, ge=1_048_576, le=17_179_869_184)
    """The most bytes of records that are read and not settled, with their keys, their headers (judged by samples) and
    what is made of them. Beyond it reading waits, so it bounds memory through any outage. The whole process stays
    within 100 MB + 1.5 * (this + `queued.max.messages.kbytes` + `fetch.max.bytes`) + `edge.max_in_flight` *
    `batch.max_bytes`; the two of `kafka` are 16 MB and 8 MB unless set, so with the defaults that is 250 MB.
    Compressed topics take more: `fetch.max.bytes` counts what is compressed. Half of this again bounds the answers that
    wait for a `responses` topic, as long as none is many times larger than those before."""

    commit_interval_ms: Int = Field(500, ge=10, le=60_000)
    """How often settled offsets are committed. A crash repeats what was settled since the last commit; a commit costs
    next to nothing."""

    revoke_timeout_ms: Int = Field(20_000, ge=10, le=600_000)
    """How long a rebalance waits for open events to settle before a partition is handed over. Has to be below
    `session.timeout.ms` (45000 unless set; classic group protocol) and `max.poll.interval.ms`."""


class Brake(Section):
    """When a route holds instead of filling the dead-letter topic: where nearly all is bad, it is not the events."""

    window_events: Int = Field(2000, ge=10, le=1_000_000)
    """How many of a route's recent events are looked at: of those decoded, and apart from them of those that the Edge
    has judged. Counted in each process, and anew after a release or a restart."""

    min_events: Int = Field(100, ge=1, le=1_000_000)
    """So many of them may be dead letters whatever their share: a burst of a hundred bad events in a row happens. So
    many more get through after each release or restart before the route holds again. Has to be below
    `window_events`."""

    max_share_percent: Int = Field(20, ge=1, le=100)
    """With more dead letters than `min_events`, at most this share. Topics carry a few percent of bad events all the
    time; a broken release, schema or datastream setting makes nearly all bad. 100 switches the brake off. A route that
    holds waits for `xdm-connector release`, or for a restart with the fault mended or this raised."""


class DeadLetter(Section):
    """Where events go that can never be accepted. While that topic cannot be written, nothing is dropped."""

    topic: TopicName = Field(examples=["xdm.dead-letter"])
    """The dead-letter topic. No route may read it, and it must not be compacted. A record that is larger than its
    `max.message.bytes` is written in parts: consecutive slices of the value, in one partition, each with the record's
    key, the headers that say where it comes from, and as its last one `xdm.error.part`, such as `2/4`. The other
    headers stand on the first part. Where key and headers alone are too large, the parts have no key and the header
    `xdm.error.packed`, and make a JSON object with `key`, `headers` and `value` in base64."""

    create: CreateTopic | None = None
    """Create the topic at start if it does not exist. Without this it has to exist already."""

    brake: Brake = Brake()
    """When a route holds instead of filling the dead-letter topic: where nearly all is bad, it is not the events."""

    reported_events: Flag = False
    """Whether an event also becomes a dead letter that the Edge accepted, but for which it reports a failed upstream
    service (HTTP 207). It is never sent again, as the other services have it; without this it is counted and logged."""

    gateway_faults: Flag = False
    """Whether an event may become a dead letter that alone meets HTTP 502 or a broken connection again and again, while
    others of its route get through. Without this it is tried without end, and its partition's commits wait for it."""

    kafka: Properties = Field(default={}, validate_default=True)
    """Properties of librdkafka for the producer of dead letters alone, over those of `kafka`. A dead letter that is not
    confirmed after `message.timeout.ms` (30000) holds the route; the client goes on with it and writes it once."""

    def kafka_properties(self) -> dict[str, Any]:
        """The producer's own properties in clear text, for librdkafka alone."""
        return reveal(self.kafka)


class Status(Section):
    """The HTTP server for health, readiness and metrics, and for the release of a brake."""

    listen: ListenSetting = Field(examples=["127.0.0.1:9480"])
    """host:port, or [IPv6]:port, to listen on. Port 0 lets the operating system choose. Nobody has to log
    in: whoever reaches the address sees figures and states, and may release a route's brake, but nothing else. That is
    what `xdm-connector release` does: `POST /release?route=NAME` with the header `X-XDM-Connector: release`, without
    which a web page in somebody's browser could do it by accident."""


class Logging(Section):
    """What is logged."""

    level: Annotated[LogLevel, Field(strict=False)] = LogLevel.INFO
    """The least important lines that are written. `debug` adds one line for each request."""

    format: Annotated[LogFormat, Field(strict=False)] = LogFormat.AUTO
    """`json` lines, `console` text, or `auto`: console on a terminal, JSON elsewhere."""

    summary_interval_ms: Int = Field(10_000, ge=100, le=3_600_000)
    """How often a line sums up rates, lag, requests in flight, retries and dead letters."""


class Shutdown(Section):
    """How to stop."""

    grace_ms: Int = Field(25_000, ge=10, le=3_600_000)
    """How long a stop waits for open events to settle. The default ends before the 30 s after which common
    orchestrators kill a process; what is open then is repeated after the next start."""


class Config(Section):
    """The configuration of one connector."""

    kafka: Properties = Field(examples=[{"bootstrap.servers": "localhost:9092", "group.id": "xdm-edge"}])
    """Properties of librdkafka, passed through as they are written. `bootstrap.servers` and `group.id` are required;
    those that would break a promise of the connector are refused."""

    consume: Consume = Consume()
    """How records are read and offsets committed."""

    edge: Edge
    """The Edge Network."""

    routes: Annotated[tuple[Route, ...], Field(strict=False), NotEmpty()]
    """Which topics go where."""

    dead_letter: DeadLetter
    """Where events go that can never be accepted."""

    status: Status | None = None
    """The HTTP server for health, readiness and metrics, and for the release of a brake. Without this there is
    none."""

    logging: Logging = Logging()
    """What is logged."""

    shutdown: Shutdown = Shutdown()
    """How to stop."""

    def kafka_properties(self) -> dict[str, Any]:
        """The properties of `kafka` in clear text, for librdkafka alone."""
        return reveal(self.kafka)
