"""Identities, repairs and hostile values: what decoding changes, what it leaves, and what it may cost."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, cast

import pytest

from connector.core.decode import Decoder, DecodeRules, Shape
from connector.model import Record, Rejection
from tests.unit.decode_record import RecordAt

if TYPE_CHECKING:
    from types import FrameType

_NO_RECORD = cast("Record", object())  # any look at it is an AttributeError
_DERIVED = b'"xdm.web-3-42-1760000000000"'


def _decoder(*, auth: bool = False, derive: bool = False, shape: Shape = Shape.AUTO) -> Decoder:
    return Decoder(
        DecodeRules(shape=shape, needs_primary_identity=auth, derive_missing_id=derive, max_fragment_bytes=4_000_000)
    )


def _event(identity_map: bytes) -> bytes:
    return b'{"xdm":{"identityMap":' + identity_map + b"}}"


@pytest.mark.parametrize(
    "identity_map",
    [
        b'{"ECID":[{"id":"1","primary":true}]}',
        b'{"ECID":[{"primary":false},{"primary":true}],"Email":[]}',
        b'{"ECID":[{"primary":false,"primary":true}]}',
        b'{"ECID":[],"ECID":[{"prim\\u0061ry":true}]}',
        b'{"odd":7,"ECID":[null,{"primary":true},{"primary":null}]}',
        b'{"ECID":[{"primary":true},{"primary":"yes"}]}',
    ],
)
def test_one_primary_identity_anywhere_is_enough(identity_map: bytes) -> None:
    """The authenticated endpoint's demand is met by one identity, whatever else the Edge may find."""
    value = _event(identity_map)
    assert _decoder(auth=True).decode(value, _NO_RECORD) is value


@pytest.mark.parametrize(
    ("identity_map", "detail"),
    [
        (b"{}", "No identity has primary true."),
        (b'{"ECID":[{"id":"1"}]}', "No identity has primary true."),
        (b'{"ECID":[{"primary":true,"primary":false}]}', "No identity has primary true."),
        (b'{"ECID":[{"primary":true}],"ECID":[]}', "No identity has primary true."),
        (b'{"ECID":[{"primary":"yes"},{"primary":"True"},{"primary":1}]}', "No identity has primary true."),
        (b"null", "xdm.identityMap is not an object."),
        (b'[{"primary":true}]', "xdm.identityMap is not an object."),
        (b'{"ECID":{"primary":true}}', "xdm.identityMap.ECID is not an array."),
        (b'{"ECID":[[{"primary":true}]]}', "xdm.identityMap.ECID[0] is not an object."),
    ],
)
def test_an_authenticated_event_without_a_primary_identity(identity_map: bytes, detail: str) -> None:
    """It is rejected with the flaw named; the other endpoint gets it untouched and judges for itself."""
    value = _event(identity_map)
    found = _decoder(auth=True).decode(value, _NO_RECORD)
    assert isinstance(found, Rejection)
    assert (found.reason, found.detail) == ("no_primary_identity", detail)
    assert _decoder().decode(value, _NO_RECORD) is value


def test_a_missing_identity_map_is_named() -> None:
    """An event without any identity says so, and a foreign identityMap beside `xdm` does not count."""
    found = _decoder(auth=True).decode(b'{"xdm":{},"identityMap":{"A":[{"primary":true}]}}', _NO_RECORD)
    assert isinstance(found, Rejection)
    assert (found.reason, found.detail) == ("no_primary_identity", "xdm.identityMap is missing.")


