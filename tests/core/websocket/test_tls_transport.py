"""TLS over a socket begins, pauses, drains and ends in the order in which TCP does."""

from __future__ import annotations

import asyncio
import gc
import ssl
import time
import weakref

import pytest
import trustme

from wsgw_core.api import Turns

from .tls_pair import MemoryTcp, Pair, Recorder, client_context, server_context

RECORD = 16 * 1024  # bytes
TIMEOUT = 60.0


async def turn() -> None:
    """Runs the next turn of the loop."""
    await asyncio.sleep(0)


@pytest.mark.parametrize("size", [1, 16384, 16385, 65536, 1_000_003])
async def test_data_arrives_in_both_directions(size: int) -> None:
    pair = Pair().connect()
    data = bytes(index * 7 % 251 for index in range(size))
    for source, target in ((pair.client, pair.server), (pair.server, pair.client)):
        source.tls.write(data)
        source.tls.writelines([b"", data[:10], b"", data])
        async with asyncio.timeout(TIMEOUT):
            while len(target.protocol.received) < 2 * size + len(data[:10]):
                pair.carry()
                await turn()
        assert target.protocol.received == data + data[:10] + data


async def test_a_large_message_does_not_stay_in_the_buffers_of_tls() -> None:
    pair = Pair().connect()
    pair.client.tls.write(bytes(1024 * 1024))
    assert max(map(len, pair.client.tcp.written)) < 100_000


async def test_writes_before_the_handshake_wait_for_it() -> None:
    client, server = Recorder(), Recorder()
    client.first, server.first = b"from the client", b"from the server"
    Pair(client, server).connect()
    assert client.received == server.first
    assert server.received == client.first
    assert client.events == server.events == ["made"]


async def test_a_paused_protocol_gets_nothing_more_and_the_socket_is_not_read() -> None:
    pair = Pair().connect()
    pair.server.protocol.pause_after = 1
    pair.client.tls.write(bytes(50_000))
    pair.server.receive(b"".join(pair.client.tcp.written))
    assert len(pair.server.protocol.received) == RECORD
    assert pair.server.tcp.paused
    assert not pair.server.tls.is_reading()


async def test_resuming_delivers_waiting_records_before_reading_on() -> None:
    pair = Pair().connect()
    pair.server.protocol.pause_after = 1
    pair.client.tls.write(bytes(50_000))
    pair.server.receive(b"".join(pair.client.tcp.written))
    pair.server.protocol.pause_after = RECORD + 1
    pair.server.tls.resume_reading()
    assert len(pair.server.protocol.received) == RECORD  # not from inside of resume_reading
    await turn()
    assert len(pair.server.protocol.received) == 2 * RECORD
    assert pair.server.tcp.paused  # the end of the stream cannot overtake what waits
    pair.server.tls.resume_reading()
    await turn()
    assert len(pair.server.protocol.received) == 50_000
    assert not pair.server.tcp.paused


async def test_many_small_records_are_delivered_in_turns() -> None:
    pair = Pair().connect()
    for _ in range(1000):
        pair.client.tls.write(b"x")
    pair.server.receive(b"".join(pair.client.tcp.written))
    before = 0
    while before < 1000:
        received = len(pair.server.protocol.received)
        assert 0 < received - before < 100
        before = received
        assert pair.server.tcp.paused == (received < 1000)
        await turn()
    assert not pair.server.tcp.paused


async def test_long_reads_wait_for_their_turns_while_others_have_as_many() -> None:
    pair, loop = Pair().connect(), asyncio.get_running_loop()
    while pair.server.reads.may_read_on(loop):
        pass
    pair.client.tls.write(bytes(100_000))
    pair.server.receive(b"".join(pair.client.tcp.written)[: 64 * 1024])
    assert len(pair.server.protocol.received) == 3 * RECORD  # what was read is delivered
    assert pair.server.tcp.paused
    await turn()
    assert not pair.server.tcp.paused


