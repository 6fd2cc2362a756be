"""Without faults, messages pass in both directions, in order, and are kept until delivered."""

from __future__ import annotations

import asyncio

import pytest

from wsgw_core.api import BINARY, BackendDeclined, Close, Message
from wsgw_core.pool.dialling.backend_search import NoBackend
from wsgw_core.relay.session.session_state import State
from wsgw_core.testing.fakes import Accept, Decline, Hang, Unavailable
from wsgw_core.testing.virtual_clock import idle, on_virtual_clock

from ..relay_bench import RecordingListener, RelayBench, replayed


class TestRelaying:
    @on_virtual_clock
    async def test_messages_pass_both_ways_in_order(self) -> None:
        bench = await RelayBench().open()
        backend = bench.blue.connections[0]
        bench.say("A", b"\x00\xff", "")
        assert backend.received == [
            Message.from_text("A"),
            Message(BINARY, b"\x00\xff"),
            Message.from_text(""),
        ]
        for reply in ("1", b"2", "3"):
            assert backend.reply(reply)
        assert bench.client.received == [
            Message.from_text("1"),
            Message(BINARY, b"2"),
            Message.from_text("3"),
        ]

    @on_virtual_clock
    async def test_a_message_is_kept_until_it_is_delivered(self) -> None:
        bench = await RelayBench().open()
        backend = bench.blue.connections[0]
        bench.say("A", "B", "C")
        assert bench.session.unacknowledged == 3
        backend.acknowledge(2)
        assert bench.session.unacknowledged == 1
        backend.acknowledge(1)
        assert bench.session.unacknowledged == 0

    @on_virtual_clock
    async def test_replies_that_come_before_the_client_was_answered_wait(self) -> None:
        bench = RelayBench()
        bench.blue.will(Accept())
        opening = asyncio.create_task(bench.open())
        await bench.blue.until_dialled(1)
        await idle()
        bench.blue.connections[0].reply("welcome")
        await opening
        await bench.client.until_received(1)
        assert bench.client.texts == ["welcome"]

    @on_virtual_clock
    async def test_the_numbers_of_messages_are_counted(self) -> None:
        bench = await RelayBench().open()
        backend = bench.blue.connections[0]
        bench.say("A", "B", "C")
        backend.acknowledge(2)
        backend.reply("1")
        view = bench.session.view()
        assert (view.messages_received, view.messages_sent) == (3, 1)
        bench.leave()
        await bench.until_ended()
        assert (view.messages_received, view.messages_sent) == (3, 1)

    @on_virtual_clock
    async def test_the_view_shows_the_clients_request(self) -> None:
        bench = RelayBench(headers=(("X-A", "1"), ("X-A", "2")), subprotocols=("chat", "soap"))
        bench.blue.will(Accept("soap"))
        await bench.open()
        view = bench.session.view()
        assert (view.id, view.path, view.peer) == ("session-1", "/chat?room=1", "192.0.2.1:5555")
        assert view.headers == (("X-A", "1"), ("X-A", "2"))
        assert (view.subprotocol, view.backend_id, view.reconnects) == ("soap", "blue", 0)
        view.state["of a plugin"] = 1
        assert bench.session.view().state == {"of a plugin": 1}

    @on_virtual_clock
    async def test_the_first_dial_carries_the_clients_request(self) -> None:
        bench = RelayBench(headers=(("X-A", "1"),), subprotocols=("chat", "soap"))
        await bench.open()
        request = bench.blue.requests[0]
        assert (request.session_id, request.path) == ("session-1", "/chat?room=1")
        assert request.headers == (("X-A", "1"), ("X-Wsgw-Session", "session-1"))
        assert request.subprotocols == ("chat", "soap")
        assert request.peer == "192.0.2.1:5555"
        assert not request.reconnect
        assert replayed(request) == 0

    @on_virtual_clock
    async def test_a_session_is_listed_from_its_start_to_its_end(self) -> None:
        bench = RelayBench()
        assert len(bench.table) == 0
        await bench.open()
        assert list(bench.table) == [bench.session]
        assert bench.table.get("session-1") is bench.session
        assert bench.pooled[0].active == 1
        bench.leave()
        await bench.until_ended()
        assert bench.table.get("session-1") is None
        assert len(bench.table) == 0
        assert bench.pooled[0].active == 0


class TestOpening:
    @on_virtual_clock
    async def test_the_next_backend_is_tried_when_one_is_unavailable(self) -> None:
        bench = RelayBench()
        bench.blue.will(Unavailable())
        await bench.open()
        assert bench.session.backend_id == "green"

    @on_virtual_clock
    async def test_no_backend_means_no_session(self) -> None:
        bench = RelayBench()
        for backend in bench.backends:
            backend.will(Unavailable())
        with pytest.raises(NoBackend, match=r"blue: scripted; green: scripted"):
            await bench.open()
        assert len(bench.table) == 0

    @on_virtual_clock
    async def test_a_declined_client_is_not_taken_to_another_backend(self) -> None:
        bench = RelayBench()
        bench.blue.will(Decline(429))
        with pytest.raises(BackendDeclined):
            await bench.open()
        assert bench.green.requests == []

    @on_virtual_clock
    async def test_a_session_closed_before_its_start_closes_its_backend_and_calls_no_listener(
        self,
    ) -> None:
        listener = RecordingListener()
        bench = RelayBench(listeners=(listener,))
        session = await bench.dial()
        session.close(1001, "client left")
        await idle()
        assert bench.blue.connections[0].close_request == Close(1001, "client left")
        assert bench.pooled[0].active == 0
        assert session.state is State.ENDED
        assert listener.log == []

    @on_virtual_clock
    async def test_a_backend_that_dies_before_the_start_is_replaced(self) -> None:
        bench = RelayBench()
        session = await bench.dial()
        bench.blue.connections[0].drop()
        session.start(bench.client)
        await bench.green.connection()
        assert session.backend_id == "green"

    @on_virtual_clock
    async def test_cancelling_the_dial_leaves_nothing(self) -> None:
        bench = RelayBench()
        bench.blue.will(Hang())
        dialling = asyncio.create_task(bench.dial())
        await bench.blue.until_dialled(1)
        dialling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await dialling
        assert bench.blue.cancelled == 1
        assert bench.green.requests == []


class TestBackendsClose:
    @on_virtual_clock
    async def test_the_backends_last_messages_come_before_its_close(self) -> None:
        bench = await RelayBench().open()
        backend = bench.blue.connections[0]
        backend.reply("last words")
        backend.hang_up(4000, "enough")
        assert bench.client.texts == ["last words"]
        assert bench.client.closed == Close(4000, "enough")
        assert bench.ended


@on_virtual_clock
async def test_nothing_reaches_a_session_after_its_end() -> None:
    bench = await RelayBench().open()
    bench.say("A")
    connection = bench.blue.connections[0]
    bench.session.close(1000, "operator")
    undelivered = bench.counters.undelivered.value
    received = bench.session.messages_received
    bench.say("too late", "again")  # the client has not seen the close yet
    assert not connection.reply("too late")
    await idle()
    assert connection.ignored == []
    assert bench.client.received_late == []
    assert bench.session.unacknowledged == 0
    assert bench.session.messages_received == received
    assert bench.counters.undelivered.value == undelivered
    bench.leave()
    await asyncio.sleep(100)
    assert bench.client.closed == Close(1000, "operator")
