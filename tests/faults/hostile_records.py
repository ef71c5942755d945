"""Records that are made to break whoever reads them, each with what has to become of it.

Promise: `hostile_records` gives the same ones for the same mark; the `_id` of those that are to be accepted begins with
the mark, so that they can be told from all others. Sizes: as much as fits a request, and as much as fits a record.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

Headers = list[tuple[str, str | bytes | None]]

SKIPPED = "skipped"
ACCEPTED = "accepted"
_REQUEST_BYTES = 63_500  # room for the rest of the event and of the request's body
_RECORD_BYTES = 990_000  # Kafka's default limit is 1,048,588, with everything


@dataclass(frozen=True, slots=True, kw_only=True)
class Hostile:
    """One record; `fate` is `accepted`, `skipped`, or the code in its dead letter."""

    name: str
    value: bytes | None
    fate: str
    event_id: str = ""
    """The `_id` under which it is accepted; empty for the one that the connector makes."""
    key: bytes | None = None
    headers: Headers | None = None


def hostile_records(mark: str) -> Iterator[Hostile]:
    """Every kind of them."""
    yield from _no_json()
    yield from _no_events()
    yield from _no_text(mark)
    yield from _without_bounds(mark)
    yield from _odd_but_legal(mark)
    yield from _around_the_value(mark)


def heavy(event_id: str, headers: Headers) -> Hostile:
    """A small good event that is heavy with its headers."""
    value = b'{"xdm":{"_id":"%b"}}' % event_id.encode()
    return Hostile(name="heavy", value=value, fate=ACCEPTED, event_id=event_id, headers=headers)


def _no_json() -> Iterator[Hostile]:
    texts = {
        "nothing": b"",
        "blanks": b" \t\r\n",
        "a comma": b",",
        "NUL": b"\x00",
        "half": b'{"xdm":{"_id":"x"',
        "NaN": b'{"xdm":{"n":NaN}}',
        "Infinity": b'{"xdm":{"n":-Infinity}}',
        "a leading zero": b'{"xdm":{"n":007}}',
        "a plus sign": b'{"xdm":{"n":+1}}',
        "hexadecimal": b'{"xdm":{"n":0xFF}}',
        "a comment": b'{"xdm":{}/**/}',
        "single quotes": b"{'xdm':{}}",
        "a last comma": b'{"xdm":{},}',
        "a raw NUL in a string": b'{"xdm":{"a":"\x00"}}',
        "a raw line end in a string": b'{"xdm":{"a":"\n"}}',
        "an unknown escape": b'{"xdm":{"a":"\\x41"}}',
        "two events": b'{"xdm":{}},{"xdm":{}}',
        "two lines": b'{"xdm":{}}\n{"xdm":{}}',
        "a way out of the array": b'{"xdm":{}}]}',
        "a way out of the request": b'{"xdm":{}}]}\r\n\r\nPOST /ee/v2/collect HTTP/1.1\r\n\r\n',
        "two byte order marks": b"\xef\xbb\xbf\xef\xbb\xbf{}",
        "UTF-16 without a mark": '{"xdm":{}}'.encode("utf-16-le"),
        "deep and open": b"[" * 400,
    }
    for name, value in texts.items():
        yield Hostile(name=name, value=value, fate="not_json")


def _no_events() -> Iterator[Hostile]:
    for value in (b"null", b"true", b"0", b'"xdm"', b"[]", b'[{"xdm":{}}]', b"-1e999"):
        yield Hostile(name=f"the value {value.decode()}", value=value, fate="not_object")
    for value in (b'{"data":{}}', b'{"xdm":null}', b'{"xdm":[{}]}', b'{"xdm":{},"xd\\u006d":7}'):
        yield Hostile(name=f"the value {value.decode()}", value=value, fate="no_xdm")
    yield Hostile(name="a tombstone", value=None, fate=SKIPPED)


def _no_text(mark: str) -> Iterator[Hostile]:
    for name, bad in {
        "a stray byte": b"\xff",
        "an overlong slash": b"\xc0\xaf",
        "a raw surrogate": b"\xed\xa0\x80",
        "beyond the last character": b"\xf4\x90\x80\x80",
        "half a character": b"\xe2\x82",
    }.items():
        yield Hostile(name=name, value=_event(mark, "no", b'"a":"%b"' % bad), fate="not_utf8")
        yield Hostile(name=f"{name} in a name", value=_event(mark, "no", b'"%b":1' % bad), fate="not_utf8")
    yield Hostile(name="UTF-16", value='{"xdm":{}}'.encode("utf-16"), fate="not_utf8")
    for name, half in {"first": b"\\ud83d", "second": b"\\uDE00", "swapped": b"\\ude00\\ud83d"}.items():
        yield Hostile(name=f"half a pair: {name}", value=_event(mark, "no", b'"a":"%b"' % half), fate="lone_surrogate")
        yield Hostile(name=f"a name: {name}", value=_event(mark, "no", b'"%b":1' % half), fate="lone_surrogate")


def _without_bounds(mark: str) -> Iterator[Hostile]:
    for size, is_large in ((_REQUEST_BYTES, False), (_RECORD_BYTES, True)):
        for name, start, unit, end, fate in (
            ("brackets", b"", b"[", b"", "too_deep"),
            ("braces", b"", b'{"a":', b"", "too_deep"),
            ("closed brackets", b'"a":' + b"[" * 600 + b"]" * 600 + b',"b":"', b"x", b'"', "too_deep"),
            ("digits", b'"n":', b"7", b"", "number_too_long"),
            ("zeros of an exponent", b'"n":1e+', b"0", b"", "number_too_long"),
            ("one string", b'"s":"', b"x", b'"', ACCEPTED),
            ("escaped quotes", b'"s":"', b'\\"', b'"', ACCEPTED),
            ("empty arrays", b'"a":[0', b",[]", b"]", ACCEPTED),
            ("empty objects", b'"a":[0', b",{}", b"]", ACCEPTED),
            ("names", b'"":0', b',"":0', b"", ACCEPTED),
            ("one million numbers", b'"a":[0', b",1", b"]", ACCEPTED),
        ):
            is_open = not end and unit[-1:] in (b"[", b":")
            members = start + unit * ((size - len(start) - len(end)) // len(unit)) + end
            event_name = "no" if is_large or fate != ACCEPTED else name.replace(" ", "-")
            yield Hostile(
                name=f"{name}, {size} bytes",
                value=members if is_open else _event(mark, event_name, members),
                fate="too_large" if is_large else fate,
                event_id=f"{mark}-{event_name}",
            )


def _odd_but_legal(mark: str) -> Iterator[Hostile]:
    members = {
        "escaped-nul": b'"a":"\\u0000"',
        "pair": b'"a":"\\ud83d\\ude00"',
        "separators": '"a":"\u2028\u2029\ufeff\x7f"'.encode(),
        "proto": b'"__proto__":{"xdm":{}},"constructor":{"prototype":{}}',
        "nested": b'"xdm":{"xdm":{"xdm":{}}},"events":[{"xdm":{}}]',
        "same-name": b'"a":1,"a":{"a":2},"\\u0061":3',
        "closing": b'"a":"]}]}","b":"\\"}]}"',
        "small": b'"n":1e-400,"m":-0.0,"k":123456789012345678901234567890',
        "deep": b'"a":' + b"[" * 500 + b"]" * 500,
    }
    for name, more in members.items():
        yield Hostile(name=name, value=_event(mark, name, more), fate=ACCEPTED, event_id=f"{mark}-{name}")
    # Legal, and yet more than the Edge reads: its refusal names nobody, and costs nobody else.
    yield Hostile(name="1e400", value=_event(mark, "no", b'"n":1e400'), fate="EXEG-0101-400")
    with_mark = b"\xef\xbb\xbf" + _event(mark, "bom", b"")
    yield Hostile(name="a byte order mark", value=with_mark, fate=ACCEPTED, event_id=f"{mark}-bom")
    twice = b'{"xdm":{"_id":"%b-no","identityMap":{},"\\u005fid":"%b-twice"}}' % (mark.encode(), mark.encode())
    yield Hostile(name="two ids", value=twice, fate=ACCEPTED, event_id=f"{mark}-twice")
    for text in (b"null", b'""'):
        yield Hostile(name=f"the id {text.decode()}", value=b'{"xdm":{"_id":%b}}' % text, fate=ACCEPTED)
    yield Hostile(name="an empty object", value=b"{}", fate=ACCEPTED)


def _around_the_value(mark: str) -> Iterator[Hostile]:
    around: dict[str, tuple[bytes | None, Headers | None]] = {
        "huge-key": (b"\x00\xff" * 400_000, None),
        "empty-key": (b"", []),
        "huge-header": (None, [("a", b"\xff" * 800_000)]),
        "long-name": (None, [("n" * 30_000, b"")]),
        "many-headers": (b"k", [(f"h{number % 7}", b"%d" % number) for number in range(20_000)]),
        "odd-headers": (b"k", [("", b""), ("a", None), ("a", b"\x00"), ("__connect.errors.topic", b"me")]),
        "odd-names": (b"k", [("\u00fc\n\x1b[2J", b"")]),
        "same-as-ours": (b"k", [("xdm.error.code", b"forged"), ("xdm.error.route", None)]),
    }
    for name, (key, headers) in around.items():
        good = _event(mark, name, b"")
        yield Hostile(name=name, value=good, fate=ACCEPTED, event_id=f"{mark}-{name}", key=key, headers=headers)
        yield Hostile(name=f"{name}, and bad", value=b"<", fate="not_json", key=key, headers=headers)


def _event(mark: str, name: str, members: bytes) -> bytes:
    return b'{"xdm":{"_id":"%b-%b"},"data":{%b}}' % (mark.encode(), name.encode(), members)
