"""How many files this process may have open, and how many sessions that allows."""

from __future__ import annotations

import os
import sys

if sys.platform != "win32":
    import resource

_RESERVED = 100  # no session's: standard streams, listeners, the loop's own, health checks, dials
_FOR_DIALS = 50  # of them; a quarter of all where there are few
REFUSED_AT_ONCE = 64
"""Connections beyond all sessions that may be open at a time, to be told so."""


def file_limit() -> int | None:
    """Returns how many files may be open; None: it is not limited."""
    if sys.platform == "win32":
        return None
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if soft == resource.RLIM_INFINITY else soft


def raise_file_limit() -> None:
    """Allows as many open files as the system lets us.

    Raises:
        OSError, ValueError: it cannot be raised; macOS refuses an unlimited hard limit.
    """
    if sys.platform == "win32":
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def session_capacity() -> int | None:
    """Returns for how many sessions there are files: two for each; None: it is not limited."""
    limit = file_limit()
    return None if limit is None else max(1, (limit - _RESERVED - REFUSED_AT_ONCE) // 2)


def room_for_clients(descriptor: int) -> int:
    """Returns for how many new clients there are descriptors now, one for the backend of each too.

    The last ones are kept: sessions whose backend is lost need them, and clients can wait.

    Args:
        descriptor: an open one. The system takes the lowest free number for its copy, so that all
            numbers below are in use.
    """
    limit = file_limit()
    if limit is None:
        return sys.maxsize
    try:
        lowest = os.dup(descriptor)
    except OSError:
        return 0
    os.close(lowest)
    return max(0, limit - min(_FOR_DIALS, limit // 4) - lowest) // 2
