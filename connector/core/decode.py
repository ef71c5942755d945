"""From a record's value to the event's fragment in the request body, or to a rejection that explains itself.

Promise: a fragment that leaves here keeps every rule below; no bytes make `Decoder.decode` raise; time and memory
are linear in the value's bytes. This is the fast path: a typed partial parse that builds only what a rule asks for
(msgspec skips the rest, and validates while it skips). What it does not plainly find in order goes to
`decode_repair.py`, which keeps the same rules carefully. Nothing passes because the fast path was unsure.

Decided here, each with a test:

- **Shape** `auto`: an object with a member `xdm` or `data` is an event, and then `xdm` must be an object; any other
  object is a bare XDM object and becomes `{"xdm":` value `}`. `event` asks for the object `xdm`; `xdm` always wraps.
- **Bytes**: what needs no repair is sent as it was read, blanks around it included (the same object, not a copy).
- **BOM**: one leading UTF-8 byte order mark is removed, as it would be illegal inside a request.
- **Not JSON**: NaN, Infinity, a raw control character in a string, an empty value, a second BOM.
- **Text** must be UTF-8 all through (encoded surrogates are not), and half a surrogate pair as an escape is rejected,
  because no strict parser takes it. An escaped U+0000 is legal and passes.
- **Repeated keys** are legal: the last one counts for these rules, as for every common parser; all are sent.
- **Depth** of a fragment is at most 512, as most parsers end somewhere near 1,000.
- **Numbers** are never read or rewritten: 1e400 and big integers pass, up to 1,000 characters.
- **Size**: neither the value as read nor the fragment may be larger than a request can carry. A value that is too
  large is not looked into.
- **Identity**: an authenticated endpoint needs one identity with `primary` true anywhere in `xdm.identityMap`. Flaws
  elsewhere in the map are the Edge's to judge, and on the other endpoint all of them are.
- **primary as a string**: exactly "true" and "false" become booleans, on both endpoints, because a published sample
  has them so; another value stays as it is and is not primary.
- **A missing `_id`** (absent, null or empty), where the rules say so, is derived from the record's coordinates, so that
  a repeated event carries the same one. An `_id` of another type stays as it is.

Not decided here: tombstones (a null value never comes here), and whether the XDM fits its schema.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import UNSET, MsgspecError, Raw, Struct, UnsetType, field, json

from connector.core.decode_repair import bounds_problem, decode_carefully, enclose, quoted_id
from connector.core.decode_rules import PLAIN_BYTES, DecodeRules, RejectionReason, Shape, reject
from connector.core.decode_splice import with_boolean_primaries, with_id
from connector.model import Rejection

if TYPE_CHECKING:
    from collections.abc import Callable

    from connector.model import Record

__all__ = ["DecodeRules", "Decoder", "RejectionReason", "Shape"]

_BOM: Final = b"\xef\xbb\xbf"


_NOTHING: Final = Raw()


class _Identity(Struct, gc=False):
    primary: bool | str | UnsetType = UNSET


class _Xdm(Struct, gc=False):
    identity_map: dict[str, list[_Identity]] = field(default_factory=dict, name="identityMap")
    id: str | UnsetType = field(default=UNSET, name="_id")


class _Value(_Xdm, gc=False):
    """A value of the shapes auto and event: as an event, and in case it is none, as bare XDM."""

    xdm: _Xdm | UnsetType = UNSET
    data: Raw = _NOTHING


class _Bare(_Xdm, gc=False):
    """A value of the shape xdm, whose own members called xdm or data mean nothing here."""

    @property
    def xdm(self) -> UnsetType:
        return UNSET

    @property
    def data(self) -> Raw:
        return _NOTHING


class Decoder:
    """Decodes the records of one route."""

    __slots__ = ("_asks_for_event", "_derives_id", "_needs_primary", "_parse", "_plain_bytes", "_rules")

    def __init__(self, rules: DecodeRules) -> None:
        self._rules = rules
        self._asks_for_event = rules.shape is Shape.EVENT
        self._needs_primary = rules.needs_primary_identity
        self._derives_id = rules.derive_missing_id
        self._plain_bytes = min(PLAIN_BYTES, rules.max_fragment_bytes)
        self._parse: Callable[[bytes], _Value | _Bare] = json.Decoder(_Value).decode
        if rules.shape is Shape.XDM:
            self._parse = json.Decoder(_Bare).decode

    def decode(self, value: bytes, record: Record) -> bytes | Rejection:  # noqa: C901 - a call costs a tenth of it
        """The event's fragment: bytes that go into a request body as they are; or why there is none.

        `record` is looked at only where an `_id` has to be derived. Never raises for any value.
        """
        if len(value) > self._plain_bytes or not value.isascii():
            checked = self._check_bytes(value)
            if isinstance(checked, Rejection):
                return checked
            value = checked
        try:
            parsed = self._parse(value)
        except (MsgspecError, RecursionError):  # a short value may be 1,000 brackets: Python 3.11's limit
            return decode_carefully(value, record, self._rules)
        xdm = parsed.xdm
        bare = xdm is UNSET
        if xdm is UNSET:
            if self._asks_for_event or parsed.data:
                return decode_carefully(value, record, self._rules)
            xdm = parsed
        has_primary = False
        for identities in xdm.identity_map.values():
            for identity in identities:
                if identity.primary is True:
                    has_primary = True
                elif type(identity.primary) is str:
                    return self._complete(value, record, xdm, bare=bare)
        if (has_primary or not self._needs_primary) and (xdm.id or not self._derives_id):
            return enclose(value, self._rules, wrap=True) if bare else value
        return self._complete(value, record, xdm, bare=bare)

    def _check_bytes(self, value: bytes) -> bytes | Rejection:
        """The value without a byte order mark, if its bytes keep the bounds and are UTF-8."""
        if len(value) > self._plain_bytes and (problem := bounds_problem(value, self._rules)):
            return problem
        try:
            value.decode()
        except UnicodeDecodeError as error:
            return reject(RejectionReason.NOT_UTF8, f"The fault is at byte {error.start}: {error.reason}.")
        return value.removeprefix(_BOM)

    def _complete(self, value: bytes, record: Record, xdm: _Xdm, *, bare: bool) -> bytes | Rejection:
        completed: bytes | None = value
        primaries = [identity.primary for identities in xdm.identity_map.values() for identity in identities]
        strings = primaries.count("true") + primaries.count("false")
        if self._needs_primary and True not in primaries and "true" not in primaries:
            completed = None
        elif strings:
            completed = with_boolean_primaries(value, strings)
        if completed and self._derives_id and not xdm.id:
            completed = with_id(completed, quoted_id(record), bare=bare) if xdm.id is UNSET else None
        if completed is None:
            return decode_carefully(value, record, self._rules)
        return enclose(completed, self._rules, wrap=bare)
