"""What an endpoint writes: in order, in few writes, and as fast as the peer reads."""

from __future__ import annotations

import asyncio
import random

import pytest

from wsgw_core.api import BINARY, Limits, Message, ReadBatch
from wsgw_core.testing.fakes import as_message
from wsgw_core.websocket import Endpoint

from . import raw_frames as raw
from .endpoint_bench import Bench, endpoint_bench
from .raw_frames import close_frame, frame

SIZES = (10, 9 * 1024, 64 * 1024)


def numbered(number: int, size: int) -> Message:
    """Returns a message whose whole content identifies it."""
    mark = b"%08d" % number
    return Message(BINARY, (mark * (size // 8 + 1))[:size])


async def expect(bench: Bench, messages: list[Message]) -> None:
    for message in messages:
        got = await bench.read_frame()
        assert (got.opcode, got.payload) == (message.kind, message.data)


@pytest.mark.parametrize("client_side", [False, True])
@pytest.mark.parametrize("size", [0, 1, 125, 126, 65535, 65536, 1024 * 1024])
async def test_a_message_of_any_size_arrives(size: int, *, client_side: bool) -> None:
    async with endpoint_bench(client_side=client_side) as bench:
        messages = [numbered(1, size), as_message("x" * size), numbered(2, size)]
        for message in messages:
            bench.endpoint.send(message)
        await expect(bench, messages)
        assert bench.endpoint.sent_messages == 3
        assert bench.endpoint.sent_bytes == 3 * size


async def test_sending_does_not_change_the_message() -> None:
    async with endpoint_bench(client_side=True) as bench:
        for size in SIZES:
            message = numbered(7, size)
            bench.endpoint.send(message)  # masks, which must not be seen by a replay
            assert message == numbered(7, size)


async def test_reaching_wake_at_wakes_once() -> None:
    async with endpoint_bench() as bench:
        bench.endpoint.wake_at = 25
        for woken in (0, 0, 1, 1, 1):
            bench.endpoint.send(as_message(b"x" * 10))
            assert bench.events.wakes == woken


async def test_the_share_of_each_message_counts_towards_wake_at_but_not_as_bytes() -> None:
    async with endpoint_bench(first_bytes=None) as bench:
        loop = asyncio.get_running_loop()
        bench.endpoint = Endpoint(bench.events, Limits(), loop, bench.batch, share=5)
        bench.endpoint.attach(bench.transport, client_side=False)
        bench.endpoint.begin(b"")
        bench.endpoint.wake_at = 30
        for woken in (0, 1):
            bench.endpoint.send(as_message(b"x" * 10))
            assert bench.events.wakes == woken
        assert bench.endpoint.sent_bytes == 20


class TestBatch:
    @pytest.mark.parametrize("client_side", [False, True])
    async def test_a_control_frame_in_a_batch_does_not_delay_messages(
        self, *, client_side: bool
    ) -> None:
        async with endpoint_bench(client_side=client_side, send_buffer=4096) as bench:
            messages = [numbered(number, 64 * 1024) for number in range(40)]
            for message in messages:  # more than the socket takes: some wait in the transport
                bench.endpoint.send(message)
            await expect(bench, messages)
            for round_ in range(3):
                bench.batch.is_open = True
                bench.endpoint.ping(b"%d" % round_)
                bench.endpoint.send(messages[round_])
                bench.batch.close()
                assert (await bench.read_frame()).opcode == raw.PING
                await expect(bench, [messages[round_]])

    async def test_frames_wait_while_a_batch_is_open_and_leave_in_order(self) -> None:
        async with endpoint_bench() as bench:
            messages = [numbered(number, SIZES[number % 3]) for number in range(9)]
            bench.batch.is_open = True
            for message in messages:
                bench.endpoint.send(message)
            reading = asyncio.create_task(bench.read_frame())
            await asyncio.sleep(0.02)  # room for what must not happen
            assert not reading.done()
            bench.batch.close()
            first = await reading
            assert first.payload == messages[0].data
            await expect(bench, messages[1:])

    async def test_frames_before_and_after_a_batch_keep_their_order(self) -> None:
        async with endpoint_bench() as bench:
            messages = [numbered(number, 10) for number in range(7)]
            bench.endpoint.send(messages[0])
            bench.batch.is_open = True
            bench.endpoint.send(messages[1])
            bench.endpoint.ping(b"between")
            bench.endpoint.send(messages[2])
            bench.batch.close()
            bench.endpoint.send(messages[3])
            bench.batch.is_open = True
            bench.endpoint.send(messages[4])
            bench.batch.close()
            bench.batch.is_open = True
            bench.batch.close()
            for message in messages[5:]:
                bench.endpoint.send(message)
            await expect(bench, messages[:2])
            assert (await bench.read_frame()).opcode == raw.PING
            await expect(bench, messages[2:])

    async def test_a_close_in_a_batch_comes_after_the_messages(self) -> None:
        async with endpoint_bench(limits=Limits(close_timeout=1000)) as bench:
            messages = [numbered(number, 10) for number in range(3)]
            bench.batch.is_open = True
            for message in messages:
                bench.endpoint.send(message)
            bench.endpoint.close(1000)
            bench.batch.close()
            await expect(bench, messages)
            assert (await bench.read_frame()).opcode == raw.CLOSE

    async def test_an_abort_in_a_batch_is_harmless(self) -> None:
        async with endpoint_bench() as bench:
            bench.batch.is_open = True
            bench.endpoint.send(as_message("A"))
            bench.endpoint.abort()
            bench.endpoint.send(as_message("B"))
            bench.batch.close()
            assert await bench.read_to_end() == b""

    async def test_messages_and_answers_of_one_read_leave_in_order(self) -> None:
        batch = ReadBatch()
        async with endpoint_bench(batch=batch) as source, endpoint_bench(batch=batch) as target:

            def relay(message: Message) -> None:
                target.endpoint.send(message)
                source.endpoint.send(message)

            source.endpoint.deliver = relay
            messages = [numbered(number, SIZES[number % 3]) for number in range(60)]
            source.write(b"".join(frame(raw.BINARY, message.data) for message in messages))
            source.write(frame(raw.PING, b"last"))
            await asyncio.gather(expect(target, messages), expect(source, messages))
            assert (await source.read_frame()).payload == b"last"
            assert not batch.is_open


class Exchange:
    """Sends messages and pings, and compares what the peer reads."""

    def __init__(self, bench: Bench, chance: random.Random) -> None:
        self._bench = bench
        self._chance = chance
        self._messages: list[bytes] = []
        self._pings: list[int] = []  # how many messages were sent before each
        self._read = 0  # messages
        self._next_ping = 0

    def send(self) -> None:
        message = numbered(len(self._messages), self._chance.choice(SIZES))
        self._bench.endpoint.send(message)
        self._messages.append(message.data)

    def ping(self) -> None:
        self._bench.endpoint.ping(b"%d" % len(self._pings))
        self._pings.append(len(self._messages))

    async def read(self) -> None:
        got = await self._bench.read_frame()
        if got.opcode == raw.BINARY:
            assert got.payload == self._messages[self._read]
            self._read += 1
        else:
            number = int(got.payload)
            assert number >= self._next_ping
            assert self._read >= self._pings[number]
            self._next_ping = number + 1

    @property
    def is_over(self) -> bool:
        return (self._read, self._next_ping) == (len(self._messages), len(self._pings))


class TestSlowPeer:
    @pytest.mark.parametrize("client_side", [False, True])
    @pytest.mark.parametrize("seed", range(5))
    async def test_a_slow_peer_gets_everything_in_order(
        self, seed: int, *, client_side: bool
    ) -> None:
        """The peer reads only when everything is sent, in all ways to send.

        A ping may be left out for a newer one, or come late, but never early.
        """
        chance = random.Random(seed)  # noqa: S311 - spreads the cases
        async with endpoint_bench(client_side=client_side, send_buffer=4096) as bench:
            exchange = Exchange(bench, chance)
            for _ in range(100):
                match chance.randrange(5):
                    case 0 | 1:
                        exchange.send()
                    case 2 | 3:
                        bench.batch.is_open = True
                        for _ in range(chance.randrange(1, 6)):
                            exchange.send()
                        if chance.random() < 0.3:
                            exchange.ping()
                        bench.batch.close()
                    case _:
                        exchange.ping()
                if chance.random() < 0.2:
                    await asyncio.sleep(0)
                if chance.random() < 0.05:  # the peer reads a little
                    await exchange.read()
                    bench.endpoint.flush()
            while not exchange.is_over:
                await exchange.read()

    async def test_a_slow_peer_is_reported_and_so_is_its_recovery(self) -> None:
        async with endpoint_bench(send_buffer=4096) as bench:
            messages: list[Message] = []
            while not bench.events.writability:
                assert len(messages) < 1000
                messages.append(numbered(len(messages), 9 * 1024))
                bench.endpoint.send(messages[-1])
                await asyncio.sleep(0)
            assert bench.events.writability == [False]
            await expect(bench, messages)
            await bench.events.until(lambda: len(bench.events.writability) > 1, "an end of it")
            assert bench.events.writability == [False, True]

    async def test_a_close_waits_for_its_turn(self) -> None:
        async with endpoint_bench(send_buffer=4096, limits=Limits(close_timeout=1000)) as bench:
            messages = [numbered(number, SIZES[number % 3]) for number in range(30)]
            for message in messages:
                bench.endpoint.send(message)
            bench.endpoint.close(4000, "bye")
            await asyncio.sleep(0.01)
            await expect(bench, messages)
            assert (await bench.read_frame()).payload == (4000).to_bytes(2, "big") + b"bye"

    async def test_the_answer_to_a_close_waits_for_its_turn(self) -> None:
        async with endpoint_bench(send_buffer=4096, limits=Limits(close_timeout=1000)) as bench:
            messages = [numbered(number, SIZES[number % 3]) for number in range(30)]
            for message in messages:
                bench.endpoint.send(message)
            bench.write(close_frame(4000))
            await bench.events.until(lambda: bool(bench.events.ends), "the end")
            await expect(bench, messages)
            assert (await bench.read_frame()).payload == (4000).to_bytes(2, "big")

    async def test_a_peer_that_reads_again_gets_everything_that_follows(self) -> None:
        async with endpoint_bench(send_buffer=4096) as bench:
            for turn in range(3):
                messages = [
                    numbered(number, 64 * 1024) for number in range(turn * 10, turn * 10 + 10)
                ]
                for message in messages:
                    bench.endpoint.send(message)
                await expect(bench, messages)
