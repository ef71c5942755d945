"""Strategies for JSON texts in the neighbourhood of an event: every rule of decoding is one step away."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Sequence

_blanks = st.sampled_from([b"", b"", b"", b" ", b"\n", b"\t\r\n "])

_scalars = st.sampled_from(
    [
        *(b"null", b"true", b"false", b"0", b"-1.5e-3", b"1e400", b"9" * 400, b"1" * 1000, b"1" * 1001),
        *(b'""', b'"x"', b'"true"', b'"false"', b'"tru\\u0065"', b'"yes"', b'"{[\\"}]\\\\"', b'"\\u0000"'),
        *('"é\u20ac\U0001f600"'.encode(), b'"\\ud83d\\ude00"', b'"\\ud83d"', b'"\\ude00\\ud83d"', b'"\xff"'),
        *(b'"\\"primary\\":\\"true\\""', b'"primary"', b'"xdm"', b'"' + b"0" * 1200 + b'"', b'"\\\\u0070"'),
    ]
)
_foreign_keys = st.sampled_from(
    [b'"a"', b'""', b'"xdm"', b'"data"', b'"_id"', b'"identityMap"', b'"primary"', b'"k\\"ey"', '"ü"'.encode()]
)
_no_scalars = st.sampled_from(
    [b"NaN", b"-Infinity", b"01", b"1.", b"'x'", b'"\x01"', b'"\\x"', b"tru", b"", b"/**/1", b"-", b"+1"]
)


def _objects(*members: st.SearchStrategy[bytes], max_size: int = 4) -> st.SearchStrategy[bytes]:
    """Objects with some of these members, perhaps repeatedly, in any order."""
    return st.builds(_object, st.lists(st.one_of(*members), max_size=max_size), _blanks)


def _object(members: Sequence[bytes], blank: bytes) -> bytes:
    return b"{" + blank + (blank + b"," + blank).join(members) + blank + b"}"


def _array(items: Sequence[bytes], blank: bytes) -> bytes:
    return b"[" + blank + (blank + b"," + blank).join(items) + blank + b"]"


def _member(keys: st.SearchStrategy[bytes], values: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    return st.builds(lambda key, blank, value: key + blank + b":" + blank + value, keys, _blanks, values)


def _often(usual: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    return st.one_of(usual, usual, usual, anything)


anything = st.recursive(
    _scalars,
    lambda inner: st.one_of(
        st.builds(_array, st.lists(inner, max_size=3), _blanks),
        _objects(_member(_foreign_keys, inner), max_size=3),
    ),
    max_leaves=6,
)
_primary = _member(
    st.sampled_from([b'"primary"', b'"primary"', b'"prim\\u0061ry"']),
    st.one_of(st.sampled_from([b"true", b"false", b'"true"', b'"false"', b'"tru\\u0065"']), _scalars),
)
_identity = _objects(
    _primary, _primary, _member(st.just(b'"id"'), _scalars), _member(_foreign_keys, anything), max_size=3
)
_identities = st.builds(_array, st.lists(_often(_identity), min_size=1, max_size=3), _blanks)
_identity_map = _objects(
    _member(st.sampled_from([b'"ECID"', b'"Email"', b'"E\\u0043ID"']), _often(_identities)), max_size=3
)
_xdm = _objects(
    _member(st.sampled_from([b'"identityMap"', b'"identityMap"', b'"identit\\u0079Map"']), _often(_identity_map)),
    _member(
        st.sampled_from([b'"_id"', b'"_id"', b'"_\\u0069d"']),
        st.sampled_from([b'"x"', b'""', b"null", b"7", b"[]"]),
    ),
    _member(_foreign_keys, anything),
    max_size=4,
)
_event = _objects(
    _member(st.sampled_from([b'"xdm"', b'"xdm"', b'"xdm"', b'"xd\\u006d"', b'"XDM"']), _often(_xdm)),
    _member(st.just(b'"data"'), anything),
    _member(_foreign_keys, anything),
    max_size=3,
)

plain_events = st.builds(
    lambda primary, id_, more: (
        b'{"xdm":{' + id_ + b'"identityMap":{"ECID":[{"id":"1","primary":' + primary + b'}]}},"data":' + more + b"}"
    ),
    st.sampled_from([b"true", b"false", b'"true"', b'"false"', b'"yes"', b"null"]),
    st.sampled_from([b'"_id":"x",', b"", b'"_id":"",']),
    anything,
)

texts = st.builds(
    lambda bom, before, text, after: bom + before + text + after,
    st.sampled_from([b"", b"", b"", b"\xef\xbb\xbf", b"\xef\xbb\xbf\xef\xbb\xbf"]),
    _blanks,
    st.one_of(_event, _event, _xdm, plain_events, anything),
    _blanks,
)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A text with one or two places cut, doubled, or filled with what does not belong there."""
    text: bytes = draw(texts)
    for _ in range(draw(st.integers(1, 2))):
        start = draw(st.integers(0, len(text)))
        end = draw(st.integers(start, min(len(text), start + 8)))
        junk = draw(st.one_of(st.just(b""), _no_scalars, _scalars, st.just(text[start:end] * 2), st.binary(max_size=2)))
        text = text[:start] + junk + text[end:]
    return text


@st.composite
def deep(draw: st.DrawFn) -> bytes:
    """An event or XDM object whose depth lies within a few levels of the limit."""
    levels = draw(st.integers(508, 514))
    filler = draw(st.sampled_from([b"", b" ", b'"]]]]",', b'"[[[[",'])) * draw(st.integers(0, 300))
    nested = b"[" * levels + b"1" + b"]" * levels
    member = draw(st.sampled_from([b'"xdm":{"a":%b}', b'"a":%b', b'"xdm":{},"data":%b']))
    return b"{" + member % (b"[" + filler + nested + b"]") + b"}"
