"""Thousands of hostile handshakes of all kinds leak no memory, task or descriptor."""

from __future__ import annotations

import asyncio
import gc
import itertools
import logging
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from wsgw_core.testing.running_gateway import RunningGateway

from .conftest import StartGateway
from .eventually import until
from .hostile_heads import HEADS
from .leak_check import no_leaks, reset
from .raw_backend import CLOSE, PING, PONG, TEXT, RawPeer, frame, raw_backend
from .raw_client import RawClient, raw_client, request

ROUNDS, AT_ONCE = 4000, 25
STATM = Path("/proc/self/statm")
MASKED = bytes.fromhex("8181 00000000 58")

Attack = Callable[[RawClient], Awaitable[None]]


async def answer_wrongly(peer: RawPeer) -> None:
    """Answer as the path says; send an invalid frame to each accepted client."""
    answers = {
        "/no-accept": peer.switching(leave_out="Sec-WebSocket-Accept"),
        "/extension": peer.switching("Sec-WebSocket-Extensions: permessage-deflate"),
        "/garbage": "\0" * 100 + "\r\n\r\n",
        "/cut": "HTTP/1.1 101 Switch",
        "/declined": "HTTP/1.1 403 X\r\nContent-Length: 2\r\n\r\nno",
        "/large-head": "HTTP/1.1 101 X\r\n" + "X: y\r\n" * 20_000,
    }
    if peer.path in answers:
        await peer.write(answers[peer.path])
        return
    await peer.write(peer.switching().encode() + frame(TEXT, b"hello"))
    opcode = 0
    while opcode != CLOSE:
        opcode, payload = await peer.read_frame()
        if opcode == TEXT:
            await peer.write(frame(TEXT, b"X" * 3000, fin=False) + frame(TEXT, b"broken"))
            await peer.until_gone()
            return
        await peer.write(frame(PONG if opcode == PING else opcode, payload))


PATHS = ["/no-accept", "/extension", "/garbage", "/cut", "/declined", "/large-head"]


def refused(head: str) -> Attack:
    async def attack(client: RawClient) -> None:
        client.write(head)
        await client.reader.read()

    return attack


def broken_off(head: str, behind: bytes = b"") -> Attack:
    async def attack(client: RawClient) -> None:
        client.write(head.encode("latin-1") + behind)
        await asyncio.sleep(0)
        reset(client.writer)

    return attack


def let_in(behind: bytes) -> Attack:
    async def attack(client: RawClient) -> None:
        client.write(request(target="/in"))
        await client.reader.readuntil(b"\x05hello")
        client.write(behind)
        if not behind:
            reset(client.writer)
        await client.reader.read()

    return attack


ATTACKS: list[Attack] = [
    *(refused(head) for head, _ in HEADS.values() if len(head) < 100_000),
    *(refused(request(target=path)) for path in PATHS),
    *(broken_off(head[: len(head) // 2]) for head, _ in HEADS.values() if len(head) < 10_000),
    *(broken_off(request(target=path)) for path in [*PATHS, "/in"]),
    *(broken_off(request(target="/in"), MASKED * count) for count in (1, 100, 10_000)),
    let_in(b""),
    let_in(MASKED),  # the backend answers them with a protocol violation
    let_in(frame(TEXT, b"not masked")),
    let_in(bytes.fromhex("81ff 7fffffffffffffff")),
    let_in(bytes.fromhex("8881 00000000 03")),
    let_in(bytes.fromhex("0181 00000000 58") * 2),
    let_in(bytes.fromhex("8182 00000000 58ff")),
]


async def flood(gateway: RunningGateway, rounds: int) -> None:
    """Run this many attacks, some of them concurrently."""
    attacks = itertools.islice(itertools.cycle(ATTACKS), rounds)

    async def attack() -> None:
        for one in attacks:
            async with raw_client(gateway.host, gateway.port) as client:
                try:
                    async with asyncio.timeout(30):
                        await one(client)
                except (ConnectionError, asyncio.IncompleteReadError):
                    pass  # it was dropped

    await asyncio.gather(*(attack() for _ in range(AT_ONCE)))
    await until(lambda: not len(gateway.gateway.sessions), "no session is left")


def memory() -> tuple[int, int]:
    """Return how many blocks are allocated, and how many bytes are resident."""
    gc.collect()
    pages = int(STATM.read_text().split()[1]) if STATM.exists() else 0
    return sys.getallocatedblocks(), pages * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.slow
async def test_flood_leaks_no_memory_task_or_descriptor(
    start_gateway: StartGateway, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR, "wsgw")  # captured records are kept and would count as a leak
    async with raw_backend(answer_wrongly, *PATHS, "/in") as backend:
        gateway = await start_gateway(
            backend.entry(breaker_threshold=-1),  # or most clients would be refused without a dial
            limits={"max-message-size": "16KiB", "close-timeout": "500ms"},
            failover={"hold": "50ms"},
        )
        async with no_leaks(gateway):
            await flood(gateway, 2 * len(ATTACKS))  # warm up: some objects are made once
            blocks, resident = memory()
            await flood(gateway, ROUNDS)
            more_blocks, more_resident = memory()
            assert more_blocks - blocks < ROUNDS / 10
            assert more_resident - resident < 8 * 1024 * 1024
        assert gateway.count("handshakes_refused") > ROUNDS / 3
        assert gateway.count("sessions") > 100
        assert gateway.count("ws_violations") > 10
