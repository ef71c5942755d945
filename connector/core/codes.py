"""The Edge Network's published error codes, line by line, and what the connector does about each.

Source: Adobe's public list of Edge Network Server API error codes; the actions are this project's reading of
their descriptions. `config/verdicts.md` is generated from these tables.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Action(StrEnum):
    """What an answer asks for. Closed: `delivery.py` matches it exhaustively."""

    ACCEPT = "accept"
    """Every event of the request is accepted."""
    RETRY = "retry"
    """A passing fault: wait and send again, without end."""
    RETRY_FEW = "retry_few"
    """An unexpected fault: wait and send again; while others get through, look for one event that causes it."""
    ISOLATE = "isolate"
    """Some event is at fault: find it, dead-letter it, deliver its mates."""
    HALVE = "halve"
    """The body is too large for what stands in the way: send it in halves, and smaller ones for ten minutes."""
    RENEW_TOKEN = "renew_token"  # noqa: S105 - the name of an action, not a secret
    """Fetch a new token and send again, once; then it is a configuration fault."""
    HOLD = "hold"
    """A configuration fault: hold the route until a person mends it, and probe."""
    FOREIGN = "foreign"
    """Something else than the Edge answered: a few tries, then hold the route, unless others get through."""
    DEFECT = "defect"
    """This connector sent what it must never send: stop, loudly."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table: what to do, what it means, what a person can mend."""

    action: Action
    meaning: str
    remedy: str = ""


_WAIT = "Nothing to mend here: the connector waits and sends again."
_EVENT = "Mend the producer of the event; the dead letter holds the event and the answer's detail."
_DATASTREAM = "Check datastream_id, and the datastream's settings in the Data Collection UI."
_RIGHTS = "Give the technical account the product profile and scopes that the Edge Network asks for."

CODES: dict[str, Row] = {
    "0000-503": Row(Action.RETRY, "The service is unavailable for the moment.", _WAIT),
    "0001-500": Row(Action.RETRY_FEW, "Unexpected fault inside the Edge Network.", _WAIT),
    "0002-400": Row(Action.HOLD, "The datastream is missing or not usable.", _DATASTREAM),
    "0003-400": Row(Action.HOLD, "The datastream's configuration is not valid.", _DATASTREAM),
    "0004-422": Row(Action.HOLD, "The datastream cannot serve this request.", _DATASTREAM),
    "0010-422": Row(Action.HOLD, "A service of the datastream is not set up.", _DATASTREAM),
    "0011-422": Row(Action.HOLD, "A service of the datastream is not set up.", _DATASTREAM),
    "0012-422": Row(Action.HOLD, "A service of the datastream is not set up.", _DATASTREAM),
    "0013-422": Row(Action.HOLD, "A service of the datastream is not set up.", _DATASTREAM),
    "0100-500": Row(Action.RETRY_FEW, "Unexpected fault while the request was read.", _WAIT),
    "0101-400": Row(Action.ISOLATE, "An event is malformed.", _EVENT),
    "0102-400": Row(Action.ISOLATE, "An event is malformed.", _EVENT),
    "0103-400": Row(Action.ISOLATE, "An event is malformed.", _EVENT),
    "0104-422": Row(Action.ISOLATE, "An event cannot be taken as it is.", _EVENT),
    "0105-400": Row(Action.ISOLATE, "An event is malformed.", _EVENT),
    "0106-400": Row(Action.HOLD, "The request is not allowed for this datastream.", _DATASTREAM),
    "0107-400": Row(Action.HOLD, "The datastream is not valid.", _DATASTREAM),
    "0108-400": Row(Action.HOLD, "The datastream is not valid.", _DATASTREAM),
    "0109-408": Row(
        Action.DEFECT,
        "The request arrived empty.",
        "Look for a proxy that drops bodies; else report a defect.",
    ),
    "0110-400": Row(Action.HOLD, "The request's parameters are not valid.", _DATASTREAM),
    "0111-415": Row(
        Action.HOLD, "The content type was refused.", "Look for a proxy that changes the Content-Type header."
    ),
    "0112-413": Row(Action.HALVE, "The body is too large.", "Lower batch.max_bytes for this route."),
    "0113-400": Row(Action.HOLD, "The request is not valid for this endpoint.", _DATASTREAM),
    "0200-504": Row(Action.RETRY, "An upstream service did not answer in time.", _WAIT),
    "0201-503": Row(Action.RETRY, "An upstream service is unavailable.", _WAIT),
    "0202-502": Row(Action.RETRY, "An upstream service failed.", _WAIT),
    "0203-502": Row(Action.RETRY, "An upstream service failed.", _WAIT),
    "0205-502": Row(Action.RETRY, "An upstream service failed.", _WAIT),
    "0300-502": Row(Action.RETRY, "The identity service failed.", _WAIT),
    "0301-200": Row(Action.ACCEPT, "The event was ignored: the visitor gave no consent.", ""),
    "0302-409": Row(Action.ISOLATE, "A consent update is not supported here.", _EVENT),
    "0304-400": Row(Action.ISOLATE, "An event's identities are not valid.", _EVENT),
    "0305-400": Row(Action.ISOLATE, "An event's identity is malformed.", _EVENT),
    "0306-400": Row(Action.ISOLATE, "An event has no primary identity.", _EVENT),
    "0307-502": Row(Action.RETRY, "The identity service failed.", _WAIT),
    "0308-400": Row(Action.ISOLATE, "An event's identity is not valid.", _EVENT),
    "0400-403": Row(
        Action.HOLD,
        "Collection is not allowed from this place.",
        "Check the datastream's geo and access settings.",
    ),
    "0500-401": Row(Action.RENEW_TOKEN, "The token is missing.", "Check edge.auth."),
    "0501-401": Row(Action.HOLD, "The token lacks the rights for this call.", _RIGHTS),
    "0502-401": Row(Action.RENEW_TOKEN, "The token is not valid.", "Check edge.auth: client, secret, organisation."),
    "0503-401": Row(Action.RENEW_TOKEN, "The token has expired.", "Check edge.auth, and this machine's clock."),
    "0504-401": Row(Action.HOLD, "The token lacks a scope.", _RIGHTS),
    "0505-401": Row(Action.HOLD, "The organisation may not use this datastream.", _RIGHTS),
    "0506-401": Row(Action.HOLD, "The technical account lacks rights.", _RIGHTS),
}
"""By the part of `EXEG-NNNN-SSS` after the dash."""

