"""A drill leaves no files: it removes its own, and those of drills that were killed."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from wsgw_drill.work_folder import work_folder

DRILL = """
from wsgw_drill.work_folder import work_folder

with work_folder() as folder:
    (folder / "0.log").touch()
    print(folder, flush=True)
    input()
"""


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_folder_is_removed_at_the_end(temporary: Path) -> None:
    with work_folder() as folder:
        (folder / "0.log").touch()
        assert folder.parent == temporary
    assert not list(temporary.iterdir())


def test_folder_of_a_killed_drill_is_removed_by_the_next_one(temporary: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", DRILL],
        env={"TMPDIR": str(temporary)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as drill:
        assert drill.stdout is not None
        theirs = Path(drill.stdout.readline().strip())
        with work_folder() as ours:
            assert ours != theirs
        assert (theirs / "0.log").exists()  # in use
        drill.kill()
    assert theirs.exists()
    with work_folder() as ours:
        assert list(temporary.iterdir()) == [ours]


def test_files_and_links_of_this_name_are_left_alone(temporary: Path) -> None:
    target = temporary / "elsewhere"
    target.mkdir()
    (temporary / "wsgw-drill.link").symlink_to(target)
    (temporary / "wsgw-drill.file").touch()
    before = set(temporary.iterdir())
    with work_folder():
        pass
    assert set(temporary.iterdir()) == before
