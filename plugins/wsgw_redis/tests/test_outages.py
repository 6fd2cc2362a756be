"""Sessions, messages and replies when Redis is lost or refuses commands."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
from redis.exceptions import ResponseError
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from wsgw_redis import reply_reader

from wsgw_core.testing.broker_proxy import BrokerProxy
from wsgw_core.testing.running_gateway import RunningGateway, running_gateway

from .redis_server import TIMEOUT, RedisServer
from .talker import check_history, talking, until
from .worker import Worker

# Other tests cover both event loops.
pytestmark = pytest.mark.asyncio(loop_factories=["uvloop"])

Start = Callable[..., Awaitable[RedisServer]]


def gateway_to(url: str, **keys: Any) -> AbstractAsyncContextManager[RunningGateway]:
    backend = {"id": "queue", "url": url, **keys}
    return running_gateway({"upstream": {"backends": [backend]}})


async def until_nobody_is_served(gateway: RunningGateway) -> None:
    sessions = gateway.gateway.sessions
    await until(lambda: all(session.backend_id is None for session in sessions))


async def until_all_are_served(gateway: RunningGateway) -> None:
    sessions = gateway.gateway.sessions
    await until(lambda: all(session.backend_id is not None for session in sessions))


def refusals_of(gateway: RunningGateway) -> set[str]:
    families = [each for each in gateway.gateway.metrics if each.name == "redis_refused"]
    return {labels[-1] for family in families for labels in family.series}


async def test_killed_server_loses_nothing(redis: RedisServer) -> None:
    async with (
        gateway_to(redis.url) as gateway,
        talking(gateway.url) as talker,
        Worker(redis.client) as worker,
    ):
        for _ in range(3):
            await talker.until_sent(20)
            redis.kill()
            await talker.until_sent(20)
            await redis.start()
            await until_all_are_served(gateway)
        await talker.until_sent(20)
        await check_history(worker, talker)
        assert gateway.count("redis_reconnects") >= 3


async def test_frozen_server_is_detected_and_ids_are_kept(redis: RedisServer) -> None:
    async with (
        gateway_to(redis.url, **{"command-timeout": "400ms"}) as gateway,
        talking(gateway.url) as talker,
        Worker(redis.client) as worker,
    ):
        await talker.until_sent(20)
        redis.freeze()
        await until_nobody_is_served(gateway)
        await talker.until_sent(20)
        redis.thaw()
        entries = await check_history(worker, talker)
        ids = {entry["number"]: entry["id"] for entry in reversed(entries)}
        assert all(entry["id"] == ids[entry["number"]] for entry in entries)


REFUSALS: dict[str, tuple[list[tuple[str, ...]], list[tuple[str, ...]]]] = {
    "OOM": ([("CONFIG", "SET", "maxmemory", "1")], [("CONFIG", "SET", "maxmemory", "0")]),
    "READONLY": ([("REPLICAOF", "127.0.0.1", "1")], [("REPLICAOF", "NO", "ONE")]),
    "NOREPLICAS": (
        [("CONFIG", "SET", "min-replicas-to-write", "1")],
        [("CONFIG", "SET", "min-replicas-to-write", "0")],
    ),
}

SNAPSHOTS_FAIL = [("CONFIG", "SET", "save", "3600 1000000"), ("BGSAVE",)]
SNAPSHOTS_DO_NOT_MATTER = [("CONFIG", "SET", "stop-writes-on-bgsave-error", "no")]


@pytest.mark.parametrize("word", REFUSALS)
async def test_refused_write_counts_against_no_message(
    redis: RedisServer, word: str, caplog: pytest.LogCaptureFixture
) -> None:
    broken, mended = REFUSALS[word]
    async with (
        gateway_to(redis.url) as gateway,
        talking(gateway.url) as talker,
        Worker(redis.client) as worker,
    ):
        await talker.until_sent(20)
        since = asyncio.get_running_loop().time()
        for command in broken:
            await redis.client.execute_command(*command)
        await talker.until_sent(200)
        with pytest.raises(InvalidStatus, match="502"):
            await connect(gateway.url)
        for command in mended:
            await redis.client.execute_command(*command)
        await talker.until_sent(20)
        await check_history(worker, talker)
        seconds = asyncio.get_running_loop().time() - since
        assert 1 <= gateway.count("redis_refused") < 10 + 10 * seconds
        assert gateway.count("redis_reconnects") >= 1
    assert not [each for each in caplog.records if each.levelname == "ERROR"]


async def test_reconnects_count_connections_made_again_and_no_losses(
    redis: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    async with (
        gateway_to(redis.url) as gateway,
        connect(gateway.url) as client,
        Worker(redis.client) as worker,
        asyncio.timeout(TIMEOUT),
    ):
        await client.send("x")
        (entry,) = await worker.entries(1)
        await worker.reply(entry, data="y")
        assert await client.recv() == "y"  # so the reply reader is connected
        redis.kill()
        await until(lambda: "lost the connection for replies" in caplog.text)
        await until_nobody_is_served(gateway)
        for _ in range(10):  # the reply reader has gone on
            await asyncio.sleep(0)
        assert gateway.count("redis_reconnects") == 0
        await redis.start()
        await until(lambda: gateway.count("redis_reconnects") == 2)  # for commands, for replies
        await until_all_are_served(gateway)
        assert gateway.count("redis_reconnects") == 2


async def test_reply_reader_reconnects(redis: RedisServer) -> None:
    async with (
        gateway_to(redis.url) as gateway,
        connect(gateway.url) as client,
        Worker(redis.client) as worker,
        asyncio.timeout(TIMEOUT),
    ):
        await client.send("x")
        entry = (await worker.entries(1))[0]
        for number in range(10):
            for each in await redis.client.client_list():
                if each["name"].startswith("wsgw:") and each["cmd"] == "xread":
                    await redis.client.client_kill_filter(_id=each["id"])
            for part in range(5):
                await worker.reply(entry, data=f"{number}.{part}")
            for part in range(5):
                assert await client.recv() == f"{number}.{part}"
        assert gateway.count("failovers") == 0
        assert gateway.count("redis_replies_dead") == 0


async def test_reply_reader_reconnects_with_the_link(
    redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reply_reader, "_PAUSES", (3600.0, 3600.0))
    async with (
        gateway_to(redis.url) as gateway,
        connect(gateway.url) as client,
        Worker(redis.client) as worker,
        asyncio.timeout(TIMEOUT),
    ):
        for number in range(3):
            await client.send(str(number))
            (entry,) = await worker.entries(1)
            await worker.reply(entry, data=str(number))
            assert await client.recv() == str(number)
            redis.kill()
            await until_nobody_is_served(gateway)
            await redis.start()


async def test_waiting_replies_arrive_once_after_restart(redis: RedisServer) -> None:
    async with (
        gateway_to(redis.url) as gateway,
        connect(gateway.url) as client,
        Worker(redis.client) as worker,
        asyncio.timeout(TIMEOUT),
    ):
        await client.send("x")
        entry = (await worker.entries(1))[0]
        async with redis.client.pipeline(transaction=False) as pipeline:
            for number in range(1000):
                fields = {"session": entry["session"], "data": str(number)}
                pipeline.xadd(entry["reply"], fields, nomkstream=True)
            await pipeline.execute()
        redis.kill()
        await redis.start()
        await worker.reply(entry, data="last")
        heard = [await client.recv() for _ in range(1001)]
        assert heard == [*map(str, range(1000)), "last"]


async def test_replies_with_lower_ids_are_read_after_failover(
    redis: RedisServer,
) -> None:
    """As after a failover to a late replica whose clock is late too."""
    async with (
        gateway_to(redis.url) as gateway,
        connect(gateway.url) as client,
        Worker(redis.client) as worker,
        asyncio.timeout(TIMEOUT),
    ):
        await client.send("x")
        entry = (await worker.entries(1))[0]
        far = {"session": entry["session"], "data": "from a fast clock"}
        await redis.client.xadd(entry["reply"], far, id="9999999999999-0")
        assert await client.recv() == "from a fast clock"
        await redis.client.delete(entry["reply"])
        await redis.client.xadd(entry["reply"], far | {"data": "first"}, id="5-1")
        await redis.client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        assert await client.recv() == "first"
        await worker.reply(entry, data="second")
        assert await client.recv() == "second"
        assert gateway.count("redis_reply_stream_went_back") == 1


async def test_ping_detects_cut_connection(redis: RedisServer) -> None:
    proxy = BrokerProxy("127.0.0.1", redis.port)
    await proxy.start()
    keys = {"health-interval": "200ms", "command-timeout": "300ms"}
    async with (
        gateway_to(f"redis://127.0.0.1:{proxy.port}", **keys) as gateway,
        connect(gateway.url) as client,
        Worker(redis.client) as worker,
    ):
        await client.send("x")
        await worker.entries(1)
        proxy.freeze()  # no bytes arrive and no connection ends
        await until_nobody_is_served(gateway)
        proxy.thaw()
        await client.send("y")
        assert (await worker.entries(1))[0].data == b"y"
    await proxy.stop()


async def test_slow_client_is_closed_alone(redis: RedisServer) -> None:
    async with (
        gateway_to(redis.url, **{"reply-buffer": "256KiB"}) as gateway,
        connect(gateway.url) as good,
        connect(gateway.url, max_queue=1, max_size=None, close_timeout=1) as slow,
        Worker(redis.client) as worker,
        asyncio.timeout(TIMEOUT),
    ):
        await slow.send("slow")
        await good.send("good")
        entries = {entry.data: entry for entry in await worker.entries(2)}
        for _ in range(200):
            await worker.reply(entries[b"slow"], data="x" * 100_000)
        await worker.reply(entries[b"good"], data="still served")
        assert await good.recv() == "still served"
        letters = await worker.dead_letters(1)
        assert "buffer" in {letter["why"] for letter in letters}
        assert gateway.count("redis_buffer_closes") == 1


async def test_key_of_wrong_type_is_logged_once(
    redis: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    await redis.client.set("wsgw:events", "not a stream")
    async with gateway_to(redis.url) as gateway:
        for _ in range(5):
            with pytest.raises(InvalidStatus, match="502"):
                await connect(gateway.url)
        told = [each.getMessage() for each in caplog.records if "refuses" in each.getMessage()]
        assert len(told) == 1
        assert "WRONGTYPE" in told[0]
        await redis.client.delete("wsgw:events")
        async with asyncio.timeout(TIMEOUT):
            while True:
                try:
                    async with connect(gateway.url):
                        break
                except InvalidStatus:
                    await asyncio.sleep(0.1)


async def test_disconnect_events_wait_for_redis(redis: RedisServer) -> None:
    keys = {"events": ["connect", "message", "disconnect"]}
    async with gateway_to(redis.url, **keys) as gateway, Worker(redis.client) as worker:
        clients = [await connect(gateway.url) for _ in range(5)]
        joined = {entry["session"] for entry in await worker.entries(5)}
        redis.kill()
        for client in clients:
            await client.close()
        await until(lambda: not gateway.gateway.sessions)
        await redis.start()
        left = await worker.entries(5)
        assert {entry["session"] for entry in left} == joined
        assert {entry["type"] for entry in left} == {"disconnect"}


async def test_sessions_survive_failed_snapshots(redis: RedisServer) -> None:
    """MISCONF: Redis refuses writes after a failed snapshot."""
    (redis.folder / "dump.rdb").mkdir()
    async with (
        gateway_to(redis.url) as gateway,
        talking(gateway.url) as talker,
        Worker(redis.client) as worker,
    ):
        await talker.until_sent(20)
        for command in SNAPSHOTS_FAIL:
            await redis.client.execute_command(*command)
        await until_nobody_is_served(gateway)
        with pytest.raises(InvalidStatus, match="502"):
            await connect(gateway.url)
        for command in SNAPSHOTS_DO_NOT_MATTER:
            await redis.client.execute_command(*command)
        await talker.until_sent(20)
        await check_history(worker, talker)
        assert "MISCONF" in refusals_of(gateway)


async def test_clients_wait_while_server_loads_data(start_redis: Start) -> None:
    redis = await start_redis("--key-load-delay", "600")  # microseconds for each key
    async with redis.client.pipeline(transaction=False) as pipeline:
        for number in range(5000):
            pipeline.set(f"key:{number}", "x")
        await pipeline.execute()
    async with (
        gateway_to(redis.url) as gateway,
        talking(gateway.url) as talker,
        Worker(redis.client) as worker,
    ):
        await talker.until_sent(20)
        redis.kill()
        starting = asyncio.create_task(redis.start())
        await until(lambda: "LOADING" in refusals_of(gateway))
        with pytest.raises(InvalidStatus, match="502"):
            await connect(gateway.url)
        await starting
        await check_history(worker, talker)


async def test_sessions_survive_long_script(redis: RedisServer) -> None:
    """BUSY: Redis refuses all commands during a long script."""
    await redis.client.config_set("busy-reply-threshold", 50)
    async with (
        gateway_to(redis.url) as gateway,
        talking(gateway.url) as talker,
        Worker(redis.client) as worker,
    ):
        await talker.until_sent(20)
        script = asyncio.create_task(redis.client.eval("while true do end", 0))
        await until_nobody_is_served(gateway)
        with pytest.raises(InvalidStatus, match="502"):
            await connect(gateway.url)
        await redis.client.script_kill()
        with pytest.raises(ResponseError):
            await script
        await talker.until_sent(20)
        await check_history(worker, talker)
        assert "BUSY" in refusals_of(gateway)
