"""Joins what was written in parts, as whoever reads a dead-letter or a responses topic has to.

Promise: pure, and written from what the topics promise alone. A record comes out as often as every part of it is there;
parts of a set that is not complete are left over, because a record that failed midway is written again. All parts of a
set lie in one partition.
"""

from __future__ import annotations

from base64 import b64decode
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

import orjson

if TYPE_CHECKING:
    from collections.abc import Iterable

    from confluent_kafka import Message

    Header = tuple[str, str | bytes | None]

DEAD_LETTERS: Final = ("xdm.error.", "__connect.errors.")
RESPONSES: Final = ("xdm.", "xdm.source.")
"""How the headers of either kind of topic begin: those of parts, and those that say where a record comes from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole:
    """A record as it was before it was written, in one part or in many."""

    parts: int
    key_bytes: bytes | None
    value_bytes: bytes | None
    header_list: list[Header]
    time: tuple[int, int]

    def key(self) -> bytes | None:
        return self.key_bytes

    def value(self) -> bytes | None:
        return self.value_bytes

    def headers(self) -> list[Header]:
        return self.header_list

    def timestamp(self) -> tuple[int, int]:
        return self.time


class Group(NamedTuple):
    """What the parts of one set have in common."""

    partition: int | None
    place: tuple[object, ...]
    is_packed: bool
    total: int


def join(messages: Iterable[Message], names: tuple[str, str] = DEAD_LETTERS) -> list[Whole]:
    """The records that are whole, and those that become whole."""
    prefix, origin = names
    whole: list[Whole] = []
    sets: dict[Group, dict[int, list[Message]]] = {}
    for message in messages:
        headers = _headers(message)
        name, text = headers[-1] if headers else ("", b"")
        if name != f"{prefix}part":
            whole.append(_as_it_is(message, headers))
            continue
        number, total = map(int, cast("bytes", text).split(b"/"))
        place = tuple(_last(headers, origin + each) for each in ("topic", "partition", "offset"))
        group = Group(message.partition(), place, _is_packed(headers, prefix), total)
        sets.setdefault(group, {}).setdefault(number, []).append(message)
    for group, by_number in sets.items():
        numbers = range(1, group.total + 1)
        copies = min(len(by_number.get(number, ())) for number in numbers)
        for at in range(copies):
            parts = [by_number[number][at] for number in numbers]
            whole.append(_joined(parts, prefix, is_packed=group.is_packed))
    return whole


def _as_it_is(message: Message, headers: list[Header]) -> Whole:
    key, value, time = message.key(), message.value(), message.timestamp()
    return Whole(parts=1, key_bytes=key, value_bytes=value, header_list=headers, time=time)


def _joined(parts: list[Message], prefix: str, *, is_packed: bool) -> Whole:
    first = parts[0]
    assert {part.key() for part in parts} == {first.key()}, "one key"
    value = None if first.value() is None else b"".join(part.value() or b"" for part in parts)
    key, headers = first.key(), _headers(first)[: -2 if is_packed else -1]
    if is_packed:
        document: dict[str, Any] = orjson.loads(value or b"")
        key, value = _bytes(document["key"]), _bytes(document["value"])
        headers = [*((name, _bytes(text)) for name, text in document["headers"]), *headers]
    return Whole(parts=len(parts), key_bytes=key, value_bytes=value, header_list=headers, time=first.timestamp())


def _is_packed(headers: list[Header], prefix: str) -> bool:
    return len(headers) > 1 and headers[-2] == (f"{prefix}packed", b"json")


def _headers(message: Message) -> list[Header]:
    return cast("list[Header]", message.headers() or [])


def _last(headers: list[Header], name: str) -> str | bytes | None:
    return [value for each, value in headers if each == name][-1]


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else b64decode(text)
