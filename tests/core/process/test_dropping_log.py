"""The log never blocks, and reports dropped lines later."""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import pty
import socket
import sys
import tty
from collections.abc import Iterator
from contextlib import suppress

import pytest

from wsgw_core.api import Metrics
from wsgw_core.metrics.counters import GatewayCounters
from wsgw_core.process.dropping_log import DroppingLog

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="relies on its pipes")

TIMEOUT = 60.0


@pytest.fixture(autouse=True)
def hasty_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wsgw_core.process.dropping_log._LAST_WAIT", 0.01)


class Ends:
    """The descriptor that a log writes to, and the reader's."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        if kind == "pipe":
            self.reader, self.writer = os.pipe()
        elif kind == "terminal":
            self.reader, self.writer = pty.openpty()
            tty.setraw(self.writer)
        else:
            one, other = socket.socketpair()
            self.reader, self.writer = one.detach(), other.detach()

    def read(self) -> str:
        """Return what there is now."""
        os.set_blocking(self.reader, False)
        pieces = []
        with suppress(BlockingIOError):
            while piece := os.read(self.reader, 1 << 20):
                pieces.append(piece)
        return b"".join(pieces).decode()

    def close(self) -> None:
        for descriptor in (self.reader, self.writer):
            with suppress(OSError):
                os.close(descriptor)


@pytest.fixture(params=["pipe", "socket", "terminal"])
def ends(request: pytest.FixtureRequest) -> Iterator[Ends]:
    ends = Ends(request.param)
    yield ends
    ends.close()


@pytest.fixture
def pipe() -> Iterator[Ends]:
    ends = Ends("pipe")
    yield ends
    ends.close()


def record(text: str, *arguments: object, level: int = logging.INFO) -> logging.LogRecord:
    return logging.LogRecord("wsgw.x", level, __file__, 1, text, arguments, None)


def fill(log: DroppingLog) -> int:
    """Log until lines are dropped; return how many lines were logged."""
    count = 0
    while not log.dropped.value:
        log.handle(record("%06d %s", count, "x" * 1000))
        count += 1
    return count


def test_a_line_is_written_at_once(ends: Ends) -> None:
    log = DroppingLog(ends.writer)
    log.handle(record("one é"))
    log.write_line("two")
    assert ends.read() == "one é\ntwo\n"
    log.close()


def test_unread_lines_are_dropped_and_reported_later(ends: Ends) -> None:
    log = DroppingLog(ends.writer)
    logged = fill(log)
    for _ in range(9):
        log.handle(record("too much"))
    assert log.dropped.value == 10

    read = ""
    while "dropped" not in read:
        read += ends.read()
        log.flush()
    log.handle(record("after"))
    read += ends.read()

    *lines, note, after = read.splitlines()
    assert [line[:6] for line in lines] == [f"{number:06d}" for number in range(logged - 1)]
    assert all(len(line) == 1007 for line in lines)
    assert note == "dropped 10 log lines: stderr could not be written"
    assert after == "after"
    log.close()


def test_memory_of_buffered_lines_is_bounded(pipe: Ends) -> None:
    log = DroppingLog(pipe.writer)
    assert 500 < fill(log) < 1200  # lines of a kilobyte each; the pipe holds some too
    log.close()


def test_descriptor_stays_blocking_for_others(ends: Ends) -> None:
    before = fcntl.fcntl(ends.writer, fcntl.F_GETFL)
    log = DroppingLog(ends.writer)
    fill(log)
    assert fcntl.fcntl(ends.writer, fcntl.F_GETFL) == before
    log.close()
    os.fstat(ends.writer)


def test_pipe_that_cannot_be_reopened_does_not_block(
    pipe: Ends, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> int:
        raise PermissionError

    with monkeypatch.context() as patched:
        patched.setattr(os, "open", refuse)
        log = DroppingLog(pipe.writer)
    logged = fill(log)
    read = ""
    while "dropped" not in read:
        read += pipe.read()
        log.flush()
    assert len(read.splitlines()) == logged
    log.close()


def test_flush_waits_for_a_bounded_time(pipe: Ends) -> None:
    log = DroppingLog(pipe.writer)
    fill(log)
    log.close()  # nobody reads: it would never return


def test_closed_log_drops_lines(pipe: Ends) -> None:
    log = DroppingLog(pipe.writer)
    log.close()
    log.handle(record("too late"))
    log.write_line("too late")
    assert pipe.read() == ""
    assert log.dropped.value == 2


def test_without_a_reader_lines_are_dropped(pipe: Ends) -> None:
    log = DroppingLog(pipe.writer)
    os.close(pipe.reader)
    for _ in range(3):
        log.handle(record("lost"))
    assert log.dropped.value == 3
    log.close()


def test_pipe_without_reader_from_the_start_is_no_error(pipe: Ends) -> None:
    os.close(pipe.reader)
    log = DroppingLog(pipe.writer)
    log.handle(record("lost"))
    assert log.dropped.value == 1
    log.close()


def test_lines_lost_on_a_full_disk_are_reported_later(pipe: Ends) -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    log = DroppingLog(full)
    for _ in range(3):
        log.handle(record("lost"))
    os.dup2(pipe.writer, full)
    log.handle(record("kept"))
    assert pipe.read() == "dropped 3 log lines: stderr could not be written\nkept\n"
    assert log.dropped.value == 3
    log.close()
    os.close(full)


async def test_event_loop_writes_buffered_lines(pipe: Ends) -> None:
    log = DroppingLog(pipe.writer)
    log.drain_by(asyncio.get_running_loop())
    fill(log)
    read = ""
    async with asyncio.timeout(TIMEOUT):
        while "dropped" not in read:
            read += pipe.read()
            await asyncio.sleep(0.01)
    assert read.endswith("dropped 1 log lines: stderr could not be written\n")
    log.drain_by(None)
    log.close()


def test_malformed_record_is_logged(pipe: Ends) -> None:
    log = DroppingLog(pipe.writer)
    log.handle(record("%d", "x"))
    assert pipe.read() == "wsgw.x: TypeError in a log record: '%d'\n"
    log.close()


class TestSampling:
    def test_hundred_records_of_one_kind_are_written(self, pipe: Ends) -> None:
        log = DroppingLog(pipe.writer)
        for number in range(1000):
            log.handle(record("client %s: fault", number, level=logging.WARNING))
            log.handle(record("session %s: opened", number))
        log.handle(record("another", level=logging.ERROR))
        lines = pipe.read().splitlines()
        assert sum("fault" in line for line in lines) == 100
        assert sum("opened" in line for line in lines) == 1000
        assert lines[-1] == "another"
        assert log.dropped.value == 900
        log.close()

    def test_next_minute_reports_the_number_dropped(
        self, pipe: Ends, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        now = 0.0
        monkeypatch.setattr("wsgw_core.process.log_sampler.time.monotonic", lambda: now)
        log = DroppingLog(pipe.writer)
        for number in range(103):
            log.handle(record("client %s: 100%% fault", number, level=logging.WARNING))
        now = 61.0
        log.handle(record("client %s: 100%% fault", "x", level=logging.WARNING))
        *_, last = pipe.read().splitlines()
        assert last == "client x: 100% fault (and 3 more not logged)"
        log.close()

    def test_audit_log_is_not_limited(self, pipe: Ends) -> None:
        log = DroppingLog(pipe.writer)
        for _ in range(300):
            log.handle(logging.LogRecord("wsgw.audit", logging.WARNING, "", 1, "denied", (), None))
        assert pipe.read().count("denied") == 300
        log.close()

    def test_memory_for_kinds_is_bounded(self, pipe: Ends) -> None:
        log = DroppingLog(pipe.writer)
        (sampler,) = log.filters
        for number in range(5000):
            log.handle(record(f"kind {number}", level=logging.WARNING))
            pipe.read()
        assert isinstance(sampler, logging.Filter)
        assert len(vars(sampler)["_seen"]) <= 1000
        log.close()


def test_dropped_lines_are_counted() -> None:
    assert GatewayCounters(Metrics()).log_lines_dropped.name == "log_lines_dropped"
