"""A log line never waits for whoever reads it, and what is dropped is counted."""

from __future__ import annotations

import errno
import fcntl
import os
import sys
import time
import traceback
from typing import TYPE_CHECKING

import pytest

from connector.log_output import LogOutput, LogStream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_WAIT_S = 30.0
_MAX_BYTES = 1_000_000
_LINE = "x" * 99 + "\n"


class Pipe:
    """A pipe whose reading end the test holds."""

    def __init__(self) -> None:
        self.reader, self.writer = os.pipe()

    def read(self, size: int) -> bytes:
        """Read so many bytes, however long that takes."""
        read = b""
        while len(read) < size:
            piece = os.read(self.reader, size - len(read))
            assert piece, "the writer has closed the pipe"
            read += piece
        return read

    @property
    def capacity(self) -> int:
        """How many bytes fit in."""
        return fcntl.fcntl(self.writer, fcntl.F_GETPIPE_SZ)


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    """A pipe; its writing end stays open, because a thread may still wait for it."""
    pipe = Pipe()
    yield pipe
    os.close(pipe.reader)


def until(condition: Callable[[], bool]) -> None:
    """Wait until another thread has made something true."""
    deadline = time.monotonic() + _WAIT_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def stick(output: LogOutput, pipe: Pipe) -> int:
    """Write lines until nothing more is taken; how many were taken."""
    count = 0
    while not output.dropped_lines:
        output.write(_LINE)
        count += 1
    assert count * len(_LINE) >= pipe.capacity
    return count - 1


def test_lines_leave_in_their_order(pipe: Pipe) -> None:
    """What is written comes out whole and in order, whatever its length."""
    output = LogOutput(pipe.writer)
    texts = [f"{number} {'é' * (number % 50 * 1000)}\n" for number in range(20)]
    for text in texts:
        output.write(text)
    whole = "".join(texts).encode()
    assert pipe.read(len(whole)) == whole
    assert output.flush(_WAIT_S)
    assert output.dropped_lines == 0


def test_a_pipe_that_nobody_reads_stops_nobody(pipe: Pipe) -> None:
    """Beyond the bound lines are dropped and counted; read again, all that was kept comes and new lines follow."""
    output = LogOutput(pipe.writer, max_bytes=_MAX_BYTES)
    kept = stick(output, pipe)
    for _ in range(500):
        output.write(_LINE)
    assert output.dropped_lines == 501
    assert output.is_stuck
    assert not output.flush(0.01), "the end of the process waits a bounded time"

    assert pipe.read(kept * len(_LINE)) == _LINE.encode() * kept
    assert output.flush(_WAIT_S)
    assert not output.is_stuck
    output.write("the next\n")
    assert pipe.read(9) == b"the next\n"
    assert output.dropped_lines == 501


def test_a_full_disk_costs_its_lines_alone() -> None:
    """While the file takes nothing, lines are dropped and counted, and none waits."""
    descriptor = os.open("/dev/full", os.O_WRONLY)
    output = LogOutput(descriptor)
    for _ in range(1000):
        output.write(_LINE)
    assert output.flush(_WAIT_S)
    assert output.dropped_lines == 1000
    assert output.is_stuck


def test_a_reader_that_went_away_costs_its_lines_alone() -> None:
    """EPIPE, and no signal ends the process."""
    pipe = Pipe()
    os.close(pipe.reader)
    output = LogOutput(pipe.writer)
    output.write(_LINE)
    assert output.flush(_WAIT_S)
    assert output.dropped_lines == 1


class Disk:
    """A file that has room for so many bytes, in the place of `os.write`; others' files are left alone."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.content = b""
        self._write_elsewhere = os.write

    def write(self, descriptor: int, piece: bytes) -> int:
        if descriptor != -1:
            return self._write_elsewhere(descriptor, piece)
        taken = piece[: self.room]
        if not taken:
            raise OSError(errno.ENOSPC, "No space left on device")
        self.room -= len(taken)
        self.content += taken
        return len(taken)


def test_a_line_that_broke_off_is_ended_before_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that fills up in mid-line leaves one torn line, and the next one stands by itself."""
    disk = Disk(room=12)
    monkeypatch.setattr(os, "write", disk.write)
    output = LogOutput(-1)
    output.write("first\nsecond\nthird\n")
    assert output.flush(_WAIT_S)
    assert output.dropped_lines == 2
    disk.room = 100
    output.write("fourth\n")
    assert output.flush(_WAIT_S)
    assert disk.content == b"first\nsecond\nfourth\n"
    assert not output.is_stuck


def test_a_file_that_somebody_made_non_blocking_is_waited_for(pipe: Pipe) -> None:
    """Whoever shares a terminal may do that; it costs no line."""
    os.set_blocking(pipe.writer, False)
    output = LogOutput(pipe.writer)
    count = pipe.capacity // len(_LINE) * 3
    for _ in range(count):
        output.write(_LINE)
    assert pipe.read(count * len(_LINE)) == _LINE.encode() * count
    assert output.flush(_WAIT_S)
    assert output.dropped_lines == 0


def test_a_traceback_waits_for_no_reader_either(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the place of standard error it takes what Python prints there, although the pipe is full."""
    output = LogOutput(pipe.writer, max_bytes=_MAX_BYTES)
    stick(output, pipe)
    monkeypatch.setattr(sys, "stderr", LogStream(output, is_terminal=False))
    before = output.dropped_lines
    traceback.print_exception(ValueError("broken"))
    sys.stderr.flush()
    assert output.dropped_lines > before
    assert not sys.stderr.isatty()
