"""The way of log lines out of the process: a bounded queue, and a thread that empties it into a file.

Promise: `write` never waits for whoever reads the lines and never fails. A pipe that nobody reads, a reader that went
away and a full disk cost lines and nothing else; those are counted. Lines leave in the order in which they came, whole:
one that broke off is ended before the next.

Not promised: that a line is out when `write` returns. `flush` waits for that, for a bounded time; a process that is
killed takes along what waits here.

Threads: any may write, because Kafka's client and libraries log from threads of their own. So there is a lock here,
as nowhere else; nobody holds it while the file is written.
"""

from __future__ import annotations

import io
import os
import select
from threading import Condition, Thread
from typing import Final

MAX_BYTES: Final = 4 * 1024 * 1024  # some 10,000 lines
_CHUNK_BYTES: Final = 65_536  # what a pipe holds


class LogOutput:
    """Lines that wait for one file descriptor."""

    def __init__(self, descriptor: int, *, max_bytes: int = MAX_BYTES) -> None:
        """Start the thread that writes.

        Raises:
            RuntimeError: the system has no thread to give.
        """
        self._descriptor = descriptor
        self._max_bytes = max_bytes
        self._changed = Condition()
        self._waiting = bytearray()
        self._is_writing = False
        self._is_failing = False
        self._broke_off = False
        self._dropped = 0
        Thread(target=self._run, name="log", daemon=True).start()

    @property
    def dropped_lines(self) -> int:
        """How many lines could not be written since the start."""
        return self._dropped

    @property
    def is_stuck(self) -> bool:
        """Whether a line that is written now might be dropped: the last ones were, or many wait."""
        return self._is_failing or len(self._waiting) > self._max_bytes // 2

    def write(self, text: str) -> None:
        """Add lines; they are dropped where too much waits already."""
        lines = text.encode("utf-8", "backslashreplace")
        with self._changed:
            if len(self._waiting) + len(lines) > self._max_bytes:
                self._dropped += lines.count(b"\n")
                return
            self._waiting += lines
            self._changed.notify_all()

    def flush(self, timeout_s: float) -> bool:
        """Wait until everything is written or dropped; False if that takes longer."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._waiting and not self._is_writing, timeout_s)

    # ---- On the thread that writes from here on ----

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting)
                chunk = self._take()
                self._is_writing = True
            rest = chunk[self._write_out(chunk) :]
            with self._changed:
                self._is_writing = False
                self._is_failing = bool(rest)
                self._dropped += rest.count(b"\n")
                self._changed.notify_all()

    def _take(self) -> bytes:
        """Take whole lines off the queue, as many as make a chunk, or one that is longer."""
        waiting = self._waiting
        end = waiting.rfind(b"\n", 0, _CHUNK_BYTES) + 1 or waiting.find(b"\n") + 1 or len(waiting)
        chunk = bytes(waiting[:end])
        del waiting[:end]
        return chunk

    def _write_out(self, chunk: bytes) -> int:
        """Write a chunk, and wait for as long as its reader wants; how many of its bytes are out."""
        out = 0
        try:
            if self._broke_off:
                self._write_some(b"\n")
                self._broke_off = False
            while out < len(chunk):
                out += self._write_some(chunk[out:])
        except OSError:  # a reader that went away, a full disk, a closed file
            self._broke_off |= out > 0 and chunk[out - 1 : out] != b"\n"
        return out

    def _write_some(self, piece: bytes) -> int:
        while True:
            try:
                return os.write(self._descriptor, piece)
            except BlockingIOError:  # whoever shares the file has made it non-blocking
                ready = select.poll()
                ready.register(self._descriptor, select.POLLOUT)
                ready.poll()


class LogStream(io.TextIOBase):
    """A log output in the place of a text stream, such as `sys.stderr`: a traceback must not wait for a reader either.

    Nothing is flushed for whoever asks a stream for that, line by line: `LogOutput.flush` is for the end.
    """

    def __init__(self, output: LogOutput, *, is_terminal: bool) -> None:
        self._output = output
        self._is_terminal = is_terminal

    def write(self, text: str) -> int:
        """Add text to the output."""
        self._output.write(text)
        return len(text)

    def writable(self) -> bool:
        """Text can be written."""
        return True

    def isatty(self) -> bool:
        """Whether the output ends at a terminal."""
        return self._is_terminal
