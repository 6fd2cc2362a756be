"""Sends the result of a reload from the gateway to the command `wsgw reload`.

Uses an abstract Unix socket: the command listens at a name made from the gateway's process id, and
the gateway connects to it. Every process can use such a name, so both ends check the process and
user at the other end, as reported by the kernel. Linux only.
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

_LONGEST = 64 * 1024  # bytes; a socket accepts this without blocking
_CREDENTIALS = struct.Struct("3i")  # pid, uid, gid: struct ucred
_PEER_CREDENTIALS: int | None = getattr(socket, "SO_PEERCRED", None)  # None: not Linux


@dataclass(frozen=True, slots=True)
class ReloadAnswer:
    """The result of a reload.

    Attributes:
        done: whether the new configuration is in effect; otherwise nothing was changed.
        lines: the text for people.
    """

    done: bool
    lines: tuple[str, ...]


def send_answer(answer: ReloadAnswer) -> None:
    """Sends the result to the command that waits for it, if any. Never blocks.

    The gateway calls it.
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


class PendingAnswer:
    """Waits for the result of a reload.

    Args:
        pid: the process id of the gateway.
        server_socket: the socket that the gateway connects to; None: it cannot.

    Attributes:
        obstacle: the process that listens instead of this command; empty: none.
    """

    def __init__(self, pid: int, server_socket: socket.socket | None, obstacle: str = "") -> None:
        self._pid = pid
        self._socket = server_socket
        self.obstacle = obstacle

    @property
    def is_possible(self) -> bool:
        """Whether this command can receive the result."""
        return self._socket is not None

    def wait(self, seconds: float) -> ReloadAnswer | None:
        """Waits for the result; None: it did not arrive in time, or cannot arrive."""
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
def pending_answer(pid: int) -> Iterator[PendingAnswer]:
    """Listens for the result of a reload; enter it before signalling the gateway."""
    if _PEER_CREDENTIALS is None:
        yield PendingAnswer(pid, None)
        return
    with socket.socket(socket.AF_UNIX) as server_socket:
        try:
            server_socket.bind(_address(pid))
            server_socket.listen()
        except OSError:
            yield PendingAnswer(pid, None, _listening(pid))
        else:
            yield PendingAnswer(pid, server_socket)


def _address(pid: int) -> bytes:
    return b"\0wsgw-reload-%d" % pid


def _peer(connection: socket.socket) -> tuple[int, int]:
    """Returns process id and user id of the other end."""
    assert _PEER_CREDENTIALS is not None  # noqa: S101 - for the type checker
    packed = connection.getsockopt(socket.SOL_SOCKET, _PEER_CREDENTIALS, _CREDENTIALS.size)
    pid, uid, _ = _CREDENTIALS.unpack(packed)
    return pid, uid


def _written(done: bool, lines: Iterable[str]) -> bytes:
    return json.dumps({"done": done, "lines": list(lines)}).encode()


def _received(connection: socket.socket, deadline: float) -> bytes:
    """Returns all data until the end; raises OSError if it is too late or too large."""
    data = b""
    while (left := deadline - time.monotonic()) > 0 and len(data) <= _LONGEST:
        connection.settimeout(left)
        piece = connection.recv(_LONGEST)
        if not piece:
            return data
        data += piece
    raise TimeoutError


def _listening(pid: int) -> str:
    """Returns which process listens instead of this command."""
    with suppress(OSError), socket.socket(socket.AF_UNIX) as other:
        other.settimeout(1)
        other.connect(_address(pid))
        process, user = _peer(other)
        return f"process {process} of user {user}"
    return "another process"


def _read(data: bytes) -> ReloadAnswer:
    told = json.loads(data)
    return ReloadAnswer(told["done"], tuple(one_line(str(line)) for line in told["lines"]))
