"""Accepts connections from listening sockets."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import socket
from collections.abc import Callable, Iterable

from ..api import Counter
from ..api.rare_warning import RareWarning
from ..config.address import Address
from ..file_limit import room_for_clients

_AT_ONCE = 64  # connections of one socket in one turn of the loop
_SHORTEST_PAUSE = 0.1  # seconds
_LONGEST_PAUSE = 1.0

# Errors of one connection, which say nothing about the next; Linux passes pending errors of the
# network on (see accept(2)).
_OF_THE_CONNECTION = frozenset(
    getattr(errno, name)
    for name in (
        "ECONNABORTED",
        "EHOSTDOWN",
        "EHOSTUNREACH",
        "EINTR",
        "ENETDOWN",
        "ENETUNREACH",
        "ENONET",
        "ENOPROTOOPT",
        "EOPNOTSUPP",
        "EPERM",
        "EPROTO",
    )
    if hasattr(errno, name)
)


class Acceptor:
    """Accepts clients while there is room; the others wait in the system's queue.

    The event loops' own servers drop such clients (libuv), or log an error for each try (asyncio).

    Args:
        sockets: bound sockets; the acceptor owns them from now on.
        make_protocol: called for each connection.
        room: returns how many more connections are allowed.
        pauses: counts the pauses of accepting.
        logger: logs the reasons for pauses, at most once a minute.
    """

    def __init__(
        self,
        sockets: Iterable[socket.socket],
        make_protocol: Callable[[], asyncio.BaseProtocol],
        room: Callable[[], int],
        pauses: Counter,
        logger: logging.Logger,
    ) -> None:
        self._sockets = tuple(sockets)
        self._make_protocol = make_protocol
        self._room = room
        self._pauses = pauses
        self._loop = asyncio.get_running_loop()
        self._warn = RareWarning(logger)
        self._attaching: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._pause = _SHORTEST_PAUSE

    @property
    def addresses(self) -> tuple[Address, ...]:
        """The addresses, with the port that the system chose; none after `stop`."""
        return tuple(Address(*listening.getsockname()[:2]) for listening in self._sockets)

    def start(self, backlog: int) -> None:
        """Starts to listen; raises OSError.

        Args:
            backlog: the maximum number of connections in each socket's queue.
        """
        for listening in self._sockets:
            listening.setblocking(False)
            listening.listen(backlog)
        self._go_on()

    def stop(self) -> None:
        """Closes the sockets."""
        if self._timer is not None:
            self._timer.cancel()
        self._suspend()
        sockets, self._sockets = self._sockets, ()
        for listening in sockets:
            listening.close()

    async def settle(self) -> None:
        """Waits until the protocol of each accepted connection has its transport."""
        while self._attaching:
            await asyncio.wait(self._attaching)

    def _go_on(self) -> None:
        self._timer = None
        for listening in self._sockets:
            self._loop.add_reader(listening, self._accept, listening)

    def _suspend(self) -> None:
        for listening in self._sockets:
            self._loop.remove_reader(listening)

    def _accept(self, listening: socket.socket) -> None:
        if self._timer is not None or not self._sockets:
            return  # another socket has found no room in the same turn of the loop
        room = self._room()
        descriptors = room_for_clients(listening.fileno())
        if room <= 0:
            self._wait("the session limit is reached, and too many clients wait for their refusal")
        elif descriptors <= 0:
            self._wait(
                "too few free file descriptors; the last ones are reserved for open sessions"
            )
        # A connection gets its transport a turn or two of the loop later; `room` does not count it
        # before.
        for _ in range(min(_AT_ONCE, room - len(self._attaching), descriptors)):
            try:
                accepted, _ = listening.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno not in _OF_THE_CONNECTION:
                    self._wait(os.strerror(error.errno or 0).lower())
                    return
            else:
                self._pause = _SHORTEST_PAUSE
                task = self._loop.create_task(self._attach(accepted))
                self._attaching.add(task)
                task.add_done_callback(self._attaching.discard)

    async def _attach(self, accepted: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._make_protocol, accepted)
        except OSError:  # the client is gone already
            accepted.close()
        except BaseException:
            accepted.close()
            raise

    def _wait(self, reason: str) -> None:
        """Leaves clients in the queue for a pause, which grows until one is accepted."""
        self._pauses.value += 1
        self._warn("accepting is paused: %s", reason)
        self._suspend()
        self._timer = self._loop.call_later(self._pause, self._go_on)
        self._pause = min(2 * self._pause, _LONGEST_PAUSE)
