"""How much memory there is for this process, and how much of it it has."""

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
    """Returns the bytes that the container, or else the machine, has; None: unknown.

    Args:
        cgroups: where the control groups of Linux are mounted.
        membership: the file that names those of this process.
    """
    sizes = [*_cgroup_limits(cgroups, membership), *_machine()]
    return min(sizes, default=None)


def default_memory_bound() -> int | None:
    """Returns the default of `limits.memory`: half of what there is; None: unknown.

    The other half is for the interpreter, for what each session costs when it is idle, and for the
    buffers of the kernel, which a container is charged for.
    """
    available = available_memory()
    return None if available is None else available // 2


def resident_memory() -> int:
    """Returns the bytes of this process that are in memory; 0: the system does not tell."""
    try:  # often: `Path` and `open` would take several times as long
        file = os.open(_STATM, os.O_RDONLY | os.O_CLOEXEC)
    except (OSError, AttributeError):
        return 0
    try:
        return int(os.read(file, 64).split()[1]) * _PAGE
    finally:
        os.close(file)


def _cgroup_limits(cgroups: Path, membership: Path) -> Iterator[int]:
    """Yields the limits of the groups of this process, in versions 1 and 2 of control groups."""
    for folder, name in _memory_groups(cgroups, membership):
        try:
            yield int((folder / name).read_text())
        except (OSError, ValueError):  # there is none, or it says "max"
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
        # A container may not see the path of its group, only the group itself, as the root.
        here = root / group.lstrip("/")
        yield from (
            (folder, name) for folder in (here, *here.parents) if folder.is_relative_to(root)
        )


def _machine() -> Iterator[int]:
    try:
        yield os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return
