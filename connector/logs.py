"""Sets up structured logs: JSON lines for machines, readable lines on a terminal, one format for all of them.

Kafka's client and the HTTP library log through Python's `logging`; their lines come out in the same form.
"""

from __future__ import annotations

import json
import logging
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Literal, TextIO, cast

import orjson
import structlog

if TYPE_CHECKING:
    from structlog.typing import EventDict, Processor, WrappedLogger

_LEVELS: Final = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
KAFKA_LOGGER: Final = "librdkafka"


def set_up_logs(level: str, style: Literal["auto", "json", "console"]) -> None:
    """Route every log line of the process to standard error in one format; other libraries' from warnings on."""
    is_readable = style == "console" or (style == "auto" and sys.stderr.isatty())
    out = cast("TextIO", _Unfailing(sys.stderr))
    shared: list[Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer: Processor = structlog.dev.ConsoleRenderer() if is_readable else _json_line
    structlog.configure(
        processors=[*shared, structlog.processors.format_exc_info, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=structlog.WriteLoggerFactory(out),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(foreign_pre_chain=[*shared, _name_foreign], processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            renderer,
        ])
    )  # fmt: skip
    logging.basicConfig(level=max(_LEVELS["warning"], _LEVELS[level]), handlers=[handler], force=True)


class _Unfailing:
    """A stream that drops what cannot be written: a log that nobody reads must not end the delivery."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        with suppress(OSError, ValueError):  # a reader that went away, a full disk, a closed stream
            self._stream.write(text)

    def flush(self) -> None:
        with suppress(OSError, ValueError):
            self._stream.flush()


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
    return {**event, "event": "library_message", "library": name, "text": event["event"]}
