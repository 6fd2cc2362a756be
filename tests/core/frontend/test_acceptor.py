"""The acceptor accepts while there is room; other clients wait and are not dropped."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import socket
import sys
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self, cast

import pytest

from wsgw_core.api import Metrics
from wsgw_core.config.address import Address
from wsgw_core.frontend import acceptor
from wsgw_core.frontend.acceptor import Acceptor
from wsgw_core.frontend.frontend_server import bind

TIMEOUT = 60.0


class FailingSocket(socket.socket):
    """A listening socket whose next calls of `accept` fail as scripted."""

    failures: list[int]

    def accept(self) -> tuple[socket.socket, Any]:
        if self.failures:
            code = self.failures.pop(0)
            raise OSError(code, os.strerror(code))
        return super().accept()


class Greeter(asyncio.Protocol):
    """Greets each accepted client."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        bench.when_made()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.bench.accepted.append(cast("asyncio.Transport", transport))
        self.bench.accepted[-1].write(b"hello")


class Bench:
    """An acceptor on the loopback interface; use as an asynchronous context.

    Args:
        room: how many clients there may be.
        failures: of the tries to accept, by number.
        sockets: how many are listened on.
    """

    def __init__(self, room: int = 1000, failures: tuple[int, ...] = (), sockets: int = 1) -> None:
        self.room = room
        self.pauses = Metrics().counter("pauses", "")
        self.accepted: list[asyncio.Transport] = []
        self.listening = []
        for _ in range(sockets):
            (bound,) = bind(Address("127.0.0.1", 0))
            failing = FailingSocket(fileno=bound.detach())
            failing.failures = list(failures)
            self.listening.append(failing)
        self.acceptor = Acceptor(
            self.listening,
            lambda: Greeter(self),
            lambda: self.room - len(self.accepted),
            self.pauses,
            logging.getLogger("wsgw.test"),
        )
        self.clients: list[socket.socket] = []
        self.when_made: Callable[[], object] = lambda: None  # called with each protocol made

    def connect(self, count: int = 1, to: int = 0) -> list[socket.socket]:
        """Connects before the loop runs again: all of them wait in the system's queue."""
        where = self.listening[to].getsockname()
        clients = [socket.create_connection(where, TIMEOUT) for _ in range(count)]
        for client in clients:
            client.setblocking(False)
        self.clients += clients
        return clients

    async def greeted(self, *clients: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        for client in clients:
            async with asyncio.timeout(TIMEOUT):
                assert await loop.sock_recv(client, 5) == b"hello"

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(TIMEOUT):
            while not condition():  # noqa: ASYNC110 - there is no event to wait for
                await asyncio.sleep(0.005)

    async def __aenter__(self) -> Self:
        self.acceptor.start(100)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.acceptor.stop()
        await self.acceptor.settle()
        for transport in self.accepted:
            transport.abort()
        for client in self.clients:
            client.close()
        await asyncio.sleep(0)
        await asyncio.sleep(0)


def is_greeted(client: socket.socket) -> bool:
    try:
        return client.recv(5, socket.MSG_PEEK) == b"hello"
    except BlockingIOError:
        return False


class TestAccepting:
    async def test_many_clients_at_once_are_accepted(self) -> None:
        async with Bench() as bench:
            await bench.greeted(*bench.connect(90))
            assert len(bench.accepted) == 90
            assert bench.pauses.value == 0

    async def test_clients_of_all_sockets_are_accepted(self) -> None:
        async with Bench(sockets=2) as bench:
            assert len(bench.acceptor.addresses) == 2
            await bench.greeted(*bench.connect(3), *bench.connect(3, to=1))

    async def test_accepted_sockets_send_small_writes_at_once(self) -> None:
        async with Bench() as bench:
            await bench.greeted(*bench.connect())
            accepted = bench.accepted[0].get_extra_info("socket")
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)

    @pytest.mark.parametrize("name", ["ECONNABORTED", "EPROTO", "ENETDOWN"])
    async def test_an_error_of_one_connection_does_not_delay_the_next(self, name: str) -> None:
        async with Bench(failures=(getattr(errno, name),) * 3) as bench:
            await bench.greeted(*bench.connect(2))
            assert bench.pauses.value == 0

    async def test_a_client_that_is_gone_already_is_no_error(self) -> None:
        async with Bench() as bench:
            for client in bench.connect(10):
                # closed by a reset
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                client.close()
            await bench.greeted(*bench.connect())


