"""What happened in a simulation, line by line, and a hash by which two runs can be compared."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, NoReturn

import structlog

if TYPE_CHECKING:
    from collections.abc import Callable, MutableMapping


class Trace:
    """The lines of one run."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._events: list[str] = []
        self.lines: list[str] = []
        """What happened, and what the connector said of it where that is asked for."""

    def note(self, who: str, what: str) -> None:
        """One thing that happened now."""
        line = f"{self._clock():10.4f}  {who:<8}  {what}"
        self._events.append(line)
        self.lines.append(line)

    def take_log_line(self, _: object, level: str, fields: MutableMapping[str, object]) -> NoReturn:
        """Put a line of the connector's log among the others, as a processor of structlog."""
        event = fields.pop("event")
        said = " ".join(f"{name}={value}" for name, value in fields.items())
        self.lines.append(f"{self._clock():10.4f}  {level:<8}  {event} {said}")
        raise structlog.DropEvent

    @property
    def digest(self) -> str:
        """The same for the same run, and for no other."""
        return hashlib.blake2b("\n".join(self._events).encode(), digest_size=8).hexdigest()
