"""The limit of open files of this process, and the number of sessions that it allows."""

from __future__ import annotations

import os
import sys

if sys.platform != "win32":
    import resource

_RESERVED = 100  # for standard streams, listening sockets, the event loop, health checks, dials
_FOR_DIALS = 50  # of these; at most a quarter of the limit
REFUSED_AT_ONCE = 64
"""Maximum number of connections beyond the session limit that get a refusal at a time."""


def file_limit() -> int | None:
    """Returns the limit of open files; None: no limit."""
    if sys.platform == "win32":
        return None
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if soft == resource.RLIM_INFINITY else soft


def raise_file_limit() -> None:
    """Raises the limit of open files to the hard limit.

    Raises:
        OSError, ValueError: the system refuses; macOS refuses an unlimited hard limit.
    """
    if sys.platform == "win32":
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def session_capacity() -> int | None:
    """Returns the number of sessions that the limit allows, with two files each; None: no limit."""
    limit = file_limit()
    return None if limit is None else max(1, (limit - _RESERVED - REFUSED_AT_ONCE) // 2)


def room_for_clients(descriptor: int) -> int:
    """Returns the number of new clients for which descriptors are free, with two for each.

    The last descriptors are reserved: sessions whose backend is lost need them; clients can wait.

    Args:
        descriptor: an open descriptor. The system uses the lowest free number for a copy, so all
            lower numbers are in use.
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
