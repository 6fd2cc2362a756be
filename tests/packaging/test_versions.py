"""Versions: each is in one place, and the changelog and the image agree with it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

if TYPE_CHECKING:
    from tests.packaging.conftest import Built, Project

_STATED = re.compile(r'^__version__ = "([^"]+)"$', re.MULTILINE)


def test_version_is_in_one_place(
    core: Project, plugins: list[Project], bundle: Project, built: dict[str, Built]
) -> None:
    for project in (core, *plugins):
        assert project.pyproject["project"]["dynamic"] == ["version"]
        place = project.folder / project.pyproject["tool"]["hatch"]["version"]["path"]
        assert _STATED.findall(place.read_text("utf-8")) == [built[project.name].version]
        others = [path for path in place.parent.rglob("*.py") if path != place]
        assert [path for path in others if _STATED.search(path.read_text("utf-8"))] == []
    assert bundle.pyproject["project"]["version"] == built["wsgw"].version


def test_changelog_starts_with_unreleased_and_dates_the_releases(root: Path) -> None:
    text = (root / "CHANGELOG.md").read_text("utf-8")
    first, *released = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert first == "Unreleased"
    for heading in released:
        assert re.fullmatch(r"\d+\.\d+\.\d+ - \d{4}-\d\d-\d\d", heading)


def test_manifests_name_the_image_of_this_version(root: Path, built: dict[str, Built]) -> None:
    text = (root / "deploy" / "kubernetes" / "deployment.yaml").read_text("utf-8")
    [container] = yaml.safe_load(text)["spec"]["template"]["spec"]["containers"]
    assert container["image"] == f"wsgw:{built['wsgw-core'].version}"
