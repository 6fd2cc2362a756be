"""A session's websocket to a backend: delivery by pongs, liveness, and abnormal ends."""

from __future__ import annotations

import asyncio
import struct
import sys
import time
from collections.abc import Iterable

import pytest

from wsgw_core.api import Close, Limits
from wsgw_core.testing.fakes import as_message

from .raw_server import RawPeer, cut_off, dial, raw_server

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
EAGER = {"ack-interval": "2ms", "replay-window": "0"}
PATIENT = Limits(close_timeout=1000)


class Application:
    """What the raw peers of a test do after the handshake.

    Args:
        pongs: whether the peer answers pings.
        answers_close: whether it answers our close frame; `close_answer` replaces the echo.
        closes_with: payload of a close frame that it sends after the handshake.
        talks: the opcode of the frames that it keeps sending; None: it sends none.
        delay: seconds it takes for each frame; None: it reads nothing.

    Attributes:
        received: opcode and payload of each frame except the very first ping, which the peer always
            answers, so that the backend is known to answer pings.
    """

    def __init__(
        self,
        *,
        pongs: bool = True,
        answers_close: bool = True,
        close_answer: bytes | None = None,
        closes_with: bytes | None = None,
        sends: Iterable[bytes] = (),
        talks: int | None = None,
        delay: float | None = 0.0,
    ) -> None:
        self.pongs = pongs
        self.received: list[tuple[int, bytes]] = []
        self._answers_close = answers_close
        self._close_answer = close_answer
        self._closes_with = closes_with
        self._sends = tuple(sends)
        self._talks = talks
        self._delay = delay
        self._is_new = True

    async def __call__(self, peer: RawPeer) -> None:
        peer.switch_protocols()
        for data in self._sends:
            peer.write(data)
        if self._closes_with is not None:
            peer.write_frame(CLOSE, self._closes_with)
        talking = asyncio.create_task(self._talk(peer, self._talks)) if self._talks else None
        try:
            await self._listen(peer)
        finally:
            if talking is not None:
                talking.cancel()

    async def _listen(self, peer: RawPeer) -> None:
        if self._delay is None:
            await asyncio.Event().wait()
        while True:
            if self._delay:
                await asyncio.sleep(self._delay)
            opcode, payload = await peer.read_frame()
            if opcode == PING and self._is_new:
                self._is_new = False
                peer.write_frame(PONG, payload)
                continue
            self.received.append((opcode, payload))
            if opcode == PING and self.pongs:
                peer.write_frame(PONG, payload)
            elif opcode == CLOSE:
                if self._answers_close and self._closes_with is None:
                    answer = payload if self._close_answer is None else self._close_answer
                    peer.write_frame(CLOSE, answer)
                return

    @staticmethod
    async def _talk(peer: RawPeer, opcode: int) -> None:
        while True:
            peer.write_frame(opcode, b"busy")
            await asyncio.sleep(0.002)

    def count(self, opcode: int) -> int:
        return sum(each == opcode for each, _ in self.received)

    async def until(self, count: int, opcode: int) -> None:
        while self.count(opcode) < count:  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(0.001)


