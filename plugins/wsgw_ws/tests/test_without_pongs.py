"""A backend that has never sent a pong is noticed, and treated as configured."""

from __future__ import annotations

import asyncio
import logging

import pytest

from wsgw_core.api import BackendUnavailable, Limits
from wsgw_core.testing.fakes import as_message

from .raw_server import RawPeer, dial, raw_server

PING, PONG, TEXT, CLOSE = 9, 10, 1, 8
REFUSE = {"ack-interval": "2ms", "replay-window": "0"}
ACKNOWLEDGE = {**REFUSE, "without-pongs": "acknowledge-on-write"}


class Peers:
    """What the raw peers do: read, and answer messages perhaps, but no pings at first."""

    def __init__(self, *, talks: bool) -> None:
        self.pongs = False
        self.pings = 0
        self._talks = talks

    async def __call__(self, peer: RawPeer) -> None:
        peer.switch_protocols()
        talking = asyncio.create_task(self._talk(peer)) if self._talks else None
        try:
            while True:
                opcode, payload = await peer.read_frame()
                if opcode == PING:
                    self.pings += 1
                    if self.pongs:
                        peer.write_frame(PONG, payload)
                elif opcode == CLOSE:
                    peer.write_frame(CLOSE, payload)
                    return
        finally:
            if talking is not None:
                talking.cancel()

    @staticmethod
    async def _talk(peer: RawPeer) -> None:
        while True:
            peer.write_frame(TEXT, b"busy")
            await asyncio.sleep(0.002)


async def test_one_that_talks_is_given_up_and_refused(caplog: pytest.LogCaptureFixture) -> None:
    async with raw_server(Peers(talks=True)) as server:
        backend = server.backend(REFUSE, ping_timeout=0.3)
        connection, sink = await dial(backend)
        connection.send(as_message("A"))
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


async def test_one_that_is_silent_may_have_been_frozen_once() -> None:
    async with raw_server(Peers(talks=False)) as server:
        backend = server.backend(REFUSE, ping_timeout=0.3)
        for _ in range(2):
            connection, sink = await dial(backend)
            connection.send(as_message("A"))
            assert "no pong" in (await sink.until_closed()).reason
        with pytest.raises(BackendUnavailable, match="answers no pings"):
            await dial(backend)
        await backend.close()


async def test_what_is_written_can_count_as_acknowledged() -> None:
    async with raw_server(Peers(talks=True)) as server:
        backend = server.backend(ACKNOWLEDGE, ping_timeout=0.3)
        connection, sink = await dial(backend)
        for number in range(20):
            connection.send(as_message(str(number)))
        await sink.until_delivered(20)
        second, heard = await dial(backend)  # it is known by now
        second.send(as_message("A"))
        await heard.until_delivered(1)
        assert sink.end is None
        assert heard.end is None
        await backend.close()


async def test_but_never_while_it_is_being_sent() -> None:
    async with raw_server(Peers(talks=True)) as server:
        backend = server.backend(ACKNOWLEDGE, ping_timeout=0.3)
        connection, sink = await dial(backend)
        connection.send(as_message("A"))
        await sink.until_delivered(1)  # it is known by now
        large = as_message(b"x" * (Limits().ledger_bytes // 4 + 1))
        for number in range(1, 4):
            connection.send(large)
            connection.send(large)
            assert sink.delivered_count == 2 * number - 1
            await sink.until_delivered(2 * number + 1)
        await backend.close()


async def test_also_of_one_that_is_silent() -> None:
    async with raw_server(Peers(talks=False)) as server:
        backend = server.backend(ACKNOWLEDGE, ping_timeout=0.3)
        connection, sink = await dial(backend)
        connection.send(as_message("A"))
        await sink.until_closed()
        connection, sink = await dial(backend)
        connection.send(as_message("A"))
        await sink.until_delivered(1)
        await asyncio.sleep(0.8)
        assert sink.end is None
        await backend.close()


async def test_one_that_learns_to_answer_is_like_any_other() -> None:
    peers = Peers(talks=True)
    async with raw_server(peers) as server:
        backend = server.backend({**ACKNOWLEDGE, "ping-time": "20ms"}, ping_timeout=0.3)
        connection, sink = await dial(backend)
        connection.send(as_message("A"))
        await sink.until_delivered(1)
        peers.pongs = True
        before = peers.pings
        while peers.pings < before + 3:  # noqa: ASYNC110 - nothing tells when
            await asyncio.sleep(0.005)
        await asyncio.sleep(0.05)
        peers.pongs = False
        connection.send(as_message("B"))
        await asyncio.sleep(1.5)
        assert sink.delivered_count == 1  # a pong is waited for now; it talks, so it lives
        assert sink.end is None
        await backend.close()
