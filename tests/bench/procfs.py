"""What the Linux kernel says of a process: CPU time and memory.

Promise: figures of the whole process with all its threads, also those of librdkafka, taken from outside and at
no cost to it. CPU time has the kernel's resolution, 10 ms on most systems. Other systems have no `/proc`.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


def cpu_us(pid: int) -> int:
    """User and system time that the process has used so far, in microseconds."""
    # After the name, which stands in parentheses and may hold anything, fields are single words.
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    user, system = int(fields[11]), int(fields[12])
    return (user + system) * 1_000_000 // _TICKS_PER_SECOND


def peak_rss_bytes(pid: int) -> int:
    """The most memory that the process has had resident at a time, in bytes."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    peak = re.search(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)
    if peak is None:
        raise RuntimeError(f"the kernel names no peak memory of process {pid}")
    return int(peak[1]) * 1024