class TestDelivery:
    async def test_pong_delivers_what_was_sent_before_its_ping(self) -> None:
        application = Application()
        async with raw_server(application) as server:
            backend = server.backend(EAGER)
            connection, sink = await dial(backend)
            connection.send(as_message("A"))
            connection.send(as_message("B"))
            await sink.until_delivered(2)
            assert application.received[:2] == [(TEXT, b"A"), (TEXT, b"B")]
            assert application.received[2][0] == PING
            await backend.close()

    async def test_without_pong_nothing_is_delivered(self) -> None:
        application = Application(pongs=False)
        async with raw_server(application) as server:
            backend = server.backend(EAGER)
            connection, sink = await dial(backend)
            connection.send(as_message("A"))
            await application.until(1, PING)
            server.peers[0].write_frame(PONG, b"another")
            server.peers[0].write_frame(PONG)
            await asyncio.sleep(0.02)  # time in which nothing must happen
            assert sink.delivered_count == 0
            assert application.count(PING) == 1, "one outstanding ping is enough"
            server.peers[0].write_frame(PONG, application.received[-1][1])
            await sink.until_delivered(1)
            await backend.close()

    async def test_replay_window_delays_delivery(self) -> None:
        application = Application()
        async with raw_server(application) as server:
            backend = server.backend({"ack-interval": "2ms", "replay-window": "1h"})
            connection, sink = await dial(backend)
            connection.send(as_message("A"))
            await application.until(1, PING)
            await asyncio.sleep(0.02)  # time in which nothing must happen
            assert sink.delivered_count == 0
            await backend.close()

    async def test_pong_after_replay_window_delivers(self) -> None:
        application = Application()
        async with raw_server(application) as server:
            backend = server.backend({"ack-interval": "2ms", "replay-window": "10ms"})
            connection, sink = await dial(backend)
            connection.send(as_message("A"))
            await sink.until_delivered(1)
            assert application.count(PING) == 2
            await asyncio.sleep(0.03)  # time in which nothing must happen
            assert application.count(PING) == 2, "an idle connection sends no further ping"
            await backend.close()

    async def test_freeze_within_replay_window_delivers_nothing(self) -> None:
        application = Application(pongs=False)
        async with raw_server(application) as server:
            backend = server.backend({"ack-interval": "2ms", "replay-window": "10ms"})
            connection, sink = await dial(backend)
            connection.send(as_message("A"))
            await application.until(1, PING)
            server.peers[0].write_frame(PONG, application.received[-1][1])
            await application.until(2, PING)  # whether the backend is still there
            await asyncio.sleep(0.03)  # time in which nothing must happen
            assert sink.delivered_count == 0
            await backend.close()

    async def test_crowded_ledger_ends_replay_window_early_with_one_more_pong(self) -> None:
        application = Application(pongs=False)
        limits = Limits(ledger_messages=8, close_timeout=0.02)
        async with raw_server(application) as server:
            backend = server.backend({"ack-interval": "1h", "replay-window": "1h"}, limits=limits)
            connection, sink = await dial(backend)
            await asyncio.sleep(0.05)  # the very first pong arrives
            for number in range(8):
                connection.send(as_message(str(number)))
            for ping in range(1, 4):
                await application.until(ping, PING)
                await asyncio.sleep(0.02)  # time in which nothing must happen
                assert sink.delivered_count == (0, 0, 2)[ping - 1]
                *_, asked = (each for opcode, each in application.received if opcode == PING)
                server.peers[0].write_frame(PONG, asked)
            await sink.until_delivered(8)
            await backend.close()
            assert server.counted("replay_window_cuts") == 8

    async def test_ledger_with_room_keeps_replay_window(self) -> None:
        application = Application()
        limits = Limits(ledger_messages=8, close_timeout=0.02)
        async with raw_server(application) as server:
            backend = server.backend({"ack-interval": "2ms", "replay-window": "1h"}, limits=limits)
            connection, sink = await dial(backend)
            for number in range(5):
                connection.send(as_message(str(number)))
                await application.until(number + 1, PING)
            await asyncio.sleep(0.03)  # time in which nothing must happen
            assert sink.delivered_count == 0
            await backend.close()
            assert server.counted("replay_window_cuts") == 0

    async def test_idle_connection_sends_no_ping(self) -> None:
        application = Application()
        async with raw_server(application) as server:
            backend = server.backend(EAGER)
            connection, sink = await dial(backend)
            connection.send(as_message("A"))
            await sink.until_delivered(1)
            pings = application.count(PING)
            await asyncio.sleep(0.03)  # time in which nothing must happen
            assert application.count(PING) == pings
            connection.send(as_message("B"))
            await sink.until_delivered(2)
            await backend.close()

    @pytest.mark.parametrize("limits", [{"ledger_bytes": 4000}, {"ledger_messages": 40}])
    async def test_quarter_full_ledger_sends_ping_at_once(self, limits: dict[str, int]) -> None:
        application = Application()
        async with raw_server(application) as server:
            backend = server.backend(
                {"ack-interval": "1h", "replay-window": "0"},
                limits=Limits(**limits, close_timeout=0.02),
            )
            connection, _ = await dial(backend)
            for _ in range(30):
                connection.send(as_message("x" * 100))
            await application.until(1, PING)
            await backend.close()


