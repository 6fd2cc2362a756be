"""A file that is read again when it has changed."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from wsgw_core.api import PluginContext, WatchedFile, read_parsed, watched_file
from wsgw_core.testing.context import make_plugin_context
from wsgw_core.testing.virtual_clock import on_virtual_clock


class Clock:
    """Stands still until the test moves it."""

    now = 0.0

    def time(self) -> float:
        return self.now


@pytest.fixture
async def context() -> PluginContext:
    clock: Any = Clock()
    return replace(make_plugin_context("tested"), clock=clock)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "number"
    file.write_text("1")
    return file


def number(text: str) -> int:
    if not text.isdecimal():
        raise ValueError("no number")
    return int(text)


def put(file: Path, text: str | None) -> None:
    """Writes a file, or removes it."""
    if text is None:
        file.unlink()
    else:
        file.write_text(text)


def later(context: PluginContext) -> None:
    clock: Any = context.clock
    clock.now += 20


async def test_a_change_is_seen_at_the_first_use_after_ten_seconds(
    file: Path, context: PluginContext
) -> None:
    watched = WatchedFile(str(file), number, context)
    put(file, "22")
    assert await watched.current() == 1
    later(context)
    assert await watched.current() == 22


async def test_value_does_not_wait_for_the_look_that_it_begins(
    file: Path, context: PluginContext
) -> None:
    watched = WatchedFile(str(file), number, context)
    put(file, "22")
    later(context)
    assert watched.value == 1
    async with asyncio.timeout(60):
        while watched.value != 22:  # noqa: ASYNC110 - the look tells nobody
            await asyncio.sleep(0.001)


@pytest.mark.parametrize("content", ["x", "9" * 100, None])
async def test_an_unusable_file_keeps_the_old_value(
    file: Path, context: PluginContext, content: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    watched = WatchedFile(str(file), number, context, most=50)
    put(file, content)
    later(context)
    assert await watched.current() == 1
    assert not watched.is_usable
    assert (
        caplog.records[0]
        .getMessage()
        .startswith(f"what was read from a file before stays in use: {file}: ")
    )
    put(file, "333")
    later(context)
    assert await watched.current() == 333
    assert watched.is_usable


async def test_all_callers_share_one_look_that_outlives_a_cancelled_one(
    file: Path, context: PluginContext
) -> None:
    looks, may_end = [], threading.Event()

    def slow(text: str) -> int:
        if text != "1":
            looks.append(text)
            may_end.wait(60)
        return int(text)

    watched = WatchedFile(str(file), slow, context)
    put(file, "22")
    later(context)
    waiting = [asyncio.create_task(watched.current()) for _ in range(5)]
    async with asyncio.timeout(60):
        while not looks:  # noqa: ASYNC110 - it is in a thread
            await asyncio.sleep(0.001)
    waiting.pop().cancel()
    may_end.set()
    assert await asyncio.gather(*waiting) == [22] * 4
    assert looks == ["22"]


async def test_file_system_that_hangs_keeps_the_old_value(
    file: Path,
    context: PluginContext,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(watched_file, "_LONGEST_LOOK", 0.05)
    may_end = threading.Event()

    def slow(text: str) -> int:
        if text != "1":
            may_end.wait(60)
        return int(text)

    watched = WatchedFile(str(file), slow, context)
    put(file, "22")
    later(context)
    async with asyncio.timeout(30):
        assert await asyncio.gather(*(watched.current() for _ in range(3))) == [1] * 3
    assert not watched.is_usable
    assert [record.getMessage() for record in caplog.records] == [
        f"what was read from a file before stays in use: {file}: no answer for 0.05 s"
    ]
    later(context)
    assert await watched.current() == 1
    may_end.set()
    async with asyncio.timeout(60):
        while watched.value != 22:  # noqa: ASYNC110 - the look tells nobody
            await asyncio.sleep(0.001)
    assert watched.is_usable


@on_virtual_clock
async def test_a_look_that_ends_as_its_time_is_up_counts(
    file: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock: Any = Clock()
    context = replace(make_plugin_context("tested"), clock=clock)
    watched = WatchedFile(str(file), number, context)
    monkeypatch.setattr(watched_file, "_LONGEST_LOOK", 3)
    loop = asyncio.get_running_loop()
    answer = loop.create_future()
    loop.call_at(3, answer.set_result, None)  # just before the timeout

    async def at_the_last_moment(look: Callable[[], object]) -> object:
        await answer
        return look()

    monkeypatch.setattr(watched_file, "run_in_thread", at_the_last_moment)
    put(file, "22")
    later(context)
    await watched.current()
    assert loop.time() == 3
    assert (watched.value, watched.is_usable) == (22, True)
    assert "no answer" not in caplog.text


def test_read_parsed_limits_the_size_and_names_the_file(tmp_path: Path) -> None:
    file = tmp_path / "file"
    for content, error in (
        (b"\xff", "not UTF-8"),
        (b"x" * 11, "larger than 10 bytes"),
        (b"x", "no number"),
    ):
        file.write_bytes(content)
        with pytest.raises(ValueError, match=f"^{file}: {error}"):
            read_parsed(str(file), number, 10)
    with pytest.raises(ValueError, match="No such file"):
        read_parsed(str(tmp_path / "none"), number)
    with pytest.raises(ValueError, match="directory"):
        read_parsed(str(tmp_path), number)
