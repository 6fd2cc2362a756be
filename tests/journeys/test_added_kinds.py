"""An operator adds a backend of a kind that the configuration has not named."""

from __future__ import annotations

import asyncio
import json
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from websockets.asyncio.client import connect

from wsgw_core.testing.fakes import FakeBackend
from wsgw_core.testing.running_gateway import RunningGateway

from .admin_operator import SUCCESS, Operator
from .conftest import StartAdmin
from .eventually import TIMEOUT, until
from .scripted_backend import ScriptedBackend

# Nothing in here depends on the event loop.
pytestmark = pytest.mark.asyncio(loop_factories=["uvloop"])

Install = Callable[[str], None]
ENTRY = json.dumps({"url": "parrot://cage:1", "id": "parrot"})
PARROT = """
    from wsgw_core.api import Options, hookimpl
    from wsgw_core.testing.fakes import FakeBackend

    WSGW_API = "1.0"
    made = []

    def make(options, context):
        made.append(FakeBackend(context.backend_id, acknowledge=True))
        return made[-1]

    @hookimpl
    def wsgw_register_backends(registry):
        registry.add("parrot", Options, make)
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Return what installs a plugin for the scheme `parrot`, given its source."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def write(source: str) -> None:
        info = tmp_path / "acme_parrot-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-parrot\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text("[wsgw]\nparrot = parrot_plugin\n")
        (tmp_path / "parrot_plugin.py").write_text(textwrap.dedent(source))

    yield write
    sys.modules.pop("parrot_plugin", None)


@pytest.fixture
async def operator(gateway: RunningGateway, start_admin: StartAdmin) -> Operator:
    return await start_admin(gateway)


async def backends(operator: Operator) -> list[str]:
    return [row["id"] for row in await operator.get("/backend/list")]


def parrots() -> list[FakeBackend]:
    made: list[FakeBackend] = sys.modules["parrot_plugin"].made
    return made


async def test_adding_backend_of_new_kind_loads_its_plugin_and_serves(
    gateway: RunningGateway, operator: Operator, backend: ScriptedBackend, install: Install
) -> None:
    assert "no installed plugin" in (await operator.post("/backend/add", data=ENTRY))["reason"]
    install(PARROT)

    assert await operator.post("/backend/add", data=ENTRY) == SUCCESS

    await operator.post(f"/backend/disable/{backend.id}")
    async with connect(gateway.url) as client:
        await client.send("hello")
        [parrot] = parrots()
        connection = await parrot.connection(0)
        assert await connection.until_received(1)
        assert connection.texts == ["hello"]


async def test_clients_are_served_while_the_plugin_is_imported(
    gateway: RunningGateway,
    operator: Operator,
    backend: ScriptedBackend,
    install: Install,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begun, go_on = threading.Event(), threading.Event()
    waiting = SimpleNamespace(begun=begun, go_on=go_on, seconds=TIMEOUT)
    monkeypatch.setitem(sys.modules, "waiting", waiting)
    wait = """
    import waiting
    waiting.begun.set()
    if not waiting.go_on.wait(waiting.seconds):
        raise RuntimeError("everybody waits")
    """
    install(wait + PARROT)
    async with connect(gateway.url) as client, asyncio.TaskGroup() as calls:
        served = await backend.connection()
        adding = [calls.create_task(operator.post("/backend/add", data=ENTRY)) for _ in range(2)]
        await until(begun.is_set)
        await client.send("meanwhile")
        assert await served.recv() == "meanwhile"
        go_on.set()
    answers = [each.result() for each in adding]
    assert SUCCESS in answers
    assert {"result": "failed", "reason": "url already exists"} in answers
    assert await backends(operator) == [backend.id, "parrot"]


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("raise RuntimeError('no feed')", "cannot be imported: RuntimeError: no feed"),
        ("WSGW_API = '9.0'", "is written for version 9.0"),
        (PARROT.replace('"parrot", Opt', '"parakeet", Opt'), "promise 'parrot'"),
    ],
)
async def test_unusable_plugin_is_reported_and_changes_nothing(
    operator: Operator, backend: ScriptedBackend, install: Install, source: str, reason: Any
) -> None:
    install(source)

    answer = await operator.post("/backend/add", data=ENTRY)

    assert answer["result"] == "failed"
    assert reason in answer["reason"]
    assert "upstream" not in answer["reason"]
    assert await backends(operator) == [backend.id]
    again = await operator.post("/backend/add", data=ENTRY)
    assert reason in again["reason"]
