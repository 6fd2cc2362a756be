"""The worker package, against a real server."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from typing import Any

import pytest
from redis.asyncio import Redis
from wsgw_redis.worker import Consumer, Event, consume, send

from .redis_server import TIMEOUT, RedisServer

STREAM = "wsgw:events"


class Gateway:
    """A stand-in for the gateway: adds events and reads replies."""

    def __init__(self, client: Any) -> None:
        self._client = client

    async def say(self, session: str, number: int, data: str = "x", **fields: str) -> None:
        entry = {
            "type": "message",
            "id": f"{session}-{number}",
            "session": session,
            "number": number,
            "kind": "text",
            "data": data,
            "reply": "replies",
            "path": "/a",
            "header.x-tenant": "blue",
            **fields,
        }
        await self._client.xadd(STREAM, entry)

    async def replies(self) -> list[dict[bytes, bytes]]:
        return [fields for _, fields in await self._client.xrange("replies")]


@pytest.fixture
async def gateway(redis: RedisServer) -> Gateway:
    await redis.client.xgroup_create("replies", "g", mkstream=True)
    return Gateway(redis.client)


@pytest.fixture
async def client(redis: RedisServer) -> AsyncIterator[Any]:
    """Returns a client with default settings."""
    async with Redis(port=redis.port) as made:
        yield made


def worker(client: Any, name: str = "a", **options: Any) -> Consumer:
    return Consumer(client, STREAM, group="g", consumer=name, block=0.2, **options)


async def next_of(consumer: Consumer) -> Event:
    async with asyncio.timeout(TIMEOUT):
        return await anext(consumer)


async def test_ack_stores_reply_and_deletes_entry(client: Any, gateway: Gateway) -> None:
    await gateway.say("s", 1, "grüße")
    consumer = worker(client)
    event = await next_of(consumer)
    assert (event.type, event.session, event.number, event.text) == ("message", "s", 1, "grüße")
    assert (event.path, event.headers, event.id) == ("/a", {"x-tenant": "blue"}, "s-1")
    assert (event.is_text, event.replayed, event.seen, event.deliveries) == (True, False, False, 1)

    await event.reply("hello")
    await event.reply(b"\xff", close=(4001, "bye"))
    assert await gateway.replies() == []  # only `ack` stores the reply
    assert await event.ack(delete=True)
    text, binary = await gateway.replies()
    assert text == {b"session": b"s", b"kind": b"text", b"data": b"hello", b"re": b"1"}
    assert binary[b"data"] == b"\xff"
    assert (binary[b"close"], binary[b"reason"]) == (b"4001", b"bye")
    assert await client.xlen(STREAM) == 0
    assert (await client.xpending(STREAM, "g"))["pending"] == 0


async def test_reply_to_dead_gateway_is_not_stored(client: Any, gateway: Gateway) -> None:
    await gateway.say("s", 1, reply="gone")
    event = await next_of(worker(client))
    await event.reply("hello")
    assert await event.ack()
    assert not await client.exists("gone")
    assert await client.xlen(STREAM) == 1
    assert not await send(client, "gone", "s", "x")
    assert await send(client, "replies", "s", "pushed")


async def test_replay_of_acknowledged_message_is_seen(client: Any, gateway: Gateway) -> None:
    consumer = worker(client)
    for number in (1, 2):
        await gateway.say("s", number)
        await (await next_of(consumer)).ack()
    await gateway.say("s", 2, replayed="1")
    await gateway.say("s", 3, replayed="1")
    await gateway.say("t", 2, replayed="1")
    events = [await next_of(consumer) for _ in range(3)]
    assert [(event.session, event.number, event.seen) for event in events] == [
        ("s", 2, True),
        ("s", 3, False),
        ("t", 2, False),
    ]


async def test_unacknowledged_event_goes_to_another_worker(client: Any, gateway: Gateway) -> None:
    await gateway.say("s", 1)
    await next_of(worker(client, "dies"))
    event = await next_of(worker(client, "lives", claim_idle=0.1))
    assert (event.number, event.deliveries) == (1, 2)


async def test_restarted_worker_gets_its_own_events_first(client: Any, gateway: Gateway) -> None:
    await gateway.say("s", 1)
    await next_of(worker(client))
    await gateway.say("s", 2)
    consumer = worker(client)
    assert [(await next_of(consumer)).number for _ in range(2)] == [1, 2]


async def test_poison_event_becomes_dead_letter(client: Any, gateway: Gateway) -> None:
    await gateway.say("s", 1, "poison")
    await next_of(worker(client, "dies"))
    for number in (2, 3):
        event = await next_of(worker(client, f"dies-{number}", claim_idle=0.05, max_deliveries=3))
        assert event.deliveries == number
    await gateway.say("s", 2, "good")
    consumer = worker(client, "lives", claim_idle=0.05, max_deliveries=3)
    async with asyncio.timeout(TIMEOUT):
        while not consumer.poisoned:
            event = await next_of(consumer)
            assert event.text == "good"
            if not consumer.poisoned:
                await gateway.say("s", 3, "good")
    (_, letter), *_ = await client.xrange("wsgw:dead-letters")
    assert (letter[b"why"], letter[b"data"]) == (b"poison", b"poison")


async def test_trimmed_entries_are_acknowledged_and_counted(client: Any, gateway: Gateway) -> None:
    await gateway.say("s", 1)
    await next_of(worker(client))
    await client.xtrim(STREAM, maxlen=0)
    await gateway.say("s", 2)
    consumer = worker(client)
    assert (await next_of(consumer)).number == 2
    assert consumer.trimmed == 1
    assert (await client.xpending(STREAM, "g"))["pending"] == 1


async def test_ordered_worker_handles_session_events_in_sequence(
    client: Any, gateway: Gateway
) -> None:
    for number in range(1, 21):
        for session in "abc":
            await gateway.say(session, number)
    consumer = worker(client, ordered=True, count=10)
    handled: defaultdict[str, list[int]] = defaultdict(list)
    most = 0
    tasks: set[asyncio.Task[None]] = set()

    async def handle(event: Event) -> None:
        await asyncio.sleep(0.001 * (event.number % 3))
        handled[event.session].append(event.number)
        await event.ack()

    for _ in range(60):
        event = await next_of(consumer)
        tasks.add(asyncio.create_task(handle(event)))
        tasks = {task for task in tasks if not task.done()}
        most = max(most, len(tasks))
    await asyncio.gather(*tasks)
    assert dict(handled) == {session: list(range(1, 21)) for session in "abc"}
    assert most > 1


async def test_worker_survives_restart_of_redis(
    client: Any, gateway: Gateway, redis: RedisServer
) -> None:
    got: set[int] = set()
    for number in range(1, 51):
        await gateway.say("s", number)

    async def work() -> None:
        async for event in consume(client, STREAM, group="g", consumer="a", count=5, block=0.2):
            await event.reply(str(event.number))
            if await event.ack(delete=True):
                got.add(event.number)
            if len(got) == 25:
                redis.kill()
                await redis.start()
            if event.number == 50:
                return

    async with asyncio.timeout(TIMEOUT):
        await work()
    assert [int(fields[b"data"]) for fields in await gateway.replies()] == list(range(1, 51))


async def test_closed_worker_leaves_group_unless_events_are_pending(
    client: Any, gateway: Gateway
) -> None:
    await gateway.say("s", 1)
    owing = worker(client, "owing")
    await next_of(owing)
    await owing.close()
    await gateway.say("s", 2)
    done = worker(client, "done")
    await (await next_of(done)).ack()
    await done.close()
    names = [each["name"] for each in await client.xinfo_consumers(STREAM, "g")]
    assert names == [b"owing"]


async def test_decoding_client_is_refused(redis: RedisServer) -> None:
    async with Redis(port=redis.port, decode_responses=True) as client:
        with pytest.raises(ValueError, match="decode"):
            worker(client)


@pytest.mark.parametrize("command", ["DEL", "UNLINK"])
async def test_stream_removed_during_wait_is_created_again(
    client: Any, gateway: Gateway, redis: RedisServer, command: str
) -> None:
    await gateway.say("s", 1)
    consumer = Consumer(client, STREAM, group="g", consumer="a", block=TIMEOUT)
    await (await next_of(consumer)).ack()
    waiting = asyncio.create_task(next_of(consumer))
    async with asyncio.timeout(TIMEOUT):
        while not (await redis.client.info("clients"))["blocked_clients"]:  # noqa: ASYNC110 - no event to await
            await asyncio.sleep(0.01)
    await redis.client.execute_command(command, STREAM)
    await gateway.say("s", 2)
    assert (await waiting).number == 2


async def test_worker_waits_while_redis_is_full(
    client: Any, gateway: Gateway, redis: RedisServer
) -> None:
    await gateway.say("s", 1)
    consumer = worker(client)
    event = await next_of(consumer)
    await redis.client.config_set("maxmemory", 1)
    await event.reply("never stored")
    await event.ack()
    await redis.client.config_set("maxmemory", 0)
    again = await next_of(consumer)
    assert (again.number, again.deliveries) == (1, 2)
    await again.ack()
    assert not await redis.client.xpending_range(STREAM, "g", "-", "+", 10)


@pytest.mark.parametrize("garbage", [None, "a string"])
async def test_ack_counts_unanswered_replies(
    client: Any, gateway: Gateway, garbage: str | None
) -> None:
    await gateway.say("s", 1)
    await gateway.say("s", 2)
    consumer = worker(client)
    event = await next_of(consumer)
    await client.delete("replies")
    if garbage is not None:
        await client.set("replies", garbage)
    await event.reply("lost")
    await event.reply("lost, too")
    assert await event.ack()
    assert (event.unanswered, consumer.unanswered) == (2, 2)
    await client.delete("replies")
    await client.xgroup_create("replies", "g", mkstream=True)
    event = await next_of(consumer)
    await event.reply("stored")
    assert await event.ack()
    assert (event.unanswered, consumer.unanswered) == (0, 2)
    assert [fields[b"data"] for fields in await gateway.replies()] == [b"stored"]


@pytest.mark.parametrize(
    "garbage",
    [
        {b"\xff\xfe": b"name"},
        {b"type": b"message", b"session": b"s", b"number": b"one"},
        {b"type": b"message", b"session": b"s", b"number": b"9" * 5000},
        {b"type": b"message", b"session": b"\xff"},
        {b"type": b"message"},
        {b"session": b"s"},
        {b"x": b"y" * 1_000_000},
    ],
    ids=["name", "number", "long number", "session", "no session", "no type", "large"],
)
async def test_invalid_entry_becomes_dead_letter(
    client: Any, gateway: Gateway, garbage: dict[bytes, bytes]
) -> None:
    await client.xadd(STREAM, garbage)
    await gateway.say("s", 1)
    consumer = worker(client)
    assert (await next_of(consumer)).number == 1
    assert (consumer.invalid, consumer.poisoned) == (1, 0)
    ((_, letter),) = await client.xrange("wsgw:dead-letters")
    assert letter[b"why"] == b"invalid"
    assert letter[b"detail"].startswith(b"not an event: ")
    assert garbage.items() <= letter.items()
    assert (await client.xpending(STREAM, "g"))["pending"] == 1
    assert await client.xlen(STREAM) == 1


async def test_invalid_seen_key_is_ignored(client: Any, gateway: Gateway) -> None:
    await client.set("g:seen:s", "garbage")
    await gateway.say("s", 1, replayed="1")
    assert not (await next_of(worker(client))).seen
