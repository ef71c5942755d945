"""The settings of `edge`: where the Edge Network is, who calls it, how hard, and how patiently."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from connector.config.fields import (
    AUTO,
    BaseUrl,
    HeaderText,
    Int,
    Matching,
    NotEmpty,
    SecretSetting,
    Section,
    Share,
    Url,
)


class DatastreamParameter(StrEnum):
    """How the query parameter that names the datastream is spelled."""

    DATASTREAM_ID = "datastreamId"
    DATA_STREAM_ID = "dataStreamId"


class Auth(Section):
    """Credentials of the authenticated endpoint.

    Give either `client_secret`, `scopes` and `token_url` (OAuth server-to-server), or `access_token`.
    """

    org_id: Annotated[
        str, Matching(r"[!-?A-~]{1,100}@[!-?A-~]{1,100}", "an organisation id such as 0123456789ABCDEF@AdobeOrg")
    ] = Field(examples=["0123456789ABCDEF@AdobeOrg"])
    """The organisation, sent as `x-gw-ims-org-id`."""

    client_id: HeaderText = Field(examples=["${EDGE_CLIENT_ID}"])
    """The client id of the OAuth credential, sent as `x-api-key`."""

    client_secret: SecretSetting | None = None
    """The client secret, best as `${file:path}`: a changed file is read again before the next token is asked for,
    so a rotation needs no restart."""

    scopes: Annotated[tuple[HeaderText, ...], Field(strict=False), NotEmpty()] | None = None
    """The scopes that the token is asked for. A service token needs `acp.foundation`."""

    token_url: Url | None = None
    """Where tokens come from. The secret is sent there, so there is no default."""

    access_token: SecretSetting | None = None
    """A ready-made bearer token, in the place of the three settings above. It is not renewed; with `${file:path}`
    a changed file is picked up."""


class RequestUnitsPerSecond(Section):
    """The allowance of an organisation, and this process's part of it. A request costs one unit per started 8 KB and
    upstream service. 98 % of it is spent at most, and less for about a minute where the endpoint answers 429."""

    collect: Int = Field(6000, ge=1, le=1_000_000)
    """Request units a second for collect, for all copies of the connector together. The default is the published
    allowance of an organisation; leave room for others who use it."""

    interact: Int = Field(4000, ge=1, le=1_000_000)
    """Request units a second for interact, for all copies of the connector together. The default is the published
    allowance of an organisation."""

    share: Share = AUTO
    """The part of both that this process may spend. `auto` is its part of the partitions that the routes of an
    endpoint read, so that all copies of a group together keep the allowance; it moves with each rebalance."""

    @property
    def fixed_share(self) -> float | None:
        """The share where it is a number, None where it moves with the partitions."""
        return None if isinstance(self.share, str) else self.share


class Retry(Section):
    """How long to wait before a request is sent again. Temporary faults are retried without end."""

    initial_ms: Int = Field(200, ge=1, le=60_000)
    """The bound of the first wait; it doubles with each try. The wait is drawn evenly between zero and the bound, so
    that many copies do not come back at once."""

    max_ms: Int = Field(30_000, ge=1, le=3_600_000)
    """The largest bound of a wait: how late an outage's end may be noticed."""

    retry_after_max_ms: Int = Field(300_000, ge=1, le=86_400_000)
    """The longest `Retry-After` that is honoured, so that a wrong header cannot stop delivery for days."""


class Edge(Section):
    """The Edge Network."""

    base_url: BaseUrl = Field(examples=["https://server.adobedc.net"])
    """Scheme and host of the endpoint; the connector adds the path. `https://server.adobedc.net` is the authenticated
    endpoint, `https://edge.adobedc.net` the non-authenticated one; a first-party domain replaces the host."""

    auth: Auth | None = None
    """Credentials. Leave out for the non-authenticated endpoint."""

    timeout_ms: Int = Field(15_000, ge=10, le=600_000)
    """The longest that one request may take, from its first byte to the answer's last. After it the request is sent
    again and its events may arrive twice, so it is generous."""

    connect_timeout_ms: Int = Field(5000, ge=10, le=600_000)
    """The longest that a connection may take to open, TLS included. At most `timeout_ms`."""

    keep_alive_ms: Int = Field(4000, ge=0, le=600_000)
    """How long an idle connection is kept. The default is below the 5 s after which common servers close theirs: a
    request that meets a closing connection is lost half-way and may arrive twice."""

    max_connection_age_ms: Int = Field(300_000, ge=100, le=86_400_000)
    """How old a connection may get before it is replaced. A busy connection never looks its host up again, so this is
    how long a changed address goes unnoticed."""

    max_in_flight: Int = Field(128, ge=1, le=1000)
    """The most requests that wait for an answer at once, over all routes. With `batch.max_bytes` it bounds memory
    and what a crash can repeat. To spend the allowance takes (units a second) / (units of a request) *
    (seconds of an answer): with 6000, full requests of 8 and answers after 100 ms, 6000 / 8 * 0.1 = 75. The default
    leaves room above that, and one of two routes, which may take three quarters of it, still spends the allowance
    alone. The number in use goes down by itself where the endpoint fails or answers slower than it used to."""

    request_units_per_second: RequestUnitsPerSecond = RequestUnitsPerSecond()
    """The most request units that are spent in a second."""

    datastream_parameter: Annotated[DatastreamParameter, Field(strict=False)] = DatastreamParameter.DATASTREAM_ID
    """How the query parameter that names the datastream is spelled. The specifications show both spellings."""

    retry: Retry = Retry()
    """The waits between tries."""

    probe_interval_ms: Int = Field(30_000, ge=10, le=3_600_000)
    """How often a route that is held by a configuration fault sends one small real request, to notice by itself that
    the fault is mended."""

    foreign_answer_tries: Int = Field(3, ge=1, le=100)
    """How many answers in a row that the Edge cannot have sent (an empty 202, a page of HTML) hold the route."""

    unexpected_error_tries: Int = Field(3, ge=1, le=100)
    """How many times a request is sent that is answered with HTTP 500 before its events are tried one by one. Adobe
    advises against repeating such a request blindly."""

    lone_failure_ms: Int = Field(120_000, ge=0, le=86_400_000)
    """How long one event alone has to fail unexpectedly, with twice `unexpected_error_tries`, while others get through,
    before it becomes a dead letter. A part of the endpoint that is down for a few visitors looks just the same, so it
    should be longer than such faults last; its partition's commits wait meanwhile."""
