"""Decoding once more, slow and obvious: the standard library's parser, a tree, and one `if` for each rule.

Promise: shares nothing with the product but the names of the reasons and the limits.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NoReturn

from connector.core.decode import DecodeRules, RejectionReason, Shape
from connector.core.decode_rules import MAX_DEPTH, MAX_NUMBER_CHARS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.unit.decode_record import RecordAt

_BOM = b"\xef\xbb\xbf"


class Number(str):
    """A number as it is written."""

    __slots__ = ()


class Members(list[tuple[str, object]]):
    """An object's members in order, with repeated keys."""

    def last(self, key: str) -> object:
        """The value that counts; a `KeyError` if there is none."""
        return dict(self)[key]

    def replaced(self, key: str, value: object) -> Members:
        """The same members with another value in the last place that has this key."""
        index = max(index for index, member in enumerate(self) if member[0] == key)
        return Members([*self[:index], (key, value), *self[index + 1 :]])


def tree(text: bytes) -> object:
    """The JSON text as a tree that forgets only blanks and how strings are escaped; `ValueError` if it is none."""
    return json.loads(
        text.decode(),
        object_pairs_hook=Members,
        parse_int=Number,
        parse_float=Number,
        parse_constant=_no_constant,
    )


def expected(value: bytes, record: RecordAt, rules: DecodeRules) -> object:
    """The reason of the rejection, or the tree of the fragment; with the bytes, where nothing may change."""
    if len(value) > rules.max_fragment_bytes:
        return RejectionReason.TOO_LARGE
    if depth(value) > MAX_DEPTH:
        return RejectionReason.TOO_DEEP
    try:
        value.decode()
    except UnicodeDecodeError:
        return RejectionReason.NOT_UTF8
    value = value.removeprefix(_BOM)
    try:
        root = tree(value)
    except ValueError:
        return RejectionReason.NOT_JSON
    if any("\ud800" <= character <= "\udfff" for text in strings(root) for character in text):
        return RejectionReason.LONE_SURROGATE
    if any(len(number) > MAX_NUMBER_CHARS for number in numbers(root)):
        return RejectionReason.NUMBER_TOO_LONG
    return _fragment(value, root, record, rules)


def _fragment(value: bytes, root: object, record: RecordAt, rules: DecodeRules) -> object:
    if not isinstance(root, Members):
        return RejectionReason.NOT_OBJECT
    keys = dict(root).keys()
    bare = rules.shape is Shape.XDM or (rules.shape is Shape.AUTO and "xdm" not in keys and "data" not in keys)
    if not bare and not isinstance(dict(root).get("xdm"), Members):
        return RejectionReason.NO_XDM
    xdm = root if bare else root.last("xdm")
    assert isinstance(xdm, Members)
    mended = with_boolean_primaries(xdm)
    if rules.needs_primary_identity and not has_primary(mended):
        return RejectionReason.NO_PRIMARY_IDENTITY
    if rules.derive_missing_id:
        mended = with_id(mended, record)
    if bare and depth(value) + 1 > MAX_DEPTH:
        return RejectionReason.TOO_DEEP
    if mended == xdm:
        return b'{"xdm":' + value + b"}" if bare else value
    return Members([("xdm", mended)]) if bare else root.replaced("xdm", mended)


def has_primary(xdm: Members) -> bool:
    """Whether some identity has `primary` true."""
    identity_map = dict(xdm).get("identityMap")
    if not isinstance(identity_map, Members):
        return False
    lists = [identities for identities in dict(identity_map).values() if isinstance(identities, list)]
    return any(
        isinstance(identity, Members) and dict(identity).get("primary") is True
        for identities in lists
        if not isinstance(identities, Members)
        for identity in identities
    )


def with_boolean_primaries(xdm: Members) -> Members:
    """The XDM object with "true" and "false" as booleans where an identity says `primary`."""
    identity_map = dict(xdm).get("identityMap")
    if not isinstance(identity_map, Members):
        return xdm
    mended = identity_map
    for namespace, identities in dict(identity_map).items():
        if isinstance(identities, list) and not isinstance(identities, Members):
            mended = mended.replaced(namespace, [_mended_identity(identity) for identity in identities])
    return xdm.replaced("identityMap", mended)


def _mended_identity(identity: object) -> object:
    if not isinstance(identity, Members):
        return identity
    primary = dict(identity).get("primary")
    if isinstance(primary, Number):
        return identity
    if primary == "true":
        return identity.replaced("primary", True)
    if primary == "false":
        return identity.replaced("primary", False)
    return identity


def with_id(xdm: Members, record: RecordAt) -> Members:
    """The XDM object with the `_id` of the record's coordinates, if it has none."""
    derived = f"{record.topic_name}-{record.partition_number}-{record.offset_number}-{record.timestamp_ms}"
    if "_id" not in dict(xdm):
        return Members([("_id", derived), *xdm])
    present = xdm.last("_id")
    return xdm.replaced("_id", derived) if present is None or present == "" else xdm


def depth(text: bytes) -> int:
    """How deep brackets outside strings stand in each other, byte by byte."""
    deepest = level = 0
    in_string = escaped = False
    for byte in text.decode("latin-1"):
        if in_string:
            in_string = escaped or byte != '"'
            escaped = byte == "\\" and not escaped
        elif byte == '"':
            in_string = True
        elif byte in "[{":
            level += 1
            deepest = max(deepest, level)
        elif byte in "]}":
            level -= 1
    return deepest


def strings(node: object) -> Iterator[str]:
    """Every string of a tree, keys too."""
    return (leaf for leaf in leaves(node) if not isinstance(leaf, Number))


def numbers(node: object) -> Iterator[Number]:
    """Every number of a tree."""
    return (leaf for leaf in leaves(node) if isinstance(leaf, Number))


def leaves(node: object) -> Iterator[str]:
    """Every string, key and number of a tree."""
    waiting = [node]
    while waiting:
        current = waiting.pop()
        if isinstance(current, str):
            yield current
        elif isinstance(current, Members):
            waiting.extend(part for member in current for part in member)
        elif isinstance(current, list):
            waiting.extend(current)


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)
