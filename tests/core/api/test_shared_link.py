"""One link to a broker for all sessions."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

import pytest

from wsgw_core.api import (
    BackendDeclined,
    BackendUnavailable,
    Close,
    CloseCause,
    OutOfResources,
    SharedLink,
)
from wsgw_core.testing.virtual_clock import idle, on_virtual_clock

from .windowed_broker import Broker, BrokerSession, MemoryConnection


class Wire:
    """A link."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.is_open = True


class Dialler:
    """Dials wires, each after a second, and hangs up."""

    def __init__(self) -> None:
        self.broker = Broker()
        self.wires: list[Wire] = []
        self.dials = 0
        self.cancelled = 0
        self.seconds = 1.0
        self.hang_up_seconds = 0.0
        self.error: Exception | None = None
        self.before_the_end: Callable[[Wire], object] = lambda _wire: None
        self.link = SharedLink[Wire, MemoryConnection](
            self.broker.context, self._dial, self._hang_up, timeout=5
        )

    async def _dial(self) -> Wire:
        self.dials += 1
        try:
            await asyncio.sleep(self.seconds)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.error is not None:
            raise self.error
        wire = Wire(self.dials)
        self.wires.append(wire)
        self.before_the_end(wire)
        return wire

    async def _hang_up(self, wire: Wire) -> None:
        await asyncio.sleep(self.hang_up_seconds)
        wire.is_open = False

    async def session(self, session_id: str = "s1", *, start: bool = True) -> BrokerSession:
        """Connects a session as a backend does."""
        wire = await self.link.get()
        connection = self.broker.connection(session_id)
        self.link.add(wire, connection)
        session = BrokerSession(self.broker, connection)
        if start:
            session.watched.start()
        return session


class TestGet:
    @staticmethod
    @on_virtual_clock
    async def test_all_callers_share_one_dial() -> None:
        dialler = Dialler()
        wires = await asyncio.gather(*(dialler.link.get() for _ in range(100)))
        assert set(wires) == {dialler.wires[0]}
        assert dialler.dials == 1
        assert await dialler.link.get() is dialler.link.current is wires[0]

    @staticmethod
    @on_virtual_clock
    async def test_the_dial_goes_on_when_its_callers_are_cancelled() -> None:
        dialler = Dialler()
        first, second = (asyncio.create_task(dialler.link.get()) for _ in range(2))
        await asyncio.sleep(0.5)
        first.cancel()
        assert await second is dialler.wires[0]
        assert first.cancelled()
        assert dialler.cancelled == 0

    @staticmethod
    @on_virtual_clock
    async def test_a_link_without_callers_serves_the_next_one() -> None:
        dialler = Dialler()
        only = asyncio.create_task(dialler.link.get())
        await asyncio.sleep(0.5)
        only.cancel()
        await asyncio.sleep(1)
        assert await dialler.link.get() is dialler.wires[0]
        assert dialler.dials == 1

    @staticmethod
    @on_virtual_clock
    async def test_a_dial_times_out() -> None:
        dialler = Dialler()
        dialler.seconds = 60
        waiting = [asyncio.create_task(dialler.link.get()) for _ in range(3)]
        results = await asyncio.gather(*waiting, return_exceptions=True)
        assert [str(each) for each in results] == ["no link within 5 s"] * 3
        assert dialler.cancelled == 1
        dialler.seconds = 1
        assert await dialler.link.get() is dialler.wires[0]

    @staticmethod
    @on_virtual_clock
    async def test_each_caller_gets_the_error_of_the_dial() -> None:
        dialler = Dialler()
        dialler.error = BackendUnavailable("too busy", retry_after=7)
        waiting = [asyncio.create_task(dialler.link.get()) for _ in range(3)]
        results = await asyncio.gather(*waiting, return_exceptions=True)
        assert len({id(each) for each in results}) == 3
        for each in results:
            assert isinstance(each, BackendUnavailable)
            assert (each.reason, each.retry_after) == ("too busy", 7)

    @staticmethod
    @pytest.mark.parametrize(
        ("error", "expected"),
        [
            (ConnectionRefusedError(111, "refused"), BackendUnavailable),
            (OSError(24, "too many open files"), OutOfResources),
        ],
    )
    @on_virtual_clock
    async def test_an_error_of_the_system_makes_the_backend_unavailable(
        error: Exception, expected: type[Exception]
    ) -> None:
        dialler = Dialler()
        dialler.error = error
        with pytest.raises(expected) as raised:
            await dialler.link.get()
        assert type(raised.value) is expected or expected is BackendUnavailable
        assert dialler.link.current is None

    @staticmethod
    @pytest.mark.parametrize("error", [ValueError("a fault"), BackendDeclined(404)])
    @on_virtual_clock
    async def test_an_unexpected_error_is_logged_once_and_makes_the_backend_unavailable(
        error: Exception, caplog: pytest.LogCaptureFixture
    ) -> None:
        dialler = Dialler()
        dialler.error = error
        waiting = [asyncio.create_task(dialler.link.get()) for _ in range(3)]
        results = await asyncio.gather(*waiting, return_exceptions=True)
        assert {type(each) for each in results} == {BackendUnavailable}
        assert str(results[0]) == f"its plugin raised {type(error).__name__}"
        [fault] = [each for each in caplog.records if each.levelname == "ERROR"]
        assert fault.exc_info is not None
        assert fault.exc_info[1] is error
        assert dialler.link.current is None

    @staticmethod
    @on_virtual_clock
    async def test_a_failed_dial_without_callers_is_no_unhandled_error() -> None:
        dialler = Dialler()
        dialler.error = BackendUnavailable("nobody there")
        only = asyncio.create_task(dialler.link.get())
        await asyncio.sleep(0.5)
        only.cancel()
        unhandled: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, each: unhandled.append(each))
        await asyncio.sleep(1)
        del only
        assert unhandled == []
        assert dialler.link.current is None


