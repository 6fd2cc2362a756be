"""The whole gateway with streams: what workers get, and what clients get from them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, suppress
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from wsgw_core.testing.running_gateway import RunningGateway, running_gateway

from .redis_server import TIMEOUT, RedisServer
from .worker import Entry, Worker

Start = Callable[[], Awaitable[RedisServer]]


def gateway_to(redis: RedisServer, **keys: Any) -> AbstractAsyncContextManager[RunningGateway]:
    return running_gateway({"upstream": {"backends": [{"id": "queue", "url": redis.url, **keys}]}})


@pytest.fixture
async def gateway(redis: RedisServer) -> AsyncIterator[RunningGateway]:
    async with gateway_to(redis, events=["connect", "message", "disconnect"]) as running:
        yield running


@pytest.fixture
async def worker(redis: RedisServer) -> AsyncIterator[Worker]:
    async with Worker(redis.client) as running:
        yield running


async def until_closed(client: ClientConnection) -> tuple[int, str]:
    with suppress(ConnectionClosed):
        while True:
            await client.recv()
    assert client.close_code is not None
    return client.close_code, client.close_reason or ""


async def test_messages_become_entries_byte_for_byte(
    gateway: RunningGateway, worker: Worker
) -> None:
    async with connect(f"{gateway.url}/chat/7?room=1", subprotocols=["ocpp1.6"]) as client:  # type: ignore[list-item]  # any string
        await client.send("grüße")
        await client.send(b"\x00\xff\x01")
        joined, text, binary = await worker.entries(3)
        assert client.subprotocol == "ocpp1.6"
    left = (await worker.entries(1))[0]

    session = text["session"]
    assert joined | {"type": "connect", "id": f"{session}-c0", "query": "room=1"} == joined
    assert (joined["subprotocol"], joined["path"]) == ("ocpp1.6", "/chat/7")
    assert joined["peer"] == "127.0.0.1"
    assert text | {"type": "message", "id": f"{session}-1", "number": "1", "kind": "text"} == text
    assert (text.data, binary.data) == ("grüße".encode(), b"\x00\xff\x01")
    assert binary | {"id": f"{session}-2", "number": "2", "kind": "binary"} == binary
    assert left | {"type": "disconnect", "id": f"{session}-d", "by": "client"} == left
    assert (left["code"], left["session"]) == ("1000", session)
    assert not {"replayed"} & {*joined, *text, *binary, *left}
    assert {entry["reply"] for entry in (joined, text, binary, left)} == {text["reply"]}


async def test_replies_reach_the_client(gateway: RunningGateway, worker: Worker) -> None:
    async with connect(gateway.url) as client:
        entry = (await worker.entries(1))[0]
        await worker.reply(entry, data="hi")
        assert await client.recv() == "hi"
        await worker.reply(entry, kind="binary", data=b"\x00\xff")
        assert await client.recv() == b"\x00\xff"
        await worker.reply(entry, data="last", close="4001", reason="bye")
        assert await client.recv() == "last"
        assert await until_closed(client) == (4001, "bye")
    left = (await worker.entries(1))[0]
    assert (left["type"], left["code"], left["by"]) == ("disconnect", "4001", "backend")


async def test_many_sessions_share_two_connections(
    gateway: RunningGateway, worker: Worker, redis: RedisServer
) -> None:
    async def connections() -> int:
        names = [each["name"] for each in await redis.client.client_list()]
        return sum(name.startswith("wsgw:") for name in names)

    async with connect(gateway.url):
        await worker.entries(1)
        assert await connections() == 2
        clients = await asyncio.gather(*(connect(gateway.url) for _ in range(100)))
        await worker.entries(100)
        assert await connections() == 2
        await asyncio.gather(*(client.close() for client in clients))


async def test_replies_without_session_become_dead_letters(
    gateway: RunningGateway, worker: Worker, redis: RedisServer
) -> None:
    async with connect(gateway.url) as client:
        entry = (await worker.entries(1))[0]
        await worker.reply(Entry(entry | {"session": "nobody"}), data="lost", re="7")
        await redis.client.xadd(entry["reply"], {"garbage": "1"})
        await worker.reply(entry, data=b"\xff")
        await worker.reply(entry, data="x" * (1024 * 1024 + 1))
        await worker.reply(entry, close="1006")
        await worker.reply(entry, data="goes on")
        assert await client.recv() == "goes on"
        letters = await worker.dead_letters(5)

    assert letters[0] | {"session": "nobody", "data": "lost", "re": "7"} == letters[0]
    whys = [letter["why"] for letter in letters]
    assert whys == ["unknown-session", "invalid", "invalid", "invalid", "invalid"]
    assert letters[1] | {"garbage": "1", "detail": "no session", "gateway": "queue"} == letters[1]
    assert gateway.count("redis_replies_dead") == 5


@pytest.mark.parametrize("stream", [False, "letters"])
async def test_dead_letters_option_selects_stream(
    redis: RedisServer, worker: Worker, stream: str | bool
) -> None:
    async with (
        gateway_to(redis, **{"dead-letters": stream}) as gateway,
        connect(gateway.url) as client,
        asyncio.timeout(TIMEOUT),
    ):
        await client.send("x")
        (entry,) = await worker.entries(1)
        await worker.reply(Entry(entry | {"session": "nobody"}), data="lost")
        await worker.reply(entry, data="goes on")
        assert await client.recv() == "goes on"
        assert gateway.count("redis_replies_dead") == 1
        if stream:
            while not await redis.client.exists(stream):  # noqa: ASYNC110 - no event to await
                await asyncio.sleep(0.01)
        assert not await redis.client.exists("wsgw:dead-letters")


async def test_large_replies_are_read_in_small_portions(redis: RedisServer, worker: Worker) -> None:
    async with (
        gateway_to(redis, **{"read-count": 2}) as gateway,
        connect(gateway.url) as client,
        asyncio.timeout(TIMEOUT),
    ):
        await client.send("x")
        (entry,) = await worker.entries(1)
        await redis.client.config_resetstat()
        async with redis.client.pipeline(transaction=True) as pipeline:
            for number in range(100):
                reply = {"session": entry["session"], "data": str(number)}
                pipeline.xadd(entry["reply"], reply)
            await pipeline.execute()
        assert [await client.recv() for _ in range(100)] == [str(each) for each in range(100)]
        assert (await redis.client.info("commandstats"))["cmdstat_xread"]["calls"] >= 50


async def test_two_gateways_share_events_but_no_replies(redis: RedisServer, worker: Worker) -> None:
    async with gateway_to(redis) as first, gateway_to(redis) as second:
        clients = [await connect(each.url) for each in (first, second) for _ in range(5)]
        for client in clients:
            await client.send("hello")
        for entry in await worker.entries(10):
            await worker.reply(entry, data=entry["session"])
        answers = await asyncio.gather(*(client.recv() for client in clients))
        assert len(set(answers)) == 10
        await asyncio.gather(*(client.close() for client in clients))
        assert first.count("redis_replies_dead") + second.count("redis_replies_dead") == 0


@pytest.mark.parametrize("new_id", ["queue", "other"])
async def test_session_that_moves_to_a_reloaded_backend_has_one_disconnect_event(
    redis: RedisServer, worker: Worker, new_id: str
) -> None:
    entry = {"id": "queue", "url": redis.url, "events": ["connect", "message", "disconnect"]}
    quick = {"quiet": "50ms"}
    first = {"upstream": {"backends": [entry]}, "drain": quick}
    changed = {**entry, "id": new_id, "max-batch": 100}
    async with running_gateway(first) as gateway, asyncio.timeout(TIMEOUT):
        async with connect(gateway.url) as client:
            await client.send("before")
            joined, before = await worker.entries(2)
            await gateway.reload({"upstream": {"backends": [changed]}, "drain": quick})
            for session in gateway.gateway.sessions:
                session.fail_over()
            (rejoined,) = await worker.entries(1)
            await client.send("after")
            (after,) = await worker.entries(1)
        (left,) = await worker.entries(1)
        async with connect(gateway.url):  # its event comes next
            (next_one,) = await worker.entries(1)
    session_id = joined["session"]
    ids = [entry["id"] for entry in (joined, before, rejoined, after, left)]
    assert ids == [f"{session_id}-{end}" for end in ("c0", "1", "c1", "2", "d")]
    assert (rejoined["reconnect"], left["by"]) == ("1", "client")
    assert (next_one["type"], next_one["session"]) != ("disconnect", session_id)


async def test_two_backends_of_one_template_share_no_replies(redis: RedisServer) -> None:
    replies = {"url": redis.url, "replies": "answers:{instance}"}
    routes = [
        {
            "id": name,
            "paths": [f"/{name}"],
            "backends": [{"id": f"queue-{name}", "stream": f"events:{name}", **replies}],
        }
        for name in ("a", "b")
    ]
    async with (
        running_gateway({"routes": routes}) as gateway,
        AsyncExitStack() as stack,
        asyncio.timeout(TIMEOUT),
    ):
        seen = set()
        for name in ("a", "b"):
            clients = [
                await stack.enter_async_context(connect(f"{gateway.url}/{name}")) for _ in range(20)
            ]
            for number, client in enumerate(clients):
                await client.send(f"{name}{number}")
            worker = Worker(redis.client, f"events:{name}")
            for entry in await worker.entries(20):
                for part in range(5):
                    await worker.reply(entry, data=entry.data + b".%d" % part)
                seen.add(entry["reply"])
            for number, client in enumerate(clients):
                for part in range(5):
                    assert await client.recv() == f"{name}{number}.{part}"
        assert len(seen) == 2
        assert gateway.count("redis_replies") == 200
        assert gateway.count("redis_replies_dead") == 0
        assert not await redis.client.exists("wsgw:dead-letters")


@pytest.mark.parametrize(
    ("query", "status"), [("?room=../x", 400), ("?room=*", 400), ("", 400), ("?room=a{b}", 400)]
)
async def test_invalid_key_value_from_client_is_declined(
    redis: RedisServer, query: str, status: int
) -> None:
    async with gateway_to(redis, stream="room:{query.room}") as gateway:
        with pytest.raises(InvalidStatus, match=str(status)):
            await connect(f"{gateway.url}/{query}")


async def test_headers_on_selects_entries_with_headers(redis: RedisServer, worker: Worker) -> None:
    keys = {"headers": ["X-Tenant"], "headers-on": "connect", "events": ["connect", "message"]}
    async with gateway_to(redis, **keys) as gateway:
        headers: Mapping[str, str] = {"X-Tenant": "blue", "traceparent": "00-a-b-01"}
        async with connect(gateway.url, additional_headers=headers) as client:
            await client.send("x")
            joined, message = await worker.entries(2)
    assert joined | {"header.x-tenant": "blue", "traceparent": "00-a-b-01"} == joined
    assert message | {"traceparent": "00-a-b-01"} == message
    assert "header.x-tenant" not in message


async def test_reply_stream_expires_and_is_trimmed(
    redis: RedisServer, gateway: RunningGateway, worker: Worker
) -> None:
    async with connect(gateway.url) as client:
        entry = (await worker.entries(1))[0]
        assert 0 < await redis.client.ttl(entry["reply"]) <= 3600
        await worker.reply(entry, data="1")
        assert await client.recv() == "1"
        async with asyncio.timeout(20):
            while await redis.client.xlen(entry["reply"]):
                await worker.reply(entry, data="more")
                await client.recv()
                await asyncio.sleep(0.3)


async def test_key_of_wrong_type_closes_only_its_client(redis: RedisServer) -> None:
    await redis.client.set("room:bad", "1")
    async with (
        gateway_to(redis, stream="room:{query.room}") as gateway,
        connect(f"{gateway.url}/?room=a") as good,
        connect(f"{gateway.url}/?room=bad") as bad,
        Worker(redis.client, "room:a") as worker,
    ):
        await bad.send("x")
        assert (await until_closed(bad))[0] == 1011
        await good.send("still here")
        await worker.entries(1)
        assert gateway.count("redis_reconnects") == 0


async def test_url_may_have_several_sentinels() -> None:
    backend = {"url": "redis+sentinel://127.0.0.1:1,127.0.0.1:2/main"}
    async with running_gateway({"upstream": {"backends": [backend]}}) as gateway:
        with pytest.raises(InvalidStatus, match="502"):
            await connect(gateway.url)


async def test_removed_reply_stream_is_created_again(redis: RedisServer, worker: Worker) -> None:
    async with (
        gateway_to(redis, **{"health-interval": "1h"}) as gateway,
        connect(gateway.url) as client,
        asyncio.timeout(TIMEOUT),
    ):
        await client.send("x")
        entry = (await worker.entries(1))[0]
        reply = {"session": entry["session"], "data": "x"}
        for _ in range(2):
            await worker.reply(entry, data="before")
            assert await client.recv() == "before"
            await redis.client.delete(entry["reply"])
            while not await redis.client.xadd(  # noqa: ASYNC110 - no event to await
                entry["reply"], reply, nomkstream=True
            ):
                await asyncio.sleep(0.01)
            assert await client.recv() == "x"
        assert gateway.count("redis_replies_dead") == 0
