"""Which region answered a visitor last, and wants to answer them again.

Promise: a hint is given back for as long as its answer said, for a day at most, and never once it is forgotten. What is
not a hint of the published form is ignored, whatever it is. At most `most_keys` short keys are remembered, those that
were used last.

Not promised: that a hint is remembered at all; a request without one is served too. Owner: the event loop.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

LOCATION_HINT: Final = "[a-z0-9]{1,32}"
"""It becomes a part of a URL's path, so nothing else may."""

HINT_TYPE: Final = "locationHint:result"
"""The type of the handles that hold hints."""

_HINT: Final = re.compile(LOCATION_HINT)
_SCOPE: Final = "EdgeNetwork"  # other scopes name regions of other services
_MOST_TTL_S: Final = 86_400.0
_MOST_KEY_BYTES: Final = 1024  # as long as an identity may be (published); a key may be a thousand times that


class LocationHints:
    """The location hints of one route, by record key; None is the key of the records without one."""

    __slots__ = ("_hints", "_most_keys")

    def __init__(self, most_keys: int = 10_000) -> None:
        self._most_keys = most_keys
        self._hints: OrderedDict[bytes | None, tuple[str, float]] = OrderedDict()  # with the moment of its end

    def __len__(self) -> int:
        return len(self._hints)

    def learn(self, key: bytes | None, handles: Sequence[Mapping[str, object]], now: float) -> None:
        """Remember the hint among the handles of an answer, if there is one; `now` is in monotonic seconds."""
        if key is not None and len(key) > _MOST_KEY_BYTES:
            return
        found = next(_found(handles), None)
        if found is None:
            return
        hint, ttl_s = found
        self._hints[key] = hint, now + ttl_s
        self._hints.move_to_end(key)
        if len(self._hints) > self._most_keys:
            self._hints.popitem(last=False)

    def hint(self, key: bytes | None, now: float) -> str | None:
        """The hint to send a request of this key with, None if there is none that still holds."""
        known = self._hints.get(key)
        if known is None:
            return None
        hint, until = known
        if now >= until:
            del self._hints[key]
            return None
        self._hints.move_to_end(key)
        return hint

    def forget(self, key: bytes | None) -> None:
        """Forget a hint that leads nowhere."""
        self._hints.pop(key, None)


def _found(handles: Sequence[Mapping[str, object]]) -> Iterator[tuple[str, float]]:
    """The hints of the Edge Network itself, with how long they hold, in seconds."""
    for handle in handles:
        payload = handle.get("payload")
        if handle.get("type") != HINT_TYPE or not isinstance(payload, list):
            continue
        for item in payload:
            if not isinstance(item, dict) or item.get("scope") != _SCOPE:
                continue
            hint, ttl_s = item.get("hint"), _seconds(item.get("ttlSeconds"))
            if isinstance(hint, str) and _HINT.fullmatch(hint) and ttl_s > 0:
                yield hint, ttl_s


def _seconds(value: object) -> float:
    """A time to live, at most a day; 0 for what is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return 0.0
    return float(min(value, _MOST_TTL_S)) if value > 0 else 0.0  # NaN is not above 0
