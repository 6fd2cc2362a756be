"""Sets up logging to stderr: one line for each record, without blocking."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any

from ..api import Counter
from ..control.event_stream import FIELDS
from ..masking import masked_text
from ..one_line import LONGEST_LINE, LONGEST_NAME, one_line, shortened
from .dropping_log import DroppingLog

_ALWAYS_WRITTEN = ("wsgw.audit", "wsgw.lifecycle")


class OneLineFormatter(logging.Formatter):
    """Formats a record as one line; text from clients cannot add lines or control a terminal."""

    default_msec_format = "%s.%03d"

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        """Returns the record's line."""
        return one_line(masked_text(super().format(record)))


class JsonFormatter(logging.Formatter):
    """Formats a record as one JSON object on one line.

    Keys: `time` (RFC 3339, UTC), `level`, `logger`, `event`; if known `session`, `route`, `backend`
    and `reason`; for an error with a traceback `exception`.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Returns the record's line."""
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line: dict[str, Any] = {
            "time": time.replace("+00:00", "Z"),
            "level": "WARN" if record.levelname == "WARNING" else record.levelname,
            "logger": record.name,
            "event": shortened(masked_text(record.getMessage()), LONGEST_LINE),
        }
        for field in FIELDS:
            value = getattr(record, field, None) or _subject(record, field)
            if value is not None:
                most = LONGEST_LINE if field == "reason" else LONGEST_NAME
                line[field] = shortened(masked_text(str(value)), most)
        if record.exc_info:
            exception = masked_text(self.formatException(record.exc_info))
            line["exception"] = shortened(exception, LONGEST_LINE)
        return json.dumps(line)


def _subject(record: logging.LogRecord, field: str) -> object:
    """Returns what a record such as `backend %s: removed: drained` is about, else None."""
    if isinstance(record.args, tuple) and record.args and record.msg.startswith(f"{field} %s"):
        return record.args[0]
    return None


def set_up_logging(level: str, layout: str = "console") -> None:
    """Writes records of this level and above to stderr, and Python's warnings.

    The level does not apply to the audit log and to the lines about start and stop.

    Args:
        level: DEBUG, INFO, WARN or ERROR, as in `server.logging-level`.
        layout: console or json, as in `server.logging-format`.
    """
    handler = _handler()
    handler.setFormatter(JsonFormatter() if layout == "json" else OneLineFormatter())
    if handler not in logging.root.handlers:
        logging.basicConfig(handlers=[handler], force=True)
    logging.root.setLevel(level)
    for name in _ALWAYS_WRITTEN:
        logging.getLogger(name).setLevel(logging.INFO)
    logging.captureWarnings(capture=True)


def _handler() -> logging.Handler:
    """Returns the handler for stderr; keeps an existing one with its buffered lines."""
    try:
        descriptor = sys.stderr.fileno()
        for log in _logs():
            if log.descriptor == descriptor:
                return log
        return DroppingLog(descriptor)
    except (OSError, ValueError, AttributeError):  # exchanged for what is no file, or closed
        return logging.StreamHandler(sys.stderr)


def _logs() -> list[DroppingLog]:
    return [each for each in logging.root.handlers if isinstance(each, DroppingLog)]


def tell(*lines: str) -> None:
    """Writes lines to stderr as they are, whatever the log level."""
    log = next(iter(_logs()), None)
    for line in map(one_line, lines):
        if log is not None:
            log.write_line(line)
        elif sys.stderr is not None:
            with suppress(OSError):
                sys.stderr.write(f"{line}\n")
                sys.stderr.flush()


@contextmanager
def log_of_a_loop(loop: asyncio.AbstractEventLoop, dropped: Counter) -> Iterator[None]:
    """Lets an event loop write buffered log lines, and a counter count dropped lines."""
    logs = _logs()
    for log in logs:
        log.drain_by(loop)
        dropped.value += log.dropped.value
        log.dropped = dropped
    try:
        yield
    finally:
        for log in logs:
            log.drain_by(None)


def writes_json() -> bool:
    """Returns whether the log is JSON."""
    return any(isinstance(each.formatter, JsonFormatter) for each in logging.root.handlers)


def debugging() -> bool:
    """Returns whether to show tracebacks of unexpected errors (`WSGW_DEBUG=1`)."""
    return os.environ.get("WSGW_DEBUG", "") not in ("", "0")
