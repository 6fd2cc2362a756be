"""A call of a plugin's code ends in time, whatever the plugin does."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

import pytest

from wsgw_core.plugins.bounded_call import close_within, result_within
from wsgw_core.testing.virtual_clock import on_virtual_clock


async def closing(seconds: float = 0.0) -> None:
    await asyncio.sleep(seconds)


async def stubborn() -> None:
    """Close, and begin again when that is cancelled."""
    for _ in range(3):
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            continue


async def exiting() -> None:
    sys.exit(3)


async def generator_exit() -> None:
    raise GeneratorExit


async def cancelling() -> None:
    raise asyncio.CancelledError


@on_virtual_clock
async def test_close_within_its_time_succeeds() -> None:
    await close_within(10, partial(closing, 9))
    assert asyncio.get_running_loop().time() == 9


@on_virtual_clock
async def test_hanging_close_is_cancelled() -> None:
    with pytest.raises(TimeoutError, match="took longer than 10 s"):
        await close_within(10, partial(closing, 1000))
    assert asyncio.get_running_loop().time() == 10
    assert len(asyncio.all_tasks()) == 1


@on_virtual_clock
async def test_close_that_ignores_cancellation_is_abandoned() -> None:
    with pytest.raises(TimeoutError):
        await close_within(10, stubborn)
    assert asyncio.get_running_loop().time() == 11


@on_virtual_clock
async def test_call_without_grace_is_abandoned_at_its_time() -> None:
    with pytest.raises(TimeoutError, match="took longer than 10 s"):
        await result_within(10, stubborn)
    assert asyncio.get_running_loop().time() == 10


@pytest.mark.parametrize(
    ("end", "told"),
    [
        (exiting, "tried to exit the process"),
        (cancelling, "cancelled itself"),
        (generator_exit, "raised GeneratorExit"),
    ],
)
@on_virtual_clock
async def test_exit_or_self_cancellation_is_an_ordinary_error(
    end: Callable[[], Coroutine[Any, Any, None]], told: str
) -> None:
    with pytest.raises(RuntimeError, match=told):
        await close_within(10, end)


@on_virtual_clock
async def test_cancelling_the_caller_cancels_the_close() -> None:
    waiting = asyncio.create_task(close_within(10, partial(closing, 5)))
    await asyncio.sleep(1)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await asyncio.sleep(0)
    assert len(asyncio.all_tasks()) == 1
