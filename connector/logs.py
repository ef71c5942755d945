"""Sets up structured logs: JSON lines for machines, readable lines on a terminal, one format for all of them.

Kafka's client and the HTTP library log through Python's `logging`; their lines come out in the same form. What
Kafka's client repeats is written once per interval, with how often it came. Whatever this process writes to standard
error waits in one queue (`log_output.py`), so that nothing here waits for whoever reads it.
"""

from __future__ import annotations

import atexit
import json
import logging
import re
import sys
import time
from typing import TYPE_CHECKING, Final, Literal, TextIO, cast

import orjson
import structlog

from connector.core.rollup import RollUp
from connector.log_output import LogOutput, LogStream

if TYPE_CHECKING:
    from structlog.typing import EventDict, Processor, WrappedLogger

_LEVELS: Final = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
KAFKA_LOGGER: Final = "librdkafka"
_FLUSH_S: Final = 1.0  # at the end of the process, for a reader that is slow; for one that sleeps it is over then
_STANDARD_ERROR: Final = 2
_ROLL_UP_S: Final = 30.0
_MOST_KINDS: Final = 1000  # of repeated warnings; their texts are the client's own and from no closed set
_CLIENT_AND_THREAD: Final = re.compile(r"^.*?\[thrd:[^]]*]")
_NUMBER: Final = re.compile(r"\d+")

# Controls, line separators, what turns the direction of text, and halves of pairs, which no terminal takes.
_CONTROLS: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")

_output: LogOutput | None = None


def log_output() -> LogOutput | None:
    """Where the process's lines wait, None until logs are set up."""
    return _output


def flush_logs() -> None:
    """Wait until the lines so far are written, but not for a reader that does not read."""
    if _output is not None:
        _output.flush(_FLUSH_S)


def set_up_logs(level: str, style: Literal["auto", "json", "console"]) -> None:
    """Route every log line of the process to standard error in one format; other libraries' from warnings on.

    Raises:
        RuntimeError: the system has no thread to give.
    """
    is_terminal = sys.stderr.isatty()
    is_readable = style == "console" or (style == "auto" and is_terminal)
    out = _take_over_stderr(is_terminal=is_terminal)
    shared: list[Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    render: list[Processor] = [_without_controls, structlog.dev.ConsoleRenderer()] if is_readable else [_json_line]
    structlog.configure(
        processors=[*shared, structlog.processors.format_exc_info, *render],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=structlog.WriteLoggerFactory(out),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(out)
    handler.addFilter(_Repeats())
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(foreign_pre_chain=[*shared, _name_foreign], processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            *render,
        ])
    )  # fmt: skip
    logging.basicConfig(level=max(_LEVELS["warning"], _LEVELS[level]), handlers=[handler], force=True)


def _take_over_stderr(*, is_terminal: bool) -> TextIO:
    global _output  # noqa: PLW0603 - standard error is one for the process, and so is what waits for it
    sys.stderr.flush()
    _output = LogOutput(_STANDARD_ERROR)
    stream = cast("TextIO", LogStream(_output, is_terminal=is_terminal))
    sys.stderr = stream
    atexit.register(flush_logs)
    return stream


class _Repeats(logging.Filter):
    """Keeps back what Kafka's client repeats: without brokers it tells of twenty failed connections a second.

    Several threads come here. At worst two of them tell of the same fault at the same moment.
    """

    def __init__(self) -> None:
        super().__init__()
        self._roll_up = RollUp(_ROLL_UP_S)
        self._kinds: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to write a line; notes in it how often it came."""
        if record.name != KAFKA_LOGGER or record.levelno < logging.WARNING:
            return True
        kind = _kind(record.getMessage())
        if kind not in self._kinds:
            if len(self._kinds) >= _MOST_KINDS:
                self._kinds.clear()
                self._roll_up = RollUp(_ROLL_UP_S)
            self._kinds.add(kind)
        occurrences = self._roll_up.note(kind, time.monotonic())
        record.occurrences = occurrences
        return occurrences is not None


def _kind(text: str) -> str:
    """What a line is about: the client and the broker, and the rest without its counts and times."""
    found = _CLIENT_AND_THREAD.match(text)
    head = found[0] if found else ""
    return head + _NUMBER.sub("#", text[len(head) :])


def _without_controls(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Write out what would steer a terminal, or break a line in two: some texts are a broker's or a library's."""
    return {
        name: _CONTROLS.sub(_escaped, value) if isinstance(value, str) and name != "exception" else value
        for name, value in event.items()
    }


def _escaped(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode()


def _json_line(_: WrappedLogger, __: str, event: EventDict) -> str:
    """One line of JSON, with what the eye looks for first in front."""
    line = {**{name: event.pop(name, None) for name in ("timestamp", "level", "event")}, **event}
    try:
        return orjson.dumps(line, default=repr).decode()
    except TypeError:  # what orjson refuses: a lone surrogate, a number beyond 64 bits, a key that is no text
        return json.dumps(line, default=repr)


def _name_foreign(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Foreign lines have sentences for events; file them under one name each, with the sentence as a field."""
    record = event.get("_record")
    name = record.name if isinstance(record, logging.LogRecord) else "library"
    occurrences = getattr(record, "occurrences", None) or 1
    repeated = {"occurrences": occurrences} if occurrences > 1 else {}
    return {**event, "event": "library_message", "library": name, "text": event["event"], **repeated}