class TestLife:
    async def test_missing_pong_ends_connection_to_frozen_backend(self) -> None:
        application = Application()
        async with raw_server(application) as server:
            server.plain = None
            backend = server.backend(EAGER, ping_timeout=1.5)
            connection, sink = await dial(backend)
            connection.send(as_message("A"))
            await sink.until_delivered(1)
            application.pongs = False
            connection.send(as_message("B"))
            close = await sink.until_closed()
            assert (close.code, close.abnormal) == (1006, True)
            assert "no pong" in close.reason
            assert sink.delivered_count == 1
            await backend.close()

    async def test_missing_pong_ends_idle_connection_to_frozen_backend(self) -> None:
        application = Application()
        async with raw_server(application) as server:
            server.plain = None
            backend = server.backend({**EAGER, "ping-time": "20ms"}, ping_timeout=1.5)
            connection, sink = await dial(backend)
            connection.send(as_message("A"))
            await sink.until_delivered(1)
            application.pongs = False
            close = await sink.until_closed()
            assert close.abnormal
            assert "no pong" in close.reason
            await backend.close()

    async def test_busy_backend_keeps_its_connection_and_its_messages(self) -> None:
        application = Application(pongs=False)
        async with raw_server(application) as server:
            backend = server.backend(EAGER, ping_timeout=1.2)
            connection, sink = await dial(backend)
            begun = time.monotonic()
            connection.send(as_message("A"))
            await application.until(1, PING)
            while len(server.plain_peers) < 5:  # noqa: ASYNC110 - no event tells
                await asyncio.sleep(0.01)
            assert time.monotonic() - begun > 1.2  # the checks are not frequent
            assert sink.end is None
            assert sink.delivered_count == 0
            server.peers[0].write_frame(PONG, application.received[-1][1])
            await sink.until_delivered(1)
            await asyncio.sleep(0.1)
            asked = len(server.plain_peers)
            await asyncio.sleep(1)
            assert len(server.plain_peers) == asked, "no check without a late pong"
            await backend.close()

    async def test_busy_backend_is_closed_after_busy_timeout(self) -> None:
        async with raw_server(Application(pongs=False)) as server:
            backend = server.backend(EAGER, ping_timeout=1.5, busy_timeout=2.5)
            connection, sink = await dial(backend)
            begun = time.monotonic()
            connection.send(as_message("A"))
            close = await sink.until_closed()
            assert time.monotonic() - begun > 2.4
            assert (close.code, close.abnormal) == (1006, True)
            assert close.reason == "no pong for 2.5 s, though the backend lives"
            assert server.counted("busy_timeouts") == 1
            await backend.close()

    async def test_busy_backend_keeps_its_connection_while_closing(self) -> None:
        async with raw_server(Application(delay=None)) as server:
            backend = server.backend(EAGER, ping_timeout=0.2, limits=Limits(close_timeout=1.5))
            connection, sink = await dial(backend)
            connection.send(as_message("A"))
            begun = time.monotonic()
            connection.close(1000)
            close = await sink.until_closed()
            assert time.monotonic() - begun > 1.4
            assert close.reason == "close timed out"
            await backend.close()

    @pytest.mark.skipif(sys.platform != "linux", reason="needs TCP_INFO")
    async def test_cut_off_connection_ends_although_backend_lives(self) -> None:
        application = Application()
        async with raw_server(application) as server:
            backend = server.backend(EAGER, ping_timeout=1)
            connection, sink = await dial(backend)
            other, heard = await dial(backend)
            for each, its_sink in ((connection, sink), (other, heard)):
                each.send(as_message("A"))
                await its_sink.until_delivered(1)
            cut_off(server.peers[0])
            connection.send(as_message("B"))
            other.send(as_message("B"))
            close = await sink.until_closed()
            assert close.abnormal
            assert close.reason.startswith("nothing sent was acknowledged by TCP for 1 s")
            await heard.until_delivered(2)
            assert heard.end is None
            await backend.close()

    async def test_idle_backend_that_answers_pings_stays_connected(self) -> None:
        application = Application()
        async with raw_server(application) as server:
            backend = server.backend({**EAGER, "ping-time": "20ms"}, ping_timeout=5)
            _, sink = await dial(backend)
            await application.until(5, PING)
            assert sink.end is None
            await backend.close()

    @pytest.mark.parametrize(
        ("opcode", "system_tells"), [(TEXT, True), (TEXT, False), (PONG, False), (PING, False)]
    )
    async def test_backend_that_keeps_sending_stays_connected(
        self, monkeypatch: pytest.MonkeyPatch, opcode: int, *, system_tells: bool
    ) -> None:
        if not system_tells:  # only Linux knows when the last byte came
            monkeypatch.setattr("wsgw_core.websocket.endpoint.silence_of", lambda _: None)
        application = Application(pongs=False, talks=opcode)
        async with raw_server(application) as server:
            backend = server.backend(EAGER, ping_timeout=1, busy_timeout=1)
            connection, sink = await dial(backend)
            connection.send(as_message("A"))
            await application.until(1, PING)
            await asyncio.sleep(1.3)
            if opcode == TEXT:
                await sink.until_messages(21)
            assert sink.end is None
            await backend.close()

    @pytest.mark.skipif(sys.platform != "linux", reason="needs TCP_INFO")
    async def test_slow_reader_that_sends_nothing_stays_connected(self) -> None:
        # The ping waits behind 6 MB, several times longer than a pong may take. The reader takes
        # them in steps of asyncio's 64 KiB, each of which must be short beside that time.
        async with raw_server(Application(delay=0.02), receive_buffer=32 * 1024) as server:
            backend = server.backend(EAGER, ping_timeout=0.8, limits=PATIENT)
            connection, sink = await dial(backend)
            for _ in range(150):
                connection.send(as_message("x" * 40 * 1024))
            started = time.monotonic()
            await sink.until_delivered(150)
            assert time.monotonic() - started > 2
            connection.close(1000)
            await backend.close()

    async def test_backend_that_reads_nothing_is_dead_even_with_a_full_write_buffer(self) -> None:
        async with raw_server(Application(delay=None)) as server:
            server.plain = None
            backend = server.backend(EAGER, ping_timeout=0.3)
            connection, sink = await dial(backend)
            for _ in range(4):
                connection.send(as_message("x" * 1024 * 1024))
            assert "no pong" in (await sink.until_closed()).reason
            await backend.close()

    async def test_bytes_taken_only_by_backend_kernel_are_no_sign_of_life(self) -> None:
        async with raw_server(Application(delay=None)) as server:
            server.plain = None
            backend = server.backend(EAGER, ping_timeout=0.3)
            connection, sink = await dial(backend)
            while sink.end is None:
                connection.send(as_message("x"))
                await asyncio.sleep(0.005)
            assert "no pong" in sink.end.reason
            await backend.close()

    @pytest.mark.parametrize("talks", [TEXT, None])
    async def test_backend_whose_input_is_paused_is_not_dead(self, talks: int | None) -> None:
        application = Application(talks=talks, sends=[frame(TEXT, b"hello")])
        async with raw_server(application) as server:
            server.plain = None
            backend = server.backend(EAGER, ping_timeout=0.5)
            connection, sink = await dial(backend)
            await sink.until_messages(1)
            await asyncio.sleep(0.05)  # the very first pong arrives
            connection.pause()
            connection.send(as_message("A"))
            await application.until(1, PING)
            await asyncio.sleep(0.8)
            assert sink.end is None
            connection.resume()
            await sink.until_delivered(1)
            await backend.close()

    async def test_closing_connection_is_read_to_its_end_although_paused(self) -> None:
        last = frame(TEXT, b"the last words") + frame(CLOSE, close_payload(1001))

        async def speak(peer: RawPeer) -> None:
            peer.switch_protocols()
            while (await peer.read_frame())[0] != CLOSE:
                pass
            peer.write(last)

        async with raw_server(speak) as server:
            backend = server.backend(EAGER, limits=Limits(close_timeout=5))
            connection, sink = await dial(backend)
            connection.close(1001, "moved")
            connection.pause()
            assert not (await sink.until_closed()).abnormal
            assert sink.messages == [as_message("the last words")]
            await backend.close()


