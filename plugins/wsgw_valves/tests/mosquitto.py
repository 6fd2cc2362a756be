"""A Mosquitto that listens for websockets, in memory only."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from .breaks import ServerProcess

_PROGRAM = shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
# One that listens for websockets only ends, says Mosquitto 2.0.11.
_SETTINGS = """
user root
listener 0 {folder}/socket
listener {port} 127.0.0.1
protocol websockets
allow_anonymous true
log_dest none
"""


def mosquitto(folder: Path, settings: str = "") -> ServerProcess:
    """Return one that is not started; its file of settings is in the folder.

    Args:
        folder: is made.
        settings: further lines.
    """
    if _PROGRAM is None:
        pytest.skip("needs mosquitto")
    folder.mkdir()
    file = folder / "mosquitto.conf"
    server = ServerProcess(_PROGRAM, "-c", str(file))
    file.write_text(_SETTINGS.format(port=server.port, folder=folder) + settings, "utf-8")
    return server