NAMING_CODES = frozenset({"0304-400", "0306-400", "0308-400"})
"""The codes whose text names the events at fault as `#index` (published)."""

_UNKNOWN_4XX = Row(Action.ISOLATE, "The request was refused for a reason that is not published.", _EVENT)

STATUSES: dict[int, Row] = {
    401: Row(Action.RENEW_TOKEN, "The token was refused.", "Check edge.auth."),
    403: Row(Action.HOLD, "The call is forbidden.", _RIGHTS),
    404: Row(Action.HOLD, "Nothing answers at this path.", "Check edge.base_url, location_hint and datastream_id."),
    405: Row(Action.HOLD, "The path does not take POST.", "Check edge.base_url."),
    408: Row(Action.RETRY, "The request took too long to arrive.", _WAIT),
    413: Row(Action.HALVE, "The body is too large.", "Lower batch.max_bytes for this route."),
    415: Row(Action.HOLD, "The content type was refused.", "Look for a proxy that changes the Content-Type header."),
    425: Row(Action.RETRY, "The endpoint wants the request later.", _WAIT),
    429: Row(Action.RETRY, "The allowance is used up.", "Lower edge.request_units_per_second if this lasts."),
    500: Row(Action.RETRY_FEW, "Unexpected fault at the endpoint.", _WAIT),
    502: Row(Action.RETRY, "A gateway could not reach the service.", _WAIT),
    503: Row(Action.RETRY, "The service is unavailable for the moment.", _WAIT),
    504: Row(Action.RETRY, "A gateway waited in vain for the service.", _WAIT),
}
"""By HTTP status, where the code is missing or unknown."""

STATUS_CLASSES: dict[int, Row] = {
    4: _UNKNOWN_4XX,
    5: Row(Action.RETRY, "The endpoint failed in a way that is not published.", _WAIT),
}
"""By the first digit of the status, where the status is not listed either."""


