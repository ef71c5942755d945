"""Ends the demo's processes when the demo itself was killed and cannot.

Reads `+PID` and `-PID` lines from standard input; at its end, which comes when the demo is gone however it went,
ends the processes that are still listed. It knows no others. Run as a script, so that it starts at once.
"""

from __future__ import annotations

import os
import signal
import sys
import time

GRACE_S = 2.0


def main() -> None:
    """Note process ids until standard input ends, then end those that are left."""
    pids: set[int] = set()
    for line in sys.stdin:
        sign, pid = line[0], int(line[1:])
        if sign == "+":
            pids.add(pid)
        else:
            pids.discard(pid)
    if pids:
        _signal_all(pids, signal.SIGTERM)
        time.sleep(GRACE_S)
        _signal_all(pids, signal.SIGKILL)


def _signal_all(pids: set[int], number: signal.Signals) -> None:
    for pid in sorted(pids):
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pids.discard(pid)


if __name__ == "__main__":
    main()
