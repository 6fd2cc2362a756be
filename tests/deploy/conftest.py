"""What the tests of deploy/ share."""

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
    """The instructions of the image's last stage, each with what it is given."""
    text = (deploy / "container" / "Dockerfile").read_text("utf-8").replace("\\\n", " ")
    last: dict[str, list[str]] = {}
    for line in text.splitlines():
        word, _, rest = line.partition(" ")
        if word == "FROM":
            last = {}
        if word.isupper():
            last.setdefault(word, []).append(rest.strip())
    return last