class TestHandshakesInTurns:
    """Handshakes of a server with many clients."""

    async def test_the_handshakes_answer_waits_for_its_turn(self) -> None:
        turns = Turns()
        pair, loop = Pair(handshakes=turns), asyncio.get_running_loop()
        for _ in range(3):
            turns.call_in_turn(loop, lambda: time.sleep(0.002))  # which has a turn for itself
        pair.connect()
        for _ in range(3):
            await turn()
            assert not pair.server.tcp.written
            assert pair.server.tcp.paused
        async with asyncio.timeout(TIMEOUT):
            pair.client.tls.write(b"A")
            while not pair.server.protocol.received:
                await turn()
                pair.carry()
        assert not pair.server.tcp.paused

    async def test_a_failed_handshake_sends_its_alert_and_reads_to_the_end(self) -> None:
        pair = Pair(handshakes=Turns())
        pair.server.connect()
        pair.server.receive(bytes.fromhex("1603010005 0100000100"))  # a client hello of one byte
        await turn()
        assert len(pair.server.failures) == 1
        assert pair.server.tcp.written, "the alert"
        assert not pair.server.tcp.paused

    async def test_a_client_that_leaves_before_its_turn_costs_no_handshake(self) -> None:
        pair = Pair(handshakes=Turns()).connect()
        pair.server.lose(ConnectionResetError())
        await turn()
        assert pair.server.protocol.events == ["made", "lost"]
        assert not pair.server.tcp.written


@pytest.mark.parametrize("pause", [False, True])
async def test_data_before_the_loss_of_the_socket_is_delivered(*, pause: bool) -> None:
    pair = Pair().connect()
    if pause:
        pair.server.protocol.pause_after = 10
    for _ in range(100):
        pair.client.tls.write(b"x")
    pair.server.receive(b"".join(pair.client.tcp.written))
    pair.server.lose(ConnectionResetError())
    assert pair.server.protocol.events == ["made"]
    assert pair.server.tls.is_closing()
    pair.server.tls.write(b"to nobody")
    if pause:
        await turn()
        assert len(pair.server.protocol.received) == 10
        pair.server.tls.resume_reading()
    for _ in range(5):
        await turn()
    assert len(pair.server.protocol.received) == 100
    assert pair.server.protocol.events == ["made", "lost"]
    assert isinstance(pair.server.protocol.error, ConnectionResetError)


async def test_between_the_end_of_the_stream_and_the_loss_of_the_socket_it_is_closing() -> None:
    pair = Pair().connect()
    assert not pair.client.tls.is_closing()
    pair.client.tls.eof_received()
    pair.client.tcp.close()  # as a socket does then by itself
    assert pair.client.tls.is_closing()
    pair.client.tls.close()
    assert pair.client.tcp.written == [], "nobody hears a goodbye"
    assert pair.client.protocol.events == ["made"]
    pair.client.lose()
    assert pair.client.protocol.events == ["made", "lost"]
    assert pair.client.protocol.error is None


async def test_a_loss_with_nothing_undelivered_is_reported_at_once() -> None:
    pair = Pair().connect()
    pair.server.tls.pause_reading()
    pair.server.lose()
    assert pair.server.protocol.events == ["made", "lost"]


@pytest.mark.parametrize("how", ["abort", "close"])
@pytest.mark.parametrize("pause", [False, True])
async def test_a_protocol_that_closes_a_lost_socket_gets_its_end(how: str, *, pause: bool) -> None:
    pair = Pair().connect()
    if pause:
        pair.server.protocol.pause_after = 10
    for _ in range(100):
        pair.client.tls.write(b"x")
    pair.server.receive(b"".join(pair.client.tcp.written))
    pair.server.lose()
    received = len(pair.server.protocol.received)
    for _ in range(2):
        getattr(pair.server.tls, how)()
    for _ in range(5):
        await turn()
    assert len(pair.server.protocol.received) == received < 100
    assert pair.server.protocol.events == ["made", "lost"]


async def test_a_pause_cancels_a_pending_resume() -> None:
    pair = Pair().connect()
    pair.server.tls.pause_reading()
    pair.server.tls.resume_reading()
    pair.server.tls.pause_reading()
    await turn()
    assert pair.server.tcp.paused


async def test_the_protocol_may_be_exchanged_between_two_records() -> None:
    """The head is read by one protocol, the frames behind it by another."""
    pair = Pair().connect()
    successor = Recorder()
    pair.server.protocol.pause_after = 1
    pair.client.tls.write(b"head and the first frame")
    pair.carry()
    assert pair.server.protocol.received == b"head and the first frame"
    pair.client.tls.write(b" and more")
    pair.carry()
    pair.server.tls.set_protocol(successor)
    assert pair.server.tls.get_protocol() is successor
    pair.server.tls.resume_reading()
    await turn()
    pair.carry()
    assert successor.received == b" and more"


