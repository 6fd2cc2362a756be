"""The `wsgw` command: its help, its lists, and its errors."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from importlib import metadata

import pytest

from wsgw_core.config.wsbalancer_variables import ALL_VARIABLES

from .command_shop import Shop, only_line

COMMANDS = ("run", "reload", "check", "schema", "plugins", "new", "version", "demo", "drill")


@pytest.mark.parametrize("arguments", [(), *[(command,) for command in COMMANDS]])
def test_help_works_with_a_broken_plugin_and_imports_nothing_heavy(
    shop: Shop, arguments: tuple[str, ...]
) -> None:
    shop.install("acme", "fake", "raise RuntimeError('imported')")

    result = shop.run(*arguments, "--help", PYTHONPROFILEIMPORTTIME="1")

    assert result.returncode == 0
    assert result.stdout.startswith("Usage: wsgw ")
    imported = set(re.findall(r"\| +([\w.]+)$", result.stderr, re.MULTILINE))
    assert "wsgw_core.cli.main" in imported
    heavy = {"pydantic", "dynaconf", "rich", "websockets", "uvloop", "pluggy", "asyncio"}
    assert not imported & heavy


def test_version_option_prints_one_line(shop: Shop) -> None:
    result = shop.run("--version")

    assert re.fullmatch(r"wsgw \d+\.\d+\.\d+\S*\n", result.stdout)


def test_help_of_run_lists_wsbalancers_variables_with_type_and_default(shop: Shop) -> None:
    text = " ".join(shop.run("run", "--help").stdout.split())

    for variable in ALL_VARIABLES:
        default = f" [{variable.default}]" if variable.default else ""
        assert f"{variable.name} {variable.type} {variable.meaning}{default}" in text


def test_version_lists_core_python_libraries_and_plugins(shop: Shop) -> None:
    shop.install("acme", "fake", "raise RuntimeError('imported')")

    result = shop.call("version")

    lines = dict(line.split(" ", 1) for line in result.stdout.splitlines())
    assert lines["wsgw-core"] == metadata.version("wsgw-core")
    assert lines["python"] == ".".join(map(str, sys.version_info[:3]))
    assert lines["websockets"] == metadata.version("websockets")
    assert "uvloop" in lines
    assert lines["acme"] == "9.9"


def test_plugins_are_listed_without_importing_them(shop: Shop) -> None:
    shop.install("acme", "fake", "raise RuntimeError('imported')")

    result = shop.call("plugins")

    assert result.returncode == 0
    assert re.search(r"^fake +acme +9\.9$", result.stdout, re.MULTILINE)


def test_plugins_reports_when_none_are_installed(shop: Shop) -> None:
    shop.hide_installed_plugins()

    result = shop.call("plugins")

    assert (result.returncode, result.stdout) == (0, "")
    assert only_line(result.stderr) == "no plugins are installed"


@pytest.mark.parametrize("command", ["run", "check"])
def test_missing_scheme_is_reported_when_no_plugins_are_installed(shop: Shop, command: str) -> None:
    shop.hide_installed_plugins()

    result = shop.run(command, BE_URLS="ws://a:1")

    assert result.returncode == 2
    assert "no installed plugin provides scheme 'ws'" in only_line(result.stderr)


def test_schema_has_options_of_plugins_and_omits_broken_ones(fake: Shop) -> None:
    fake.install("broken", "broken", "raise RuntimeError('out of\\nfeathers')")

    result = fake.call("schema")

    assert result.returncode == 0
    entry = json.loads(result.stdout)["$defs"]["backend-entry"]["anyOf"]
    assert "backend of kind fake" in [kind["title"] for kind in entry]
    assert "out of feathers" in only_line(result.stderr)


def test_broken_plugin_is_reported_with_distribution_and_place(shop: Shop) -> None:
    shop.install("acme", "fake", "raise RuntimeError('out of\\nfeathers')")

    result = shop.call("check", BE_URLS="fake://a:1")

    assert result.returncode == 2
    assert only_line(result.stderr) == (
        "wsgw: BE_URLS: upstream.backends[0].url: plugin acme_module of acme 9.9:"
        " cannot be imported: RuntimeError: out of feathers"
    )


def test_missing_plugin_does_not_hide_a_kind_of_the_wrong_role(fake: Shop) -> None:
    file = fake.folder / "wsgw.yaml"
    file.write_text(
        "upstream: {backends: [{url: 'fake://a:1'}]}\ngates: [{kind: fake}, {kind: pigeon}]\n"
    )

    result = fake.call("check", "-c", str(file))

    assert result.returncode == 2
    assert "gates[0].kind: no plugin registers gate kind 'fake'" in result.stderr
    assert "gates[1].kind: no installed plugin provides kind 'pigeon'" in result.stderr


def test_url_in_wsbalancers_form_causes_a_warning(fake: Shop) -> None:
    result = fake.call("check", BE_URLS="fake:localhost:9090")

    assert result.returncode == 0
    assert "WARNING" in only_line(result.stderr)
    assert "'fake:localhost:9090' as 'fake://localhost:9090'" in result.stderr


def test_unknown_option_is_a_usage_error(shop: Shop) -> None:
    result = shop.call("run", "--port", "1")

    assert result.returncode == 2
    assert "No such option" in result.stderr


@pytest.mark.parametrize("command", ["run", "check"])
def test_file_without_option_is_refused_with_a_hint(shop: Shop, command: str) -> None:
    result = shop.call(command, "wsgw.yaml")

    assert result.returncode == 2
    assert "name the file with -c FILE" in result.stderr


SHOW: list[Callable[[Shop], subprocess.CompletedProcess[str]]] = [
    lambda shop: shop.run("run", "-c", "/nowhere/wsgw.yaml"),
    lambda shop: shop.call("check", "-c", str(shop.folder)),
    lambda shop: shop.call("check", BE_URLS="x", FE_ADDR="y", LOG_LEVEL="z"),
    lambda shop: shop.run("run"),
]


@pytest.mark.parametrize("run", SHOW)
def test_operator_mistakes_show_no_traceback(
    shop: Shop, run: Callable[[Shop], subprocess.CompletedProcess[str]]
) -> None:
    result = run(shop)

    assert result.returncode == 2
    assert result.stderr
    assert all(line.startswith("wsgw: ") for line in result.stderr.splitlines())
