"""Blocking calls are found with their places, and no others are reported."""

from __future__ import annotations

import asyncio
import concurrent.futures
import gc
import queue
import socket
import subprocess
import sys
import threading
import time

import pytest

from wsgw_core.testing.blocking_calls import watching_for_blocking_calls
from wsgw_core.testing.long_callbacks import MOST_SECONDS

TRUE = [sys.executable, "-Sc", ""]


async def test_calls_of_asyncio_are_not_blocking() -> None:
    found: list[str] = []
    with watching_for_blocking_calls(found.append):
        server = await asyncio.start_server(lambda _, writer: writer.close(), "localhost", 0)
        host, port = server.sockets[0].getsockname()[:2]
        reader, writer = await asyncio.open_connection(host, port)
        await reader.read()
        writer.close()
        await asyncio.get_running_loop().getaddrinfo("localhost", 80)
        await asyncio.to_thread(time.sleep, 0.001)
        await asyncio.sleep(0.001)
        await (await asyncio.create_subprocess_exec(*TRUE)).wait()
        threading.Thread(target=lambda: None).start()
        threading.Event().wait(0)
        server.close()

    assert found == []


def test_a_blocking_call_is_reported_with_its_place() -> None:
    found: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        with watching_for_blocking_calls(found.append):
            time.sleep(0)
            threading.Event().wait(0.001)
            with pytest.raises(queue.Empty):
                queue.Queue[int]().get(timeout=0.001)
            subprocess.run(TRUE, check=True)
            subprocess.run(TRUE, check=True, capture_output=True)
            with pytest.raises(TimeoutError):
                concurrent.futures.Future[int]().result(0.001)
            socket.create_connection(server.getsockname()).close()
        time.sleep(0)
        socket.getaddrinfo("127.0.0.1", 80)

    assert [text.partition(" in ")[0] for text in found] == [
        "time.sleep(0)",
        "Event.wait()",
        "Queue.get()",
        f"waiting for the process {TRUE}",
        f"waiting for the process {TRUE}",
        "Future.result()",
        "socket.getaddrinfo",
        "socket.connect with a socket that blocks",
    ]
    assert all("test_blocking_calls.py:" in text for text in found)


def test_a_long_callback_is_reported_with_its_place() -> None:
    found: list[str] = []

    async def compute() -> None:
        end = time.thread_time() + MOST_SECONDS
        while time.thread_time() <= end:
            pass
        await asyncio.sleep(0)

    async def collect_garbage() -> None:
        end = time.thread_time() + MOST_SECONDS
        while time.thread_time() <= end:
            gc.collect()

    with watching_for_blocking_calls(found.append), asyncio.Runner() as runner:
        runner.run(collect_garbage())
        runner.run(compute())
    asyncio.run(compute())

    [text] = found
    assert "compute in " in text
    assert "test_blocking_calls.py" in text
    assert "s without a pause" in text


def test_garbage_collection_in_another_thread_does_not_count() -> None:
    found: list[str] = []

    def begin_to_collect() -> None:
        while time.thread_time() <= MOST_SECONDS:
            pass
        for callback in gc.callbacks:
            callback("start", {})

    async def let_another_thread_collect() -> None:
        thread = threading.Thread(target=begin_to_collect)
        thread.start()
        thread.join()  # which takes no time of this thread

    with watching_for_blocking_calls(found.append), asyncio.Runner() as runner:
        runner.run(let_another_thread_collect())

    assert not [text for text in found if "computed for" in text]
