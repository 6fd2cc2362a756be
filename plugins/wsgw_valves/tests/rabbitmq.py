"""A RabbitMQ node of one's own that speaks MQTT over websockets."""

from __future__ import annotations

import os
import secrets
import shutil
from pathlib import Path

import pytest

from .breaks import ServerProcess, free_port

PATH = "/ws"  # the only one that it serves
_PATIENCE = 300.0  # seconds until it serves, on a busy machine
# The packages' wrapper in /usr/sbin changes the user, who cannot write to the folder.
_PROGRAM = shutil.which("rabbitmq-server", path="/usr/lib/rabbitmq/bin:/usr/local/sbin")
_SETTINGS = """\
listeners.tcp = none
mqtt.listeners.tcp = none
web_mqtt.tcp.ip = 127.0.0.1
web_mqtt.tcp.port = {port}
log.console = false
disk_free_limit.absolute = 1MB
"""


def rabbitmq(folder: Path) -> ServerProcess:
    """Return one that is not started.

    Args:
        folder: for all its files.
    """
    if _PROGRAM is None:
        pytest.skip("needs rabbitmq-server")
    server = ServerProcess(
        _PROGRAM,
        variables={
            "PATH": f"{Path(_PROGRAM).parent}:{os.environ['PATH']}",
            "HOME": str(folder),  # of the cookie
            "RABBITMQ_NODENAME": f"wsgw-{secrets.token_hex(4)}@localhost",
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_MNESIA_BASE": f"{folder}/data",
            "RABBITMQ_LOG_BASE": str(folder),
            "RABBITMQ_CONFIG_FILE": f"{folder}/rabbitmq.conf",
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{folder}/plugins",
            "RABBITMQ_PID_FILE": f"{folder}/pid",
            "RABBITMQ_CONF_ENV_FILE": os.devnull,
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 2:2 +sbwt none",
            "ERL_CRASH_DUMP": f"{folder}/erl_crash.dump",
        },
        patience=_PATIENCE,
    )
    (folder / "rabbitmq.conf").write_text(_SETTINGS.format(port=server.port), "utf-8")
    (folder / "plugins").write_text("[rabbitmq_web_mqtt].\n", "utf-8")
    return server
