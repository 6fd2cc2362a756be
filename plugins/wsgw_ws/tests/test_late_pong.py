"""When a connection with a late pong is closed, on a virtual clock."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import Any, cast

import pytest
from wsgw_ws.acknowledgement import Acknowledgement
from wsgw_ws.connection import WebSocketConnection
from wsgw_ws.late_pong import LatePong, Verdict
from wsgw_ws.liveness import Liveness

from wsgw_core.api import BackendUnavailable, Counter, Metrics, OutOfResources
from wsgw_core.testing.context import make_context
from wsgw_core.testing.virtual_clock import VirtualClockLoop, on_virtual_clock
from wsgw_core.websocket import Backlog, Endpoint

TIMEOUT = 5.0
BUSY = 60.0


def about(time: float) -> Any:
    """Returns what equals this time or a few milliseconds more."""
    return pytest.approx(time, abs=0.01)


class Backend:
    """A backend, frozen by default, whose liveness checks share a `Liveness`.

    Attributes:
        answers_until: until when it answers liveness checks.
        answers_after: seconds that an answer takes.
        refuses: the exception that a check raises at once when there is no answer.
        checks: when each check began.
    """

    def __init__(self) -> None:
        self.context = dataclasses.replace(
            make_context(ping_timeout=TIMEOUT, busy_timeout=BUSY), metrics=Metrics()
        )
        self.answers_until = float("-inf")
        self.answers_after = 0.01
        self.refuses: BackendUnavailable | None = None
        self.checks: list[float] = []
        self.connections: list[Connection] = []
        heard = cast("list[WebSocketConnection]", self.connections)
        self.liveness = Liveness(self._check, heard, self.context)

    def counted(self, name: str) -> int:
        """Returns the value of this counter."""
        return self.context.metrics.counter(name, "").value

    async def _check(self) -> None:
        self.checks.append(now())
        if now() >= self.answers_until:
            if self.refuses is not None:
                raise self.refuses
            await asyncio.Event().wait()
        await asyncio.sleep(self.answers_after)
        self.liveness.lived(now())


class Connection:
    """A connection that was sent a ping when it was made, and does not answer.

    Args:
        backend: its backend; by default a new one.
        knows_silence: whether the system reports when bytes have arrived.
        looks_every: seconds between two looks of its watcher.

    Attributes:
        heard_at: when the last byte arrived.
        moves_until: until when its peer takes bytes from us.
        acknowledged_at: when the peer's system last acknowledged something; None: everything sent.
        died_at, verdict: when it was closed, and why.
    """

    def __init__(
        self,
        backend: Backend | None = None,
        *,
        knows_silence: bool = True,
        looks_every: float = 0.25,
    ) -> None:
        self.backend = backend or Backend()
        self.backend.connections.append(self)
        self.account = Acknowledgement(0.25, 1_000_000, Counter("cuts", "Released early."))
        self.account.ask(now(), 1, 100)
        self.heard_at = now()
        self.moves_until = float("-inf")
        self.acknowledged_at: float | None = None
        self.died_at: float | None = None
        self.verdict: Verdict | None = None
        self._knows_silence = knows_silence
        self._looks_every = looks_every
        self._late_pong: LatePong | None = None
        self._answered = False

    async def doubt(self) -> None:
        """Starts to watch it."""
        self._late_pong = LatePong(
            self.account,
            cast("Endpoint", self),
            self.backend.liveness,
            self.backend.context,
            self._on_due,
        )
        while self.died_at is None and not self._answered:
            assert now() < 10 * BUSY, "neither answered nor closed"
            await asyncio.sleep(self._looks_every)
            self._late_pong.look(now())

    async def live(self) -> None:
        """Starts to watch it at the due time, and returns at its end."""
        await asyncio.sleep(TIMEOUT / 4)
        await self.doubt()

    def answer(self) -> None:
        """Makes it answer."""
        assert self._late_pong is not None
        self._late_pong.cancel()
        self._answered = True

    def silence(self) -> float | None:
        return now() - self.heard_at if self._knows_silence else None

    def unacknowledged_for(self) -> float:
        return 0.0 if self.acknowledged_at is None else now() - self.acknowledged_at

    def backlog(self) -> Backlog:
        return cast("Backlog", self)

    def has_moved(self) -> bool:
        return now() <= self.moves_until

    def _on_due(self) -> None:
        assert self._late_pong is not None
        self.verdict = self._late_pong.verdict(now())
        if self.verdict is not None:
            self.died_at = now()


def now() -> float:
    return asyncio.get_running_loop().time()


class TestFrozen:
    @on_virtual_clock
    async def test_timeout_ends_it_exactly_and_not_at_the_next_look(self) -> None:
        await asyncio.sleep(1.3)  # no multiple of an interval
        connection = Connection()
        await connection.live()
        assert connection.died_at == about(1.3 + TIMEOUT)

    @on_virtual_clock
    async def test_timeout_starts_at_the_last_byte(self) -> None:
        connection = Connection()
        connection.heard_at = 1.111
        await connection.live()
        assert connection.died_at == about(1.111 + TIMEOUT)

    @on_virtual_clock
    async def test_timeout_is_as_exact_without_looks_in_between(self) -> None:
        connection = Connection(looks_every=10 * TIMEOUT)
        connection.heard_at = TIMEOUT / 2 - 0.1
        await connection.live()
        assert connection.died_at == about(TIMEOUT / 2 - 0.1 + TIMEOUT)

    @on_virtual_clock
    async def test_bytes_before_the_ping_do_not_shorten_the_timeout(self) -> None:
        connection = Connection()
        connection.heard_at = -100
        await connection.live()
        assert connection.died_at == about(TIMEOUT)

    @on_virtual_clock
    async def test_timeout_starts_at_the_ping_if_system_reports_no_silence(self) -> None:
        connection = Connection(knows_silence=False)
        connection.heard_at = 1.111
        await connection.live()
        assert connection.died_at == about(TIMEOUT)

    @on_virtual_clock
    async def test_peer_that_keeps_reading_stays_connected(self) -> None:
        connection = Connection()
        connection.moves_until = 60
        await connection.live()
        assert connection.died_at == pytest.approx(60 + TIMEOUT, abs=0.5)

    @on_virtual_clock
    async def test_bytes_taken_before_half_the_timeout_are_no_sign_of_life(self) -> None:
        connection = Connection()
        connection.moves_until = TIMEOUT / 2 - 0.1
        await connection.live()
        assert connection.died_at == about(TIMEOUT)

    @on_virtual_clock
    async def test_late_doubt_looks_once_more_before_closing(self) -> None:
        connection = Connection()
        await asyncio.sleep(TIMEOUT + 0.01)
        connection.moves_until = TIMEOUT + 0.5
        await connection.doubt()
        assert connection.died_at is not None
        assert connection.died_at > TIMEOUT + 0.5

    @on_virtual_clock
    async def test_bytes_that_arrived_while_process_was_stopped_are_read_first(self) -> None:
        connection = Connection()
        await asyncio.sleep(TIMEOUT / 4)
        doubting = asyncio.create_task(connection.doubt())
        await asyncio.sleep(1)
        loop = cast("VirtualClockLoop", asyncio.get_running_loop())
        loop.wait(60)
        loop.call_later(0, connection.answer)  # after all due timers: then the loop reads
        await doubting
        assert connection.died_at is None

    @on_virtual_clock
    async def test_one_check_serves_all_connections_of_a_backend(self) -> None:
        backend = Backend()
        connections = [Connection(backend) for _ in range(100)]
        await asyncio.gather(*(connection.live() for connection in connections))
        assert all(connection.verdict is Verdict.DEAD for connection in connections)
        assert all(connection.died_at == about(TIMEOUT) for connection in connections)
        assert len(backend.checks) <= 2

    @on_virtual_clock
    async def test_freeze_is_detected_as_fast_while_another_connection_is_busy(self) -> None:
        backend = Backend()
        backend.answers_until = 21.3
        busy, frozen = Connection(backend), asyncio.create_task(self._asked_at(backend, 21.4))
        await busy.live()
        assert (await frozen).died_at == about(21.4 + TIMEOUT)
        assert busy.died_at == about(21.4 + TIMEOUT)  # the other's dial was a sign of life
        assert busy.verdict is Verdict.DEAD

    @staticmethod
    async def _asked_at(backend: Backend, when: float) -> Connection:
        await asyncio.sleep(when)
        connection = Connection(backend)
        await connection.live()
        return connection

    @on_virtual_clock
    async def test_refusing_backend_is_checked_a_few_times_only(self) -> None:
        backend = Backend()
        backend.refuses = BackendUnavailable("refused")
        connection = Connection(backend)
        await connection.live()
        assert connection.died_at == about(TIMEOUT)
        assert len(backend.checks) <= 3
        assert backend.counted("liveness_checks") == len(backend.checks)
        assert backend.counted("liveness_checks_failed") == len(backend.checks)

    @on_virtual_clock
    async def test_backend_is_checked_before_closing_even_after_a_pause_of_the_process(
        self,
    ) -> None:
        backend = Backend()
        backend.answers_until = float("inf")
        connection = Connection(backend)
        cast("VirtualClockLoop", asyncio.get_running_loop()).wait(40)
        doubting = asyncio.create_task(connection.doubt())
        await asyncio.sleep(5)
        assert backend.checks
        assert connection.died_at is None
        connection.answer()
        await doubting

    @on_virtual_clock
    async def test_check_during_a_pause_of_the_process_is_no_evidence(self) -> None:
        backend = Backend()
        backend.answers_until = float("inf")
        connection = Connection(backend)
        doubting = asyncio.create_task(connection.live())
        while not backend.checks:  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(0.001)
        cast("VirtualClockLoop", asyncio.get_running_loop()).wait(40)
        await asyncio.sleep(5)
        assert len(backend.checks) > 1
        assert backend.counted("liveness_checks_failed") == 0
        assert connection.died_at is None
        connection.answer()
        await doubting

    @on_virtual_clock
    async def test_pause_of_the_process_before_a_check_begins_is_no_evidence(self) -> None:
        liveness = Backend().liveness
        liveness.ask(now())
        cast("VirtualClockLoop", asyncio.get_running_loop()).wait(40)
        assert liveness.silent_for(now()) == TIMEOUT / 2
        await asyncio.sleep(1)
        assert liveness.silent_for(now()) == TIMEOUT / 2 + 1
        await liveness.close()

    @on_virtual_clock
    async def test_freeze_during_a_pause_of_the_process_is_detected_after_it(self) -> None:
        connection = Connection()
        doubting = asyncio.create_task(connection.live())
        while not connection.backend.checks:  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(0.001)
        cast("VirtualClockLoop", asyncio.get_running_loop()).wait(40)
        again = now()
        await doubting
        assert connection.died_at is not None
        assert connection.died_at <= again + TIMEOUT
        assert connection.verdict is Verdict.DEAD


class TestBusy:
    @on_virtual_clock
    async def test_answered_checks_extend_the_wait_to_busy_timeout(self) -> None:
        connection = Connection()
        connection.backend.answers_until = float("inf")
        await connection.live()
        assert connection.died_at == about(BUSY)
        assert connection.verdict is Verdict.BUSY_TOO_LONG

    @on_virtual_clock
    async def test_number_of_checks_does_not_grow_with_busy_connections(self) -> None:
        backend = Backend()
        backend.answers_until = float("inf")
        await asyncio.gather(*(Connection(backend).live() for _ in range(50)))
        assert BUSY / TIMEOUT <= len(backend.checks) <= 2 * BUSY / TIMEOUT
        assert backend.counted("liveness_checks") == len(backend.checks)
        assert backend.counted("liveness_checks_failed") == 0

    @on_virtual_clock
    async def test_busy_timeout_starts_at_the_last_byte(self) -> None:
        connection = Connection()
        connection.backend.answers_until = float("inf")
        connection.heard_at = 4.2
        await connection.live()
        assert connection.died_at == about(4.2 + BUSY)

    @on_virtual_clock
    async def test_slow_answer_to_a_check_counts(self) -> None:
        connection = Connection()
        connection.backend.answers_until = float("inf")
        connection.backend.answers_after = TIMEOUT * 0.35
        await connection.live()
        assert connection.died_at == about(BUSY)

    @on_virtual_clock
    async def test_bytes_on_another_connection_are_a_sign_of_life(self) -> None:
        backend = Backend()
        backend.refuses = BackendUnavailable("refused")  # like a backend that stops
        busy, other = Connection(backend), Connection(backend)

        async def talk() -> None:
            while now() < 30:
                await asyncio.sleep(0.5)
                other.heard_at = now()

        talking = asyncio.create_task(talk())
        await busy.live()
        await talking
        assert busy.died_at == pytest.approx(30 + TIMEOUT, abs=TIMEOUT / 2)
        assert busy.verdict is Verdict.DEAD

    @on_virtual_clock
    async def test_pong_on_another_connection_replaces_the_check(self) -> None:
        backend = Backend()
        busy = Connection(backend)

        async def pong() -> None:
            while now() < 30:
                await asyncio.sleep(1)
                backend.liveness.lived(now())

        ponging = asyncio.create_task(pong())
        doubting = asyncio.create_task(busy.live())
        await ponging
        assert busy.died_at is None
        assert not backend.checks
        await doubting
        assert busy.died_at == about(30 + TIMEOUT)

    @pytest.mark.parametrize("fault", [OutOfResources("no descriptor left"), LookupError("a bug")])
    @on_virtual_clock
    async def test_check_that_fails_by_a_local_fault_is_no_evidence(self, fault: Exception) -> None:
        backend = Backend()
        backend.refuses = cast("BackendUnavailable", fault)
        connection = Connection(backend)
        await connection.live()
        assert connection.died_at == about(BUSY)
        assert connection.verdict is Verdict.BUSY_TOO_LONG

    @on_virtual_clock
    async def test_cut_off_connection_ends_without_busy_timeout(self) -> None:
        connection = Connection()
        connection.backend.answers_until = float("inf")
        connection.acknowledged_at = -0.01
        await connection.live()
        assert connection.died_at == about(TIMEOUT)
        assert connection.verdict is Verdict.CUT_OFF

    @on_virtual_clock
    async def test_bytes_of_the_moment_in_which_a_check_begins_do_not_answer_it(self) -> None:
        backend = Backend()
        began = now()
        backend.liveness.ask(began)
        await asyncio.sleep(0)
        backend.liveness.lived(began)
        assert backend.liveness.silent_for(began + TIMEOUT - 1) == TIMEOUT - 1
        backend.liveness.lived(began + 1)
        assert backend.liveness.silent_for(began + TIMEOUT) == TIMEOUT / 2  # no check since
        await backend.liveness.close()

    @on_virtual_clock
    async def test_closed_backend_leaves_no_check_running(self) -> None:
        backend = Backend()
        doubting = asyncio.create_task(Connection(backend).live())
        await asyncio.sleep(TIMEOUT / 2 + 0.5)
        assert backend.checks
        before = asyncio.all_tasks()
        await backend.liveness.close()
        assert len(asyncio.all_tasks()) == len(before) - 1
        doubting.cancel()
