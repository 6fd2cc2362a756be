"""Limits repeated log records."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

_INTERVAL = 60.0  # seconds
_MOST = 100  # records of one kind in an interval; enough for all problems of a configuration
_KINDS = 1000  # maximum number of kinds to remember


class LogSampler(logging.Filter):
    """Passes at most 100 warnings and errors of one kind a minute.

    Records of one logger with the same format string are of one kind, whatever their arguments. The
    first record of the next minute reports how many were dropped. The audit log is not limited.

    Args:
        on_drop: called for each dropped record.
    """

    def __init__(self, on_drop: Callable[[], object]) -> None:
        super().__init__()
        self._on_drop = on_drop
        self._seen: dict[tuple[str, str], _Seen] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Returns whether to log a record; called by logging."""
        if record.levelno < logging.WARNING or record.name == "wsgw.audit":
            return True
        now = time.monotonic()
        kind = (record.name, str(record.msg))
        seen = self._seen.get(kind)
        if seen is None:
            if len(self._seen) >= _KINDS:
                del self._seen[next(iter(self._seen))]
            seen = self._seen[kind] = _Seen(now)
        if now - seen.since >= _INTERVAL:
            if seen.count > _MOST:
                record.msg = f"{record.msg} (and {seen.count - _MOST} more not logged)"
            seen.since, seen.count = now, 0
        seen.count += 1
        if seen.count <= _MOST:
            return True
        self._on_drop()
        return False


@dataclass(slots=True)
class _Seen:
    since: float
    count: int = 0
