"""The how-to for language servers: an editor works on while they fail."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import yaml
from websockets.asyncio.client import connect

from .breaks import ServerProcess, broken_servers
from .language_client import Editor

RECIPE = yaml.safe_load(Path(__file__).with_name("language_server.yaml").read_text())["valves"]
# pylsp may end after a client has left.
SUPERVISED = ("sh", "-c", f"while :; do {sys.executable} -m pylsp --ws --port {{port}}; done")


@pytest.mark.slow
@pytest.mark.asyncio(loop_factories=["uvloop"])
async def test_editor_works_on_while_language_servers_break() -> None:
    servers = [ServerProcess(*SUPERVISED), ServerProcess(*SUPERVISED)]
    async with broken_servers(servers, *RECIPE) as breaks, connect(breaks.url) as client:
        editor = Editor(client)
        await editor.begin()
        await breaks.all(editor.progress)
        assert editor.doubles == 0
        assert (breaks.failovers, breaks.moves) == (2, 1)
