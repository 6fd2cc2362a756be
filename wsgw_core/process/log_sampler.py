"""Bounds how often the log says the same, whoever can make it do so."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

_INTERVAL = 60.0  # seconds
_MOST = 100  # records of one kind in an interval: all problems of a configuration are told
_KINDS = 1000  # that are remembered


class LogSampler(logging.Filter):
    """Lets at most 100 warnings and errors of one kind through in a minute.

    Records of one logger with the same text are of one kind, whatever their arguments. The first
    one of the next minute tells how many there were. The audit log is not sampled.

    Args:
        on_drop: called for each that is not let through.
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


class _Seen:
    __slots__ = ("count", "since")

    def __init__(self, since: float) -> None:
        self.since = since
        self.count = 0
