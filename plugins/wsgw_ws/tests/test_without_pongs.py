"""Detection of a backend that never sends a pong, and the configured reaction."""

from __future__ import annotations

import asyncio
import contextlib
import logging

import pytest

from wsgw_core.api import BackendUnavailable, Limits
from wsgw_core.testing.fakes import as_message
from wsgw_core.testing.recording_sink import RecordingSink, WatchedConnection

from .raw_server import RawPeer, dial, raw_server

PING, PONG, TEXT, CLOSE = 9, 10, 1, 8
FIRST_PING = (1).to_bytes(8, "big")  # its payload
REFUSE = {"ack-interval": "2ms", "replay-window": "0"}
ACKNOWLEDGE = {**REFUSE, "without-pongs": "acknowledge-on-write"}


class Peers:
    """What the raw peers do: they read, can answer messages, and at first answer no pings.

    Args:
        talks: whether a peer keeps sending a message.
        echoes: whether it answers each message.
    """

    def __init__(self, *, talks: bool = False, echoes: bool = False) -> None:
        self.pongs = False
        self.pings = 0
        self._talks = talks
        self._echoes = echoes

    async def __call__(self, peer: RawPeer) -> None:
        peer.switch_protocols()
        talking = asyncio.create_task(self._talk(peer)) if self._talks else None
        try:
            while True:
                opcode, payload = await peer.read_frame()
                if opcode == TEXT and self._echoes:
                    peer.write_frame(TEXT, payload)
                elif opcode == PING:
                    self.pings += 1
                    if self.pongs:
                        peer.write_frame(PONG, payload)
                elif opcode == CLOSE:
                    peer.write_frame(CLOSE, payload)
                    return
        finally:
            if talking is not None:
                talking.cancel()

    def write_late_pong(self, peer: RawPeer) -> None:
        """Answers the first ping of a connection."""
        peer.write_frame(PONG, FIRST_PING)

    @staticmethod
    async def _talk(peer: RawPeer) -> None:
        while True:
            peer.write_frame(TEXT, b"busy")
            await asyncio.sleep(0.002)


async def chat(connection: WatchedConnection, sink: RecordingSink) -> None:
    """Sends until the end; each message follows the answer to the one before."""
    answered = -1
    while sink.end is None:
        if len(sink.messages) > answered:
            answered = len(sink.messages)
            connection.send(as_message("A"))
        await asyncio.sleep(0.005)


@pytest.mark.parametrize("answering", [True, False])
async def test_active_backend_without_pongs_is_closed_and_refused(
    caplog: pytest.LogCaptureFixture, *, answering: bool
) -> None:
    busy_timeout = 600 if answering else 1.5
    async with raw_server(Peers(talks=not answering, echoes=answering)) as server:
        backend = server.backend(REFUSE, ping_timeout=0.8, busy_timeout=busy_timeout)
        connection, sink = await dial(backend)
        if answering:
            await chat(connection, sink)
        close = await sink.until_closed()
        assert close.abnormal
        assert close.reason == "answers no pings"
        with pytest.raises(BackendUnavailable, match="answers no pings"):
            await dial(backend)
        await backend.close()
    told = [each.getMessage() for each in caplog.records if each.levelno == logging.WARNING]
    assert told == [
        "the backend answers no pings (RFC 6455, 5.5.2): it is not used for 10 s",
    ]


async def test_silent_backend_without_pongs_counts_as_busy_only_once() -> None:
    async with raw_server(Peers()) as server:
        backend = server.backend(REFUSE, ping_timeout=1, busy_timeout=1.5)
        for _ in range(2):
            connection, sink = await dial(backend)
            connection.send(as_message("A"))
            assert "no pong for 1.5 s" in (await sink.until_closed()).reason
        with pytest.raises(BackendUnavailable, match="answers no pings"):
            await dial(backend)
        assert server.counted("missing_pongs") == 1
        await backend.close()


async def test_backend_is_not_reported_while_its_connection_is_not_read() -> None:
    async with raw_server(Peers()) as server:
        backend = server.backend(REFUSE, ping_timeout=0.2, busy_timeout=0.3)
        connection, sink = await dial(backend)
        connection.pause()
        connection.send(as_message("A"))
        await asyncio.sleep(0.8)
        assert sink.end is None
        assert server.counted("missing_pongs") == 0
        await backend.close()


