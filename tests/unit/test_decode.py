"""Each decision about a record's value, one example at a time; `tests/property/test_decode.py` has the search."""

from __future__ import annotations

from typing import cast

import pytest

from connector.core.decode import Decoder, DecodeRules, RejectionReason, Shape
from connector.core.decode_rules import MAX_DEPTH, MAX_NUMBER_CHARS, TITLES
from connector.model import Record, Rejection
from tests.unit.decode_record import RecordAt

_NO_RECORD = cast("Record", object())  # any look at it is an AttributeError


def _decode(
    value: bytes,
    *,
    shape: Shape = Shape.AUTO,
    auth: bool = False,
    derive: bool = False,
    max_bytes: int = 64_000,
    record: Record = _NO_RECORD,
) -> bytes | Rejection:
    rules = DecodeRules(
        shape=shape, needs_primary_identity=auth, derive_missing_id=derive, max_fragment_bytes=max_bytes
    )
    return Decoder(rules).decode(value, record)


def _reason(answer: bytes | Rejection) -> str:
    assert isinstance(answer, Rejection), answer
    assert answer.title == TITLES[RejectionReason(answer.reason)]
    return answer.reason


def _nested(levels: int) -> bytes:
    return b"[" * levels + b"]" * levels


def test_sends_the_very_bytes_that_were_read() -> None:
    """An event that needs no repair is not copied, whatever its spacing."""
    value = b' {"data" : {"n": 1.50e+3}, "xdm": { "_id":"x" } }\r\n'
    assert _decode(value, derive=True) is value


@pytest.mark.parametrize(
    ("shape", "value", "answer"),
    [
        (Shape.AUTO, b'{"xdm":{}}', b'{"xdm":{}}'),
        (Shape.AUTO, b'{"eventType":"a"}', b'{"xdm":{"eventType":"a"}}'),
        (Shape.AUTO, b" {} ", b'{"xdm": {} }'),
        (Shape.AUTO, b'{"data":{}}', "no_xdm"),
        (Shape.AUTO, b'{"dat\\u0061":{}}', "no_xdm"),
        (Shape.AUTO, b'{"xdm":[],"data":{}}', "no_xdm"),
        (Shape.AUTO, b'{"xdm":null}', "no_xdm"),
        (Shape.EVENT, b'{"xdm":{},"data":7}', b'{"xdm":{},"data":7}'),
        (Shape.EVENT, b'{"xd\\u006d":{}}', b'{"xd\\u006d":{}}'),
        (Shape.EVENT, b'{"eventType":"a"}', "no_xdm"),
        (Shape.EVENT, b"{}", "no_xdm"),
        (Shape.XDM, b'{"xdm":5,"data":null}', b'{"xdm":{"xdm":5,"data":null}}'),
        (Shape.XDM, b'{"xdm":{}}', b'{"xdm":{"xdm":{}}}'),
    ],
)
def test_shape(shape: Shape, value: bytes, answer: bytes | str) -> None:
    """The route's shape decides what is an event, what is wrapped and what lacks its `xdm`."""
    found = _decode(value, shape=shape)
    assert (_reason(found) if isinstance(answer, str) else found) == answer


@pytest.mark.parametrize("shape", Shape)
@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"", "not_json"),
        (b"  ", "not_json"),
        (b'{"a":NaN}', "not_json"),
        (b'{"a":-Infinity}', "not_json"),
        (b'{"a":01}', "not_json"),
        (b'{"a":"\x00"}', "not_json"),
        (b'{"a":"\\x41"}', "not_json"),
        (b'{"a":1,}', "not_json"),
        (b"{'a':1}", "not_json"),
        (b'{"xdm":{}}{"xdm":{}}', "not_json"),
        (b'{"xdm":{}', "not_json"),
        (b"\xef\xbb\xbf\xef\xbb\xbf{}", "not_json"),
        (b"\xef\xbb\xbf", "not_json"),
        (b'{\x00"\x00a\x00"\x00', "not_json"),
        (b'\xff\xfe{\x00"\x00', "not_utf8"),
        (b'{"a":"\xff"}', "not_utf8"),
        (b'{"a":"\xed\xa0\x80"}', "not_utf8"),
        (b'{"a":"\xc0\x80"}', "not_utf8"),
        (b'{"a":"\\ud800"}', "lone_surrogate"),
        (b'{"a":"\\ude00\\ud83d"}', "lone_surrogate"),
        (b'{"\\uDFFF":"\\\\"}', "lone_surrogate"),
        (b'{"a":"\\ud800" NaN}', "not_json"),
        (b"[]", "not_object"),
        (b'[{"xdm":{}}]', "not_object"),
        (b"null", "not_object"),
        (b'"xdm"', "not_object"),
        (b"1e400", "not_object"),
    ],
)
def test_rejects_what_no_strict_parser_takes(shape: Shape, value: bytes, reason: str) -> None:
    """What is not one JSON object in UTF-8 never reaches a request."""
    assert _reason(_decode(value, shape=shape)) == reason


@pytest.mark.parametrize(
    "member",
    [
        b'"\\u0000"',
        b'"\\ud83d\\ude00"',
        b'"\\\\ud800"',
        '"\u00e9\U0001f600\ufeff"'.encode(),
        b"1e400",
        b"-0.0",
        b"9" * MAX_NUMBER_CHARS,
        b'"' + b"9" * 5000 + b'"',
        b'"' + b"[" * 5000 + b'"',
        b'{"":{"a":1,"a":2}}',
    ],
)
def test_passes_what_is_legal(member: bytes) -> None:
    """Odd but legal JSON goes out as it came in."""
    value = b'{"xdm":{"_id":"x","a":' + member + b"}}"
    assert _decode(value, derive=True) is value


