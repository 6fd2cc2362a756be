"""Backends with unusual or missing login answers, over real sockets: clients notice nothing."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from websockets.asyncio.client import connect

from .conftest import StartGateway, StartRaw
from .eventually import until
from .raw_backend import CLOSE, PING, PONG, TEXT, RawPeer, frame
from .test_hydration import LoginPlugin, LoginServer

WELCOME = b'{"welcome": true}'
NEWS = frame(TEXT, b'{"news": true}')
MESSAGES = 20


async def one_byte_per_fragment(peer: RawPeer) -> None:
    """Answers with fragments of one byte, and with packets of one byte."""
    for place in range(len(WELCOME)):
        is_last = place == len(WELCOME) - 1
        opcode = 0 if place else TEXT
        for byte in frame(opcode, WELCOME[place : place + 1], fin=is_last):
            await peer.write(bytes([byte]))
            await asyncio.sleep(0)
    await echo(peer)


async def answer_between_news(peer: RawPeer) -> None:
    """Sends many other messages around the answer, in one write."""
    await peer.write(NEWS * 500 + frame(TEXT, WELCOME) + NEWS * 500)
    await echo(peer)


async def chatter(peer: RawPeer) -> None:
    """Sends other messages forever, and never the answer."""
    while True:
        await peer.write(NEWS * 10)
        await asyncio.sleep(0.001)


async def half_an_answer(peer: RawPeer) -> None:
    """Dies in the middle of the answer."""
    await peer.write(frame(TEXT, WELCOME)[:-3])
    peer.writer.transport.abort()


async def too_late(peer: RawPeer) -> None:
    """Answers after the hydration timeout."""
    await peer.until_gone()
    await peer.write(frame(TEXT, WELCOME))


async def echo(peer: RawPeer) -> None:
    opcode = 0
    while opcode != CLOSE:
        opcode, payload = await peer.read_frame()
        await peer.write(frame(PONG if opcode == PING else opcode, payload))


GOOD = (one_byte_per_fragment, answer_between_news)
BAD = (chatter, half_an_answer, too_late)


async def log_in(peer: RawPeer) -> None:
    await peer.write(peer.switching())
    assert b"login" in await peer.read_message()


@pytest.mark.parametrize("act", [*GOOD, *BAD])
async def test_odd_login_behaviour_of_a_backend_loses_no_message(
    start_gateway: StartGateway,
    start_raw: StartRaw,
    act: Callable[[RawPeer], Awaitable[None]],
) -> None:
    async def play(peer: RawPeer) -> None:
        await log_in(peer)
        await act(peer)

    home, odd = LoginServer(), await start_raw(play, "/")
    async with home.listening() as url:
        gateway = await start_gateway(
            {"url": url, "priority": 1},
            {"url": odd.url, "priority": 2},
            plugins=[LoginPlugin()],
            valves=[{"kind": "login"}],
            failover={"hydration-timeout": "300ms" if act in BAD else "60s"},
        )
        async with connect(gateway.url) as client:
            await client.send('{"login": "me"}')
            assert json.loads(await client.recv()) == {"welcome": True}
            home.kill()
            for number in range(MESSAGES):  # during the hydration
                await client.send(json.dumps({"number": number}))
            heard = [json.loads(await client.recv())]
            while heard[-1] != {"number": MESSAGES - 1}:
                heard.append(json.loads(await client.recv()))
        await until(lambda: not gateway.gateway.sessions)

    assert [each for each in heard if each != {"news": True}] == [
        {"number": number} for number in range(MESSAGES)
    ]
    assert odd.asked["/"] >= 1
    failed = gateway.count("hydrations_failed")
    assert failed >= 1 if act in BAD else failed == 0
    assert gateway.count("hydrations_refused") == 0


@pytest.mark.parametrize("leaving", ["drain", "reload"])
@pytest.mark.parametrize("answers", [True, False])
async def test_drain_or_removal_during_the_login_loses_no_message(
    start_gateway: StartGateway, start_raw: StartRaw, leaving: str, answers: bool
) -> None:
    asked, left = asyncio.Event(), asyncio.Event()

    async def play(peer: RawPeer) -> None:
        await log_in(peer)
        asked.set()
        await left.wait()
        if answers:
            await peer.write(frame(TEXT, WELCOME))
        await echo(peer)

    home, odd = LoginServer(), await start_raw(play, "/")
    async with home.listening() as url:
        entries = [
            {"url": url, "priority": 1},
            {"id": "odd", "url": odd.url, "priority": 2},
        ]
        sections: dict[str, Any] = {
            "server": {"frontend": {"address": "127.0.0.1:0"}},
            "valves": [{"kind": "login"}],
            "failover": {"stable": "50ms", "hydration-timeout": "60s" if answers else "3s"},
            "drain": {"quiet": "20ms"},
        }
        gateway = await start_gateway(*entries, plugins=[LoginPlugin()], **sections)
        async with connect(gateway.url) as client:
            await client.send('{"login": "me"}')
            assert json.loads(await client.recv()) == {"welcome": True}
            home.kill()
            await asked.wait()
            (session,) = gateway.gateway.sessions
            assert session.is_hydrating
            for number in range(MESSAGES):
                await client.send(json.dumps({"number": number}))
            if leaving == "drain":
                assert gateway.gateway.drain("odd")
            else:
                await gateway.reload({**sections, "upstream": {"backends": entries[:1]}})
            left.set()
            for number in range(MESSAGES):
                assert json.loads(await client.recv()) == {"number": number}
            await until(lambda: home.connections, "the session's return")
            await client.send('{"number": 100}')
            assert json.loads(await client.recv()) == {"number": 100}
        await until(lambda: not gateway.gateway.sessions)
    assert odd.asked["/"] == 1
    assert gateway.count("hydrations_failed") == (0 if answers else 1)
