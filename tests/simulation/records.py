"""The records of a simulation: mostly good ones, and of every kind that is bad for a reason of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from tests.builders import FakeRecord
from tests.simulation.oracle import Entry

if TYPE_CHECKING:
    import random

    from tests.simulation.kafka import PartitionLog
    from tests.simulation.oracle import Oracle, Place
    from tests.simulation.plan import Plan

_FIRST_MS = 1_760_000_000_000


class Producer:
    """Writes records, and tells the oracle of each."""

    def __init__(self, plan: Plan, oracle: Oracle, rng: random.Random) -> None:
        self._plan = plan
        self._oracle = oracle
        self._rng = rng
        self._written = 0

    def write(self, place: Place, log: PartitionLog, *, kind: str | None = None) -> None:
        """Write one record of a kind, or of one that is drawn."""
        rng = self._rng
        offset = log.end + (rng.randint(1, 3) if rng.random() < self._plan.gaps else 0)
        kind = kind or self._draw_kind()
        self._written += 1
        timestamp_ms = _FIRST_MS + self._written
        name = f"{place[0]}-{place[1]}-{offset}-{timestamp_ms}"
        content: dict[str, object] = {"eventType": "page", "number": self._written}
        value, fragment = _value(kind, name, content)
        key = b"k%d" % rng.randint(0, 5)
        log.append(
            FakeRecord(
                topic_name=place[0],
                partition_number=place[1],
                offset_number=offset,
                key_bytes=key,
                value_bytes=value,
                timestamp_ms=timestamp_ms,
            ),
            offset,
        )
        self._oracle.produced(place, Entry(name, place, offset, kind, fragment, content, key))

    def _draw_kind(self) -> str:
        rng, at = self._rng, self._rng.random()
        for kind, share in self._plan.bad.items():
            at -= share
            if at < 0:
                return kind
        if rng.random() < self._plan.skips:
            return "skip"
        return rng.choice(("good", "good", "good", "no_id", "bare"))


def _value(kind: str, name: str, content: dict[str, object]) -> tuple[bytes | None, bytes | None]:
    """A record's value, and the fragment that stands in a body for it; None where an id has to be put in."""
    match kind:
        case "skip":
            return None, b""
        case "not_json":
            return b'{"xdm":{"_id":"%s"' % name.encode(), b""
        case "no_object":
            return b"[1,2]", b""
        case "no_id":
            return orjson.dumps({"xdm": content}), None
        case "bare":
            xdm = orjson.dumps({**content, "_id": name})
            return xdm, b'{"xdm":' + xdm + b"}"
        case _:
            value = orjson.dumps({"xdm": {"_id": name, **content}, "data": {"kind": kind}})
            return value, value
