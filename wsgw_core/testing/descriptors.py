"""Lists the open file descriptors of this process."""

from __future__ import annotations

import os
from pathlib import Path

_FOLDERS = (Path("/proc/self/fd"), Path("/dev/fd"))


def open_descriptors() -> frozenset[str] | None:
    """Returns a line for each open descriptor, or None if the system does not list them."""
    for folder in _FOLDERS:
        if folder.is_dir():
            return frozenset(filter(None, map(_describe, folder.iterdir())))
    return None


def _describe(descriptor: Path) -> str | None:
    try:
        # includes a socket's inode, so that a reused number is noticed
        target = os.readlink(descriptor)  # noqa: PTH115 - a Path would mangle "socket:[1]"
    except FileNotFoundError:
        return None  # the descriptor that listed the folder
    except OSError:
        target = "?"
    return f"{descriptor.name} {target}"
