"""Where things stand in a JSON text, found without building its values.

Promise: linear time and no recursion, for any bytes. `members`, `items`, `value_end` and `is_text` ask for a text
that is known to be valid JSON; the others take anything, and what they miss in a text that is not JSON is
beyond the place where a parser stops anyway.

Not done here: validation. That is msgspec's.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from msgspec import json

if TYPE_CHECKING:
    from collections.abc import Iterator

# Every repetition is possessive, and the two patterns that walk through any bytes match up to the end of whatever
# they are given: if one failed somewhere, finditer would try each later byte as a start, in quadratic time.
_STRING = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_TO_BRACKET = re.compile(rb'(?:[^"\[\]{}]++|' + _STRING + rb"?)*+(?:([\[{])|([\]}])|\Z)", re.DOTALL)
_TO_NUMBER = re.compile(rb'(?:[^"0-9-]++|' + _STRING + rb"?)*+(?:(-?[0-9][-+.eE0-9]*+)|-|\Z)", re.DOTALL)
_OPENING = 1  # the group of _TO_BRACKET
_BLANKS = re.compile(rb"[ \t\n\r]*+")
_SEPARATORS = re.compile(rb"[ \t\n\r,]*+")
_SCALAR = _STRING + rb'|[^ \t\n\r,:\[\]{}"]++'
_MEMBER = re.compile(rb"[ \t\n\r,]*+(" + _STRING + rb")[ \t\n\r]*+:[ \t\n\r]*+", re.DOTALL)


def _shallow(levels: int) -> re.Pattern[bytes]:
    """A value with at most so many levels; that `[` ends with `]` is for the validation to see."""
    container = rb"(?!)"
    for _ in range(levels):
        container = rb'[\[{](?:[^"\[\]{}]++|' + _STRING + rb"|" + container + rb")*+[\]}]"
    return re.compile(_SCALAR + rb"|" + container, re.DOTALL)


_SHALLOW_LEVELS = 8
_SHALLOW = _shallow(_SHALLOW_LEVELS)

_SAMPLE_STRIDE = 125  # bytes; 1,001 neighbours cover at least eight samples
_SAMPLED_RUN = re.compile(rb"[-+.eE0-9]{8}")


class Span(NamedTuple):
    """A piece of a text: the first byte, and the one after the last."""

    start: int
    end: int


def first_value(text: bytes) -> int:
    """Where the text's value begins, after leading blanks."""
    return _end(_BLANKS.match(text), 0)


def opens_object(text: bytes, start: int) -> bool:
    """Whether the value at `start` is an object."""
    return text[start : start + 1] == b"{"


def opens_array(text: bytes, start: int) -> bool:
    """Whether the value at `start` is an array."""
    return text[start : start + 1] == b"["


def members(text: bytes, start: int) -> dict[str, Span]:
    """The values of the object that begins at `start`, by key; of a repeated key the last one counts."""
    found: dict[str, Span] = {}
    position = start + 1
    while member := _MEMBER.match(text, position):
        position = value_end(text, member.end())
        found[json.decode(member[1], type=str)] = Span(member.end(), position)
    return found


def items(text: bytes, start: int) -> Iterator[Span]:
    """The items of the array that begins at `start`, in order."""
    position = _end(_SEPARATORS.match(text, start + 1), start + 1)
    while text[position : position + 1] != b"]":
        end = value_end(text, position)
        yield Span(position, end)
        position = _end(_SEPARATORS.match(text, end), end)


def value_end(text: bytes, start: int) -> int:
    """Where the value that begins at `start` ends."""
    if shallow := _SHALLOW.match(text, start):
        return shallow.end()
    depth = 0
    for step in _TO_BRACKET.finditer(text, start):
        depth += 1 if step.lastindex == _OPENING else -1
        if depth == 0:
            return step.end()
    return len(text)


def is_text(text: bytes, span: Span, wanted: str) -> bool:
    """Whether the value at `span` is the string `wanted`, however it is escaped."""
    return text[span.start] == ord('"') and json.decode(text[span.start : span.end], type=str) == wanted


def too_deep_at(text: bytes, limit: int) -> int | None:
    """Where objects and arrays first stand in each other more than `limit` levels deep, if they do.

    `limit` is eight or more.
    """
    if text.count(b"{") + text.count(b"[") <= limit:  # those inside strings only count too many
        return None
    shallow = _SHALLOW.match(text, first_value(text))
    if shallow and _end(_BLANKS.match(text, shallow.end()), 0) == len(text):
        return None  # wide and not deep: found out without a step of Python's for each bracket
    depth = 0
    for step in _TO_BRACKET.finditer(text):
        if step.lastindex == _OPENING:
            depth += 1
            if depth > limit:
                return step.end() - 1
        elif step.lastindex:
            depth -= 1
    return None


def long_number_at(text: bytes, limit: int) -> int | None:
    """Where the first number of more than `limit` characters begins, if there is one; `limit` is 1,000 or more."""
    if _SAMPLED_RUN.search(text[::_SAMPLE_STRIDE]) is None:
        return None
    for number in _TO_NUMBER.finditer(text):
        if number.end(1) - number.start(1) > limit:  # both are -1 where no number was met
            return number.start(1)
    return None


def _end(match: re.Match[bytes] | None, otherwise: int) -> int:
    return otherwise if match is None else match.end()
