"""Sets up structured logs: JSON lines for machines, readable lines on a terminal, one format for all of them.

Kafka's client and the HTTP library log through Python's `logging`; their lines come out in the same form.
"""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Final, Literal

import orjson
import structlog

if TYPE_CHECKING:
    from structlog.typing import EventDict, Processor, WrappedLogger

_LEVELS: Final = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
KAFKA_LOGGER: Final = "librdkafka"


def set_up_logs(level: str, style: Literal["auto", "json", "console"]) -> None:
    """Route every log line of the process to standard error in one format."""
    is_readable = style == "console" or (style == "auto" and sys.stderr.isatty())
    shared: list[Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer: Processor = structlog.dev.ConsoleRenderer() if is_readable else _json_line
    structlog.configure(
        processors=[*shared, structlog.processors.format_exc_info, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(foreign_pre_chain=[*shared, _name_foreign], processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer,
        ])
    )  # fmt: skip
    logging.basicConfig(level=_LEVELS["warning"], handlers=[handler], force=True)


def _json_line(_: WrappedLogger, __: str, event: EventDict) -> str:
    """One line of JSON, with what the eye looks for first in front."""
    head = {name: event.pop(name, None) for name in ("timestamp", "level", "event")}
    return orjson.dumps({**head, **event}, default=repr).decode()


def _name_foreign(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Foreign lines have sentences for events; file them under one name each, with the sentence as a field."""
    record = event.get("_record")
    name = record.name if isinstance(record, logging.LogRecord) else "library"
    return {**event, "event": "library_message", "library": name, "text": event["event"]}
