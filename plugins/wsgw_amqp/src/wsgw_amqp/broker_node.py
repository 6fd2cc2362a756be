"""A RabbitMQ node for drills and tests, which can kill it and start it again."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

_TIMEOUT = 300.0  # seconds to start on a busy machine; a node that dies fails at once
_SCRIPTS = "/usr/lib/rabbitmq/bin:/usr/local/sbin:/usr/sbin:/opt/homebrew/sbin"
_PROTOCOL_HEADER = b"AMQP\x00\x00\x09\x01"
_METHOD_FRAME = b"\x01"
# When this process ends, the system closes the shell's stdin, and the shell kills the node. When
# the node ends, the shell ends too.
_WITH_PARENT = '{ "$@"; kill -KILL $$; } & cat > /dev/null; kill -KILL 0'
_SETTINGS = """\
listeners.tcp.default = 127.0.0.1:{port}
log.file = node.log
log.file.level = warning
disk_free_limit.absolute = 1MB
"""
# SO_REUSEPORT: the drill keeps the port open for the node.
_LISTEN_OPTIONS = (
    "[{rabbit, [{tcp_listen_options, [{backlog, 128}, {nodelay, true},"
    " {linger, {true, 0}}, {exit_on_close, false},"
    f" {{raw, {socket.SOL_SOCKET}, {socket.SO_REUSEPORT}, <<1:32/native>>}}]}}]}}].\n"
)


class NodeError(Exception):
    """RabbitMQ is not installed, or does not start."""


class BrokerNode:
    """One node on this machine; its durable queues survive a kill.

    Args:
        folder: for all its files; created if it is missing.
        port: to listen on; 0: any free port.
        settings: lines for its configuration file.
        plugins: RabbitMQ plugins to enable.
        own_group: whether its processes have their own group, which `kill` and `freeze` need.
    """

    def __init__(
        self,
        folder: Path,
        port: int = 0,
        settings: str = "",
        plugins: tuple[str, ...] = (),
        *,
        own_group: bool = True,
    ) -> None:
        self.port = port or free_port()
        self._folder = folder
        self._settings = settings
        self._plugins = plugins
        self._own_group = own_group
        # A node finds its data by its name.
        self._name = f"wsgw-{self.port}-{secrets.token_hex(4)}@localhost"
        self._shell: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The URL for clients."""
        return f"amqp://guest:guest@127.0.0.1:{self.port}"

    def start(self) -> None:
        """Starts the node, also after a kill, and waits until it answers.

        Raises:
            NodeError: it does not start.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        self._keep_name()
        (self._folder / "rabbitmq.conf").write_text(
            _SETTINGS.format(port=self.port) + self._settings
        )
        (self._folder / "advanced.config").write_text(_LISTEN_OPTIONS)
        (self._folder / "plugins").write_text(f"[{','.join(self._plugins)}].\n")
        self._shell = subprocess.Popen(  # noqa: S603 - our own command
            ["/bin/sh", "-c", _WITH_PARENT, "sh", _script("rabbitmq-server")],
            env=self._environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            process_group=0 if self._own_group else None,
        )
        until = time.monotonic() + _TIMEOUT
        while not serves_amqp("127.0.0.1", self.port):
            if time.monotonic() > until or self._shell.poll() is not None:
                raise NodeError(f"RabbitMQ does not start; see {self._folder}")
            time.sleep(0.05)

    def kill(self) -> None:
        """Kills the node, like a crash; without effect if it does not run."""
        shell, self._shell = self._shell, None
        if shell is not None:
            os.killpg(shell.pid, signal.SIGKILL)
            assert shell.stdin is not None  # noqa: S101 - for the type checker
            shell.stdin.close()
            shell.wait()
            while serves_amqp("127.0.0.1", self.port):
                time.sleep(0.01)

    def freeze(self) -> None:
        """Freezes the node: it neither reads nor writes."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Ends a freeze."""
        self._signal(signal.SIGCONT)

    def evaluate(self, expression: str) -> str:
        """Evaluates an Erlang expression on the node and returns its value.

        `rabbitmqctl eval` does the same but takes seconds.

        Raises:
            NodeError: the expression fails.
        """
        # A unique name: the node does not talk to two callers of the same name at once.
        own_name = f"call{secrets.token_hex(4)}"
        command = (_erl_call(), "-h", own_name, "-sname", self._name, "-c", self._cookie(), "-e")
        result = subprocess.run(  # noqa: S603 - our own command
            command,
            input=f"{expression}.\n",
            env=self._environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=_TIMEOUT,
        )
        if result.returncode or not result.stdout.startswith("{ok"):
            raise NodeError(f"{expression}: {result.stdout}{result.stderr}")
        return result.stdout

    def _keep_name(self) -> None:
        """Uses the node name of an earlier run, which its data has."""
        file = self._folder / "name"
        if file.exists():
            self._name = file.read_text()
        else:
            file.write_text(self._name)

    def _signal(self, number: int) -> None:
        if self._shell is not None:
            os.killpg(self._shell.pid, number)

    def _cookie(self) -> str:
        return (self._folder / ".erlang.cookie").read_text()

    def _environment(self) -> dict[str, str]:
        folder = str(self._folder)
        return {
            "PATH": f"{os.environ.get('PATH', os.defpath)}:{_SCRIPTS}",
            "HOME": folder,  # for the cookie
            "LANG": "C.UTF-8",
            "RABBITMQ_NODENAME": self._name,
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_MNESIA_BASE": f"{folder}/data",
            "RABBITMQ_LOG_BASE": folder,
            "RABBITMQ_CONFIG_FILE": f"{folder}/rabbitmq.conf",
            "RABBITMQ_ADVANCED_CONFIG_FILE": f"{folder}/advanced.config",
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{folder}/plugins",
            "RABBITMQ_PID_FILE": f"{folder}/pid",
            "ERL_CRASH_DUMP": f"{folder}/erl_crash.dump",
            "RABBITMQ_CONF_ENV_FILE": os.devnull,
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 2:2 +sbwt none",
        }


def serves_amqp(host: str, port: int) -> bool:
    """Returns whether a broker answers at an address."""
    try:
        with socket.create_connection((host, port), timeout=5) as probe:
            probe.sendall(_PROTOCOL_HEADER)
            return probe.recv(1) == _METHOD_FRAME
    except OSError:
        return False


def free_port() -> int:
    """Returns a free port below those that systems assign to outgoing connections."""
    while True:
        port = 20_000 + secrets.randbelow(12_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def _script(name: str) -> str:
    # Prefer these to the wrappers in /usr/sbin, which change the user.
    found = shutil.which(name, path=_SCRIPTS) or shutil.which(name)
    if found is None:
        raise NodeError(f"{name} is not installed")
    return found


def _erl_call() -> str:
    for folder in ("/usr/lib/erlang/bin", "/usr/local/lib/erlang/bin"):
        if (file := Path(folder) / "erl_call").exists():
            return str(file)
    raise NodeError("erl_call of Erlang is not installed")
