"""A Mosquitto for websockets, without persistence."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from .breaks import ServerProcess

_PROGRAM = shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
# Mosquitto 2.0.11 exits if it only listens for websockets.
_SETTINGS = """
user root
listener 0 {folder}/socket
listener {port} 127.0.0.1
protocol websockets
allow_anonymous true
log_dest none
"""


def mosquitto(folder: Path, settings: str = "") -> ServerProcess:
    """Returns a process that is not started; its configuration is in the folder.

    Args:
        folder: created if it is missing.
        settings: further lines of the configuration.
    """
    if _PROGRAM is None:
        pytest.skip("needs mosquitto")
    folder.mkdir()
    file = folder / "mosquitto.conf"
    server = ServerProcess(_PROGRAM, "-c", str(file))
    file.write_text(_SETTINGS.format(port=server.port, folder=folder) + settings, "utf-8")
    return server