def test_removes_one_byte_order_mark() -> None:
    """A leading byte order mark would be illegal inside a request, so it alone is removed."""
    assert _decode(b'\xef\xbb\xbf {"xdm":{}}') == b' {"xdm":{}}'
    assert _decode(b'\xef\xbb\xbf{"a":1}') == b'{"xdm":{"a":1}}'


@pytest.mark.parametrize(
    ("value", "passes"),
    [
        (b'{"xdm":5,"xdm":{}}', True),
        (b'{"xdm":{},"xdm":5}', False),
        (b'{"xdm":{},"xd\\u006d":5}', False),
        (b'{"xdm":5,"xd\\u006d":{}}', True),
    ],
)
def test_the_last_of_repeated_keys_counts(value: bytes, passes: bool) -> None:
    """Repeated keys are sent as they are, and judged as every common parser will read them."""
    found = _decode(value)
    assert found is value if passes else _reason(found) == "no_xdm"


@pytest.mark.parametrize("filler", [b"", b'"' + b"x" * 2000 + b'",', b'"[[[{{{\\"]",'])
def test_depth_is_held_exactly(filler: bytes) -> None:
    """The fragment, the wrapping included, may be 512 levels deep and no deeper."""
    for value, own_levels in ((b'{"xdm":{"a":[%b%b]}}', 3), (b'{"a":[%b%b]}', 3)):
        fits = value % (filler, _nested(MAX_DEPTH - own_levels))
        assert isinstance(_decode(fits), bytes)
        assert _reason(_decode(value % (filler, _nested(MAX_DEPTH - own_levels + 1)))) == "too_deep"


@pytest.mark.parametrize("text", [b"[", b'{"a":', b"[[{},", b'{"xdm":{"a":['])
@pytest.mark.parametrize("repeats", [600, 100_000])
def test_abysses_are_rejected_and_not_fallen_into(text: bytes, repeats: int) -> None:
    """Far deeper values are rejected for their depth, long before a parser's own limit could decide."""
    assert _reason(_decode(text * repeats, max_bytes=10_000_000)) == "too_deep"


def test_wide_is_not_deep() -> None:
    """Many brackets beside each other, or inside strings, are no depth."""
    value = b'{"xdm":{"a":[' + b'[],{},"[",' * 2000 + b"0]}}"
    assert _decode(value) is value


@pytest.mark.parametrize("before", range(0, 260, 13))
@pytest.mark.parametrize("number", [b"1" * 1001, b"-0." + b"1" * 998, b"1e+" + b"0" * 998])
def test_long_numbers_are_found_wherever_they_stand(before: int, number: bytes) -> None:
    """A number of 1,001 characters is rejected at every offset; one of 1,000 is not."""
    value = b'{"xdm":{"a":"' + b"x" * before + b'","n":%b}}'
    assert _reason(_decode(value % number)) == "number_too_long"
    assert isinstance(_decode(value % number[:-1]), bytes)


def test_size_is_held_exactly() -> None:
    """The fragment may have exactly the largest size, with the wrapping and the derived `_id` counted."""
    event = b'{"xdm":{"_id":"x"}}'
    assert _decode(event, max_bytes=len(event)) is event
    assert _reason(_decode(event, max_bytes=len(event) - 1)) == "too_large"
    assert _decode(b'{"a":1}', max_bytes=15) == b'{"xdm":{"a":1}}'
    assert _reason(_decode(b'{"a":1}', max_bytes=14)) == "too_large"
    derived = _decode(b'{"xdm":{}}', derive=True, record=RecordAt())
    assert isinstance(derived, bytes)
    shorter = _decode(b'{"xdm":{}}', derive=True, record=RecordAt(), max_bytes=len(derived) - 1)
    assert _reason(shorter) == "too_large"


@pytest.mark.parametrize("value", ['{"xdm":{"_id":"é"}}'.encode(), b"\xff" * 900, b"\xff" * 2000])
def test_a_value_that_is_too_large_is_not_looked_into(value: bytes) -> None:
    """Size comes first, so that junk costs nothing, and the detail names both sizes."""
    found = _decode(value, max_bytes=len(value) - 1)
    assert _reason(found) == "too_large"
    assert isinstance(found, Rejection)
    assert str(len(value)) in found.detail
    assert str(len(value) - 1) in found.detail


def test_details_say_where() -> None:
    """A dead letter names the byte or the member at fault."""
    for value, where in (
        (b'{"a":NaN}', "byte 5"),
        (b'{"a":"\xff"}', "byte 6"),
        (b'{"a":"' + b"x" * 1000 + b'","b":' + b"1" * 1001 + b"}", "byte 1012"),
        (b"[" * 2000, "byte 512"),
        (b'{"xdm":7}', "xdm is not an object"),
        (b'{"data":7}', "xdm is missing"),
    ):
        found = _decode(value)
        assert isinstance(found, Rejection)
        assert where in found.detail


def test_every_reason_has_its_own_title() -> None:
    """No rejection leaves a person without a sentence that says what to do."""
    assert set(TITLES) == set(RejectionReason)
    assert len(set(TITLES.values())) == len(RejectionReason)
