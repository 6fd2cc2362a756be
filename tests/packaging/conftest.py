"""The repository's distributions, and the files built from them."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

Lend = Callable[[str], AbstractContextManager[Path]]

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Project:
    """The folder of a distribution and the content of its pyproject.toml."""

    folder: Path
    pyproject: dict[str, Any]

    @property
    def name(self) -> str:
        return str(self.pyproject["project"]["name"])

    @property
    def file_name(self) -> str:
        """Returns the name as its built files and its package spell it."""
        return self.name.replace("-", "_")


@dataclass(frozen=True)
class Built:
    """The files built from a distribution."""

    wheel: Path
    sdist: Path

    @property
    def version(self) -> str:
        return self.wheel.name.split("-")[1]


def _read(folder: Path) -> Project:
    return Project(folder, tomllib.loads((folder / "pyproject.toml").read_text("utf-8")))


def _build(folder: Path, target: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-d", target, "-t", "sdist", "-t", "wheel"],
        cwd=folder,
        check=True,
        capture_output=True,
    )


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def core() -> Project:
    return _read(ROOT)


@pytest.fixture(scope="session")
def plugins() -> list[Project]:
    return [_read(path.parent) for path in sorted(ROOT.glob("plugins/*/pyproject.toml"))]


@pytest.fixture(scope="session")
def bundle() -> Project:
    return _read(ROOT / "bundle")


@pytest.fixture(scope="session")
def projects(core: Project, plugins: list[Project], bundle: Project) -> list[Project]:
    return [core, *plugins, bundle]


@pytest.fixture(scope="session")
def examples() -> list[Project]:
    return [_read(path.parent) for path in sorted(ROOT.glob("examples/*/pyproject.toml"))]


@pytest.fixture(scope="session")
def build() -> Callable[[Path, Path], None]:
    """Builds the wheel and the sdist of a folder into another folder."""
    return _build


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Lend:
    """Lends a folder of the whole run to one process at a time; costly content is made once."""
    own = tmp_path_factory.getbasetemp()
    common = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own

    @contextmanager
    def lend(name: str) -> Iterator[Path]:
        folder = common / name
        folder.mkdir(exist_ok=True)
        with (common / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield folder

    return lend


@pytest.fixture(scope="session")
def built(projects: list[Project], shared: Lend) -> dict[str, Built]:
    """Returns all wheels and sdists, by the distribution's name."""
    found = {}
    with shared("dist") as target:
        for project in projects:
            wheel = f"{project.file_name}-*.whl"
            if not any(target.glob(wheel)):
                _build(project.folder, target)
            (built_wheel,) = target.glob(wheel)
            (sdist,) = target.glob(f"{project.file_name}-*.tar.gz")
            found[project.name] = Built(built_wheel, sdist)
    return found
