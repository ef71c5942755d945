"""The bytes around the events in a request's body, exact to the byte.

Promise: `Envelope.size` of some fragments is the length of `Envelope.body` of the same fragments. The limit on a
body is hard (64 KB, published; beyond it the whole request is refused), so sizes are never estimated.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True)
class Envelope:
    """What stands before and after the events in the body of one kind of request."""

    prefix: bytes
    suffix: bytes

    @property
    def overhead_bytes(self) -> int:
        """The bytes of a body that belong to no event, separators not counted."""
        return len(self.prefix) + len(self.suffix)

    def body(self, fragments: Iterable[bytes]) -> bytes:
        """Join the fragments into one body."""
        return self.prefix + b",".join(fragments) + self.suffix


COLLECT = Envelope(b'{"events":[', b"]}")
"""Many events, of any visitors (given)."""

INTERACT = Envelope(b'{"event":', b"}")
"""Exactly one event; the endpoint refuses more (given)."""
