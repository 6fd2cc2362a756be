"""Writes the files of a new distribution."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path, PurePosixPath
from string import Template
from typing import Literal, get_args

from .. import __version__
from ..api import API_VERSION, ConfigurationError
from .plugin_name import PluginName

PluginKind = Literal["backend", "valve", "listener", "gate"]
PLUGIN_KINDS: tuple[PluginKind, ...] = get_args(PluginKind)

_TEMPLATE = ".in"


def write_distribution(plugin_kind: PluginKind, name: PluginName, parent: Path) -> list[Path]:
    """Write a distribution that passes its own tests, ruff and mypy.

    Args:
        plugin_kind: which of the four kinds of plugin.
        name: its names.
        parent: where its folder is made.

    Returns:
        The files, in the order in which an author reads them.

    Raises:
        ConfigurationError: the folder exists and is not empty, or cannot be written.
    """
    folder = parent / name.distribution
    values = {
        "kind": name.kind,
        "plugin_kind": plugin_kind,
        "distribution": name.distribution,
        "package": name.package,
        "identifier": name.identifier,
        "prefix": name.class_prefix,
        "api_version": ".".join(map(str, API_VERSION)),
        **_core_range(),
    }
    written = []
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise ConfigurationError(f"{folder} exists already: choose another name or folder")
        for path, text in _files(plugin_kind):
            target = folder / str(path).replace("PACKAGE", name.package)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(Template(text).substitute(values), encoding="utf-8")
            written.append(target)
    except OSError as error:
        raise ConfigurationError(f"{folder} cannot be written: {error.strerror}") from error
    return written


def _core_range() -> dict[str, str]:
    """Return the range of versions of the core that a new plugin accepts."""
    major, minor = (int(part) for part in __version__.split(".")[:2])
    following = f"0.{minor + 1}" if major == 0 else str(major + 1)
    return {"core_from": f"{major}.{minor}", "core_before": following}


def _files(plugin_kind: PluginKind) -> Iterator[tuple[PurePosixPath, str]]:
    templates = files(__package__) / "templates"
    for folder in ("every", plugin_kind):
        yield from _files_in(templates / folder, PurePosixPath())


def _files_in(folder: Traversable, path: PurePosixPath) -> Iterator[tuple[PurePosixPath, str]]:
    for each in sorted(folder.iterdir(), key=lambda entry: (entry.is_dir(), entry.name)):
        if each.is_dir():
            yield from _files_in(each, path / each.name)
        elif each.name.endswith(_TEMPLATE):
            yield path / each.name.removesuffix(_TEMPLATE), each.read_text(encoding="utf-8")