class TestLost:
    @staticmethod
    @on_virtual_clock
    async def test_a_loss_ends_all_connections_in_one_turn() -> None:
        dialler = Dialler()
        sessions = [await dialler.session(str(number)) for number in range(50)]
        dialler.link.lost(dialler.wires[0], "broker lost")
        assert all(session.end() is None for session in sessions)
        await asyncio.sleep(0)
        lost = Close(1013, "broker lost", abnormal=True)
        assert [session.end() for session in sessions] == [lost] * 50
        assert dialler.broker.control.losses == ["broker lost"]
        assert len(dialler.link) == 0
        await idle()
        assert not dialler.wires[0].is_open
        await dialler.session()
        assert dialler.dials == 2
        assert dialler.wires[1].is_open

    @staticmethod
    @on_virtual_clock
    async def test_a_second_report_of_a_loss_is_ignored() -> None:
        dialler = Dialler()
        await dialler.session()
        first = dialler.wires[0]
        dialler.link.lost(first, "broker lost")
        again = await dialler.session()
        dialler.link.lost(first, "broker lost, says another task")
        await again.settle()
        assert again.end() is None
        assert dialler.broker.control.losses == ["broker lost"]

    @staticmethod
    @on_virtual_clock
    async def test_a_link_lost_before_its_dial_is_over_is_not_used() -> None:
        dialler = Dialler()
        dialler.before_the_end = lambda wire: dialler.link.lost(wire, "reset by the broker")
        with pytest.raises(BackendUnavailable, match="lost at once"):
            await dialler.link.get()
        await idle()
        assert not dialler.wires[0].is_open
        dialler.before_the_end = lambda _wire: None
        assert await dialler.link.get() is dialler.wires[1]

    @staticmethod
    @on_virtual_clock
    async def test_a_connection_cannot_be_added_to_a_link_that_was_lost() -> None:
        dialler = Dialler()
        wire = await dialler.link.get()
        dialler.link.lost(wire, "broker lost")
        with pytest.raises(BackendUnavailable, match="was lost"):
            dialler.link.add(wire, dialler.broker.connection())
        assert len(dialler.link) == 0

    @staticmethod
    @on_virtual_clock
    async def test_a_lost_connection_that_was_not_started_is_removed() -> None:
        dialler = Dialler()
        session = await dialler.session(start=False)
        dialler.link.lost(dialler.wires[0], "broker lost")
        await idle()
        assert len(dialler.link) == 0
        assert dialler.link.find("s1") is None
        assert session.end() is None  # it was not started

    @staticmethod
    @on_virtual_clock
    async def test_a_hang_up_that_hangs_delays_no_dial() -> None:
        dialler = Dialler()
        dialler.hang_up_seconds = 1e6
        await dialler.session()
        dialler.link.lost(dialler.wires[0], "broker lost")
        again = await dialler.session()
        assert again.end() is None
        await dialler.link.close()
        assert asyncio.get_running_loop().time() < 20


