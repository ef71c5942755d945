"""A child process of a test: its log, its end, and nothing left behind.

Promise: a child ends with the test run, whatever ends that, even a kill -9 of it. Signals go to the child's own
process id and to nobody else. Not here: what the child is for (`rig.py`).
"""

from __future__ import annotations

import signal
import subprocess
from typing import TYPE_CHECKING, Any

import orjson

from tests.bench.procfs import peak_rss_bytes
from tests.guard import Guard

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    LogLine = dict[str, Any]

END_TIMEOUT_S = 60.0


class Child:
    """One process that writes everything it says into one file."""

    def __init__(self, name: str, command: Sequence[str], log: Path) -> None:
        self.name = name
        self.was_told_to_end = False
        self._log = log
        with log.open("wb") as file:
            # A session of its own: Ctrl-C in the terminal ends the test, and the test ends its children.
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True
            )
        self._guard: Guard | None = Guard(self._process.pid)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """How it ended, None while it runs."""
        return self._process.poll()

    def terminate(self) -> None:
        """Send SIGTERM and return at once."""
        self.was_told_to_end = True
        self._process.send_signal(signal.SIGTERM)

    def interrupt(self) -> None:
        """Send SIGINT, as Ctrl-C does, and return at once."""
        self.was_told_to_end = True
        self._process.send_signal(signal.SIGINT)

    def freeze(self) -> None:
        """Stop it in its tracks (SIGSTOP): it stays, and does not know of the time that passes."""
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on (SIGCONT) after `freeze`."""
        self._process.send_signal(signal.SIGCONT)

    def may_end(self) -> None:
        """Let it end by itself from here on: that is what the test is about."""
        self.was_told_to_end = True

    def wait(self) -> int:
        """Wait for the end, and return the exit code.

        Raises:
            AssertionError: it did not end in a minute.
        """
        try:
            return self._process.wait(END_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} does not end\n{self.log_tail()}") from None

    def stop(self) -> int:
        """Send SIGTERM, wait for the end, and return the exit code."""
        self.terminate()
        return self.wait()

    def kill(self) -> None:
        """End it as a crash does (SIGKILL), and dismiss its guard; harmless where it has ended."""
        self.was_told_to_end = True
        self._process.kill()
        self._process.wait()
        if self._guard is not None:
            self._guard.dismiss()
            self._guard = None

    def peak_memory_bytes(self) -> int:
        """The most memory that it has had so far; while it runs."""
        return peak_rss_bytes(self._process.pid)

    def text(self) -> str:
        """Everything that it has said so far."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    def lines(self, event: str) -> list[LogLine]:
        """Its JSON log lines of one event, or of those that begin with a name that ends in `_`."""
        needle = f'"event":"{event}' if event.endswith("_") else f'"event":"{event}"'
        return [orjson.loads(line) for line in self.text().splitlines() if needle in line and line.endswith("}")]

    def log_tail(self) -> str:
        """The last lines that are no debug lines."""
        kept = [line for line in self.text().splitlines() if '"level":"debug"' not in line]
        return "\n".join([f"--- {self.name}, exit code {self.exit_code}, {self._log}", *kept[-40:]])
