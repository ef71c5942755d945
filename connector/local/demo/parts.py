"""The demo's parts as processes: embedded Kafka, local Edge, connector.

Promise: whatever ends the `with` block, every process that was started in it ends too; should the demo itself be
killed, a guard process ends them. Only processes started here are ever signalled, by their id. Each part writes
what it says to a file of its own.
"""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final, Self

from connector.local.demo import guard

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

_READY_WITHIN_S: Final = 60.0  # a cold machine reads a lot from its disk
_POLL_S: Final = 0.05
_KILL_AFTER_S: Final = 5.0
_TAIL_LINES: Final = 5


class DemoFailed(Exception):  # noqa: N818 - it says what happened
    """The demo cannot go on; the text says why and where to look."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One process of the demo and the file it writes to."""

    name: str
    log: Path
    child: subprocess.Popen[bytes]

    def check(self) -> None:
        """Make sure that it runs; raises DemoFailed with the end of its log."""
        code = self.child.poll()
        if code is not None:
            raise DemoFailed(f"the {self.name} ended by itself with {code}; the end of {self.log}:\n{self.tail()}")

    def wait_for(self, pattern: str, tick: Callable[[], None]) -> str:
        """Wait until its log has a line like this and return the first group; raises DemoFailed.

        `tick` is called while it waits.
        """
        give_up_at = time.monotonic() + _READY_WITHIN_S
        while time.monotonic() < give_up_at:
            if found := re.search(pattern, self.log.read_text(errors="replace")):
                return found[1]
            self.check()
            tick()
            time.sleep(_POLL_S)
        raise DemoFailed(f"the {self.name} was not ready within {_READY_WITHIN_S:.0f} s; see {self.log}")

    def tail(self) -> str:
        """The last lines of its log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-_TAIL_LINES:])


class Parts:
    """All processes of one demo, from `with` to the end of its block."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._parts: list[Part] = []

    def __enter__(self) -> Self:
        """Start the guard."""
        self._guard = subprocess.Popen(  # noqa: S603 - this interpreter and a file of this package
            [sys.executable, "-SP", str(Path(guard.__file__))], stdin=subprocess.PIPE, start_new_session=True
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End every part that still runs, the latest first, then the guard."""
        for part in reversed(self._parts):
            self.stop(part, within_s=_KILL_AFTER_S)
        _input_of(self._guard).close()
        self._guard.wait()

    def start(self, name: str, command: Sequence[str]) -> Part:
        """Start a part; its output goes to NAME.log in the demo's folder. Raises OSError."""
        log = self._folder / f"{name}.log"
        with log.open("wb") as output:
            child = subprocess.Popen(  # noqa: S603 - a command that the demo made
                command,
                stdin=subprocess.PIPE,  # the embedded Kafka ends with it
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # else Ctrl-C would reach it beside the demo's own SIGTERM
            )
        self._tell_guard(f"+{child.pid}")
        part = Part(name=name, log=log, child=child)
        self._parts.append(part)
        return part

    def stop(self, part: Part, *, within_s: float) -> int:
        """Ask a part to end, kill it after a while; returns its exit code, negative for a signal."""
        child = part.child
        if child.poll() is None:
            child.send_signal(signal.SIGTERM)
            try:
                child.wait(within_s)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
        _input_of(child).close()
        self._tell_guard(f"-{child.pid}")
        return int(child.returncode)

    def check(self, parts: Sequence[Part]) -> None:
        """Make sure that parts run; raises DemoFailed."""
        for part in parts:
            part.check()

    def _tell_guard(self, line: str) -> None:
        stream = _input_of(self._guard)
        try:
            stream.write(line.encode() + b"\n")
            stream.flush()
        except BrokenPipeError:
            return  # the guard is gone: the demo still ends its parts itself


def _input_of(child: subprocess.Popen[bytes]) -> IO[bytes]:
    if child.stdin is None:
        raise AssertionError("every process here is started with a pipe")
    return child.stdin
