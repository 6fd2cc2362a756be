"""When a backend whose pong is late is given up, on a clock of its own."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest
from wsgw_ws.acknowledgement import Acknowledgement
from wsgw_ws.late_pong import LatePong

from wsgw_core.api import Counter
from wsgw_core.testing.virtual_clock import VirtualClockLoop, on_virtual_clock
from wsgw_core.websocket import Backlog, Endpoint

TIMEOUT = 5.0


def about(time: float) -> Any:
    """Return what is equal to a time and to a few milliseconds later."""
    return pytest.approx(time, abs=0.01)


class Backend:
    """What is known of one that was asked at the beginning and does not answer.

    Args:
        knows_silence: whether the system can tell when bytes have come.

    Attributes:
        heard_at: when the last byte came.
        moves_until: bytes are leaving us until then.
        died_at: when it was given up.
    """

    def __init__(self, *, knows_silence: bool = True) -> None:
        self.account = Acknowledgement(0.25, 1_000_000, Counter("cuts", "Released early."))
        self.account.ask(self._now, 1, 100)
        self.heard_at = 0.0
        self.moves_until = float("-inf")
        self.died_at: float | None = None
        self._knows_silence = knows_silence
        self._late_pong: LatePong | None = None
        self._answered = False

    async def doubt(self) -> None:
        """Begin to watch it, which looks at it four times a second."""
        loop = asyncio.get_running_loop()
        endpoint = cast("Endpoint", self)
        self._late_pong = LatePong(self.account, endpoint, loop, TIMEOUT, self._on_due)
        while self.died_at is None and not self._answered:
            await asyncio.sleep(0.25)
            self._late_pong.look(self._now)

    def answer(self) -> None:
        """Have it answer."""
        assert self._late_pong is not None
        self._late_pong.cancel()
        self._answered = True

    def silence(self) -> float | None:
        return self._now - self.heard_at if self._knows_silence else None

    def backlog(self) -> Backlog:
        return cast("Backlog", self)

    def has_moved(self) -> bool:
        return self._now <= self.moves_until

    def _on_due(self) -> None:
        assert self._late_pong is not None
        if self._late_pong.is_fatal(self._now):
            self.died_at = self._now

    @property
    def _now(self) -> float:
        return asyncio.get_running_loop().time()


@on_virtual_clock
async def test_it_is_when_the_time_is_over_and_not_at_a_later_look() -> None:
    await asyncio.sleep(1.3)  # no multiple of anything
    backend = Backend()
    await asyncio.sleep(TIMEOUT / 4)
    await backend.doubt()
    assert backend.died_at == about(1.3 + TIMEOUT)


@on_virtual_clock
async def test_the_time_begins_with_the_last_byte() -> None:
    backend = Backend()
    backend.heard_at = 1.111
    await asyncio.sleep(TIMEOUT / 4)
    await backend.doubt()
    assert backend.died_at == about(1.111 + TIMEOUT)


@on_virtual_clock
async def test_bytes_from_before_the_ping_do_not_shorten_it() -> None:
    backend = Backend()
    backend.heard_at = -100
    await asyncio.sleep(TIMEOUT / 4)
    await backend.doubt()
    assert backend.died_at == about(TIMEOUT)


@on_virtual_clock
async def test_where_the_system_cannot_tell_only_the_ping_counts() -> None:
    backend = Backend(knows_silence=False)
    backend.heard_at = 1.111
    await asyncio.sleep(TIMEOUT / 4)
    await backend.doubt()
    assert backend.died_at == about(TIMEOUT)


@on_virtual_clock
async def test_one_that_reads_lives() -> None:
    backend = Backend()
    backend.moves_until = 60
    await asyncio.sleep(TIMEOUT / 4)
    await backend.doubt()
    assert backend.died_at == pytest.approx(60 + TIMEOUT, abs=0.5)


@on_virtual_clock
async def test_what_its_system_took_long_ago_does_not_count() -> None:
    backend = Backend()
    backend.moves_until = TIMEOUT / 2 - 0.1
    await asyncio.sleep(TIMEOUT / 4)
    await backend.doubt()
    assert backend.died_at == about(TIMEOUT)


@on_virtual_clock
async def test_one_that_is_doubted_late_is_looked_at_once_more() -> None:
    backend = Backend()
    await asyncio.sleep(TIMEOUT + 0.01)
    backend.moves_until = TIMEOUT + 0.5
    await backend.doubt()
    assert backend.died_at is not None
    assert backend.died_at > TIMEOUT + 0.5


@on_virtual_clock
async def test_what_came_while_this_process_was_held_up_is_read_first() -> None:
    backend = Backend()
    await asyncio.sleep(TIMEOUT / 4)
    doubting = asyncio.create_task(backend.doubt())
    await asyncio.sleep(1)
    loop = cast("VirtualClockLoop", asyncio.get_running_loop())
    loop.wait(60)
    loop.call_later(0, backend.answer)  # behind all timers that are due: then the loop reads
    await doubting
    assert backend.died_at is None
