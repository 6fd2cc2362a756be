"""Writes the files of a new distribution."""

from __future__ import annotations

from pathlib import Path
from string import Template
from typing import Literal, get_args

from .. import __version__
from ..api import API_VERSION, ConfigurationError
from .plugin_name import PluginName

PluginRole = Literal["backend", "valve", "listener", "gate", "policy"]
PLUGIN_ROLES: tuple[PluginRole, ...] = get_args(PluginRole)

_TEMPLATES = Path(__file__).with_name("templates")
_SUFFIX = ".in"


def write_distribution(role: PluginRole, name: PluginName, parent: Path) -> list[Path]:
    """Writes a distribution that passes its own tests, ruff and mypy.

    Args:
        role: the role of the plugin.
        name: its names.
        parent: the parent of the new folder.

    Returns:
        The paths of the files.

    Raises:
        ConfigurationError: the folder is not empty, or cannot be written.
    """
    folder = parent / name.distribution
    files = {folder / path: text for path, text in _filled_in(role, name).items()}
    try:
        if folder.is_dir() and any(folder.iterdir()):
            raise ConfigurationError(f"{folder} is not empty: choose another name or folder")
        for path, text in files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("x", encoding="utf-8", newline="\n") as file:
                file.write(text)
    except OSError as error:
        raise ConfigurationError(f"{folder} cannot be written: {error.strerror}") from error
    return list(files)


def _filled_in(role: PluginRole, name: PluginName) -> dict[Path, str]:
    """Returns the texts of the files by their paths in the distribution."""
    values = {
        "role": role,
        "kind": name.kind,
        "distribution": name.distribution,
        "package": name.package,
        "identifier": name.identifier,
        "api_version": ".".join(map(str, API_VERSION)),
        "core_versions": _core_versions(),
    }
    return {
        Path(
            str(path.relative_to(folder)).replace("PACKAGE", name.package).removesuffix(_SUFFIX)
        ): Template(path.read_text(encoding="utf-8")).substitute(values)
        for folder in (_TEMPLATES / "every", _TEMPLATES / role)
        for path in sorted(folder.rglob(f"*{_SUFFIX}"))
    }


def _core_versions() -> str:
    """Returns the range of core versions that a new plugin accepts."""
    major, minor = map(int, __version__.split(".")[:2])
    return f">={major}.{minor},<{f'0.{minor + 1}' if major == 0 else major + 1}"
