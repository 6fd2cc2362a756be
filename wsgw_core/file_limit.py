"""How many files this process may have open, and how many sessions that allows."""

from __future__ import annotations

import sys

if sys.platform != "win32":
    import resource

_RESERVED = 100  # no session's: standard streams, listeners, the loop's own, health checks, spare
REFUSED_AT_ONCE = 64
"""Connections beyond all sessions that may be open at a time, to be told so."""


def file_limit() -> int | None:
    """Return how many files may be open; None: it is not limited."""
    if sys.platform == "win32":
        return None
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if soft == resource.RLIM_INFINITY else soft


def raise_file_limit() -> None:
    """Allow as many open files as the system lets us.

    Raises:
        OSError, ValueError: it cannot be raised; macOS refuses an unlimited hard limit.
    """
    if sys.platform == "win32":
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def session_capacity() -> int | None:
    """Return for how many sessions there are files: two for each; None: it is not limited."""
    limit = file_limit()
    return None if limit is None else max(1, (limit - _RESERVED - REFUSED_AT_ONCE) // 2)
