"""Ends a process together with the test run that started it.

Promise: when this process dies, by whatever signal, the guarded one is killed and the directory that was named is
removed. A guard that is dismissed does nothing any more.
"""

from __future__ import annotations

import os
import signal
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_SCRIPT = 'cat >/dev/null; kill -KILL "$1"; [ -z "$2" ] || rm -rf "$2"'


class Guard:
    """Waits beside a process for the end of this one."""

    def __init__(self, pid: int, directory: Path | None = None) -> None:
        # Its standard input is a pipe that only this process holds open: it closes when this process dies.
        command = ["sh", "-c", _SCRIPT, "guard", str(pid), str(directory or "")]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def notice_death(self) -> None:
        """Close the pipe, as the death of this process would."""
        if self._process.stdin is not None:
            self._process.stdin.close()

    def dismiss(self) -> None:
        """End the guard and spare what it guards."""
        # The whole group: killing only the shell would leave its `cat` behind.
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self.notice_death()
