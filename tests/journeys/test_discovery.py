"""Discovery: one entry makes a backend of each address of a name."""

from __future__ import annotations

import json
from collections.abc import Collection

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import Server, ServerConnection, serve

from wsgw_core.pool.membership.system_resolver import SystemResolver

from .admin_operator import NO_ACTION, SUCCESS
from .conftest import StartAdmin, StartGateway
from .eventually import until
from .scripted_backend import ScriptedBackend

# Nothing in here depends on the event loop.
pytestmark = pytest.mark.asyncio(loop_factories=["uvloop"])

NAME = "backends.example"


PROMPT = {"resolve-interval": "20ms", "resolve-hold": 0}


class Addresses:
    """The addresses to which the name resolves now."""

    def __init__(self) -> None:
        self.now: Collection[str] = ()
        self.asked = 0

    async def __call__(self, host: str) -> Collection[str]:
        assert host == NAME
        self.asked += 1
        return self.now


@pytest.fixture
def addresses(monkeypatch: pytest.MonkeyPatch) -> Addresses:
    found = Addresses()
    monkeypatch.setattr(SystemResolver, "look_up", found)
    return found


async def _answer(connection: ServerConnection) -> None:
    """Answer each message with the address that the client has reached."""
    async for _ in connection:
        await connection.send(str(connection.local_address[0]))


async def listen(address: str, port: int = 0) -> tuple[Server, int]:
    server = await serve(_answer, address, port)
    return server, next(iter(server.sockets)).getsockname()[1]


async def reached(client: ClientConnection) -> str:
    await client.send("where")
    return str(await client.recv())


async def test_new_addresses_join_removed_ones_drain_and_sessions_stay(
    start_gateway: StartGateway, addresses: Addresses
) -> None:
    one, port = await listen("127.0.0.1")
    two, _ = await listen("127.0.0.2", port)
    async with one, two:
        addresses.now = ("127.0.0.1",)
        gateway = await start_gateway(
            upstream={
                "backends": [{"url": f"dns+ws://{NAME}:{port}"}],
                **PROMPT,
            },
            drain={"quiet": "50ms"},
        )
        async with connect(gateway.url) as first:
            assert await reached(first) == "127.0.0.1"

            addresses.now = ("127.0.0.1", "127.0.0.2")
            seen: set[str] = set()
            while len(seen) < 2:
                async with connect(gateway.url) as client:
                    seen.add(await reached(client))

            addresses.now = ("127.0.0.2",)
            for _ in range(200):
                async with connect(gateway.url) as client:
                    last = await reached(client)
            assert last == "127.0.0.2"
            await until(lambda: gateway.count("moves"))
            assert await reached(first) == "127.0.0.2"
        assert gateway.count("resolutions_failed") == 0
        await until(lambda: not len(gateway.gateway.sessions), "all have ended")


async def test_disabled_address_stays_disabled_when_its_entry_changes(
    start_gateway: StartGateway, addresses: Addresses
) -> None:
    one, port = await listen("127.0.0.1")
    two, _ = await listen("127.0.0.2", port)

    def upstream(**options: object) -> dict[str, object]:
        return {"backends": [{"id": "all", "url": f"dns+ws://{NAME}:{port}", **options}]}

    async with one, two:
        addresses.now = ("127.0.0.1", "127.0.0.2")
        gateway = await start_gateway(upstream=upstream())
        disabled = gateway.gateway.pool.find("all-127-0-0-1")
        assert disabled is not None
        disabled.enabled = False

        server = {"frontend": {"address": "127.0.0.1:0"}}
        await gateway.reload({"server": server, "upstream": upstream(**{"ping-time": "7s"})})

        again = gateway.gateway.pool.find("all-127-0-0-1")
        assert again is not None
        assert again is not disabled
        assert not again.enabled
        for _ in range(4):
            async with connect(gateway.url) as client:
                assert await reached(client) == "127.0.0.2"
        await until(lambda: not len(gateway.gateway.sessions), "all have ended")


