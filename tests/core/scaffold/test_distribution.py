"""The files of a new distribution."""

from __future__ import annotations

import errno
import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from wsgw_core import __version__
from wsgw_core.api import API_VERSION, ConfigurationError, Metrics
from wsgw_core.metrics.counters import GatewayCounters
from wsgw_core.metrics.families import FAMILIES
from wsgw_core.scaffold import distribution
from wsgw_core.scaffold.distribution import PLUGIN_ROLES, PluginRole, write_distribution
from wsgw_core.scaffold.plugin_name import PluginName

NAME = PluginName("rate-limit")
each_role = pytest.mark.parametrize("role", PLUGIN_ROLES)


@each_role
def test_nothing_but_the_new_folder_is_written(role: PluginRole, tmp_path: Path) -> None:
    written = write_distribution(role, NAME, tmp_path)

    assert [path.name for path in tmp_path.iterdir()] == ["wsgw-rate-limit"]
    assert sorted(written) == sorted(path for path in tmp_path.rglob("*") if path.is_file())


@each_role
def test_a_distribution_has_its_parts(role: PluginRole, tmp_path: Path) -> None:
    folder = tmp_path / NAME.distribution
    written = {str(path.relative_to(folder)) for path in write_distribution(role, NAME, tmp_path)}

    package = "src/wsgw_rate_limit"
    modules = {f"{package}/{name}.py" for name in ("__init__", "plugin", "settings", role)}
    assert written >= {"pyproject.toml", "README.md", ".gitignore", f"{package}/py.typed", *modules}
    assert [path for path in written if path.startswith("tests/test_")]


@each_role
def test_the_metadata_names_the_plugin_and_the_versions_it_fits(
    role: PluginRole, tmp_path: Path
) -> None:
    write_distribution(role, NAME, tmp_path)

    folder = tmp_path / NAME.distribution
    project = tomllib.loads((folder / "pyproject.toml").read_text("utf-8"))["project"]
    assert project["name"] == "wsgw-rate-limit"
    assert project["entry-points"]["wsgw"] == {"rate-limit": "wsgw_rate_limit.plugin"}
    [core] = map(Requirement, project["dependencies"])
    assert core.name == "wsgw-core"
    assert core.specifier.contains(__version__)
    assert not core.specifier.contains("1.0" if __version__.startswith("0.") else "99.0")
    plugin = (folder / "src" / "wsgw_rate_limit" / "plugin.py").read_text("utf-8")
    assert 'WSGW_API = "{}.{}"'.format(*API_VERSION) in plugin


@pytest.mark.parametrize(
    ("version", "accepted"),
    [("0.1.0", ">=0.1,<0.2"), ("0.9.3.dev4", ">=0.9,<0.10"), ("2.7.1", ">=2.7,<3")],
)
def test_versions_of_the_core_are_accepted_until_one_may_break_the_plugin(
    version: str, accepted: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(distribution, "__version__", version)
    write_distribution("gate", NAME, tmp_path)
    text = (tmp_path / NAME.distribution / "pyproject.toml").read_text("utf-8")
    assert f'"wsgw-core{accepted}"' in text


@each_role
def test_readmes_list_the_files_that_are_there(role: PluginRole, tmp_path: Path) -> None:
    write_distribution(role, NAME, tmp_path)
    folder = tmp_path / NAME.distribution
    readme = (folder / "README.md").read_text("utf-8")
    listed = re.findall(r"^\| `([\w/]+\.py)` \|", readme, re.MULTILINE)
    there = [str(path.relative_to(folder)) for path in folder.rglob("*.py")]
    assert sorted(listed) == sorted(path for path in there if "__init__" not in path)


def test_no_metric_of_a_template_can_have_the_name_of_one_of_the_gateway(tmp_path: Path) -> None:
    ours = Metrics()
    GatewayCounters(ours)
    taken = [family.name for family in (*FAMILIES, *ours)]
    found = set()
    for role in PLUGIN_ROLES:
        for path in write_distribution(role, PluginName(role), tmp_path):
            found |= set(re.findall(r'\.(?:counter|gauge|histogram)\("(\w+)"', path.read_text()))
    assert found
    assert [name for name in taken for own in found if name.endswith(f"_{own}")] == []


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    (tmp_path / NAME.distribution).mkdir()
    assert write_distribution("valve", NAME, tmp_path)


def test_folder_with_files_is_left_unchanged(tmp_path: Path) -> None:
    folder = tmp_path / NAME.distribution
    folder.mkdir()
    (folder / ".hidden").touch()

    with pytest.raises(ConfigurationError, match="is not empty: choose another name or folder"):
        write_distribution("valve", NAME, tmp_path)

    assert [path.name for path in folder.iterdir()] == [".hidden"]


def test_file_instead_of_the_folder_is_left_unchanged(tmp_path: Path) -> None:
    (tmp_path / NAME.distribution).write_text("mine")

    with pytest.raises(ConfigurationError, match=r"wsgw-rate-limit cannot be written: \w+"):
        write_distribution("valve", NAME, tmp_path)

    assert (tmp_path / NAME.distribution).read_text() == "mine"


def test_unwritable_folder_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, **_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(ConfigurationError, match="cannot be written: Permission denied"):
        write_distribution("valve", NAME, tmp_path)
