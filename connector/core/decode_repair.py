"""The careful path of decoding: names the exact reason of a rejection, or repairs an event by splicing.

Promise: the same rules as `decode.py`, whose docstring states them; only the bytes of a repaired value change, so
that numbers, blanks, order and repeated members of everything else go out as they came in.

Not promised: speed. It costs tens of microseconds an event where the fast path costs one.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

import orjson
from msgspec import DecodeError, Raw, json

from connector.core.decode_rules import (
    MAX_DEPTH,
    MAX_NUMBER_CHARS,
    PLAIN_BYTES,
    DecodeRules,
    RejectionReason,
    Shape,
    reject,
)
from connector.core.json_scan import (
    Span,
    first_value,
    is_text,
    items,
    long_number_at,
    members,
    opens_array,
    opens_object,
    too_deep_at,
)
from connector.model import Rejection

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from connector.model import Record

_validate: Final = json.Decoder(Raw).decode
_ESCAPE: Final = re.compile(rb"\\(?:u[dD][89a-fA-F][0-9a-fA-F]{2}|.)", re.DOTALL)


class _Edit(NamedTuple):
    start: int
    end: int
    replacement: bytes


class _Xdm(NamedTuple):
    start: int
    wrap: bool


class _Identities(NamedTuple):
    has_primary: bool
    edits: list[_Edit]
    flaw: str  # the first thing that is not as it should be, for the dead letter


def decode_carefully(value: bytes, record: Record, rules: DecodeRules) -> bytes | Rejection:
    """Decode one value that is UTF-8 and within the bounds of `bounds_problem`, as `Decoder.decode` does."""
    if problem := _syntax_problem(value):
        return problem
    xdm = _find_xdm(value, rules.shape)
    if isinstance(xdm, Rejection):
        return xdm
    parts = members(value, xdm.start)
    identities = _read_identities(value, parts.get("identityMap"))
    if rules.needs_primary_identity and not identities.has_primary:
        return reject(RejectionReason.NO_PRIMARY_IDENTITY, identities.flaw)
    edits = identities.edits
    if rules.derive_missing_id:
        edits.extend(_id_edits(value, xdm.start, parts, record))
    return enclose(_splice(value, edits), rules, wrap=xdm.wrap)


def bounds_problem(value: bytes, rules: DecodeRules) -> Rejection | None:
    """What a value's bytes show before they are parsed, the cheapest first; whatever they are."""
    if len(value) > rules.max_fragment_bytes:
        return _too_large(len(value), rules)
    if (position := too_deep_at(value, MAX_DEPTH)) is not None:
        return _too_deep(position)
    if (position := long_number_at(value, MAX_NUMBER_CHARS)) is not None:
        return reject(RejectionReason.NUMBER_TOO_LONG, f"The number begins at byte {position}.")
    return None


def enclose(value: bytes, rules: DecodeRules, *, wrap: bool) -> bytes | Rejection:
    """The fragment made of a checked value: itself, or wrapped as an event's `xdm`; held to the limits again."""
    if wrap:
        if len(value) > PLAIN_BYTES and (position := too_deep_at(value, MAX_DEPTH - 1)) is not None:
            return _too_deep(position)
        value = b'{"xdm":' + value + b"}"
    if len(value) > rules.max_fragment_bytes:
        return _too_large(len(value), rules)
    return value


def quoted_id(record: Record) -> bytes:
    """The `_id` that a record's own coordinates give, as JSON: the same each time the record is read.

    A URI reference without colons (published); with the timestamp, because a topic that was deleted and made
    again counts its offsets from zero again.
    """
    timestamp_ms = record.timestamp()[1]
    return orjson.dumps(f"{record.topic()}-{record.partition()}-{record.offset()}-{timestamp_ms}")


def _syntax_problem(value: bytes) -> Rejection | None:
    # Short values come here unbounded, and the depth that msgspec stands depends on the interpreter.
    if (position := too_deep_at(value, MAX_DEPTH)) is not None:
        return _too_deep(position)
    try:
        _validate(value)
    except DecodeError as error:
        return _name_syntax_problem(value, str(error))
    return None