class TestEnd:
    async def test_close_sends_close_notify(self) -> None:
        pair = Pair().connect()
        pair.client.tls.write(b"last words")
        pair.client.tls.close()
        assert pair.client.tls.is_closing()
        assert pair.client.tcp.closed
        pair.carry()
        assert pair.server.protocol.received == b"last words"
        assert pair.server.protocol.events == ["made", "eof"]
        assert pair.server.tcp.closed

    async def test_after_close_nothing_is_delivered_or_written(self) -> None:
        pair = Pair().connect()
        pair.server.tls.write(b"late")
        pair.client.tls.close()
        pair.client.tls.write(b"later")
        pair.client.receive(b"".join(pair.server.tcp.written))
        pair.carry()
        assert pair.client.protocol.received == pair.server.protocol.received == b""

    async def test_a_protocol_that_closes_gets_nothing_more(self) -> None:
        pair = Pair().connect()

        def close(data: bytes) -> None:
            calls.append(data)
            pair.server.tls.close()

        calls: list[bytes] = []
        pair.server.protocol.on_data = close
        pair.client.tls.write(bytes(50_000))
        pair.carry()
        assert len(calls) == 1

    async def test_write_eof_half_closes_and_drops_what_still_comes(self) -> None:
        pair = Pair().connect()
        pair.server.tls.write(b"too late, but on its way")
        assert pair.client.tls.can_write_eof()
        pair.client.tls.write_eof()
        pair.client.tls.write_eof()
        assert pair.client.tcp.half_closed
        assert not pair.client.tls.is_closing()
        pair.carry()
        assert pair.client.protocol.received == b""
        assert pair.server.protocol.events == ["made", "eof"]
        pair.client.end()
        assert pair.client.protocol.events == ["made", "lost"]

    async def test_write_eof_before_the_handshake_waits_for_it(self) -> None:
        """So a refusal reaches a client during its TLS handshake."""
        pair = Pair()
        pair.server.connect()
        pair.server.tls.write(b"refused")
        pair.server.tls.write_eof()
        assert not pair.server.tcp.half_closed
        pair.client.connect()
        pair.carry()
        assert pair.client.protocol.received == b"refused"
        assert pair.client.protocol.events == ["made", "eof"]
        assert pair.server.tcp.half_closed

    async def test_the_socket_of_a_half_closed_connection_is_read_on_after_a_pause(self) -> None:
        pair = Pair().connect()
        pair.client.tls.pause_reading()
        pair.client.tls.write_eof()
        pair.client.tls.resume_reading()
        await turn()
        assert not pair.client.tcp.paused

    async def test_an_end_without_close_notify_is_only_a_loss(self) -> None:
        pair = Pair().connect()
        pair.client.tls.write(b"last words")
        pair.carry()
        pair.server.end()
        assert pair.server.protocol.received == b"last words"
        assert pair.server.protocol.events == ["made", "lost"]

    async def test_abort_sends_no_close_notify(self) -> None:
        pair = Pair().connect()
        pair.client.tls.abort()
        assert pair.client.tcp.aborted
        assert not pair.client.tcp.written
        assert pair.client.tls.is_closing()

    async def test_a_lost_connection_leaves_nothing_for_the_garbage_collector(self) -> None:
        pair = Pair().connect()
        server = weakref.ref(pair.server.tls)
        protocol = weakref.ref(pair.server.protocol)
        gc.disable()
        try:
            pair.server.lose()
            del pair.server.protocol.transport
            del pair
            assert server() is None
            assert protocol() is None
        finally:
            gc.enable()


class TestFlow:
    async def test_the_socket_reports_a_full_write_buffer(self) -> None:
        class Slow(Recorder):
            def pause_writing(self) -> None:
                self.events.append("pause")

            def resume_writing(self) -> None:
                self.events.append("resume")

        pair = Pair(Slow()).connect()
        pair.client.tls.pause_writing()
        pair.client.tls.resume_writing()
        assert pair.client.protocol.events == ["made", "pause", "resume"]

    async def test_limits_are_those_of_the_socket(self) -> None:
        seen = []

        class Tcp(MemoryTcp):
            def set_write_buffer_limits(
                self, high: int | None = None, low: int | None = None
            ) -> None:
                seen.append((high, low))

            def get_write_buffer_limits(self) -> tuple[int, int]:
                return 16, 64

            def get_write_buffer_size(self) -> int:
                return 7

        pair = Pair()
        pair.client.tcp = Tcp()
        pair.connect()
        pair.client.tls.set_write_buffer_limits(high=64, low=16)
        assert seen == [(64, 16)]
        assert pair.client.tls.get_write_buffer_limits() == (16, 64)
        assert pair.client.tls.get_write_buffer_size() == 7


