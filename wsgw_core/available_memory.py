"""The memory that this process may use, and the memory that it uses."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

_CGROUPS = Path("/sys/fs/cgroup")
_MEMBERSHIP = Path("/proc/self/cgroup")
_STATM = "/proc/self/statm"
_PAGE = 4096 if sys.platform == "win32" else os.sysconf("SC_PAGE_SIZE")


def available_memory(cgroups: Path = _CGROUPS, membership: Path = _MEMBERSHIP) -> int | None:
    """Returns the memory of the container or of the machine in bytes; None: unknown.

    Args:
        cgroups: the mount point of Linux control groups.
        membership: the file that names the control groups of this process.
    """
    sizes = [*_cgroup_limits(cgroups, membership), *_machine()]
    return min(sizes, default=None)


def default_memory_bound() -> int | None:
    """Returns the default of `limits.memory`: half of the memory; None: unknown.

    The other half is for the interpreter, for idle sessions, and for kernel buffers, which count
    towards the memory of a container.
    """
    available = available_memory()
    return None if available is None else available // 2


def resident_memory() -> int:
    """Returns the resident memory of this process in bytes; 0: unknown."""
    try:  # called often: `Path` and `open` take several times as long
        file = os.open(_STATM, os.O_RDONLY | os.O_CLOEXEC)
    except (OSError, AttributeError):
        return 0
    try:
        return int(os.read(file, 64).split()[1]) * _PAGE
    finally:
        os.close(file)


def _cgroup_limits(cgroups: Path, membership: Path) -> Iterator[int]:
    """Yields the memory limits of this process in control groups, versions 1 and 2."""
    for folder, name in _memory_groups(cgroups, membership):
        try:
            yield int((folder / name).read_text())
        except (OSError, ValueError):  # no limit
            continue


def _memory_groups(cgroups: Path, membership: Path) -> Iterator[tuple[Path, str]]:
    try:
        lines = membership.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        controllers, _, group = line.partition(":")[2].partition(":")
        if not controllers:
            root, name = cgroups, "memory.max"
        elif "memory" in controllers.split(","):
            root, name = cgroups / "memory", "memory.limit_in_bytes"
        else:
            continue
        # In a container, the group itself may be mounted as the root.
        here = root / group.lstrip("/")
        yield from (
            (folder, name) for folder in (here, *here.parents) if folder.is_relative_to(root)
        )


def _machine() -> Iterator[int]:
    try:
        yield os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return
