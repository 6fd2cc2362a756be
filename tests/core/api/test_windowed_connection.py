"""WindowedConnection: many messages in flight at a broker, within a window."""

from __future__ import annotations

import asyncio
import time

import pytest

from wsgw_core.api import Close, CloseCause, Message, ReplyOutcome, WindowedConnection
from wsgw_core.testing.recording_sink import RecordingSink
from wsgw_core.testing.virtual_clock import idle, on_virtual_clock

from .windowed_broker import LOST, Broker


class TestWriting:
    @staticmethod
    @on_virtual_clock
    async def test_messages_are_written_at_once_up_to_the_window() -> None:
        session = Broker(window=3).session()
        session.send("a", "b", "c", "d", "e")
        assert session.connection.written == [(1, "a"), (2, "b"), (3, "c")]
        session.connection.acknowledged(2)
        await session.settle()
        assert session.written == [1, 2, 3, 4, 5]
        session.connection.acknowledged(5)
        await session.settle()
        assert session.sink.delivered_count == 5

    @staticmethod
    @on_virtual_clock
    async def test_waiting_and_not_sent_messages_count_as_unsent() -> None:
        session = Broker(window=3).session()
        session.send("a", "b", "c", "d", "e")
        assert session.connection.unsent == 0  # it may be sent yet
        session.connection.not_sent(1)  # with others behind it that were
        session.connection.not_sent(3)
        session.connection.fail("lost")
        assert session.connection.unsent == 3
        assert session.written == [1, 2, 3]

    @staticmethod
    @on_virtual_clock
    async def test_all_acknowledgements_of_one_turn_are_one_report() -> None:
        session = Broker(window=100).session()
        reports: list[int] = []
        plain = session.sink.delivered

        def delivered(count: int, /) -> None:
            reports.append(count)
            plain(count)

        session.sink.delivered = delivered  # type: ignore[method-assign]  # counts the calls
        session.send(*map(str, range(50)))
        for number in range(1, 51):
            session.connection.acknowledged(number)
        assert reports == []
        await session.settle()
        assert reports == [50]

    @staticmethod
    @on_virtual_clock
    async def test_repeated_and_premature_acknowledgements_are_ignored() -> None:
        session = Broker(window=2).session()
        session.send("a", "b", "c")
        session.connection.acknowledged(2)
        session.connection.acknowledged(1)
        session.connection.acknowledged(3)  # waits for its room in this turn
        await session.settle()
        assert session.sink.delivered_count == 2
        assert session.written == [1, 2, 3]
        session.connection.acknowledged(3)
        session.connection.acknowledged(99)
        await session.settle()
        assert session.sink.delivered_count == 3

    @staticmethod
    @on_virtual_clock
    async def test_confirmations_in_any_order_are_delivered_in_the_sessions_order() -> None:
        session = Broker(window=5).session()
        session.send("a", "b", "c", "d")
        for number, delivered in ((3, 0), (2, 0), (1, 3), (4, 4)):
            session.connection.confirmed(number)
            await session.settle()
            assert session.sink.delivered_count == delivered
        session.connection.confirmed(4)
        session.connection.confirmed(77)
        session.send("e")
        await session.settle()
        assert session.sink.delivered_count == 4

    @staticmethod
    @on_virtual_clock
    async def test_numbers_with_gaps_are_acknowledged() -> None:
        session = Broker(window=5).session()
        for number in (3, 7, 8, 20):
            session.watched.number = number - 1
            session.send(str(number))
        session.connection.acknowledged(7)
        await session.settle()
        assert session.sink.delivered_count == 2
        session.connection.confirmed(20)
        session.connection.acknowledged(10)
        await session.settle()
        assert session.sink.delivered_count == 4

    @staticmethod
    @on_virtual_clock
    async def test_hydrations_come_first_and_have_the_number_zero() -> None:
        session = Broker().session()
        session.connection.send(Message.from_text("login"))
        session.connection.send_numbered(Message.from_text("a"), 5)
        assert session.connection.written == [(0, "login"), (5, "a")]
        session.watched.sent_count = 2
        session.connection.acknowledged(5)
        await session.settle()
        assert session.sink.delivered_count == 2

    @staticmethod
    @on_virtual_clock
    async def test_the_client_is_not_read_while_too_much_waits() -> None:
        session = Broker(window=1).session()
        session.send("first", *("x" * 300 for _ in range(3)))
        await session.settle()
        assert session.sink.writability == []
        session.send("x" * 300)
        await session.settle()
        assert session.sink.writability == [False]
        for number in range(1, 4):
            session.connection.acknowledged(number)
            await session.settle()
            assert session.sink.writability == [False]
        session.connection.acknowledged(4)
        await session.settle()
        assert session.sink.writability == [False, True]

    @staticmethod
    @on_virtual_clock
    async def test_while_it_is_blocked_nothing_is_written() -> None:
        session = Broker(window=10).session()
        session.connection.block(True)
        session.send(*("x" * 300 for _ in range(5)))
        await session.settle()
        assert session.written == []
        assert not session.sink.is_writable
        session.connection.block(False)
        await session.settle()
        assert session.written == [1, 2, 3, 4, 5]
        assert session.sink.is_writable

    @staticmethod
    @on_virtual_clock
    async def test_a_backend_error_in_write_moves_the_session() -> None:
        session = Broker().session()
        session.connection.broken = LOST
        session.send("a")
        assert session.end() is None  # not from inside of send
        await session.settle()
        assert session.end() == Close(1013, "broken pipe", abnormal=True)
        session.send("b")
        await session.settle()
        assert session.sink.delivered_count == 0

    @staticmethod
    @on_virtual_clock
    async def test_a_fault_in_write_is_a_death_and_is_logged(
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        session = Broker(window=1).session()
        session.send("a", "b")
        session.connection.broken = KeyError("oh")
        session.connection.acknowledged(1)
        await session.settle()
        assert session.end() == Close(1006, "KeyError: 'oh'", abnormal=True)
        assert session.sink.delivered_count == 1
        assert "MemoryConnection failed" in caplog.text


class TestRefused:
    @staticmethod
    @on_virtual_clock
    async def test_a_message_that_is_discarded_counts_as_delivered_in_its_turn() -> None:
        session = Broker().session()
        session.send("a", "b", "c")
        session.connection.refused(2)
        await session.settle()
        assert session.sink.delivered_count == 0
        session.connection.acknowledged(1)
        await session.settle()
        assert session.sink.delivered_count == 2
        session.connection.acknowledged(3)
        await session.settle()
        assert session.sink.delivered_count == 3

    @staticmethod
    @pytest.mark.parametrize(
        "close", [Close(1011, "not routable"), Close(1013, "not routable", abnormal=True)]
    )
    @on_virtual_clock
    async def test_a_refusal_that_ends_the_connection_waits_for_earlier_messages(
        close: Close,
    ) -> None:
        session = Broker().session()
        session.send("a", "b", "c")
        session.connection.refused(2, close)
        await session.settle()
        assert session.end() is None
        session.connection.acknowledged(3)  # the broker acknowledges what it has refused, too
        await session.settle()
        assert session.sink.delivered_count == 1
        assert session.end() == close
        assert session.connection.released == 1

    @staticmethod
    @on_virtual_clock
    async def test_the_first_verdict_counts() -> None:
        session = Broker().session()
        session.send("a", "b")
        session.connection.refused(2, Close(1011))
        session.connection.confirmed(2)
        session.connection.confirmed(1)
        await session.settle()
        assert session.end() == Close(1011)


class TestReplies:
    @staticmethod
    @on_virtual_clock
    async def test_replies_are_passed_on_at_once() -> None:
        session = Broker().session()
        assert session.reply("a", "b") == ["taken", "taken"]
        assert session.heard == ["a", "b"]

    @staticmethod
    @on_virtual_clock
    async def test_replies_wait_before_the_start_and_while_paused() -> None:
        broker = Broker()
        session = broker.session(start=False)
        assert session.reply("a") == ["held"]
        session.watched.start()
        assert session.reply("b") == ["held"]  # behind the first
        await session.settle()
        assert session.heard == ["a", "b"]
        session.watched.pause()
        assert session.reply("c") == ["held"]
        await session.settle()
        assert session.heard == ["a", "b"]
        assert session.connection.held_bytes == broker.replies.bytes > 0
        session.watched.resume()
        await session.settle()
        assert session.heard == ["a", "b", "c"]
        assert session.reply("d") == ["taken"]
        assert broker.passed == ["a", "b", "c"]

    @staticmethod
    @on_virtual_clock
    async def test_a_pause_during_a_reply_keeps_the_rest() -> None:
        broker = Broker()
        session = broker.session()
        session.watched.pause()
        session.reply("a", "b")
        session.sink.on_message = lambda _message: session.watched.pause()
        session.watched.resume()
        await session.settle()
        assert session.heard == ["a"]
        session.watched.resume()
        await session.settle()
        assert session.heard == broker.passed == ["a", "b"]

    @staticmethod
    @on_virtual_clock
    async def test_too_many_replies_close_only_this_session_with_1008() -> None:
        broker = Broker(reply_buffer=1000)
        slow, other = broker.session("slow"), broker.session("other")
        slow.watched.pause()
        outcomes = slow.reply("a", "b", "c", "d", "e")
        assert outcomes == ["held", "held", "held", "slow client", "unknown session"]
        assert other.reply("a") == ["taken"]
        await slow.settle()
        assert slow.end() == Close(1008, "too many replies wait for this client")
        assert slow.heard == []
        assert broker.back == ["a", "b", "c"]
        assert other.end() is None

    @staticmethod
    @on_virtual_clock
    async def test_waiting_replies_come_before_the_end() -> None:
        broker = Broker()
        session = broker.session()
        session.watched.pause()
        session.reply("a", "b")
        session.connection.fail("broker lost")
        assert session.reply("c") == ["unknown session"]
        await session.settle()
        assert session.heard == broker.passed == ["a", "b"]
        assert session.end() == Close(1013, "broker lost", abnormal=True)

    @staticmethod
    @on_virtual_clock
    async def test_a_client_that_is_gone_gets_no_reply() -> None:
        session = Broker().session()
        session.sink.client_is_there = False
        assert session.reply("a") == ["unknown session"]

    @staticmethod
    @on_virtual_clock
    async def test_a_reply_that_is_too_large_is_refused() -> None:
        session = Broker().session()
        outcome = session.connection.receive(Message.from_text("x" * (1024 * 1024 + 1)))
        assert outcome is ReplyOutcome.TOO_LARGE
        assert session.heard == []


class TestTheEnd:
    @staticmethod
    @on_virtual_clock
    async def test_a_close_waits_for_messages_in_flight_and_waiting() -> None:
        session = Broker(window=2).session()
        session.send("a", "b", "c")
        session.watched.close(4001, "bye", CloseCause.CLIENT_LEFT)
        session.connection.send_numbered(Message.from_text("late"), 9)  # ignored
        session.connection.acknowledged(2)
        await session.settle()
        assert session.end() is None
        session.connection.acknowledged(3)
        await session.settle()
        assert session.sink.delivered_count == 3
        assert session.end() == Close(4001, "bye")
        assert session.connection.cause is CloseCause.CLIENT_LEFT
        assert session.written == [1, 2, 3]
        assert session.connection.released == 1

    @staticmethod
    @on_virtual_clock
    async def test_a_close_with_nothing_in_flight_ends_in_the_next_turn() -> None:
        session = Broker().session()
        session.send("a")
        session.connection.acknowledged(1)
        session.watched.close(1000)
        session.watched.close(1001)
        assert session.end() is None
        await session.settle()
        assert session.sink.delivered_count == 1
        assert session.end() == Close(1000)

    @staticmethod
    @on_virtual_clock
    async def test_a_close_that_times_out_is_an_abnormal_end() -> None:
        session = Broker().session()
        session.send("a")
        session.watched.close(1000)
        await asyncio.sleep(4.9)
        assert session.end() is None
        await asyncio.sleep(0.2)
        assert session.end() == Close(1006, "close timed out", abnormal=True)
        assert session.sink.delivered_count == 0
        session.connection.acknowledged(1)
        await session.settle()

    @staticmethod
    @on_virtual_clock
    async def test_a_loss_after_the_close_is_abnormal() -> None:
        session = Broker().session()
        session.send("a")
        session.watched.close(1000)
        session.connection.fail("broker lost")
        await session.settle()
        assert session.end() == Close(1013, "broker lost", abnormal=True)

    @pytest.mark.parametrize("under_way", [True, False])
    @on_virtual_clock
    async def test_an_end_that_crosses_a_close_is_abnormal_with_messages_in_flight(
        self, *, under_way: bool
    ) -> None:
        session = Broker().session()
        session.send("a", "b")
        session.connection.acknowledged(1 if under_way else 2)
        session.watched.close(1001)
        session.connection.end(Close(4001, "enough"))
        await session.settle()
        assert session.sink.delivered_count == (1 if under_way else 2)
        end = Close(4001, "enough", abnormal=True) if under_way else Close(1001)
        assert session.end() == end

    @staticmethod
    @on_virtual_clock
    async def test_messages_acknowledged_before_a_loss_are_delivered() -> None:
        session = Broker().session()
        session.send("a", "b", "c")
        session.connection.acknowledged(2)
        session.connection.fail("broker lost")
        session.connection.acknowledged(3)
        await session.settle()
        assert session.sink.delivered_count == 2

    @staticmethod
    @on_virtual_clock
    async def test_a_loss_before_the_start_is_reported_after_it() -> None:
        broker = Broker()
        session = broker.session(start=False)
        session.reply("early")
        session.connection.fail("broker lost")
        await session.settle()
        assert session.connection.released == 1
        assert broker.back == ["early"]
        session.watched.start()
        assert await session.sink.until_closed() == Close(1013, "broker lost", abnormal=True)
        await session.settle()
        assert session.connection.released == 1

    @staticmethod
    @on_virtual_clock
    async def test_an_unstarted_connection_can_be_closed() -> None:
        broker = Broker()
        session = broker.session(start=False)
        session.reply("early")
        session.watched.close(1001)
        session.watched.close(1001)
        await session.settle()
        assert session.end() == Close(1001)
        assert broker.back == ["early"]
        assert session.heard == []

    @staticmethod
    @on_virtual_clock
    async def test_a_lost_unstarted_connection_can_be_closed() -> None:
        session = Broker().session(start=False)
        session.connection.fail("broker lost")
        session.watched.close(1001)
        await session.settle()
        assert session.connection.released == 1

    @staticmethod
    @on_virtual_clock
    async def test_nothing_calls_the_sink_after_the_end() -> None:
        session = Broker().session()
        session.send("a", "b")
        session.connection.end(Close(1000, "done"))
        session.connection.end(Close(1011))
        await session.settle()
        session.connection.acknowledged(2)
        session.connection.confirmed(1)
        session.connection.refused(2, Close(1011))
        session.watched.pause()
        session.watched.resume()
        session.watched.close(1000)
        assert session.reply("late") == ["unknown session"]
        await asyncio.sleep(60)
        await session.settle()
        assert session.end() == Close(1000, "done")

    @staticmethod
    @on_virtual_clock
    async def test_a_fault_in_release_is_logged_and_the_end_is_reported(
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        session = Broker().session()

        def release() -> None:
            raise ValueError("oh")

        session.connection.release = release  # type: ignore[method-assign]  # an author's fault
        session.watched.close(1000)
        await session.settle()
        assert session.end() == Close(1000)
        assert "failed to release" in caplog.text

    @staticmethod
    @on_virtual_clock
    async def test_a_session_has_no_task() -> None:
        broker = Broker()
        sessions = [broker.session(str(number)) for number in range(10)]
        for session in sessions:
            session.send("a")
            session.watched.close(1000)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        for session in sessions:
            session.connection.acknowledged(1)
        await idle()


def test_a_message_costs_a_few_microseconds() -> None:
    """Compared with the minimum of any connection: to keep a message until it is acknowledged."""

    async def cost() -> tuple[float, float]:
        broker = Broker()

        class Silent(RecordingSink):
            def delivered(self, count: int, /) -> None:
                pass

        class Mute(WindowedConnection):
            def write(self, number: int, message: Message) -> None:
                pass

        connection = Mute("s1", Silent(), broker.context, broker.replies)
        connection.start()
        message = Message.from_text("x" * 128)
        best = bare = float("inf")
        number = 0
        for _ in range(20):
            begun = time.thread_time()
            for _ in range(10):
                for _ in range(100):
                    number += 1
                    connection.send_numbered(message, number)
                connection.acknowledged(number)
                await asyncio.sleep(0)
            best = min(best, time.thread_time() - begun)
            begun = time.thread_time()
            for _ in range(10):
                kept = [(n, message.size) for n in range(100)]
                kept.clear()
                await asyncio.sleep(0)
            bare = min(bare, time.thread_time() - begun)
        return best / 1000, bare / 1000

    windowed, bare = asyncio.run(cost())
    assert windowed < 12 * bare + 1e-6
