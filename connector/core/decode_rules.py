"""What a record's value must be to become an event: the rules, their limits, and the reasons for a rejection.

Promise: every reason is one of a closed set, safe as a log field and a metric label, and has one fixed title that
also says what to do. What an event contains stands only in a rejection's `detail`.

Not here: the work itself (`decode.py` for the events that are fine as they are, `decode_repair.py` for the rest).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from connector.model import Rejection

MAX_DEPTH: Final = 512
"""Objects and arrays inside each other in a fragment; common parsers give up at about 1,000."""

MAX_NUMBER_CHARS: Final = 1000
"""The longest number; common parsers take no more (Jackson's default is 1,000)."""

PLAIN_BYTES: Final = 1000
"""A JSON text up to here keeps both limits by its length alone: a level takes two bytes, a digit one."""


class Shape(StrEnum):
    """What the values of a route's records are."""

    AUTO = "auto"
    """An object with a member `xdm` or `data` is an event; any other object is a bare XDM object."""
    EVENT = "event"
    """`{"xdm": {…}, "data": {…}}`."""
    XDM = "xdm"
    """A bare XDM object, whatever its members are called."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodeRules:
    """What one route asks of its records."""

    shape: Shape
    needs_primary_identity: bool  # the endpoint is authenticated: else EXEG-0306-400 (given, published)
    derive_missing_id: bool
    max_fragment_bytes: int  # the largest event that fits a request alone


class RejectionReason(StrEnum):
    """Why a record's value cannot become an event."""

    NOT_JSON = "not_json"
    NOT_UTF8 = "not_utf8"
    LONE_SURROGATE = "lone_surrogate"
    NOT_OBJECT = "not_object"
    NO_XDM = "no_xdm"
    NO_PRIMARY_IDENTITY = "no_primary_identity"
    TOO_LARGE = "too_large"
    TOO_DEEP = "too_deep"
    NUMBER_TOO_LONG = "number_too_long"


TITLES: Final[dict[RejectionReason, str]] = {
    RejectionReason.NOT_JSON: (
        "The value is not JSON; mend the producer: write exactly one JSON object (RFC 8259, no NaN or Infinity)."
    ),
    RejectionReason.NOT_UTF8: "The value is not UTF-8; mend the producer: encode JSON as UTF-8.",
    RejectionReason.LONE_SURROGATE: (
        "A string holds half of a surrogate pair; mend the producer: it cuts text inside a character."
    ),
    RejectionReason.NOT_OBJECT: "The value is JSON but no object; mend the producer: write one object per record.",
    RejectionReason.NO_XDM: (
        "The event has no object `xdm`; mend the producer, or set event.shape to xdm if values are bare XDM."
    ),
    RejectionReason.NO_PRIMARY_IDENTITY: (
        "The authenticated endpoint needs a primary identity; mend the producer: one item of xdm.identityMap "
        "must have primary true."
    ),
    RejectionReason.TOO_LARGE: (
        "The event is larger than one request may be; make it smaller, or raise batch.max_bytes if the limit allows."
    ),
    RejectionReason.TOO_DEEP: f"The event is nested deeper than {MAX_DEPTH} levels; flatten it.",
    RejectionReason.NUMBER_TOO_LONG: (
        f"A number is longer than {MAX_NUMBER_CHARS} characters; shorten it or write it as a string."
    ),
}


def reject(reason: RejectionReason, detail: str = "") -> Rejection:
    """The rejection of one value; `detail` may say where and may quote it."""
    return Rejection(stage="decode", reason=reason.value, title=TITLES[reason], detail=detail)
