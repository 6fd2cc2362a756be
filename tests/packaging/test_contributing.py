"""CONTRIBUTING.md names only existing files and make targets."""

from __future__ import annotations

import re
from pathlib import Path


def test_reading_order_names_files_that_exist(root: Path) -> None:
    text = (root / "CONTRIBUTING.md").read_text("utf-8")
    files = re.findall(r"^\d+\. `([^`]+)`", text, re.MULTILINE)
    assert files
    assert [file for file in files if not (root / file).is_file()] == []


def test_make_targets_exist(root: Path) -> None:
    text = (root / "CONTRIBUTING.md").read_text("utf-8")
    makefile = (root / "Makefile").read_text("utf-8")
    targets = set(re.findall(r"^([a-z-]+):.*##", makefile, re.MULTILINE))
    assert set(re.findall(r"`?make ([a-z-]+)", text)) <= targets