async def test_operator_adds_and_deletes_a_discovered_name(
    start_gateway: StartGateway,
    start_admin: StartAdmin,
    backend: ScriptedBackend,
    addresses: Addresses,
) -> None:
    one, port = await listen("127.0.0.1")
    two, _ = await listen("127.0.0.2", port)
    upstream = {"backends": [{"id": "spare", "url": backend.url}], **PROMPT}
    gateway = await start_gateway(upstream=upstream)
    operator = await start_admin(gateway)
    entry = json.dumps({"id": "all", "url": f"dns+ws://{NAME}:{port}", "ping-time": "7s"})

    async def present() -> dict[str, str]:
        rows = await operator.get("/backend/list")
        return {row["id"]: row["discoveredBy"] for row in rows}

    async with one, two:
        addresses.now = ("127.0.0.1",)
        assert await operator.post("/backend/add", data=entry) == SUCCESS
        assert await present() == {"spare": "", "all-127-0-0-1": "all"}
        config = await operator.get("/backend/config/all")
        assert (config["url"], config["ping-time"]) == (f"dns+ws://{NAME}:{port}", "7s")
        again = await operator.post("/backend/add", data=entry)
        assert again == {"result": "failed", "reason": "url already exists"}
        other = json.dumps({"id": "all", "url": "ws://127.0.0.1:1"})
        again = await operator.post("/backend/add", data=other)
        assert again == {"result": "failed", "reason": "id already exists"}

        await operator.post("/backend/disable/spare")
        async with connect(gateway.url) as client:
            assert await reached(client) == "127.0.0.1"
            addresses.now = ("127.0.0.1", "127.0.0.2")
            await until(lambda: gateway.gateway.pool.find("all-127-0-0-2"))
            await operator.post("/backend/enable/spare")

            assert await operator.post("/backend/delete/all") == SUCCESS

            assert await present() == {"spare": ""}
            moved = await backend.connection()
            [session] = gateway.gateway.sessions
            await until(lambda: session.backend_id == "spare")
            await client.send("to the spare one")
            heard = [await moved.recv()]
            if heard == ["where"]:  # not acknowledged yet
                heard = [await moved.recv()]
            assert heard == ["to the spare one"]
        assert await operator.get("/backend/config/all") == {}
        assert await operator.post("/backend/delete/all") == NO_ACTION
        asked = addresses.asked
        assert await operator.post("/backend/add", data=entry) == SUCCESS
        assert addresses.asked == asked + 1  # nobody else has asked meanwhile
    assert gateway.count("resolutions_failed") == 0


async def test_name_can_be_added_before_it_has_addresses(
    start_gateway: StartGateway,
    start_admin: StartAdmin,
    backend: ScriptedBackend,
    addresses: Addresses,
) -> None:
    upstream = {"backends": [{"url": backend.url}], **PROMPT}
    gateway = await start_gateway(upstream=upstream)
    operator = await start_admin(gateway)
    entry = json.dumps({"url": f"dns+ws://{NAME}:7"})

    assert await operator.post("/backend/add", data=entry) == SUCCESS
    addresses.now = ("127.0.0.9",)

    pool = gateway.gateway.pool
    await until(lambda: pool.find("backends-example-7-127-0-0-9"))


async def test_address_waits_until_its_id_is_free(
    start_gateway: StartGateway,
    start_admin: StartAdmin,
    backend: ScriptedBackend,
    addresses: Addresses,
    caplog: pytest.LogCaptureFixture,
) -> None:
    addresses.now = ("127.0.0.8",)
    upstream = {"backends": [{"id": "all", "url": f"dns+ws://{NAME}:7"}], **PROMPT}
    gateway = await start_gateway(upstream=upstream)
    operator = await start_admin(gateway)
    entry = json.dumps({"id": "all-127-0-0-9", "url": backend.url})
    assert await operator.post("/backend/add", data=entry) == SUCCESS

    addresses.now = ("127.0.0.8", "127.0.0.9")
    asked = addresses.asked
    await until(lambda: addresses.asked > asked + 5)
    told = [one for one in caplog.records if "another backend has this id" in one.getMessage()]
    assert len(told) == 1

    assert await operator.post("/backend/delete/all-127-0-0-9") == SUCCESS
    pool = gateway.gateway.pool
    await until(lambda: pool.find("all-127-0-0-9"))


async def test_session_moves_to_another_address_when_its_own_dies(
    start_gateway: StartGateway, addresses: Addresses
) -> None:
    one, port = await listen("127.0.0.1")
    two, _ = await listen("127.0.0.2", port)
    async with two:
        addresses.now = ("127.0.0.1",)
        gateway = await start_gateway(
            upstream={
                "backends": [{"url": f"dns+ws://{NAME}:{port}"}],
                **PROMPT,
            }
        )
        async with connect(gateway.url) as client:
            assert await reached(client) == "127.0.0.1"
            addresses.now = ("127.0.0.2",)
            one.close(code=1012)
            await one.wait_closed()

            assert await reached(client) == "127.0.0.2"
        await until(lambda: not len(gateway.gateway.sessions), "it has ended")
