"""Every line of the process is one JSON object on standard error, whoever wrote it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from functools import cache
from typing import Any

import pytest

# The set-up is for a whole process, so it is tested in processes of its own.
PROLOGUE = """
import logging, os, sys
import structlog
from connector.logs import KAFKA_LOGGER, set_up_logs
set_up_logs(os.environ["LEVEL"], os.environ["STYLE"])
log = structlog.get_logger("connector")
"""
LINES = """
log.debug("request_answered", route="web")
log.info("summary", z=1, a=[1, "é"], held=None)
log.warning("request_failed", route="web", text="\\ud800", number=2**80, nested={1: "a"}, object=object)
log.error("route_held", cause="http_404")
kafka = logging.getLogger(KAFKA_LOGGER)
kafka.debug("debug of the client")
kafka.info("info of the client")
kafka.warning("FAIL [thrd:%s]: refused", "127.0.0.1:1")
kafka.error("error of the client")
try:
    raise ValueError("broken")
except ValueError:
    logging.getLogger("aiohttp.client").exception("a task failed")
print("not a log line")
"""


@cache
def run(source: str, level: str = "info", style: str = "auto") -> subprocess.CompletedProcess[str]:
    """Run a program whose standard error is a pipe."""
    return subprocess.run(
        [sys.executable, "-c", PROLOGUE + source],
        env={"LEVEL": level, "STYLE": style, "PYTHONUTF8": "1"},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )


def lines(level: str = "info") -> list[dict[str, Any]]:
    """What the program logs at a level, line by line."""
    return [json.loads(line) for line in run(LINES, level).stderr.splitlines()]


def test_a_pipe_gets_one_json_object_for_each_line() -> None:
    """Without a terminal every line is JSON that begins with time, level and event, and nothing goes to stdout."""
    assert run(LINES).stdout == "not a log line\n"
    for line in lines():
        assert list(line)[:3] == ["timestamp", "level", "event"]
        assert line["timestamp"].endswith("Z")
    first = lines()[0]
    assert {**first, "timestamp": ""} == {
        "timestamp": "", "level": "info", "event": "summary", "z": 1, "a": [1, "é"], "held": None,
    }  # fmt: skip


def test_a_value_that_json_does_not_know_is_still_one_line() -> None:
    """A lone surrogate, a huge number and an object make no logger fail."""
    line = next(line for line in lines() if line["event"] == "request_failed")
    assert line["number"] == 2**80
    assert line["object"] == repr(object)


@pytest.mark.parametrize(
    ("level", "events", "client_lines"),
    [
        ("debug", ["request_answered", "summary", "request_failed", "route_held"], 2),
        ("info", ["summary", "request_failed", "route_held"], 2),
        ("warning", ["request_failed", "route_held"], 2),
        ("error", ["route_held"], 1),
    ],
)
def test_the_level_is_respected(level: str, events: list[str], client_lines: int) -> None:
    """What is below the level is left out; of libraries nothing below a warning is ever shown."""
    found = lines(level)
    assert [line["event"] for line in found if line["event"] != "library_message"] == events
    assert len([line for line in found if line.get("library") == "librdkafka"]) == client_lines


def test_lines_of_libraries_come_out_under_one_name() -> None:
    """A library's sentence is a field; the event says that it is one, and the library is named."""
    (line,) = [line for line in lines() if line.get("text", "").startswith("FAIL")]
    assert {**line, "timestamp": ""} == {
        "timestamp": "",
        "level": "warning",
        "event": "library_message",
        "library": "librdkafka",
        "text": "FAIL [thrd:127.0.0.1:1]: refused",
    }


def test_what_kafkas_client_repeats_is_written_once_per_interval() -> None:
    """A failed connection is told for each broker, and after half a minute once more with how often it came."""
    source = """
import itertools, time
seconds = itertools.count(100)
time.monotonic = lambda: next(seconds)
kafka = logging.getLogger(KAFKA_LOGGER)
for number in range(31):
    kafka.error("FAIL [me#consumer-1] [thrd:10.0.0.1:9092/1]: refused (after %dms)", number)
kafka.error("FAIL [me#consumer-1] [thrd:10.0.0.2:9092/2]: refused (after 0ms)")
logging.getLogger("other").error("again")
logging.getLogger("other").error("again")
"""
    found = [json.loads(line) for line in run(source).stderr.splitlines()]
    assert [(line["text"].rpartition("[thrd:")[2], line.get("occurrences")) for line in found] == [
        ("10.0.0.1:9092/1]: refused (after 0ms)", None),
        ("10.0.0.1:9092/1]: refused (after 30ms)", 30),
        ("10.0.0.2:9092/2]: refused (after 0ms)", None),
        ("again", None),
        ("again", None),
    ]


def test_the_kinds_that_are_remembered_are_bounded() -> None:
    """Texts that are never the same take no memory, and are all written."""
    source = """
kafka = logging.getLogger(KAFKA_LOGGER)
for number in range(2500):
    kafka.error("FAIL [me#consumer-%d] [thrd:main]: broken", number)
(repeats,) = logging.getLogger().handlers[0].filters
print(len(repeats._kinds), len(repeats._roll_up._told))
"""
    done = run(source)
    assert done.stdout == "500 500\n"
    assert len(done.stderr.splitlines()) == 2500


def test_a_librarys_exception_is_a_field_of_its_line() -> None:
    """A traceback stays within the one line of its message."""
    line = lines()[-1]
    assert (line["library"], line["text"]) == ("aiohttp.client", "a task failed")
    assert line["exception"].endswith("ValueError: broken")


def test_the_console_style_is_for_people() -> None:
    """Readable lines are no JSON."""
    shown = run('log.info("summary", accepted=3)', style="console").stderr
    assert "summary" in shown
    assert not shown.startswith("{")


def test_a_log_that_nobody_can_write_ends_nothing() -> None:
    """The reader of the logs may go away, and a disk may be full: delivery goes on."""
    source = """
reader, writer = os.pipe()
os.close(reader)
os.dup2(writer, 2)
log.error("route_held")
logging.getLogger("other").error("text")
print("went on", flush=True)
os._exit(0)  # Python itself complains of a broken pipe when it ends
"""
    assert run(source).stdout == "went on\n"


def test_a_readable_line_steers_no_terminal() -> None:
    """Escapes, line ends and turned text of a broker, a proxy or a library are shown and not obeyed."""
    source = r"""
log.warning("request_failed", text="a\x1b[2Jb", more="x\r\n2026 forged\u2028\x9b", turned="\u202egnp", half="\ud800")
logging.getLogger("other").error("b\x1b]0;title\x07")
logging.getLogger("other").error("b\nforged")
"""
    shown = run(source, style="console").stderr
    assert len(shown.splitlines()) == 3
    assert not re.search("\x1b\\[2J|\x1b]|[\x07\r\x9b\u2028\u202e]", shown)
    for piece in (r"a\x1b[2Jb", "2026 forged", r"\u202egnp", r"\ud800", r"b\x1b]0;title\x07"):
        assert piece in shown
