"""Publish and subscribe, through the whole gateway."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from wsgw_core.testing.running_gateway import RunningGateway, running_gateway

from .redis_server import TIMEOUT, RedisServer
from .worker import Worker


def gateway_to(redis: RedisServer, **keys: Any) -> AbstractAsyncContextManager[RunningGateway]:
    return running_gateway({"upstream": {"backends": [{"id": "queue", "url": redis.url, **keys}]}})


async def until_subscribers(redis: RedisServer, channel: str, count: int) -> None:
    async with asyncio.timeout(TIMEOUT):
        while (await redis.client.pubsub_numsub(channel))[0][1] != count:  # noqa: ASYNC110 - no event to await
            await asyncio.sleep(0.01)


async def connections(redis: RedisServer) -> int:
    names = [each["name"] for each in await redis.client.client_list()]
    return sum(name.startswith("wsgw:") for name in names)


async def test_room_of_many_clients_is_one_subscription(redis: RedisServer) -> None:
    async with gateway_to(redis, subscribe=["room:{query.room}"]) as gateway:
        clients = await asyncio.gather(*(connect(f"{gateway.url}/?room=a") for _ in range(50)))
        other = await connect(f"{gateway.url}/?room=b")
        await until_subscribers(redis, "room:a", 1)
        assert await connections(redis) == 3
        await redis.client.publish("room:a", "grüße")
        await redis.client.publish("room:b", b"\xff")
        async with asyncio.timeout(TIMEOUT):
            assert {await client.recv() for client in clients} == {"grüße"}
            assert await other.recv() == b"\xff"
        await asyncio.gather(*(client.close() for client in clients))
        await until_subscribers(redis, "room:a", 0)
        await until_subscribers(redis, "room:b", 1)
        for query in ("?room=../x", "?room=*", ""):
            with pytest.raises(InvalidStatus, match="400"):
                await connect(f"{gateway.url}/{query}")
        await other.close()


async def test_channel_can_be_left_and_joined_again_at_once(redis: RedisServer) -> None:
    async with gateway_to(redis, subscribe=["room"]) as gateway:
        for number in range(20):
            async with connect(gateway.url) as client, asyncio.timeout(TIMEOUT):
                await redis.client.publish("room", str(number))
                assert await client.recv() == str(number)


async def test_messages_are_published_unchanged(redis: RedisServer) -> None:
    keys = {"mode": "pubsub", "psubscribe": ["to:{session}:*"]}
    async with redis.client.pubsub() as worker, gateway_to(redis, **keys) as gateway:
        await worker.psubscribe("wsgw:*")
        async with connect(gateway.url) as client, asyncio.timeout(TIMEOUT):
            for message in ("grüße", b"\x00\xff"):
                await client.send(message)
            found: list[dict[str, Any]] = []
            while len(found) < 2:
                if got := await worker.get_message(ignore_subscribe_messages=True, timeout=1):
                    found.append(got)
            assert [each["data"] for each in found] == ["grüße".encode(), b"\x00\xff"]
            session = found[0]["channel"].decode().removeprefix("wsgw:")
            assert await connections(redis) == 2
            await redis.client.publish(f"to:{session}:any", "hello")
            assert await client.recv() == "hello"
        assert not await redis.client.keys("*")


async def test_require_subscribers_refuses_client_without_subscriber(redis: RedisServer) -> None:
    keys = {"mode": "pubsub", "publish": "room:{path.1}", "require-subscribers": True}
    async with redis.client.pubsub() as worker, gateway_to(redis, **keys) as gateway:
        await worker.subscribe("room:a")
        async with connect(f"{gateway.url}/a") as client:
            await client.send("x")
            with pytest.raises(InvalidStatus, match="502"):
                await connect(f"{gateway.url}/b")
            await client.send("y")
            found: list[bytes] = []
            async with asyncio.timeout(TIMEOUT):
                while len(found) < 2:
                    if got := await worker.get_message(ignore_subscribe_messages=True, timeout=1):
                        found.append(got["data"])
            assert found == [b"x", b"y"]
            assert gateway.count("failovers") == 0


async def test_lost_subscription_adds_connect_event(redis: RedisServer) -> None:
    keys = {"events": ["connect", "message"], "subscribe": ["room"]}
    async with (
        gateway_to(redis, **keys) as gateway,
        connect(gateway.url) as client,
        Worker(redis.client) as worker,
        asyncio.timeout(TIMEOUT),
    ):
        first = (await worker.entries(1))[0]
        await redis.client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
        again = (await worker.entries(1))[0]
        assert (again["type"], again["reconnect"]) == ("connect", "1")
        assert (first["id"][-3:], again["id"][-3:]) == ("-c0", "-c1")
        await redis.client.publish("room", "still here")
        assert await client.recv() == "still here"


@pytest.mark.parametrize(
    ("binary", "expected"),
    [("auto", ["a", b"\xff"]), ("text", ["a", "b"]), ("binary", [b"a", b"\xff"])],
)
async def test_binary_option_selects_type_of_channel_messages(
    redis: RedisServer, binary: str, expected: list[str | bytes]
) -> None:
    async with (
        gateway_to(redis, subscribe=["room"], binary=binary) as gateway,
        connect(gateway.url) as client,
        asyncio.timeout(TIMEOUT),
    ):
        for data in ("a", b"\xff", "b"):
            await redis.client.publish("room", data)
        assert [await client.recv() for _ in range(2)] == expected


@pytest.mark.slow
async def test_slow_client_of_room_is_closed_alone(
    redis: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    keys = {"mode": "pubsub", "subscribe": ["room:{query.room}"], "reply-buffer": "256KiB"}
    async with (
        gateway_to(redis, **keys) as gateway,
        connect(f"{gateway.url}/?room=a", max_queue=1, max_size=None),
        connect(f"{gateway.url}/?room=b") as good,
        asyncio.timeout(TIMEOUT),
    ):
        for number in range(200):
            await redis.client.publish("room:a", "x" * 100_000)
            await redis.client.publish("room:b", str(number))
        assert [await good.recv() for _ in range(200)] == [str(each) for each in range(200)]
        while not gateway.count("redis_buffer_closes"):  # noqa: ASYNC110 - no event to await
            await asyncio.sleep(0.01)
        assert gateway.count("redis_buffer_closes") == 1
        assert gateway.count("failovers") == 0
    assert not [each for each in caplog.records if each.levelname == "ERROR"]
