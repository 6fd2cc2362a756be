"""Fixtures shared by the tests of deploy/."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def root() -> Path:
    return Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def deploy(root: Path) -> Path:
    return root / "deploy"


@pytest.fixture(scope="session")
def instructions(deploy: Path) -> dict[str, list[str]]:
    """Returns the instructions of the image's last stage, each with its arguments."""
    text = (deploy / "container" / "Dockerfile").read_text("utf-8").replace("\\\n", " ")
    last: dict[str, list[str]] = {}
    for line in text.splitlines():
        word, _, rest = line.partition(" ")
        if word == "FROM":
            last = {}
        if word.isupper():
            last.setdefault(word, []).append(rest.strip())
    return last
