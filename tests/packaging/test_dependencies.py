"""Dependencies: the bundle needs plugins, plugins need the core, and never the reverse."""

from __future__ import annotations

import ast
import re
import sys
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import TYPE_CHECKING, Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

if TYPE_CHECKING:
    from tests.packaging.conftest import Built, Project


def runtime(project: Project) -> dict[str, Requirement]:
    found = map(Requirement, project.pyproject["project"].get("dependencies", []))
    return {canonicalize_name(requirement.name): requirement for requirement in found}


def extras(project: Project) -> list[Requirement]:
    groups: dict[str, list[str]] = project.pyproject["project"].get("optional-dependencies", {})
    return [Requirement(text) for group in groups.values() for text in group]


def everything_required(project: Project) -> set[str]:
    names = {canonicalize_name(requirement.name) for requirement in extras(project)}
    return names | set(runtime(project))


def strings(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for pair in value.items() for part in pair for text in strings(part)]
    if isinstance(value, list):
        return [text for part in value for text in strings(part)]
    return [str(value)]


def imported_packages(folder: Path, *, leave_out: str = "") -> set[str]:
    """Returns the top-level names of all imports in a package's modules, at any depth."""
    found = set()
    for path in folder.rglob("*.py"):
        if leave_out in path.relative_to(folder).parts:
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
                found.add(node.module.partition(".")[0])
    return found - set(sys.stdlib_module_names)


def distributions_of(packages: set[str], projects: list[Project]) -> set[str]:
    """Returns the distributions of these packages; metadata lists no packages of editable ones."""
    known = dict(packages_distributions()) | {
        project.file_name: [project.name] for project in projects
    }
    return {canonicalize_name(known[package][0]) for package in packages}


def test_core_names_no_plugin(core: Project, plugins: list[Project], bundle: Project) -> None:
    assert not everything_required(core) & {project.name for project in [*plugins, bundle]}
    metadata = strings(core.pyproject["project"])
    for plugin in plugins:
        assert not [
            text for text in metadata if re.search(f"{plugin.name}|{plugin.file_name}", text)
        ]


def test_plugins_need_the_core_and_no_other_plugin(
    plugins: list[Project], projects: list[Project]
) -> None:
    ours = {project.name for project in projects}
    for plugin in plugins:
        assert everything_required(plugin) & ours == {"wsgw-core"}


def test_bundle_needs_the_core_and_plugins(
    core: Project, plugins: list[Project], bundle: Project
) -> None:
    assert {"wsgw-core", "wsgw-drill", "wsgw-ws"} <= set(runtime(bundle))
    assert everything_required(bundle) <= {core.name, *(plugin.name for plugin in plugins)}


def test_ranges_of_our_distributions_have_both_ends_and_include_current_version(
    projects: list[Project], built: dict[str, Built]
) -> None:
    for project in projects:
        for requirement in [*runtime(project).values(), *extras(project)]:
            if requirement.name not in built:
                continue
            operators = {specifier.operator for specifier in requirement.specifier}
            assert operators == {">=", "<"}, f"{project.name}: {requirement}"
            assert built[requirement.name].version in requirement.specifier


def test_core_declares_exactly_what_it_imports(core: Project, projects: list[Project]) -> None:
    imported = imported_packages(core.folder / "wsgw_core", leave_out="testing") - {"wsgw_core"}
    assert distributions_of(imported, projects) == set(runtime(core))


def test_plugins_declare_exactly_what_they_import(
    plugins: list[Project], projects: list[Project]
) -> None:
    for plugin in plugins:
        imported = imported_packages(plugin.folder / "src" / plugin.file_name)
        assert distributions_of(imported - {plugin.file_name}, projects) == set(runtime(plugin))


def test_build_backend_has_the_same_pin_everywhere(
    projects: list[Project], examples: list[Project]
) -> None:
    assert {str(project.pyproject["build-system"]) for project in [*projects, *examples]} == {
        str({"requires": ["hatchling>=1.27,<2"], "build-backend": "hatchling.build"})
    }


def test_constraints_pin_requirements_within_their_ranges(
    root: Path, projects: list[Project]
) -> None:
    lines = (root / "constraints.txt").read_text("utf-8").splitlines()
    pinned = dict(line.split("==") for line in lines if line and not line.startswith("#"))
    versions = {canonicalize_name(name): version for name, version in pinned.items()}
    ours = {project.name for project in projects}
    for project in projects:
        for requirement in [*runtime(project).values(), *extras(project)]:
            name = canonicalize_name(requirement.name)
            if name not in ours:
                assert versions[name] in requirement.specifier, f"{project.name}: {requirement}"


def test_shared_requirements_have_the_same_range(projects: list[Project]) -> None:
    ranges: dict[str, set[str]] = {}
    for project in projects:
        for name, requirement in runtime(project).items():
            ranges.setdefault(name, set()).add(str(requirement.specifier))
    assert {name: found for name, found in ranges.items() if len(found) > 1} == {}
