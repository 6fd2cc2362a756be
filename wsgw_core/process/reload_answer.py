"""How a gateway tells the command that has asked for a reload what came of it.

By a Unix socket that has no file: the command listens at a name made of the gateway's process id,
and the gateway connects to it. Anybody can take such a name, or connect to it. So both look at who
is at the other end, which the kernel tells. Linux only.
"""

from __future__ import annotations

import json
import os
import socket
import struct
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from ..masking import masked_text
from ..one_line import one_line

_LONGEST = 64 * 1024  # bytes, which a socket takes at once
_CREDENTIALS = struct.Struct("3i")  # pid, uid, gid: struct ucred

try:
    _PEER_CREDENTIALS: int | None = socket.SO_PEERCRED
except AttributeError:  # not Linux
    _PEER_CREDENTIALS = None


@dataclass(frozen=True, slots=True)
class ReloadAnswer:
    """What came of a reload.

    Attributes:
        done: whether the configuration is in effect; else nothing was changed.
        lines: for people.
    """

    done: bool
    lines: tuple[str, ...]


def send_answer(answer: ReloadAnswer) -> None:
    """Tell the command that waits for this process; without effect if there is none.

    Called by the gateway. Never blocks.
    """
    if _PEER_CREDENTIALS is None:
        return
    lines: list[str] = []
    for line in map(masked_text, answer.lines):
        if len(_written(answer.done, [*lines, line])) > _LONGEST:
            break
        lines.append(line)
    with suppress(OSError), socket.socket(socket.AF_UNIX) as command:
        command.setblocking(False)
        command.connect(_address(os.getpid()))
        _, uid = _peer(command)
        if uid in (0, os.geteuid()):
            command.sendall(_written(answer.done, lines))


class Expectation:
    """An answer that has not come yet.

    Args:
        pid: of the gateway.
        server_socket: to which it connects; None: it cannot.

    Attributes:
        obstacle: who listens in place of this command, so that the gateway cannot be heard; empty:
            nobody does.
    """

    def __init__(self, pid: int, server_socket: socket.socket | None, obstacle: str = "") -> None:
        self._pid = pid
        self._socket = server_socket
        self.obstacle = obstacle

    @property
    def is_possible(self) -> bool:
        """Whether the gateway can be heard."""
        return self._socket is not None

    def wait(self, seconds: float) -> ReloadAnswer | None:
        """Waits for the answer; None: there is none in that time, or nothing to wait for."""
        deadline = time.monotonic() + seconds
        while self._socket is not None and (left := deadline - time.monotonic()) > 0:
            self._socket.settimeout(left)
            with suppress(OSError, ValueError, LookupError, TypeError):
                gateway, _ = self._socket.accept()
                with gateway:
                    pid, _ = _peer(gateway)
                    if pid == self._pid:
                        return _read(_received(gateway, deadline))
        return None


@contextmanager
def expected_answer(pid: int) -> Iterator[Expectation]:
    """Be there for the answer of a gateway; to be entered before it is asked."""
    if _PEER_CREDENTIALS is None:
        yield Expectation(pid, None)
        return
    with socket.socket(socket.AF_UNIX) as server_socket:
        try:
            server_socket.bind(_address(pid))
            server_socket.listen()
        except OSError:
            yield Expectation(pid, None, _listening(pid))
        else:
            yield Expectation(pid, server_socket)


def _address(pid: int) -> bytes:
    return b"\0wsgw-reload-%d" % pid


def _peer(connection: socket.socket) -> tuple[int, int]:
    """Returns the process and the user at the other end."""
    assert _PEER_CREDENTIALS is not None  # noqa: S101 - for the type checker
    packed = connection.getsockopt(socket.SOL_SOCKET, _PEER_CREDENTIALS, _CREDENTIALS.size)
    pid, uid, _ = _CREDENTIALS.unpack(packed)
    return pid, uid


def _written(done: bool, lines: Iterable[str]) -> bytes:
    return json.dumps({"done": done, "lines": list(lines)}).encode()


def _received(connection: socket.socket, deadline: float) -> bytes:
    """Returns what comes until the end; raises OSError when that is too late or too much."""
    data = b""
    while (left := deadline - time.monotonic()) > 0 and len(data) <= _LONGEST:
        connection.settimeout(left)
        piece = connection.recv(_LONGEST)
        if not piece:
            return data
        data += piece
    raise TimeoutError


def _listening(pid: int) -> str:
    """Returns who listens in place of this command."""
    with suppress(OSError), socket.socket(socket.AF_UNIX) as other:
        other.settimeout(1)
        other.connect(_address(pid))
        process, user = _peer(other)
        return f"process {process} of user {user}"
    return "another process"


def _read(data: bytes) -> ReloadAnswer:
    told = json.loads(data)
    return ReloadAnswer(told["done"], tuple(one_line(str(line)) for line in told["lines"]))