def frame(opcode: int, payload: bytes, *, fin: bool = True) -> bytes:
    assert len(payload) < 126
    return bytes([fin << 7 | opcode, len(payload)]) + payload


def close_payload(code: int, reason: bytes = b"") -> bytes:
    return struct.pack("!H", code) + reason


class TestEnds:
    @pytest.mark.parametrize(
        ("code", "abnormal"),
        [
            (1000, False),
            (1001, True),
            (1002, False),
            (1003, False),
            (1007, False),
            (1008, False),
            (1009, False),
            (1010, False),
            (1011, True),
            (1012, True),
            (1013, True),
            (1014, True),
            (3000, False),
            (4999, False),
        ],
    )
    async def test_default_close_codes_are_normal_or_abnormal(
        self, code: int, *, abnormal: bool
    ) -> None:
        async with raw_server(Application(closes_with=close_payload(code, b"why"))) as server:
            backend = server.backend()
            _, sink = await dial(backend)
            assert await sink.until_closed() == Close(code, "why", abnormal)
            await backend.close()

    @pytest.mark.parametrize(("code", "abnormal"), [(1000, True), (4001, True), (1011, False)])
    async def test_abnormal_close_codes_setting_replaces_the_defaults(
        self, code: int, *, abnormal: bool
    ) -> None:
        async with raw_server(Application(closes_with=close_payload(code))) as server:
            backend = server.backend({"abnormal-close-codes": [1000, 4001]})
            _, sink = await dial(backend)
            assert await sink.until_closed() == Close(code, "", abnormal)
            await backend.close()

    @pytest.mark.parametrize("listed", [True, False])
    async def test_close_without_code_is_reported_as_1005(self, *, listed: bool) -> None:
        async with raw_server(Application(closes_with=b"")) as server:
            codes = [1005] if listed else [1011]
            backend = server.backend({"abnormal-close-codes": codes})
            _, sink = await dial(backend)
            assert await sink.until_closed() == Close(1005, "", listed)
            await backend.close()

    async def test_loss_without_close_is_abnormal_even_if_no_code_is(self) -> None:
        async def act(peer: RawPeer) -> None:
            peer.switch_protocols()
            await peer.writer.drain()

        async with raw_server(act) as server:
            backend = server.backend({"abnormal-close-codes": []})
            _, sink = await dial(backend)
            close = await sink.until_closed()
            assert (close.code, close.abnormal) == (1006, True)
            await backend.close()

    @pytest.mark.parametrize(
        "data",
        [
            b"\x81\x01\xff",  # text that is not UTF-8
            b"\x80\x00",  # a continuation without a first fragment
            b"\xc1\x01A",  # a reserved bit
            b"\x81\x81\0\0\0\0A",  # a masked frame
            b"\x88\x01\x03",  # half a close code
        ],
    )
    async def test_protocol_violation_is_abnormal_1011(self, data: bytes) -> None:
        async with raw_server(Application(sends=[data])) as server:
            backend = server.backend({"abnormal-close-codes": []})
            _, sink = await dial(backend)
            close = await sink.until_closed()
            assert (close.code, close.abnormal) == (1011, True)
            assert close.reason.startswith("the backend broke the protocol: 100")
            assert sink.messages == []
            await backend.close()

    @pytest.mark.parametrize(
        ("data", "limit"),
        [
            (frame(BINARY, b"x" * 101), "limits.max-message-size (100 bytes)"),
            (b"\x82\x7f" + struct.pack("!Q", 2**40), "limits.max-message-size (100 bytes)"),
            (
                frame(BINARY, b"x" * 60, fin=False) + frame(0, b"x" * 41),
                "limits.max-message-size (100 bytes)",
            ),
            (
                frame(TEXT, b"", fin=False) + frame(0, b"", fin=False) * 4,
                "limits.max-fragments (4)",
            ),
        ],
    )
    async def test_message_beyond_limit_is_a_normal_end_since_failover_would_repeat_it(
        self, data: bytes, limit: str
    ) -> None:
        application = Application(sends=[frame(TEXT, b"good"), data])
        limits = Limits(max_message_size=100, max_fragments=4, close_timeout=1000)
        async with raw_server(application) as server:
            backend = server.backend(limits=limits)
            _, sink = await dial(backend)
            close = await sink.until_closed()
            assert close == Close(1011, f"a message of the backend exceeds {limit}")
            assert sink.messages == [as_message("good")]
            await application.until(1, CLOSE)
            code = struct.unpack("!H", application.received[-1][1][:2])[0]
            assert code == (1008 if "fragments" in limit else 1009)
            await backend.close()

    async def test_message_at_exactly_the_limit_is_accepted(self) -> None:
        whole, parts = frame(BINARY, b"x" * 100), frame(BINARY, b"x" * 70, fin=False)
        application = Application(sends=[whole, parts, frame(0, b"x" * 30)])
        async with raw_server(application) as server:
            backend = server.backend(limits=Limits(max_message_size=100, close_timeout=0.02))
            _, sink = await dial(backend)
            assert await sink.until_messages(2) == [as_message(b"x" * 100)] * 2
            await backend.close()

    @pytest.mark.parametrize("pongs", [True, False])
    async def test_message_beyond_limit_while_closing_acknowledges_nothing(
        self, *, pongs: bool
    ) -> None:
        closing = asyncio.Event()

        async def act(peer: RawPeer) -> None:
            peer.switch_protocols()
            while (received := await peer.read_frame())[0] != CLOSE:
                if received[0] == PING and pongs:
                    peer.write_frame(PONG, received[1])
            closing.set()
            peer.write(b"\x82\x7f" + struct.pack("!Q", 2**40))
            await peer.reader.read()

        async with raw_server(act) as server:
            backend = server.backend({"ack-interval": "1h"}, limits=PATIENT)
            connection, sink = await dial(backend)
            connection.send(as_message("A"))
            connection.close(1011)
            close = await sink.until_closed()
            assert closing.is_set()
            assert (close.code, close.abnormal) == (1011, not pongs)
            await backend.close()

    @pytest.mark.parametrize("code", [1000, 1001, 4000])
    async def test_echo_of_our_close_is_normal(self, code: int) -> None:
        application = Application()
        async with raw_server(application) as server:
            backend = server.backend(limits=PATIENT)
            connection, sink = await dial(backend)
            connection.send(as_message("A"))
            connection.close(code, "bye")
            assert await sink.until_closed() == Close(code, "bye")
            frames = [each for each in application.received if each[0] != PING]
            assert frames == [(TEXT, b"A"), (CLOSE, close_payload(code, b"bye"))]
            await backend.close()

    async def test_other_abnormal_code_while_closing_is_abnormal(self) -> None:
        async def act(peer: RawPeer) -> None:
            peer.switch_protocols()
            while (await peer.read_frame())[0] != CLOSE:
                pass
            peer.write_frame(CLOSE, close_payload(1011))

        async with raw_server(act) as server:
            backend = server.backend(limits=PATIENT)
            connection, sink = await dial(backend)
            connection.send(as_message("A"))
            connection.close(1000)
            assert await sink.until_closed() == Close(1011, "", abnormal=True)
            await backend.close()

    @pytest.mark.parametrize("code", [1000, 1001, 4000])
    async def test_close_crossing_ours_acknowledges_nothing(self, code: int) -> None:
        application = Application(pongs=False, answers_close=False)
        async with raw_server(application) as server:
            backend = server.backend({"ack-interval": "1h"}, limits=PATIENT)
            connection, sink = await dial(backend)
            for text in "ABC":
                connection.send(as_message(text))
            server.peers[0].write_frame(CLOSE, close_payload(code))  # before it reads ours
            connection.close(code, "moved")
            assert await sink.until_closed() == Close(code, "", abnormal=True)
            assert sink.delivered_count == 0
            await backend.close()

    async def test_close_crossing_ours_is_normal_after_full_acknowledgement(self) -> None:
        application = Application(answers_close=False)
        async with raw_server(application) as server:
            backend = server.backend({"ack-interval": "2ms", "replay-window": "1h"}, limits=PATIENT)
            connection, sink = await dial(backend)
            connection.send(as_message("A"))
            await application.until(1, PING)
            await asyncio.sleep(0.05)  # the pong arrives
            server.peers[0].write_frame(CLOSE, close_payload(1001))
            connection.close(1001, "moved")
            assert await sink.until_closed() == Close(1001)
            await backend.close()

    async def test_unanswered_close_is_a_loss(self) -> None:
        async with raw_server(Application(answers_close=False, pongs=False)) as server:
            backend = server.backend()
            connection, sink = await dial(backend)
            connection.send(as_message("A"))
            connection.close(1000)
            close = await sink.until_closed()
            assert (close.code, close.abnormal) == (1006, True)
            assert sink.delivered_count == 0
            await backend.close()

    @pytest.mark.parametrize("answer", [b"", struct.pack("!H", 1001), None])
    async def test_pong_before_close_acknowledges_whatever_answers_the_close(
        self, answer: bytes | None
    ) -> None:
        application = Application(answers_close=answer is not None, close_answer=answer)
        async with raw_server(application) as server:
            backend = server.backend({"ack-interval": "1h"}, limits=PATIENT)
            connection, sink = await dial(backend)
            connection.send(as_message("A"))
            connection.close(1000)
            close = await sink.until_closed()
            assert not close.abnormal
            assert [opcode for opcode, _ in application.received] == [TEXT, PING, CLOSE]
            await backend.close()

    @pytest.mark.parametrize("acknowledged_before", [False, True])
    async def test_pong_while_closing_ends_replay_window(
        self, *, acknowledged_before: bool
    ) -> None:
        closing, leave = asyncio.Event(), asyncio.Event()

        async def act(peer: RawPeer) -> None:
            peer.switch_protocols()
            while (received := await peer.read_frame())[0] != CLOSE:
                if received[0] == PING:
                    peer.write_frame(PONG, received[1])
            closing.set()
            await leave.wait()

        async with raw_server(act) as server:
            interval = "2ms" if acknowledged_before else "1h"
            options = {"ack-interval": interval, "replay-window": "1h"}
            backend = server.backend(options, limits=PATIENT)
            connection, sink = await dial(backend)
            connection.send(as_message("A"))
            if acknowledged_before:
                await asyncio.sleep(0.05)  # the pong arrives
            assert sink.delivered_count == 0
            connection.close(1001, "moved")
            await sink.until_delivered(1)
            await closing.wait()
            assert sink.end is None
            leave.set()
            await backend.close()

    async def test_freeze_within_replay_window_delivers_nothing_at_close(
        self,
    ) -> None:
        application = Application(pongs=False, answers_close=False)
        async with raw_server(application) as server:
            options = {"ack-interval": "2ms", "replay-window": "1h"}
            backend = server.backend(options, limits=PATIENT)
            connection, sink = await dial(backend)
            connection.send(as_message("A"))
            await application.until(1, PING)
            server.peers[0].write_frame(PONG, application.received[-1][1])
            await asyncio.sleep(0.05)  # the pong arrives, and no other
            connection.close(1001, "moved")
            await application.until(1, CLOSE)
            close = await sink.until_closed()
            assert (close.abnormal, sink.delivered_count) == (True, 0)
            await backend.close()

    async def test_backend_close_closes_open_connections(self) -> None:
        application = Application()
        async with raw_server(application) as server:
            backend = server.backend(limits=PATIENT)
            _, sink = await dial(backend)
            await dial(backend, start=False)
            await backend.close()
            assert sink.end is not None
            assert sink.end.code == 1001
            assert (CLOSE, close_payload(1001, b"gateway is stopping")) in application.received
