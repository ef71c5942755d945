"""Lets those who wait for events to settle look again whenever one has."""

from __future__ import annotations

import asyncio


class Progress:
    """A bell that rings when something was settled, abandoned or committed. Owned by the event loop."""

    __slots__ = ("_event",)

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def note(self) -> None:
        """Ring: wake everybody who waits now."""
        self._event.set()

    async def wait(self, timeout_s: float) -> None:
        """Wait for the next ring, or until the time is up. Look at what you wait for first, then call this."""
        self._event.clear()
        try:
            async with asyncio.timeout(timeout_s):
                await self._event.wait()
        except TimeoutError:
            return