async def test_frozen_backend_is_not_reported_as_answering_no_pings() -> None:
    async with raw_server(Peers()) as server:
        server.plain = None
        backend = server.backend(REFUSE, ping_timeout=0.2)
        for _ in range(4):
            connection, sink = await dial(backend)
            connection.send(as_message("A"))
            assert "no pong for 0.2 s" in (await sink.until_closed()).reason
        assert server.counted("missing_pongs") == 0
        await backend.close()


@pytest.mark.parametrize("talks", [True, False])
async def test_late_pongs_on_many_connections_are_not_reported_as_missing(*, talks: bool) -> None:
    peers = Peers(talks=talks)
    async with raw_server(peers) as server:
        timing = {"ack-interval": "20ms", "ping-time": "20ms"}
        backend = server.backend({**REFUSE, **timing}, ping_timeout=1)
        dialled = [await dial(backend) for _ in range(5)]
        for connection, _ in dialled:
            connection.send(as_message("A"))
        await asyncio.sleep(3)
        assert all(sink.end is None for _, sink in dialled)
        assert server.counted("missing_pongs") == 0
        await dial(backend)
        await backend.close()


async def test_refused_backend_is_used_again_after_its_first_pong() -> None:
    peers = Peers(echoes=True)
    async with raw_server(peers) as server:
        backend = server.backend({**REFUSE, "ping-time": "20ms"}, ping_timeout=0.8)
        _, late = await dial(backend)
        await chat(*(await dial(backend)))
        with pytest.raises(BackendUnavailable, match="answers no pings"):
            await dial(backend)
        peers.write_late_pong(server.peers[0])
        async with asyncio.timeout(20):
            while True:
                with contextlib.suppress(BackendUnavailable):
                    await dial(backend)
                    break
                await asyncio.sleep(0.01)
        assert late.end is None
        await backend.close()


async def test_acknowledge_setting_delivers_what_is_written() -> None:
    async with raw_server(Peers(talks=True)) as server:
        backend = server.backend(ACKNOWLEDGE, ping_timeout=0.8, busy_timeout=1.2)
        connection, sink = await dial(backend)
        for number in range(20):
            connection.send(as_message(str(number)))
        await sink.until_delivered(20)
        second, heard = await dial(backend)  # the backend is known by now to answer no pings
        second.send(as_message("A"))
        await heard.until_delivered(1)
        assert sink.end is None
        assert heard.end is None
        await backend.close()


async def test_acknowledge_setting_delivers_nothing_still_being_sent() -> None:
    async with raw_server(Peers(talks=True)) as server:
        backend = server.backend(ACKNOWLEDGE, ping_timeout=0.8, busy_timeout=1.2)
        connection, sink = await dial(backend)
        connection.send(as_message("A"))
        await sink.until_delivered(1)  # the backend is known by now to answer no pings
        large = as_message(b"x" * (Limits().ledger_bytes // 4 + 1))
        for number in range(1, 4):
            connection.send(large)
            connection.send(large)
            assert sink.delivered_count == 2 * number - 1
            await sink.until_delivered(2 * number + 1)
        await backend.close()


async def test_acknowledge_setting_delivers_to_silent_backend_too() -> None:
    async with raw_server(Peers(talks=False)) as server:
        backend = server.backend(ACKNOWLEDGE, ping_timeout=0.8, busy_timeout=1.2)
        connection, sink = await dial(backend)
        connection.send(as_message("A"))
        await sink.until_closed()
        connection, sink = await dial(backend)
        connection.send(as_message("A"))
        await sink.until_delivered(1)
        await asyncio.sleep(1.5)
        assert sink.end is None
        await backend.close()


async def test_backend_that_starts_to_send_pongs_must_answer_them() -> None:
    peers = Peers(talks=True)
    async with raw_server(peers) as server:
        backend = server.backend(
            {**ACKNOWLEDGE, "ping-time": "20ms"}, ping_timeout=0.5, busy_timeout=0.8
        )
        connection, sink = await dial(backend)
        connection.send(as_message("A"))
        await sink.until_delivered(1)
        peers.pongs = True
        before = peers.pings
        while peers.pings < before + 3:  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(0.005)
        await asyncio.sleep(0.05)
        peers.pongs = False
        connection.send(as_message("B"))
        await asyncio.sleep(1.5)
        assert sink.delivered_count == 1  # a pong is due now; it talks, so it lives
        assert sink.end is None
        await backend.close()
