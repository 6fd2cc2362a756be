"""`wsgw new`: from a name to a plugin that a gateway uses."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
from websockets.asyncio.client import connect

from .command_shop import Shop, only_line
from .conftest import StartGateway
from .server_process import ServerProcess

CONFIG = """
    upstream:
      policy:
        kind: new-policy
        prefix: eu-
      backends:
        - url: new-backend://127.0.0.1:9100
    valves:
      - kind: new-valve
        prefix: "client: "
    listeners:
      - kind: new-listener
        log-after: 5m
    gates:
      - kind: new-gate
        token: correct horse battery staple
"""


def write(shop: Shop, role: str, name: str) -> Path:
    """Write a new plugin beside what the shop has; return its folder."""
    result = shop.run("new", role, name, "--into", str(shop.folder))
    assert result.returncode == 0, result.stderr
    return shop.folder / f"wsgw-{name}"


@pytest.mark.slow
def test_new_plugins_can_be_installed_and_configured(shop: Shop) -> None:
    roles = ("backend", "valve", "listener", "gate", "policy")
    folders = [write(shop, role, f"new-{role}") for role in roles]
    # no access to a registry: the build tools are installed
    options = ("--quiet", "--no-deps", "--no-build-isolation", "--disable-pip-version-check")
    subprocess.run(
        [sys.executable, "-m", "pip", "install", *options, "--target", shop.folder, *folders],
        check=True,
    )

    listed = [line.split() for line in shop.run("plugins").stdout.splitlines()]
    checked = shop.run("check", "-c", shop.config(CONFIG))
    schema = json.loads(shop.run("schema").stdout)

    for role in roles:
        assert [f"new-{role}", f"wsgw-new-{role}", "0.1.0"] in listed
        kinds = [kind.get("title") for kind in schema["$defs"][f"{role}-entry"]["anyOf"]]
        assert f"{role} of kind new-{role}" in kinds
    assert (checked.returncode, checked.stderr) == (0, "")
    assert "prefix: 'client: '" in checked.stdout
    assert "correct horse" not in checked.stdout


async def test_new_backend_plugin_relays_to_an_application(
    shop: Shop, start_gateway: StartGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write(shop, "backend", "parrot")
    monkeypatch.syspath_prepend(folder / "src")
    plugin = importlib.import_module("wsgw_parrot.plugin")
    variables = {"PYTHONPATH": f"{folder}:{folder / 'src'}"}

    with ServerProcess("echo_application", "0", variables=variables) as application:
        await application.start()
        gateway = await start_gateway(f"parrot://127.0.0.1:{application.port}", plugins=[plugin])
        async with connect(gateway.url, proxy=None) as client:
            await client.send("hello")
            await client.send(b"\x00\x01")
            assert [await client.recv(), await client.recv()] == ["hello", b"\x00\x01"]


def test_new_lists_the_written_files_and_the_next_step(shop: Shop) -> None:
    result = shop.run("new", "gate", "door", "--into", str(shop.folder))

    assert result.returncode == 0
    files = {str(path) for path in (shop.folder / "wsgw-door").rglob("*") if path.is_file()}
    assert set(result.stdout.splitlines()) == files
    folder = shop.folder / "wsgw-door"
    assert only_line(result.stderr) == f"Next: cd {folder} && pip install -e '.[dev]' && pytest"


def test_new_warns_of_a_kind_that_is_already_installed(shop: Shop) -> None:
    shop.install("acme", "pigeon")

    result = shop.run("new", "valve", "pigeon", "--into", str(shop.folder))

    assert result.returncode == 0
    assert "WARNING: acme 9.9 already provides 'pigeon'" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("valve", "Rate_Limit"), "did you mean 'rate-limit'?"),
        (("valve", "../outside"), "cannot be a plugin's name"),
        (("valve", ""), "cannot be a plugin's name"),
        (("valve", "core"), "is the gateway itself"),
        (("plug", "mask"), "'plug' is not one of"),
        (("valve",), "Missing argument 'NAME'"),
        (("valve", "mask", "--into", "/nowhere"), "Directory '/nowhere' does not exist"),
    ],
)
def test_invalid_arguments_are_reported_without_a_traceback(
    shop: Shop, arguments: tuple[str, ...], told: str
) -> None:
    result = shop.run("new", *arguments)

    assert (result.returncode, result.stdout) == (2, "")
    assert told in result.stderr
    assert "Traceback" not in result.stderr


def test_second_plugin_of_the_same_name_does_not_change_the_first(shop: Shop) -> None:
    folder = write(shop, "valve", "mask")
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    result = shop.run("new", "gate", "mask", "--into", str(shop.folder))

    assert (result.returncode, result.stdout) == (2, "")
    assert only_line(result.stderr).endswith("is not empty: choose another name or folder")
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
