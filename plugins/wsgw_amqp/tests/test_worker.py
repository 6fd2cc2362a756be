"""Skipping messages that come again."""

from __future__ import annotations

from typing import Any

import pytest
from wsgw_amqp.worker import MemoryStore, seen


class Incoming:
    """The needed part of a message."""

    def __init__(
        self, message_id: str | None, *, replayed: bool = False, redelivered: bool = False
    ) -> None:
        self.message_id = message_id
        self.headers: dict[str, Any] = {"wsgw-replayed": True} if replayed else {}
        self.redelivered = redelivered
        self.acks = 0

    async def ack(self) -> None:
        self.acks += 1


class CountingStore(MemoryStore):
    asked = 0

    async def contains(self, message_id: str) -> bool:
        self.asked += 1
        return await super().contains(message_id)


@pytest.mark.parametrize("mark", ["replayed", "redelivered"])
async def test_marked_message_handled_before_is_only_acknowledged(
    mark: str,
) -> None:
    handled: list[str | None] = []

    @seen(MemoryStore())
    async def handle(message: Incoming) -> None:
        handled.append(message.message_id)

    again = Incoming("S-1", **{mark: True})
    await handle(Incoming("S-1"))
    await handle(again)

    assert handled == ["S-1"]
    assert again.acks == 1


async def test_marked_message_not_handled_before_is_handled() -> None:
    handled: list[str | None] = []

    @seen(MemoryStore())
    async def handle(message: Incoming) -> None:
        handled.append(message.message_id)

    message = Incoming("S-1", replayed=True)
    await handle(message)

    assert handled == ["S-1"]
    assert message.acks == 0


async def test_store_is_not_asked_about_new_messages() -> None:
    store = CountingStore()

    @seen(store)
    async def handle(message: Incoming) -> None:
        pass

    for number in range(10):
        await handle(Incoming(f"S-{number}"))

    assert store.asked == 0
    assert await store.contains("S-9")


async def test_failed_handler_gets_message_again() -> None:
    attempts = 0

    @seen(MemoryStore())
    async def handle(_message: Incoming) -> None:
        nonlocal attempts
        attempts += 1
        if attempts == 1:
            raise RuntimeError("not now")

    with pytest.raises(RuntimeError):
        await handle(Incoming("S-1"))
    await handle(Incoming("S-1", redelivered=True))

    assert attempts == 2


async def test_message_without_id_is_handled_each_time() -> None:
    attempts = 0

    @seen(MemoryStore())
    async def handle(_message: Incoming) -> None:
        nonlocal attempts
        attempts += 1

    await handle(Incoming(None, redelivered=True))
    await handle(Incoming(None, redelivered=True))

    assert attempts == 2


async def test_memory_store_forgets_oldest() -> None:
    store = MemoryStore(size=2)
    for number in range(3):
        await store.add(f"S-{number}")

    assert [await store.contains(f"S-{number}") for number in range(3)] == [False, True, True]