@pytest.mark.parametrize("auth", [True, False])
@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b'{"E":[{"primary":"true"}]}', b'{"E":[{"primary":true}]}'),
        (b'{"E":[{"primary" :\n"true","n":1.0}]}', b'{"E":[{"primary" :\ntrue,"n":1.0}]}'),
        (b'{"E":[{"primary":true},{"primary":"false"}]}', b'{"E":[{"primary":true},{"primary":false}]}'),
        (b'{"E":[{"\\u0070rimary":"true"}]}', b'{"E":[{"\\u0070rimary":true}]}'),
        (b'{"E":[{"prim\\u0061ry":"tru\\u0065"}]}', b'{"E":[{"prim\\u0061ry":true}]}'),
        (
            b'{"E":[{"primary":"true","primary": "true" }]}',
            b'{"E":[{"primary":"true","primary": true }]}',
        ),
        (
            b'{"E":[{"primary":"true"}],"E":[{"primary":"true","type":"primary","x":{"primary":"true"}}]}',
            b'{"E":[{"primary":"true"}],"E":[{"primary":true,"type":"primary","x":{"primary":"true"}}]}',
        ),
        (
            b'{"E":[{"primary":"true"},{"primary":"yes"},{"primary":"TRUE"}],"F":"false"}',
            b'{"E":[{"primary":true},{"primary":"yes"},{"primary":"TRUE"}],"F":"false"}',
        ),
    ],
)
def test_primary_as_a_string_becomes_a_boolean(auth: bool, before: bytes, after: bytes) -> None:
    """Only the values that count change, on both endpoints; every other byte stays."""
    around = b'{"data":{"primary":1.10,"identityMap":{"E":[{"primary":"true"}]}},"xdm":{"identityMap":%b}}'
    for frame in (around, b'{"xdm":{"identityMap": %b, "big":1e400 }}', b'{"identityMap":%b}'):
        shape = Shape.XDM if frame.startswith(b'{"identityMap') else Shape.EVENT
        found = _decoder(auth=auth, shape=shape).decode(frame % before, _NO_RECORD)
        assert found == (frame % after if shape is Shape.EVENT else b'{"xdm":' + frame % after + b"}")


def test_only_false_as_a_string_is_no_primary_identity() -> None:
    """A repaired "false" does not count as primary."""
    value = _event(b'{"E":[{"primary":"false"}]}')
    found = _decoder(auth=True).decode(value, _NO_RECORD)
    assert isinstance(found, Rejection)
    assert found.reason == "no_primary_identity"
    assert _decoder().decode(value, _NO_RECORD) == _event(b'{"E":[{"primary":false}]}')


@pytest.mark.parametrize(
    ("value", "fragment"),
    [
        (b'{"xdm":{"a":1}}', b'{"xdm":{"_id":%b,"a":1}}'),
        (b'{"xdm":{}}', b'{"xdm":{"_id":%b}}'),
        (b'{ "xdm" : { "a":1 } }', b'{ "xdm" : {"_id":%b, "a":1 } }'),
        (b'{"data":{"a":"xdm"},"xdm":{"a":1}}', b'{"data":{"a":"xdm"},"xdm":{"_id":%b,"a":1}}'),
        (b'{"data":{"xdm":{"a":1}},"xdm":{"a":1}}', b'{"data":{"xdm":{"a":1}},"xdm":{"_id":%b,"a":1}}'),
        (b'{"xdm":{"a":1},"xdm":{"b":1}}', b'{"xdm":{"a":1},"xdm":{"_id":%b,"b":1}}'),
        (b'{"xdm":{"a":1},"xd\\u006d":{"b":1}}', b'{"xdm":{"a":1},"xd\\u006d":{"_id":%b,"b":1}}'),
        (b'{"a":1}', b'{"xdm":{"_id":%b,"a":1}}'),
        (b"{}", b'{"xdm":{"_id":%b}}'),
        (b'{"xdm":{"_id":null,"a":1}}', b'{"xdm":{"_id":%b,"a":1}}'),
        (b'{"xdm":{"a":1,"_id": "" }}', b'{"xdm":{"a":1,"_id": %b }}'),
        (b'{"xdm":{"_id":"x","_id":""}}', b'{"xdm":{"_id":"x","_id":%b}}'),
        (b'{"_id":null}', b'{"xdm":{"_id":%b}}'),
    ],
)
def test_a_missing_id_is_derived_from_the_records_coordinates(value: bytes, fragment: bytes) -> None:
    """It is spliced in, the same each time the record is read; without the rule nothing is added."""
    decoder = _decoder(derive=True)
    assert decoder.decode(value, RecordAt()) == fragment.replace(b"%b", _DERIVED)
    assert decoder.decode(value, RecordAt()) != decoder.decode(value, RecordAt(offset_number=43))
    assert _decoder().decode(value, _NO_RECORD) in {value, b'{"xdm":' + value + b"}"}