class TestFailure:
    async def test_an_untrusted_server_gets_no_data(self) -> None:
        client = Recorder()
        client.first = b"secret"
        pair = Pair(client, trust=ssl.create_default_context()).connect()
        assert pair.client.tcp.closed
        pair.client.lose()
        assert isinstance(client.error, ssl.SSLCertVerificationError)
        assert pair.server.protocol.received == b""
        (failure,) = pair.server.failures
        assert "UNKNOWN_CA" in str(failure)

    async def test_a_server_with_another_name_gets_no_data(self) -> None:
        pair = Pair(name="other.test").connect()
        pair.client.lose()
        assert "Hostname mismatch" in str(pair.client.protocol.error)

    @pytest.mark.parametrize(
        "garbage",
        [b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"\x16\x03\x01\x00\x02\x01\x00", bytes(99)],
    )
    async def test_a_client_that_speaks_no_tls_is_half_closed_and_then_dropped(
        self, garbage: bytes
    ) -> None:
        pair = Pair()
        pair.server.connect()
        pair.server.receive(garbage)
        pair.server.receive(b"more")
        if not pair.server.failures:  # it waits for the rest of a record
            pair.server.receive(bytes(20_000))
        assert len(pair.server.failures) == 1
        assert pair.server.tcp.half_closed
        assert pair.server.tls.is_closing()
        pair.server.end()
        assert isinstance(pair.server.protocol.error, ssl.SSLError)
        assert len(pair.server.failures) == 1

    async def test_a_client_that_does_not_leave_is_dropped(self) -> None:
        pair = Pair()
        pair.server.connect()
        pair.server.receive(bytes.fromhex("1603010005 0100000100"))  # a client hello of one byte
        async with asyncio.timeout(20):
            while not pair.server.tcp.aborted:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.01)

    async def test_a_client_that_leaves_in_the_handshake_is_a_failure(self) -> None:
        pair = Pair()
        pair.server.connect()
        pair.server.receive(b"\x16\x03\x01\x02")
        pair.server.end()
        assert pair.server.protocol.events == ["made", "lost"]
        (failure,) = pair.server.failures
        assert "connection closed during the TLS handshake" in str(failure)

    async def test_a_client_that_resets_the_handshake_is_a_failure(self) -> None:
        pair = Pair()
        pair.server.connect()
        pair.server.lose(ConnectionResetError())
        assert [type(failure) for failure in pair.server.failures] == [ConnectionResetError]

    async def test_a_client_that_we_drop_is_no_failure(self) -> None:
        pair = Pair()
        pair.server.connect()
        pair.server.tls.abort()
        pair.server.lose()
        assert pair.server.failures == []

    async def test_a_client_without_the_required_certificate_gets_an_alert(self) -> None:
        shown = server_context()
        trustme.CA().configure_trust(shown)
        shown.verify_mode = ssl.CERT_REQUIRED
        pair = Pair(shown=shown).connect()
        assert len(pair.server.failures) == 1
        pair.client.lose()
        assert "CERTIFICATE_REQUIRED" in str(pair.client.protocol.error)

    async def test_a_broken_record_ends_the_connection_after_what_came_before(self) -> None:
        pair = Pair().connect()
        pair.client.tls.write(b"whole")
        pair.client.tls.write(b"broken")
        sent = bytearray(b"".join(pair.client.tcp.written))
        sent[-1] ^= 1
        pair.server.receive(bytes(sent))
        assert pair.server.protocol.received == b"whole"
        assert pair.server.tcp.closed
        pair.server.lose()
        assert isinstance(pair.server.protocol.error, ssl.SSLError)

    async def test_incompatible_versions_are_a_failure(self) -> None:
        old = client_context()
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        new = server_context()
        new.minimum_version = ssl.TLSVersion.TLSv1_3
        pair = Pair(trust=old, shown=new).connect()
        pair.client.lose()
        assert "PROTOCOL_VERSION" in str(pair.client.protocol.error)


async def test_extra_info_has_the_tls_object_and_the_default_for_unknown_names() -> None:
    pair = Pair().connect()
    assert isinstance(pair.client.tls.get_extra_info("ssl_object"), ssl.SSLObject)
    assert pair.client.tls.get_extra_info("peername", "unknown") == "unknown"
