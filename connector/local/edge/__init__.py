"""The local Edge: a stand-in for Adobe's collect and interact endpoints, to develop against without an
account.

Promise: it answers as the published API does wherever that is known, finds the faults that the published
codes describe, plays faults on demand, and keeps a ledger of what it accepted. It is for one machine: it
listens where it is told, speaks plain HTTP and forwards nothing. `start_edge` runs it inside a process,
`run_edge` as one.
"""

from __future__ import annotations

import asyncio
import gc
import signal
import sys
from typing import TYPE_CHECKING, BinaryIO

from aiohttp import web

from connector.local.edge.app import make_app
from connector.local.edge.settings import EdgeCredentials, EdgeSettings
from connector.local.edge.state import EdgeState

if sys.platform != "win32":
    import uvloop

if TYPE_CHECKING:
    from connector.local.edge.fault_switch import FaultSwitch
    from connector.local.edge.ledger import Ledger
    from connector.local.edge.tokens import TokenDesk

__all__ = ["EdgeCredentials", "EdgeSettings", "RunningEdge", "run_edge", "start_edge"]

_BACKLOG = 1_024
_GC_THRESHOLDS = (200_000, 20, 100)  # a parsed body is thousands of objects: the default collects on every one
_DRAIN_S = 2.0  # how long a request in flight may still take when the Edge stops


class RunningEdge:
    """One Edge that listens. Its ledger, faults and tokens can also be reached from inside the process."""

    def __init__(self, runner: web.AppRunner, state: EdgeState, ledger_file: BinaryIO | None) -> None:
        self._runner = runner
        self._state = state
        self._ledger_file = ledger_file
        self._host, self.port = runner.addresses[0][:2]

    @property
    def url(self) -> str:
        """The base URL, without a path."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self.port}"

    @property
    def ledger(self) -> Ledger:
        """What happened so far."""
        return self._state.ledger

    @property
    def faults(self) -> FaultSwitch:
        """The switch for faults."""
        return self._state.switch

    @property
    def tokens(self) -> TokenDesk:
        """The token endpoint's state."""
        return self._state.tokens

    async def close(self) -> None:
        """Stop listening, let requests in flight finish for two seconds, reset those that hang."""
        self._state.closing.set()
        await self._runner.cleanup()
        if self._ledger_file is not None:
            self._ledger_file.close()


async def start_edge(settings: EdgeSettings, host: str, port: int) -> RunningEdge:
    """Start an Edge in the running loop; port 0 takes a free one. Raises OSError where it cannot listen."""
    ledger_file = _open_ledger(settings)
    state = EdgeState(settings, ledger_file)
    runner = web.AppRunner(
        make_app(state),
        access_log=None,
        handler_cancellation=True,  # else a hanging request outlives its sender, for ever
        shutdown_timeout=_DRAIN_S,
    )
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port, backlog=_BACKLOG).start()
    except OSError:
        await runner.cleanup()
        if ledger_file is not None:
            ledger_file.close()
        raise
    return RunningEdge(runner, state, ledger_file)


def _open_ledger(settings: EdgeSettings) -> BinaryIO | None:
    """Open the ledger's file unbuffered: what was decided is there although the process is killed."""
    return None if settings.ledger_path is None else settings.ledger_path.open("ab", buffering=0)


def run_edge(settings: EdgeSettings, host: str, port: int) -> None:
    """Run an Edge until SIGTERM or SIGINT; prints one line when ready. Raises OSError as `start_edge`."""
    gc.set_threshold(*_GC_THRESHOLDS)
    run = asyncio.run if sys.platform == "win32" else uvloop.run
    run(_run_until_signal(settings, host, port))


async def _run_until_signal(settings: EdgeSettings, host: str, port: int) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    edge = await start_edge(settings, host, port)
    mode = "authenticated" if settings.auth else "not authenticated"
    sys.stdout.write(f"local edge ready on {edge.url} ({mode})\n")
    sys.stdout.flush()
    await stop.wait()
    await edge.close()
