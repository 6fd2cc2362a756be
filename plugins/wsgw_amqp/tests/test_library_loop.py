"""No task of the library outlives a closed connection."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from urllib.parse import urlsplit

import aiormq
import pytest
from wsgw_amqp.library_loop import LibraryLoop

from wsgw_core.testing.broker_proxy import BrokerProxy

from .stand import standing


def tasks_of_the_library() -> list[str]:
    folder = os.fspath(Path(aiormq.__file__).parent)
    return [
        str(task)
        for task in asyncio.all_tasks()
        if getattr(
            task.get_coro(), "cr_code", tasks_of_the_library.__code__
        ).co_filename.startswith(folder)
    ]


@pytest.mark.parametrize("is_lost", [False, True], ids=["at work", "lost"])
async def test_closed_backend_leaves_no_task(broker_url: str, is_lost: bool) -> None:
    parts = urlsplit(broker_url)
    proxy = BrokerProxy(parts.hostname or "", parts.port or 0)
    await proxy.start()
    url = f"amqp://guest:guest@127.0.0.1:{proxy.port}"
    async with standing(url, broker=broker_url, works=False) as stand:
        _, sink, _ = await stand.session()
        assert tasks_of_the_library()
        if is_lost:
            await proxy.cut()
            await sink.until_closed()
        await stand.backend.close()
        assert tasks_of_the_library() == []
    await proxy.stop()


async def test_loop_waits_for_tasks_of_tasks() -> None:
    loop = LibraryLoop()
    done: list[str] = []

    async def second() -> None:
        await asyncio.sleep(0)
        done.append("second")

    async def first() -> None:
        await asyncio.sleep(0)
        begun.append(loop.create_task(second()))
        done.append("first")

    begun = [loop.create_task(first())]
    await loop.tasks_ended()

    assert done == ["first", "second"]


async def test_wait_for_endless_task_is_bounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("wsgw_amqp.library_loop._LONGEST", 0.05)
    loop = LibraryLoop()
    task = loop.create_task(asyncio.Event().wait())

    await loop.tasks_ended()

    assert not task.done()
    task.cancel()
