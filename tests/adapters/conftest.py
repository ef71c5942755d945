"""The adapters are tested on the event loop that they run on in production."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

if sys.platform != "win32":
    import uvloop

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Run this package's asyncio tests on uvloop, whose connections fail in their own ways."""
    if sys.platform == "win32":
        return {"asyncio": asyncio.new_event_loop}
    return {"uvloop": uvloop.new_event_loop}
