"""A log that cannot be written costs its lines and nothing else."""

from __future__ import annotations

import os
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING
from urllib.request import urlopen

import orjson
from prometheus_client.parser import text_string_to_metric_families

from connector.app import ExitCode
from tests.faults.rig import QUICK, free_port

if TYPE_CHECKING:
    from pathlib import Path

    from tests.faults.rig import Rig, Settings

_COUNT = 4_000
_TIMEOUT_S = 60.0


def one_line_each(rig: Rig, port: int) -> Settings:
    """A line for each few events: more than a pipe holds."""
    return {
        "logging": {"level": "debug", "format": "json"},
        "routes": [rig.route(batch={"max_events": 4})],
        "status": {"listen": f"127.0.0.1:{port}"},
    }


def dropped_lines(port: int) -> float:
    """What the connector counts as dropped."""
    with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
        families = text_string_to_metric_families(answer.read().decode())
        return next(family.samples[0].value for family in families if family.name == "xdm_connector_log_lines_dropped")


def test_a_log_on_a_full_disk_stops_nothing(rig: Rig) -> None:
    """Log disk full: delivery goes on, and the lines that are missing are counted."""
    port = free_port()
    rig.send(_COUNT)
    connector = rig.start(QUICK, one_line_each(rig, port), through='exec "$@" 2>/dev/full')
    rig.until_settled()

    assert dropped_lines(port) > _COUNT // 4
    assert connector.stop() == ExitCode.STOPPED
    rig.findings().assert_clean(max_duplicates=0)


def test_a_log_that_nobody_reads_stops_nothing(rig: Rig, tmp_path: Path) -> None:
    """Log pipe blocked: delivery and the stop go on, and a reader that comes back finds whole lines."""
    port, fifo = free_port(), tmp_path / "log"
    os.mkfifo(fifo)
    with ExitStack() as stack:
        reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
        stack.callback(os.close, reader)
        rig.send(_COUNT)
        connector = rig.start(QUICK, one_line_each(rig, port), through=f'exec "$@" 2>{fifo}')
        rig.until_settled()
        assert connector.exit_code is None

        os.set_blocking(reader, True)
        text = _read_until(reader, b'"event":"request_answered"', _COUNT // 4)
        assert all("event" in orjson.loads(line) for line in text.splitlines()[:-1])
        assert connector.stop() == ExitCode.STOPPED  # nobody reads again: the end waits a second for that
    rig.findings().assert_clean(max_duplicates=0)


def test_a_log_whose_reader_went_away_stops_nothing(rig: Rig, tmp_path: Path) -> None:
    """Log pipe closed: delivery goes on, and the lines that are missing are counted."""
    port, fifo = free_port(), tmp_path / "log"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    connector = rig.start(QUICK, one_line_each(rig, port), through=f'exec "$@" 2>{fifo}')
    os.set_blocking(reader, True)
    _read_until(reader, b'"event":"partitions_assigned"')
    os.close(reader)
    rig.send(_COUNT)
    rig.until_settled()

    assert dropped_lines(port) > _COUNT // 4
    assert connector.stop() == ExitCode.STOPPED
    rig.findings().assert_clean(max_duplicates=0)


def _read_until(reader: int, wanted: bytes, count: int = 1) -> bytes:
    """Read until something was said so often; while nobody has opened the pipe for writing, it is at its end."""
    text, deadline = b"", time.monotonic() + _TIMEOUT_S
    while text.count(wanted) < count:
        piece = os.read(reader, 65_536)
        text += piece
        if not piece:
            assert time.monotonic() < deadline, "the connector does not begin, or has ended"
            time.sleep(0.05)
    return text
