"""The ways to reach Redis: users, databases, socket files, TLS, Sentinels, replicas."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
import trustme
from redis.asyncio import Redis
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from wsgw_core.testing.running_gateway import RunningGateway, running_gateway

from .redis_server import TIMEOUT, RedisServer, free_port
from .worker import Worker

# Other tests cover both event loops.
pytestmark = pytest.mark.asyncio(loop_factories=["uvloop"])

Start = Callable[..., Awaitable[RedisServer]]

RIGHTS = (
    "~wsgw:events ~wsgw:replies:* ~wsgw:dead-letters ~wsgw:probe &room +xadd +xtrim +xread"
    " +xgroup +xinfo|stream +expire +wait +ping +select +client|setname +publish"
    " +subscribe +unsubscribe +psubscribe +punsubscribe +pubsub"
)


def gateway_to(url: str, **keys: Any) -> AbstractAsyncContextManager[RunningGateway]:
    backend = {"id": "queue", "url": url, **keys}
    return running_gateway({"upstream": {"backends": [backend]}})


async def check_round_trip(gateway: RunningGateway, client: Any) -> None:
    async with (
        connect(gateway.url) as websocket,
        Worker(client) as worker,
        asyncio.timeout(TIMEOUT),
    ):
        await websocket.send("there")
        entry = (await worker.entries(1))[0]
        await worker.reply(entry, data="and back")
        assert await websocket.recv() == "and back"


async def until_served(gateway: RunningGateway) -> None:
    async with asyncio.timeout(TIMEOUT):
        while True:
            try:
                async with connect(gateway.url):
                    return
            except InvalidStatus:
                await asyncio.sleep(0.1)


async def test_documented_acl_rights_suffice(redis: RedisServer) -> None:
    command = ("ACL", "SETUSER", "wsgw", "on", ">secret", "resetchannels", *RIGHTS.split())
    await redis.client.execute_command(*command)
    url = f"redis://wsgw:secret@127.0.0.1:{redis.port}"
    async with gateway_to(url, subscribe=["room"], **{"wait-replicas": 0}) as gateway:
        await check_round_trip(gateway, redis.client)
        async with connect(gateway.url) as client, asyncio.timeout(TIMEOUT):
            await redis.client.publish("room", "heard")
            assert await client.recv() == "heard"
        assert gateway.count("redis_refused") == 0


async def test_username_option_applies_beside_url(redis: RedisServer) -> None:
    rights = ("on", ">secret", "allkeys", "allcommands")
    await redis.client.execute_command("ACL", "SETUSER", "wsgw", *rights)
    keys = {"username": "wsgw", "password": "secret", "client-name": "gateway-{instance}"}
    async with gateway_to(redis.url, **keys) as gateway:
        await check_round_trip(gateway, redis.client)
        ours = [
            each["user"]
            for each in await redis.client.client_list()
            if each["name"].startswith("gateway-")
        ]
        assert ours == ["wsgw", "wsgw"]


async def test_sentinels_have_separate_login(redis: RedisServer, tmp_path: Path) -> None:
    (tmp_path / "sentinel").mkdir()
    file = tmp_path / "password"
    file.write_text("first\n")
    sentinel = RedisServer(
        tmp_path / "sentinel",
        "requirepass first",
        f"sentinel monitor main 127.0.0.1 {redis.port} 1",
        sentinel=True,
    )
    await sentinel.start()
    try:
        url = f"redis+sentinel://127.0.0.1:{sentinel.port}/main"
        keys = {"sentinel-username": "default", "sentinel-password-file": str(file)}
        async with gateway_to(url, **keys) as gateway:
            await check_round_trip(gateway, redis.client)
        keys = {"sentinel-password": "second"}
        async with gateway_to(url, **keys) as gateway:
            with pytest.raises(InvalidStatus, match="502"):
                await connect(gateway.url)
    finally:
        await sentinel.stop()


async def test_password_file_is_read_at_each_connect(redis: RedisServer, tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("first\n")
    await redis.client.execute_command("CONFIG", "SET", "requirepass", "first")
    url = f"redis://127.0.0.1:{redis.port}"
    client: Any = Redis(port=redis.port, password="first", protocol=2)  # noqa: S106 - a test password
    async with client, gateway_to(url, **{"password-file": str(file)}) as gateway:
        await check_round_trip(gateway, client)
        await client.execute_command("CONFIG", "SET", "requirepass", "second")
        await client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        with pytest.raises(InvalidStatus, match="502"):
            await connect(gateway.url)
        file.write_text("second\n")
        await until_served(gateway)


async def test_wrong_password_is_logged_without_its_value(
    redis: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    await redis.client.execute_command("CONFIG", "SET", "requirepass", "right")
    async with gateway_to(f"redis://:wrong-one@127.0.0.1:{redis.port}") as gateway:
        with pytest.raises(InvalidStatus, match="502"):
            await connect(gateway.url)
    assert "refuses the login" in caplog.text
    assert "wrong-one" not in caplog.text


async def test_database_of_url_is_selected(redis: RedisServer) -> None:
    async with gateway_to(f"{redis.url}/3") as gateway, Redis(port=redis.port, db=3) as client:
        await check_round_trip(gateway, client)
    assert not await redis.client.keys("*")


async def test_socket_file_connects(start_redis: Start, tmp_path: Path) -> None:
    file = tmp_path / "s"
    redis = await start_redis("--unixsocket", str(file))
    async with gateway_to(f"unix://{file}?db=0") as gateway:
        await check_round_trip(gateway, redis.client)


async def test_tls_connects_and_verifies_certificate(start_redis: Start, tmp_path: Path) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    names = [str(tmp_path / name) for name in ("ca", "certificate", "key")]
    authority.cert_pem.write_to_path(names[0])
    certificate.cert_chain_pems[0].write_to_path(names[1])
    certificate.private_key_pem.write_to_path(names[2])
    port = str(free_port())
    redis = await start_redis(
        *("--tls-port", port, "--tls-ca-cert-file", names[0], "--tls-auth-clients", "no"),
        *("--tls-cert-file", names[1], "--tls-key-file", names[2]),
    )
    async with gateway_to(f"rediss://127.0.0.1:{port}", tls={"ca": names[0]}) as gateway:
        await check_round_trip(gateway, redis.client)
    async with gateway_to(f"rediss://127.0.0.1:{port}") as gateway:
        with pytest.raises(InvalidStatus, match="502"):
            await connect(gateway.url)


async def test_wait_replicas_delays_acknowledgement(start_redis: Start) -> None:
    master = await start_redis()
    replica = await start_redis("--replicaof", "127.0.0.1", str(master.port))
    keys = {"wait-replicas": 1, "wait-timeout": "300ms"}
    async with gateway_to(master.url, **keys) as gateway:
        await until_served(gateway)
        async with connect(gateway.url) as client, Worker(master.client) as worker:
            await client.send("1")
            assert (await worker.entries(1))[0].data == b"1"
            replica.freeze()
            await client.send("2")
            async with asyncio.timeout(TIMEOUT):
                while gateway.count("redis_refused") == 0:  # noqa: ASYNC110 - no event to await
                    await asyncio.sleep(0.01)
            replica.thaw()
            await client.send("3")
            seen: list[bytes] = []
            while b"3" not in seen:
                entry = (await worker.entries(1))[0]
                assert "replayed" in entry or entry.data not in seen
                seen.append(entry.data)
            assert [*dict.fromkeys(seen)] == [b"2", b"3"]


@pytest.mark.slow
async def test_sentinel_failover_loses_nothing(start_redis: Start, tmp_path: Path) -> None:
    master = await start_redis()
    replica = await start_redis("--replicaof", "127.0.0.1", str(master.port))
    folder = tmp_path / "sentinel"
    folder.mkdir()
    sentinel = RedisServer(
        folder,
        f"sentinel monitor main 127.0.0.1 {master.port} 1",
        "sentinel down-after-milliseconds main 1000",
        "sentinel failover-timeout main 5000",
        sentinel=True,
    )
    await sentinel.start()
    try:
        url = f"redis+sentinel://127.0.0.1:1,127.0.0.1:{sentinel.port}/main"
        async with asyncio.timeout(TIMEOUT):
            while not await sentinel.client.execute_command(  # noqa: ASYNC110 - no event to await
                "SENTINEL", "REPLICAS", "main"
            ):
                await asyncio.sleep(0.1)
        async with gateway_to(url, **{"wait-replicas": 1, "wait-timeout": "500ms"}) as gateway:
            await until_served(gateway)
            async with connect(gateway.url) as client, asyncio.timeout(TIMEOUT):
                sent = 0
                for _ in range(50):
                    sent += 1
                    await client.send(str(sent))
                await sentinel.client.execute_command("SENTINEL", "FAILOVER", "main")
                while (await replica.client.role())[0] != b"master":
                    sent += 1
                    await client.send(str(sent))
                    await asyncio.sleep(0.005)
                for _ in range(50):
                    sent += 1
                    await client.send(str(sent))
                async with Worker(replica.client) as worker:
                    first: list[int] = []
                    while sent not in first:
                        entry = (await worker.entries(1))[0]
                        number = int(entry.data)
                        if number not in first:
                            first.append(number)
                    assert first == list(range(1, sent + 1))
                    await worker.reply(entry, data="from the new master")
                    assert await client.recv() == "from the new master"
    finally:
        await sentinel.stop()
