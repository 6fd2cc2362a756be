"""Layers that import-linter does not check: the tests, and that contracts cover every plugin."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.packaging.conftest import Project


def imports(path: Path) -> Iterator[str]:
    """Yields the full names of the modules that a file imports absolutely."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            if node.module == "wsgw_core":
                yield from (f"wsgw_core.{alias.name}" for alias in node.names)
            else:
                yield node.module


def test_plugin_tests_import_only_public_modules(core: Project, plugins: list[Project]) -> None:
    allowed = {"wsgw_core.api", "wsgw_core.testing", "wsgw_core.websocket"}
    for plugin in plugins:
        also = core_modules_for(core, plugin) if plugin.file_name == "wsgw_drill" else set()
        for path in (plugin.folder / "tests").rglob("*.py"):
            used = [name.split(".") for name in imports(path)]
            found = {".".join(name[:2]) for name in used if name[0] == "wsgw_core"}
            assert found <= allowed | also, path


def core_modules_for(core: Project, plugin: Project) -> set[str]:
    """Returns the modules of the core that a plugin's import contract allows."""
    contracts = core.pyproject["tool"]["importlinter"]["contracts"]
    (contract,) = [c for c in contracts if c.get("source_modules") == [plugin.file_name]]
    modules = [line.partition(" -> ")[2] for line in contract["ignore_imports"]]
    return {".".join(module.split(".")[:2]) for module in modules}


def test_core_tests_need_no_plugin(root: Path, plugins: list[Project]) -> None:
    packages = {plugin.file_name for plugin in plugins}
    for path in (root / "tests" / "core").rglob("*.py"):
        assert not {name.split(".")[0] for name in imports(path)} & packages, path


def test_core_sources_name_no_plugin_package(root: Path, plugins: list[Project]) -> None:
    for path in (root / "wsgw_core").rglob("*.py"):
        text = path.read_text("utf-8")
        for plugin in plugins:
            assert plugin.file_name not in text, path
            assert plugin.name not in text, path


def test_import_contracts_cover_every_plugin(core: Project, plugins: list[Project]) -> None:
    linter = core.pyproject["tool"]["importlinter"]
    packages = [plugin.file_name for plugin in plugins]
    assert linter["root_packages"] == ["wsgw_core", *packages]
    from_core = next(c for c in linter["contracts"] if c.get("source_modules") == ["wsgw_core"])
    assert from_core["forbidden_modules"] == packages
    for package in packages:
        (contract,) = [c for c in linter["contracts"] if c.get("source_modules") == [package]]
        assert contract["forbidden_modules"] == ["wsgw_core"]