def _name_syntax_problem(value: bytes, message: str) -> Rejection:
    try:
        _validate(_ESCAPE.sub(_without_surrogate, value))
    except DecodeError:
        return reject(RejectionReason.NOT_JSON, message)
    return reject(RejectionReason.LONE_SURROGATE, message)


def _without_surrogate(escape: re.Match[bytes]) -> bytes:
    return escape[0] if len(escape[0]) == 2 else rb"\u0020"


def _find_xdm(value: bytes, shape: Shape) -> _Xdm | Rejection:
    start = first_value(value)
    if not opens_object(value, start):
        return reject(RejectionReason.NOT_OBJECT)
    if shape is Shape.XDM:
        return _Xdm(start, wrap=True)
    parts = members(value, start)
    if shape is Shape.AUTO and "xdm" not in parts and "data" not in parts:
        return _Xdm(start, wrap=True)
    if "xdm" not in parts:
        return reject(RejectionReason.NO_XDM, "The member xdm is missing.")
    if not opens_object(value, parts["xdm"].start):
        return reject(RejectionReason.NO_XDM, "The member xdm is not an object.")
    return _Xdm(parts["xdm"].start, wrap=False)


def _read_identities(value: bytes, identity_map: Span | None) -> _Identities:
    flaws: list[str] = []
    edits: list[_Edit] = []
    has_primary = False
    for primary in _primaries(value, identity_map, flaws):
        is_string_true = is_text(value, primary, "true")
        if is_string_true or value[primary.start : primary.end] == b"true":
            has_primary = True
        if is_string_true:
            edits.append(_Edit(*primary, b"true"))
        elif is_text(value, primary, "false"):
            edits.append(_Edit(*primary, b"false"))
    return _Identities(has_primary, edits, flaws[0] if flaws else "No identity has primary true.")


def _primaries(value: bytes, identity_map: Span | None, flaws: list[str]) -> Iterator[Span]:
    """The values of all members `primary` of the identities; what is no identity is named in `flaws`."""
    if identity_map is None:
        flaws.append("xdm.identityMap is missing.")
        return
    if not opens_object(value, identity_map.start):
        flaws.append("xdm.identityMap is not an object.")
        return
    for namespace, identities in members(value, identity_map.start).items():
        if not opens_array(value, identities.start):
            flaws.append(f"xdm.identityMap.{namespace} is not an array.")
            continue
        for index, identity in enumerate(items(value, identities.start)):
            if not opens_object(value, identity.start):
                flaws.append(f"xdm.identityMap.{namespace}[{index}] is not an object.")
            elif primary := members(value, identity.start).get("primary"):
                yield primary


def _id_edits(value: bytes, xdm_start: int, parts: Mapping[str, Span], record: Record) -> Iterator[_Edit]:
    present = parts.get("_id")
    if present is None:
        comma = b"," if parts else b""
        yield _Edit(xdm_start + 1, xdm_start + 1, b'"_id":' + quoted_id(record) + comma)
    elif value[present.start : present.end] in {b"null", b'""'}:
        yield _Edit(*present, quoted_id(record))


def _splice(value: bytes, edits: list[_Edit]) -> bytes:
    if not edits:
        return value
    pieces: list[bytes] = []
    position = 0
    for edit in sorted(edits):
        pieces += (value[position : edit.start], edit.replacement)
        position = edit.end
    pieces.append(value[position:])
    return b"".join(pieces)


def _too_large(size_bytes: int, rules: DecodeRules) -> Rejection:
    detail = f"The event has {size_bytes} bytes; at most {rules.max_fragment_bytes} fit into a request."
    return reject(RejectionReason.TOO_LARGE, detail)


def _too_deep(position: int) -> Rejection:
    return reject(RejectionReason.TOO_DEEP, f"The limit is passed at byte {position}.")