class TestWithoutRoom:
    async def test_clients_without_room_wait_until_others_leave(self) -> None:
        async with Bench(room=2) as bench:
            clients = bench.connect(5)
            await bench.until(lambda: bench.pauses.value >= 2)
            assert len(bench.accepted) == 2
            assert sum(map(is_greeted, clients)) == 2
            bench.room = 5
            await bench.greeted(*clients)

    async def test_without_room_all_sockets_pause(self) -> None:
        async with Bench(room=0, sockets=2) as bench:
            clients = [*bench.connect(2), *bench.connect(2, to=1)]
            await bench.until(lambda: bench.pauses.value >= 2)
            assert not bench.accepted
            bench.room = 4
            await bench.greeted(*clients)

    async def test_pauses_are_logged_once(self, caplog: pytest.LogCaptureFixture) -> None:
        async with Bench(room=0) as bench:
            bench.connect()
            await bench.until(lambda: bench.pauses.value >= 2)
        (line,) = caplog.messages
        assert line.startswith("accepting is paused: the session limit is reached")


class TestWithoutDescriptors:
    @pytest.mark.parametrize("name", ["EMFILE", "ENFILE", "ENOBUFS", "ENOMEM"])
    async def test_accepting_pauses_and_goes_on(
        self, caplog: pytest.LogCaptureFixture, name: str
    ) -> None:
        code = getattr(errno, name)
        async with Bench(failures=(code, code)) as bench:
            await bench.greeted(*bench.connect(3))
            assert bench.pauses.value == 2
        assert caplog.messages == [f"accepting is paused: {os.strerror(code).lower()}"]

    async def test_without_a_free_descriptor_accepting_pauses_before_it_fails(
        self, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        free = 0
        monkeypatch.setattr(acceptor, "room_for_clients", lambda _: free)
        async with Bench() as bench:
            clients = bench.connect(3)
            await bench.until(lambda: bench.pauses.value >= 2)
            assert not bench.accepted
            free = 1
            await bench.greeted(*clients)
        (line,) = caplog.messages
        assert line.startswith("accepting is paused: too few free file descriptors")

    async def test_the_pause_is_short_again_after_one_was_accepted(self) -> None:
        async with Bench(failures=(errno.EMFILE,) * 2) as bench:
            timers = watch_timers()
            await bench.greeted(*bench.connect())
            bench.listening[0].failures = [errno.EMFILE] * 5
            await bench.greeted(*bench.connect())
            assert timers == [0.1, 0.2, 0.1, 0.2, 0.4, 0.8, 1.0]


def watch_timers() -> list[float]:
    """Makes the loop's timers fire at once; returns the list in which they are recorded."""
    loop: Any = asyncio.get_running_loop()
    timers = []
    call_later = loop.call_later

    def call_at_once(
        delay: float, callback: Callable[..., object], *args: Any, **options: Any
    ) -> Any:
        if delay < 2:
            timers.append(delay)
            return call_later(0, callback, *args, **options)
        return call_later(delay, callback, *args, **options)

    loop.call_later = call_at_once
    return timers


class TestStopping:
    async def test_after_stop_no_client_is_accepted_and_earlier_ones_are_served(self) -> None:
        async with Bench() as bench:
            where = bench.listening[0].getsockname()
            bench.when_made = bench.acceptor.stop
            clients = bench.connect(3)
            await bench.until(lambda: not bench.acceptor.addresses)
            await bench.acceptor.settle()
            assert len(bench.accepted) == 3
            await bench.greeted(*clients)
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(where, TIMEOUT)

    async def test_stop_during_a_pause_accepts_no_client(self) -> None:
        async with Bench(room=0) as bench:
            bench.connect()
            await bench.until(lambda: bench.pauses.value)
            bench.acceptor.stop()
            pauses = bench.pauses.value
            bench.room = 1
            await asyncio.sleep(0.3)  # longer than the pause was
            assert bench.pauses.value == pauses
            assert not bench.accepted

    async def test_a_pending_read_event_accepts_no_client_after_stop(self) -> None:
        async with Bench(sockets=2) as bench:
            bench.connect()
            bench.connect(to=1)
            bench.acceptor.stop()
            await asyncio.sleep(0.05)
            assert not bench.accepted

    @pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the port cannot be bound twice")
    async def test_an_address_in_use_is_an_error_and_stopping_closes_the_socket(self) -> None:
        bench = Bench()
        (taken,) = bind(Address(*bench.listening[0].getsockname()))
        async with bench:
            acceptor = Acceptor(
                [taken],
                lambda: Greeter(bench),
                lambda: 1,
                bench.pauses,
                logging.getLogger("wsgw.test"),
            )
            with pytest.raises(OSError, match="in use"):
                acceptor.start(1)
            acceptor.stop()
            assert taken.fileno() == -1