class TestRoutes:
    @staticmethod
    @on_virtual_clock
    async def test_the_newest_connection_of_a_session_is_its_route() -> None:
        dialler = Dialler()
        old = await dialler.session()
        old.send("a")
        old.watched.close(1001, "moved", CloseCause.SESSION_MOVES)
        new = await dialler.session()
        assert dialler.link.find("s1") is new.connection
        assert len(dialler.link) == 2
        old.connection.acknowledged(1)
        await old.settle()
        assert old.end() == Close(1001, "moved")
        assert dialler.link.find("s1") is new.connection
        assert len(dialler.link) == 1
        new.watched.close(1000)
        await new.settle()
        assert dialler.link.find("s1") is None
        assert len(dialler.link) == 0

    @staticmethod
    @on_virtual_clock
    async def test_an_unknown_session_has_no_route() -> None:
        dialler = Dialler()
        await dialler.session("known")
        assert dialler.link.find("unknown") is None

    @staticmethod
    @on_virtual_clock
    async def test_a_loss_reaches_closing_connections_too() -> None:
        dialler = Dialler()
        old = await dialler.session()
        old.send("a")
        old.watched.close(1001, "moved", CloseCause.SESSION_MOVES)
        new = await dialler.session()
        dialler.link.lost(dialler.wires[0], "broker lost")
        await idle()
        lost = Close(1013, "broker lost", abnormal=True)
        assert (old.end(), new.end()) == (lost, lost)


class TestWritable:
    @staticmethod
    @on_virtual_clock
    async def test_an_unwritable_link_stops_writes_and_clients() -> None:
        dialler = Dialler()
        session = await dialler.session("s1")
        dialler.link.writable(False)
        dialler.link.writable(False)
        late = await dialler.session("s2")
        session.send("a")
        late.send("b")
        await session.settle()
        assert session.written == late.written == []
        assert not dialler.broker.control.is_writable
        dialler.link.writable(True)
        await session.settle()
        assert (session.written, late.written) == ([1], [1])
        assert dialler.broker.control.is_writable

    @staticmethod
    @on_virtual_clock
    async def test_a_new_link_takes_messages() -> None:
        dialler = Dialler()
        await dialler.session()
        dialler.link.writable(False)
        dialler.link.lost(dialler.wires[0], "broker lost")
        session = await dialler.session()
        session.send("a")
        assert session.written == [1]


class TestClose:
    @staticmethod
    @on_virtual_clock
    async def test_a_close_waits_for_all_connections_and_hangs_up() -> None:
        dialler = Dialler()
        busy, idle_one = await dialler.session("s1"), await dialler.session("s2")
        busy.send("a")
        closing = asyncio.create_task(dialler.link.close())
        await idle()
        assert idle_one.end() == Close(1001, "the backend is closed")
        assert [wire.is_open for wire in dialler.wires] == [True]
        busy.connection.acknowledged(1)
        await closing
        assert busy.sink.delivered_count == 1
        assert busy.connection.cause is CloseCause.GATEWAY_STOPS
        assert [wire.is_open for wire in dialler.wires] == [False]
        with pytest.raises(BackendUnavailable, match="closed"):
            await dialler.link.get()

    @staticmethod
    @on_virtual_clock
    async def test_a_close_cancels_the_dial() -> None:
        dialler = Dialler()
        waiting = asyncio.create_task(dialler.link.get())
        await asyncio.sleep(0.5)
        await dialler.link.close()
        assert dialler.cancelled == 1
        with pytest.raises(BackendUnavailable, match="closed"):
            await waiting
        assert asyncio.all_tasks() == {asyncio.current_task()}

    @staticmethod
    @on_virtual_clock
    async def test_a_dial_that_succeeds_despite_the_close_is_hung_up() -> None:
        dialler = Dialler()
        waiting = asyncio.create_task(dialler.link.get())

        async def stubborn() -> Wire:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(2)
            wire = Wire(0)
            dialler.wires.append(wire)
            return wire

        dialler.link._dial = stubborn  # noqa: SLF001 - an author's fault
        await asyncio.sleep(0.5)
        await dialler.link.close()
        with pytest.raises(BackendUnavailable):
            await waiting
        assert not dialler.wires[0].is_open

    @staticmethod
    @on_virtual_clock
    async def test_an_unused_link_can_be_closed() -> None:
        await Dialler().link.close()