class NoAnswer(StrEnum):
    """The ways in which an answer can be missing."""

    REFUSED = "connection_refused"
    DNS = "name_not_resolved"
    TLS = "tls_failed"
    CONNECT_TIMEOUT = "connect_timeout"
    UNREACHABLE = "unreachable"
    NO_FILES = "too_few_files"
    TIMEOUT = "timeout"
    DISCONNECTED = "disconnected"
    HALF_ANSWER = "half_answer"
    NOT_HTTP = "not_http"
    TOO_LONG = "answer_too_long"
    ANOTHERS = "answer_to_another"


NO_ANSWERS: dict[NoAnswer, Row] = {
    NoAnswer.REFUSED: Row(Action.RETRY, "The connection was refused.", "Check edge.base_url and the network path."),
    NoAnswer.DNS: Row(Action.RETRY, "The host's name could not be resolved.", "Check edge.base_url and DNS."),
    NoAnswer.TLS: Row(
        Action.RETRY,
        "No TLS session.",
        "Check the certificate, this machine's clock, and proxies in between.",
    ),
    NoAnswer.CONNECT_TIMEOUT: Row(Action.RETRY, "No connection in time.", "Check the network path and firewalls."),
    NoAnswer.UNREACHABLE: Row(Action.RETRY, "The host cannot be reached.", "Check the network path."),
    NoAnswer.NO_FILES: Row(
        Action.RETRY,
        "This process may open no more files, and a connection is one.",
        "Raise the limit of open files (ulimit -n, LimitNOFILE), or lower edge.max_in_flight.",
    ),
    NoAnswer.TIMEOUT: Row(Action.RETRY, "No answer in time.", "If this lasts, raise edge.timeout_ms."),
    NoAnswer.DISCONNECTED: Row(Action.RETRY, "The connection closed before an answer.", _WAIT),
    NoAnswer.HALF_ANSWER: Row(Action.RETRY, "The answer broke off.", _WAIT),
    NoAnswer.NOT_HTTP: Row(Action.FOREIGN, "The answer is not HTTP.", "Check edge.base_url: scheme, host and port."),
    NoAnswer.TOO_LONG: Row(Action.FOREIGN, "The answer does not end.", "Find out what answers in the Edge's place."),
    NoAnswer.ANOTHERS: Row(
        Action.RETRY,
        "The answer is that to another request.",
        "If this lasts, look for a proxy that loses count of its answers.",
    ),
}

NOT_SENT = frozenset(
    {
        NoAnswer.REFUSED,
        NoAnswer.DNS,
        NoAnswer.TLS,
        NoAnswer.CONNECT_TIMEOUT,
        NoAnswer.UNREACHABLE,
        NoAnswer.NO_FILES,
    }
)
"""No body left this process: sending again cannot double anything. All others are ambiguous."""

FOREIGN_REMEDY = "Find out what answers in the Edge's place: a proxy, a captive portal or a wrong edge.base_url."

BEYOND_THE_TABLES = """\
500, 502, a broken connection and the refusal of a stranger (no code, or not the Edge's own page) may be one event's
doing. While others of the route get through and hardly any of them meets the same, the batch is narrowed down, its
mates are delivered, and what fails goes on alone, without a hold. Alone it becomes a dead letter after twice
`edge.unexpected_error_tries` and `edge.lone_failure_ms`; after 502 and broken connections only with
`dead_letter.gateway_faults: true`, and else it is tried without end. Where everybody meets the fault it is an outage,
and nothing is dead-lettered. A batch that has no others to compare itself with is narrowed down after 500 too, so that
its mates are delivered; that blames nobody.

An event that the Edge accepted, but of which it reports a failed upstream service (207), becomes a dead letter too with
`dead_letter.reported_events: true`. Beyond the limits of `dead_letter.brake` no dead letter is written: the route is
held until a person releases it (`brake_applied`). A route is held as well while the token endpoint
refuses (`token_…`), or while the dead-letter topic (`dead_letter_…`) or the responses topic (`responses_…`) cannot be
written.
"""
"""What a table of answers cannot say, for `config/verdicts.md`: the rest of the route has a say in it."""
