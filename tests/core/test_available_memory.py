"""How much memory a container, or the machine, has."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from wsgw_core.available_memory import available_memory, default_memory_bound, resident_memory

MACHINE = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
MIB = 1024 * 1024


def limit(folder: Path, name: str, text: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)


@pytest.mark.parametrize(
    ("membership", "folder", "name"),
    [
        ("0::/\n", "", "memory.max"),
        ("0::/system.slice/wsgw.service\n", "system.slice/wsgw.service", "memory.max"),
        ("0::/system.slice/wsgw.service\n", "system.slice", "memory.max"),
        ("0::/not/seen/from/here\n", "", "memory.max"),
        ("3:cpu:/\n7:memory:/docker/abc\n", "memory/docker/abc", "memory.limit_in_bytes"),
        ("3:cpu:/\n7:memory,x:/docker/abc\n", "memory", "memory.limit_in_bytes"),
    ],
)
def test_limit_of_a_control_group_counts(
    tmp_path: Path, membership: str, folder: str, name: str
) -> None:
    (tmp_path / "membership").write_text(membership)
    limit(tmp_path / "cgroup" / folder, name, f"{64 * MIB}\n")
    assert available_memory(tmp_path / "cgroup", tmp_path / "membership") == 64 * MIB


def test_the_smallest_limit_counts(tmp_path: Path) -> None:
    (tmp_path / "membership").write_text("0::/a/b\n")
    limit(tmp_path / "a" / "b", "memory.max", "max\n")
    limit(tmp_path / "a", "memory.max", str(32 * MIB))
    limit(tmp_path, "memory.max", str(64 * MIB))
    assert available_memory(tmp_path, tmp_path / "membership") == 32 * MIB


@pytest.mark.parametrize("text", ["", "max", "no number", str(1 << 62)])
def test_without_a_limit_the_machine_counts(tmp_path: Path, text: str) -> None:
    (tmp_path / "membership").write_text("0::/\nnonsense\n")
    limit(tmp_path, "memory.max", text)
    assert available_memory(tmp_path, tmp_path / "membership") == MACHINE
    assert available_memory(tmp_path, tmp_path / "missing") == MACHINE


def test_the_default_bound_is_half_of_what_there_is() -> None:
    available = available_memory()
    assert available is not None
    assert available <= MACHINE
    assert default_memory_bound() == available // 2


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads /proc")
def test_resident_memory_grows_with_what_is_used() -> None:
    before = resident_memory()
    used = b"x" * 32 * MIB
    assert resident_memory() - before > 16 * MIB
    del used