@pytest.mark.parametrize("present", [b'"x"', b'" "', b"7", b"false", b"[]", b"{}"])
def test_an_id_that_is_there_stays(present: bytes) -> None:
    """An `_id` of any other value or type is the producer's, and the record is not asked."""
    value = b'{"xdm":{"_id":' + present + b"}}"
    assert _decoder(derive=True).decode(value, _NO_RECORD) is value


def test_the_last_id_counts() -> None:
    """An empty `_id` that a later one overrides is not missing."""
    value = b'{"xdm":{"_id":"","_id":"x"}}'
    assert _decoder(derive=True).decode(value, _NO_RECORD) is value


def test_both_repairs_at_once() -> None:
    """A string for `primary` and a missing `_id` are mended together, on either way through the decoder."""
    for more in (b"1", b'"primary"'):
        value = b'{"xdm":{"identityMap":{"E":[{"primary":"true"}]},"a":' + more + b"}}"
        wanted = b'{"xdm":{"_id":' + _DERIVED + b',"identityMap":{"E":[{"primary":true}]},"a":' + more + b"}}"
        assert _decoder(auth=True, derive=True).decode(value, RecordAt()) == wanted


_MEGABYTE = 1_000_000
_MANY = 50_000
_HOSTILE = {
    "one long string": b'{"xdm":{"a":"' + b"x" * _MEGABYTE + b'","_id":null}}',
    "one string of escapes": b'{"xdm":{"a":"' + b'\\"' * (_MEGABYTE // 2) + b'","_id":null}}',
    "an open string of escapes": b'{"a":[' + b"[]," * 600 + b'"' + b'\\"' * (_MEGABYTE // 2),
    "open strings": b"[" * 513 + b'"\\' * _MANY,
    "quotes": b'"' * _MEGABYTE,
    "backslashes": b"[]" * 600 + b"\\" * _MEGABYTE,
    "brackets": b"[" * _MEGABYTE,
    "closing brackets": b"[]" * 600 + b"]" * _MANY,
    "a flat list of lists": b'{"xdm":{"a":[' + b"[]," * _MANY + b'[]],"_id":null}}',
    "lists nine deep": b'{"xdm":{"a":[' + (b"[" * 9 + b"]" * 9 + b",") * (_MANY // 10) + b'[]],"_id":null}}',
    "digits": b'{"xdm":{"a":' + b"1" * _MEGABYTE + b"}}",
    "digits apart": b'{"xdm":{"a":[' + b"1," * (_MEGABYTE // 2) + b'1],"_id":null}}',
    "runs of 1,000 digits": b'{"xdm":{"a":[' + (b"1" * 1000 + b",") * 1000 + b'1],"_id":null}}',
    "minus signs": b"-" * _MANY,
    "blanks": b" " * _MEGABYTE,
    "members": b'{"xdm":{' + b'"a":1,' * 100_000 + b'"_id":null}}',
    "namespaces": b'{"xdm":{"identityMap":{' + b'"a":[],' * _MANY + b'"b":7},"_id":null}}',
    "identities": b'{"xdm":{"identityMap":{"a":[' + b'{"primary":"true"},' * (_MANY // 5) + b'7]},"_id":null}}',
    "surrogates": b'{"xdm":{"a":"' + b"\\ud800" * _MANY + b'"}}',
    "not ASCII": b'{"xdm":{"a":"' + "é".encode() * (_MEGABYTE // 2) + b'","_id":null}}',
}


@pytest.mark.parametrize("name", _HOSTILE)
def test_hostile_values_cost_linear_work(name: str) -> None:
    """Up to a megabyte of anything takes at most a few calls per byte, on every way through the decoder."""
    value = _HOSTILE[name]
    calls = 0

    def count(_frame: FrameType, _event_name: str, _argument: object) -> None:
        nonlocal calls
        calls += 1

    decoder = _decoder(auth=True, derive=True)
    before = sys.getprofile()
    sys.setprofile(count)
    try:
        decoder.decode(value, RecordAt())
        _decoder().decode(value, RecordAt())
    finally:
        sys.setprofile(before)
    assert calls < 16 * len(value)
