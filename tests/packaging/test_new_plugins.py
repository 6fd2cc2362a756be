"""What `wsgw new` writes passes its own tests, ruff and mypy unchanged."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from wsgw_core.scaffold.distribution import PLUGIN_ROLES, PluginRole, write_distribution
from wsgw_core.scaffold.plugin_name import PluginName

BIN = Path(sys.executable).parent
# Authors of plugins do not have these, and importing them takes longer than the tests.
WITHOUT_OURS = ("-p", "no:schemathesis", "-p", "no:hypothesispytest")
LONGEST = "a123456789-123456789-123456789-123456789"

each_role = pytest.mark.parametrize("role", PLUGIN_ROLES)


def run(folder: Path, command: str, *arguments: str | Path) -> None:
    """Runs a tool as an author does: in the folder, with the configuration found there."""
    result = subprocess.run(
        [BIN / command, *arguments],
        cwd=folder,
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert result.returncode == 0, result.stdout


@pytest.mark.slow
@each_role
def test_new_plugin_passes_its_tests_ruff_and_mypy(
    role: PluginRole,
    tmp_path: Path,
    shared: Callable[[str], AbstractContextManager[Path]],
    cache: pytest.Cache,
) -> None:
    name = PluginName.parse("rate-limit")
    write_distribution(role, name, tmp_path)
    folder = tmp_path / name.distribution

    run(folder, "pytest", "--quiet", *WITHOUT_OURS)
    run(folder, "ruff", "check")
    run(folder, "ruff", "format", "--check")
    # Most of the time goes into other distributions, which stay the same until the next run.
    with shared("mypy"):
        run(folder, "mypy", "--cache-dir", cache.mkdir("mypy"))


@each_role
@pytest.mark.parametrize("kind", ["a", LONGEST])
def test_lines_of_new_plugin_fit_with_any_name(role: PluginRole, kind: str, tmp_path: Path) -> None:
    name = PluginName.parse(kind)
    write_distribution(role, name, tmp_path)
    folder = tmp_path / name.distribution

    run(folder, "ruff", "check")
    run(folder, "ruff", "format", "--diff")


@pytest.mark.parametrize("kind", ["test", "async", "json", "ws"])
def test_new_plugin_named_like_a_module_or_keyword_passes_its_tests(
    kind: str, tmp_path: Path
) -> None:
    name = PluginName.parse(kind)
    write_distribution("valve", name, tmp_path)

    run(tmp_path / name.distribution, "pytest", "--quiet", *WITHOUT_OURS)
