"""What the system grants to this process: threads and open files.

Promise: what is too little is said before anything is connected, with what to mend. Kafka's client would end the whole
process where it gets no thread, without a word of ours.

Not promised: that it stays so; other processes of the same user or container take from the same.
"""

from __future__ import annotations

import sys
from threading import Event, Thread
from typing import Final

if sys.platform != "win32":
    import resource

THREADS: Final = 32
"""Kafka's client has some for each of its three roles and one for each broker and role; the rest is a dozen."""

FILES_BESIDE_REQUESTS: Final = 128
"""Connections to brokers and to the status port, and what Kafka's client opens to wake its threads."""

_MOST_FILES: Final = 65_536  # where the system sets no bound: enough for anything that can be configured


def startable_threads() -> int:
    """How many threads can be started now, of those that are needed; they end at once."""
    end = Event()
    started: list[Thread] = []
    try:
        for _ in range(THREADS):
            thread = Thread(target=end.wait, daemon=True)
            thread.start()
            started.append(thread)
    except (RuntimeError, MemoryError):  # as few as there are
        pass
    end.set()
    for thread in started:
        thread.join()
    return len(started)


def raise_file_limit() -> int | None:
    """Raise the limit of open files as far as this process may; returns it, None where the system has none."""
    if sys.platform == "win32":
        return None
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, _MOST_FILES)
    if soft == resource.RLIM_INFINITY:
        return None
    if soft >= wanted:
        return soft
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    except (ValueError, OSError):  # the system has a bound that it does not tell, or a sandbox forbids it
        return soft
    return wanted
