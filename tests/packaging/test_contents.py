"""The content of the wheels and sdists."""

from __future__ import annotations

import configparser
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.packaging.conftest import Built, Project


def in_wheel(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def in_sdist(sdist: Path) -> set[str]:
    with tarfile.open(sdist) as archive:
        return {name.partition("/")[2] for name in archive.getnames()}


def top_level(names: set[str]) -> set[str]:
    return {name.partition("/")[0] for name in names}


def package_files(parent: Path, package: str) -> set[str]:
    return {
        path.relative_to(parent).as_posix()
        for path in (parent / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def dist_info(project: Project, built: Built) -> str:
    return f"{project.file_name}-{built.version}.dist-info"


def test_core_wheel_holds_only_its_package(core: Project, built: dict[str, Built]) -> None:
    names = set(in_wheel(built["wsgw-core"].wheel))
    metadata = dist_info(core, built["wsgw-core"])
    assert top_level(names) == {"wsgw_core", metadata}
    assert {name for name in names if name.startswith("wsgw_core/")} == package_files(
        core.folder, "wsgw_core"
    )
    assert {"wsgw_core/py.typed", f"{metadata}/licenses/LICENSE"} <= names


def test_plugin_wheels_hold_only_their_package(
    plugins: list[Project], built: dict[str, Built]
) -> None:
    for plugin in plugins:
        names = set(in_wheel(built[plugin.name].wheel))
        metadata = dist_info(plugin, built[plugin.name])
        assert top_level(names) == {plugin.file_name, metadata}
        assert {name for name in names if name.startswith(f"{plugin.file_name}/")} == package_files(
            plugin.folder / "src", plugin.file_name
        )
        assert {f"{plugin.file_name}/py.typed", f"{metadata}/licenses/LICENSE"} <= names


def test_bundle_wheel_holds_no_code(bundle: Project, built: dict[str, Built]) -> None:
    metadata = dist_info(bundle, built["wsgw"])
    assert set(in_wheel(built["wsgw"].wheel)) == {
        f"{metadata}/METADATA",
        f"{metadata}/RECORD",
        f"{metadata}/WHEEL",
        f"{metadata}/licenses/LICENSE",
    }


def test_core_sdist_holds_no_plugin_test_or_document(
    core: Project, built: dict[str, Built]
) -> None:
    names = in_sdist(built["wsgw-core"].sdist)
    assert top_level(names) <= {
        ".gitignore",
        "CHANGELOG.md",
        "LICENSE",
        "PKG-INFO",
        "README.md",
        "pyproject.toml",
        "wsgw_core",
    }
    assert package_files(core.folder, "wsgw_core") <= names
    assert {"CHANGELOG.md", "LICENSE", "README.md", "pyproject.toml"} <= names


def test_wheels_built_from_sdists_are_the_same(
    projects: list[Project],
    built: dict[str, Built],
    build: Callable[[Path, Path], None],
    tmp_path: Path,
) -> None:
    for project in projects:
        original = built[project.name]
        with tarfile.open(original.sdist) as archive:
            # like the argument `filter`, which Python 3.11 has only since 3.11.4
            archive.extraction_filter = getattr(tarfile, "data_filter", None)
            archive.extractall(tmp_path)  # noqa: S202 - our own archive
        unpacked = tmp_path / original.sdist.name.removesuffix(".tar.gz")
        again = tmp_path / "again"
        build(unpacked, again)
        assert in_wheel(again / original.wheel.name) == in_wheel(original.wheel)


def test_entry_points_name_modules_in_the_wheel(
    projects: list[Project], built: dict[str, Built]
) -> None:
    for project in projects:
        wheel = built[project.name]
        files = in_wheel(wheel.wheel)
        text = files.get(f"{dist_info(project, wheel)}/entry_points.txt", b"").decode()
        parser = configparser.ConfigParser(delimiters=("=",))
        parser.read_string(text)
        for section in parser.sections():
            for name, target in parser[section].items():
                module = target.partition(":")[0].replace(".", "/") + ".py"
                assert module in files, f"{project.name}: {section}: {name} = {target}"


def test_plugins_have_entry_points_for_the_gateway(plugins: list[Project]) -> None:
    for plugin in plugins:
        groups = plugin.pyproject["project"]["entry-points"]
        assert groups, plugin.name
        assert groups.keys() <= {"wsgw", "wsgw.commands"}, plugin.name


def test_license_is_the_same_everywhere(root: Path, projects: list[Project]) -> None:
    text = (root / "LICENSE").read_text("utf-8")
    assert "Apache License" in text
    for project in projects:
        assert (project.folder / "LICENSE").read_text("utf-8") == text
        assert project.pyproject["project"]["license"] == "Apache-2.0"
