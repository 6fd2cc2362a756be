"""Clients of a whole gateway, with workers behind RabbitMQ."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Self

import aio_pika
import pika  # type: ignore[import-untyped]  # has no type hints
import pytest
import yaml
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed, InvalidStatus
from wsgw_amqp.broker_node import BrokerNode

from wsgw_core.testing.running_gateway import RunningGateway, running_gateway
from wsgw_core.testing.samples import samples

from .memory_alarm import memory_alarm
from .workers import Names, Workers

# Other tests cover both event loops.
pytestmark = pytest.mark.asyncio(loop_factories=["uvloop"])

TIMEOUT = 90.0
TEXT = "text/plain; charset=utf-8"
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
CLOSE_ALL = '[rabbit_networking:close_connection(P, "bye") || P <- rabbit_networking:connections()]'


def echo(body: bytes) -> bytes:
    return b"re " + body


@asynccontextmanager
async def journey(
    url: str,
    answer: Callable[[bytes], bytes | None] = echo,
    *others: dict[str, Any],
    names: Names | None = None,
    config: dict[str, Any] | None = None,
    works: bool = True,
    broker: str = "",
    **options: Any,
) -> AsyncIterator[tuple[RunningGateway, Workers]]:
    """Runs a gateway with a RabbitMQ backend, optionally others, and optionally workers.

    The workers connect to `broker` if given, or else to the gateway's URL.
    """
    names = names or Names()
    given = {name.replace("_", "-"): value for name, value in options.items()}
    backend = {"id": "queue", "url": url, **names.options, **given}
    workers = Workers(broker or url, names, answer)
    data = {"upstream": {"backends": [backend, *others]}, **(config or {})}
    try:
        async with running_gateway(data) as gateway:
            if works:
                workers.start()
            yield gateway, workers
    finally:
        await workers.stop()


async def ask(client: ClientConnection, text: str) -> str | bytes:
    await client.send(text)
    async with asyncio.timeout(TIMEOUT):
        return await client.recv()


Got = tuple[pika.spec.Basic.Deliver, pika.BasicProperties, bytes]


def take(url: str, queue: str, until_type: str) -> list[str]:
    """Takes messages up to the first of a type, and one second longer; returns their ids."""
    ids: list[str] = []
    connection = pika.BlockingConnection(pika.URLParameters(url))
    channel = connection.channel()
    is_over = False
    for method, properties, _ in channel.consume(queue, inactivity_timeout=1):
        if method is None:
            if is_over:
                break
            continue
        ids.append(str(properties.message_id))
        channel.basic_ack(method.delivery_tag)
        is_over = is_over or properties.type == until_type
    connection.close()
    return ids


async def test_session_that_moves_to_a_reloaded_backend_has_one_disconnect_event(
    broker_url: str,
) -> None:
    names = Names()
    options: dict[str, Any] = {"events": ["connect", "message", "disconnect"]}
    async with (
        asyncio.timeout(TIMEOUT),
        journey(broker_url, names=names, works=False, **options) as (gateway, _),
    ):
        async with connect(gateway.url) as client:
            await client.send("before")
            (session,) = gateway.gateway.sessions
            backend = {"id": "queue", "url": broker_url, **names.options, **options}
            await gateway.reload({"upstream": {"backends": [{**backend, "heartbeat": "9s"}]}})
            assert session.fail_over()
            while session.reconnects == 0:  # noqa: ASYNC110 - there is no event to wait for
                await asyncio.sleep(0.01)
            await client.send("after")
        taken = await asyncio.to_thread(take, broker_url, names.queue, "wsgw.disconnect")
    assert taken == [f"{session.id}-{end}" for end in ("c0", "1", "c1", "2", "d")]


def answer_two(url: str, queue: str) -> list[Got]:
    """Answers two messages of a session, the second with a close; returns them."""
    got: list[Got] = []
    connection = pika.BlockingConnection(pika.URLParameters(url))
    channel = connection.channel()
    for method, properties, body in channel.consume(queue, inactivity_timeout=TIMEOUT):
        assert method is not None, f"only {len(got)} messages arrived"
        got.append((method, properties, body))
        channel.basic_ack(method.delivery_tag)
        if properties.type == "wsgw.disconnect":
            break
        if properties.type == "wsgw.message":
            is_last = properties.headers["wsgw-number"] == 2
            close = {"wsgw-close": 4001, "wsgw-reason": "enough"} if is_last else None
            reply = pika.BasicProperties(
                content_type=properties.content_type,
                correlation_id=properties.correlation_id,
                headers=close,
            )
            channel.basic_publish("", properties.reply_to, b"re " + body, reply)
    connection.close()
    return got


async def test_clients_talk_to_worker_on_another_library(broker_url: str) -> None:
    names = Names()
    options: dict[str, Any] = {
        "events": ["connect", "message", "disconnect"],
        "routing_key": "{event}.{path.1}",
        "headers": ["User-Agent"],
    }
    begun = int(time.time())
    async with (
        journey(broker_url, names=names, works=False, **options) as (gateway, _),
        asyncio.TaskGroup() as group,
    ):
        working = group.create_task(asyncio.to_thread(answer_two, broker_url, names.queue))
        trace = {"traceparent": TRACE, "Cookie": "secret"}
        async with connect(
            f"{gateway.url}/chat/7?t=x", user_agent_header="charger/1", additional_headers=trace
        ) as client:
            assert await ask(client, "grüße") == "re grüße"
            await client.send(b"\x00\x01\xff")
            assert await client.recv() == b"re \x00\x01\xff"
            with pytest.raises(ConnectionClosed):
                await client.recv()
            assert (client.close_code, client.close_reason) == (4001, "enough")
        got = await working

    session_id, replies = str(got[0][1].correlation_id), got[0][1].reply_to
    assert re.fullmatch(names.replies.format(instance=r"[\w-]+"), replies)
    kinds = ["connect", "message", "message", "disconnect"]
    types = ["application/json", TEXT, "application/octet-stream", "application/json"]
    for (method, properties, _), kind, content_type, name in zip(
        got, kinds, types, ["c0", "1", "2", "d"], strict=True
    ):
        assert (method.exchange, method.routing_key) == (names.exchange, f"{kind}.chat")
        assert properties.message_id == f"{session_id}-{name}"
        assert properties.correlation_id == session_id
        assert properties.reply_to == replies
        assert properties.type == f"wsgw.{kind}"
        assert properties.content_type == content_type
        assert properties.app_id == "wsgw"
        assert properties.delivery_mode == 2
        assert begun <= properties.timestamp <= time.time()
        told = dict(properties.headers)
        at = datetime.fromisoformat(told.pop("cloudEvents:time"))
        assert begun <= at.timestamp() <= time.time()
        assert isinstance(told.pop("wsgw-tag"), int)
        assert told.pop("wsgw-number", None) == (int(name) if kind == "message" else None)
        assert told == {
            "wsgw-path": "/chat/7",
            "traceparent": TRACE,
            "http-user-agent": "charger/1",
            "cloudEvents:specversion": "1.0",
            "cloudEvents:id": f"{session_id}-{name}",
            "cloudEvents:source": "/wsgw",
            "cloudEvents:type": f"wsgw.{kind}",
            "cloudEvents:subject": "/chat/7",
            "cloudEvents:partitionkey": session_id,
        }
    assert [body for _, _, body in got[1:3]] == ["grüße".encode(), b"\x00\x01\xff"]
    assert json.loads(got[0][2])["query"] == {"t": ["x"]}
    ended = json.loads(got[3][2])
    assert (ended["code"], ended["by"], ended["messages"]) == (4001, "backend", 2)


async def test_invalid_routing_key_from_client_is_declined_with_400(broker_url: str) -> None:
    async with journey(broker_url, routing_key="{event}.{path.1}") as (gateway, _):
        for value in ("a.b", "*", "%23", "x" * 300):
            with pytest.raises(InvalidStatus) as error:
                await connect(f"{gateway.url}/{value}")
            assert error.value.response.status_code == 400


@pytest.mark.parametrize("declare", ["passive", "true"])
async def test_gateway_with_mismatched_exchange_does_not_start(
    broker_url: str, tmp_path: Path, declare: str
) -> None:
    names = Names()
    connection = await aio_pika.connect(broker_url)
    async with connection:
        channel = await connection.channel()
        if declare == "true":
            kind = aio_pika.ExchangeType.DIRECT
            await channel.declare_exchange(names.exchange, kind, durable=True)
        file = tmp_path / "wsgw.yaml"
        backend = {"id": "queue", "url": broker_url, "exchange": names.exchange, "declare": declare}
        server = {"frontend": {"address": "127.0.0.1:0"}}
        file.write_text(yaml.safe_dump({"server": server, "upstream": {"backends": [backend]}}))
        command = [sys.executable, "-m", "wsgw_core.cli.main", "run", "-c", str(file)]
        result = await asyncio.to_thread(
            subprocess.run, command, capture_output=True, text=True, timeout=TIMEOUT, check=False
        )
        await channel.exchange_delete(names.exchange)

    told = [line for line in result.stderr.splitlines() if names.exchange in line]
    assert result.returncode == 2, result.stderr
    assert len(told) == 1
    assert "Traceback" not in result.stderr
    wanted = "type found: 'direct', wanted: 'topic'" if declare == "true" else "does not exist"
    assert wanted in told[0]


async def until(condition: Callable[[], object]) -> None:
    """Waits for a condition without an event."""
    async with asyncio.timeout(TIMEOUT):
        while not condition():  # noqa: ASYNC110 - see above
            await asyncio.sleep(0.02)


class Crowd:
    """Clients that send numbers at a steady rate, and record the answers.

    Args:
        url: of the gateway.
        size: number of clients.
    """

    def __init__(self, url: str, size: int) -> None:
        self._url = url
        self._size = size
        self._stack = AsyncExitStack()
        self.clients: list[ClientConnection] = []
        self.sent = [0] * size
        self.answers: list[list[str]] = [[] for _ in range(size)]
        self._tasks: list[asyncio.Task[None]] = []
        self._stopping = False

    async def __aenter__(self) -> Self:
        for number in range(self._size):
            client = await self._stack.enter_async_context(connect(f"{self._url}/{number}"))
            self.clients.append(client)
            self._tasks.append(asyncio.create_task(self._listen(number)))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()
        await asyncio.gather(*self._tasks)

    async def talk(self, seconds: float, pause: float = 0.05) -> None:
        """Makes each client send a number after each pause, for some seconds."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for number, client in enumerate(self.clients):
                await client.send(f"{number} {self.sent[number]}")
                self.sent[number] += 1
            await asyncio.sleep(pause)

    def all_are_there(self) -> bool:
        return all(client.close_code is None for client in self.clients)

    def expected(self, number: int) -> list[str]:
        return [f"{number} {count}" for count in range(self.sent[number])]

    async def until_answered(self) -> None:
        """Waits until each client has an answer to each of its messages."""
        for number in range(self._size):
            await until(partial(self._is_answered, number))

    def _is_answered(self, number: int) -> bool:
        return {f"re {text}" for text in self.expected(number)} <= set(self.answers[number])

    async def _listen(self, number: int) -> None:
        try:
            async for message in self.clients[number]:
                self.answers[number].append(str(message))
        except ConnectionClosed:
            pass


def firsts(texts: list[str]) -> list[str]:
    """Returns the texts without repeats, in the order of first occurrence."""
    return list(dict.fromkeys(texts))


def check_queue(crowd: Crowd, workers: Workers) -> None:
    """Asserts that the queue had all messages of each client in order, and only marked repeats."""
    by_client: dict[int, list[str]] = {number: [] for number in range(len(crowd.clients))}
    seen: set[str] = set()
    for messages in workers.messages.values():
        for message in messages:
            text = message.body.decode()
            by_client[int(text.partition(" ")[0])].append(text)
            assert message.message_id is not None
            if message.message_id in seen:
                assert message.headers.get("wsgw-replayed") or message.redelivered, text
            seen.add(message.message_id)
    for number, texts in by_client.items():
        assert firsts(texts) == crowd.expected(number)


def _has_reconnected(gateway: RunningGateway, times: int) -> bool:
    return gateway.count("amqp_reconnects") >= times


async def close_connections(node: BrokerNode, gateway: RunningGateway) -> None:
    """Closes all connections of a node three times."""
    for number in range(1, 4):
        await asyncio.sleep(0.7)
        await asyncio.to_thread(node.evaluate, CLOSE_ALL)
        await until(partial(_has_reconnected, gateway, number))


@pytest.mark.slow
async def test_closed_connections_under_load_lose_nothing(node: BrokerNode) -> None:
    async with (
        journey(node.url, replies_durable=True) as (gateway, workers),
        Crowd(gateway.url, 40) as crowd,
    ):
        closing = asyncio.create_task(close_connections(node, gateway))
        while not closing.done():
            await crowd.talk(0.5, pause=0.25)
        await closing
        await crowd.talk(0.5, pause=0.25)
        await crowd.until_answered()

        assert crowd.all_are_there()
        check_queue(crowd, workers)


@pytest.mark.slow
async def test_killed_node_under_load_loses_nothing_and_no_client(node: BrokerNode) -> None:
    async with (
        journey(
            node.url,
            lambda _: None,
            queue_type="quorum",
            config={"failover": {"hold": "90s"}},
            works=False,
        ) as (gateway, workers),
        Crowd(gateway.url, 100) as crowd,
    ):
        talking = asyncio.create_task(crowd.talk(3, pause=0.25))
        await asyncio.sleep(1)
        await asyncio.to_thread(node.kill)
        await asyncio.to_thread(node.start)
        await talking
        await crowd.talk(0.5)
        # Not earlier: after the loss of a consumer, a quorum queue can deliver ready messages
        # before those that the lost consumer had.
        workers.start()
        await until(lambda: len(workers.ids) >= sum(crowd.sent))

        assert crowd.all_are_there()
        check_queue(crowd, workers)


async def is_read(client: ClientConnection, text: str) -> bool:
    """Sends a text; returns whether it was written within two seconds."""
    try:
        async with asyncio.timeout(2):
            await client.send(text)
    except TimeoutError:
        return False
    return True


async def test_memory_alarm_pauses_clients_and_closes_none(node: BrokerNode) -> None:
    async with (
        journey(node.url) as (gateway, workers),
        connect(gateway.url, compression=None) as client,
    ):
        assert await ask(client, "0") == "re 0"
        async with memory_alarm(node):
            sent = 0
            while await is_read(client, f"{sent} ".ljust(64 * 1024, "x")):
                sent += 1
                assert sent < 2000, "the gateway read 128 MiB"
            assert client.close_code is None
        answers: list[str] = []
        async with asyncio.timeout(TIMEOUT):
            while len(answers) < sent:
                answers.append(str(await client.recv()).split()[1])
        (messages,) = workers.messages.values()

        assert answers == [str(number) for number in range(sent)]
        numbers = [message.headers["wsgw-number"] for message in messages]
        assert numbers == [*range(1, len(numbers) + 1)]
        assert gateway.count("amqp_reconnects") == 0


async def test_sessions_of_unbound_queue_move_and_lose_nothing(broker_url: str) -> None:
    direct: list[str] = []

    async def application(connection: ServerConnection) -> None:
        async for message in connection:
            direct.append(str(message))  # noqa: PERF401 - in order of arrival

    async with serve(application, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        spare = {"id": "spare", "url": f"ws://127.0.0.1:{port}", "priority": 2}
        async with (
            journey(broker_url, echo, spare) as (gateway, workers),
            Crowd(gateway.url, 20) as crowd,
        ):
            talking = asyncio.create_task(crowd.talk(2))
            await asyncio.sleep(0.7)
            await workers.unbind()
            await talking
            wanted = {text for number in range(20) for text in crowd.expected(number)}
            queued: set[str] = set()

            def complete() -> bool:
                queued.update(m.body.decode() for ms in workers.messages.values() for m in ms)
                return wanted <= queued | set(direct)

            await until(complete)

            assert crowd.all_are_there()
            assert queued
            assert direct
            assert gateway.count("amqp_returned") >= 1


async def test_slow_client_harms_no_other(broker_url: str) -> None:
    """Its session is closed with 1008, and its waiting replies become dead letters.

    The others' latency is compared with the time for all the unread replies. On a busy machine the
    longest was 25 to 57 ms, of 1.7 to 3 seconds.
    """
    names = Names()

    def answer(body: bytes) -> bytes | None:
        return echo(body) if body.startswith(b"ping") else None

    async with (
        journey(broker_url, answer, names=names) as (gateway, workers),
        connect(gateway.url, max_queue=1, compression=None, close_timeout=1) as slow,
        AsyncExitStack() as stack,
    ):
        others = [await stack.enter_async_context(connect(gateway.url)) for _ in range(99)]
        await slow.send("here")
        await until(lambda: workers.messages)
        (slow_id,) = workers.messages

        reading = asyncio.create_task(read_once_closed(gateway, slow))
        begun, waits = time.monotonic(), []
        flooding = asyncio.create_task(flood(broker_url, workers.reply_to[slow_id], slow_id))
        while not flooding.done():
            for other in others[::5]:
                asked = time.monotonic()
                assert await ask(other, "ping") == "re ping"
                waits.append(time.monotonic() - asked)
        await flooding
        took = time.monotonic() - begun
        code = await reading
        await until(lambda: gateway.count("amqp_replies") >= 5000)
        dead = gateway.count("amqp_replies_dead")
        async with asyncio.timeout(TIMEOUT):
            while await count_of(broker_url, names.dead) < dead:  # noqa: ASYNC110 - nothing tells
                await asyncio.sleep(0.05)
        await until(lambda: gauge(gateway, "amqp_unacknowledged") == 0)

        assert code == 1008
        assert dead > 100
        assert max(waits) < took / 2
        assert all(other.close_code is None for other in others)


def gauge(gateway: RunningGateway, name: str) -> float:
    """Returns the value of a gauge."""
    return samples(gateway.gateway.metrics)[f'wsgw_{name}{{backend="queue"}}']


async def flood(url: str, reply_to: str, session_id: str) -> None:
    """Sends 5,000 replies to a session as fast as the broker takes them."""
    connection = await aio_pika.connect(url)
    async with connection:
        channel = await connection.channel(publisher_confirms=False)
        for number in range(5000):
            message = aio_pika.Message(b"%d " % number + b"x" * 4000, correlation_id=session_id)
            await channel.default_exchange.publish(message, reply_to)


async def read_once_closed(gateway: RunningGateway, client: ClientConnection) -> int | None:
    """Waits until the gateway has closed a client, and returns the client's close code."""
    await until(lambda: gateway.count("amqp_buffer_closes"))
    return await close_code(client)


async def close_code(client: ClientConnection) -> int | None:
    """Reads a client to its end and returns the close code."""
    try:
        async with asyncio.timeout(TIMEOUT):
            async for _ in client:
                pass
    except ConnectionClosed:
        pass
    return client.close_code


async def count_of(url: str, queue: str) -> int:
    connection = await aio_pika.connect(url)
    async with connection:
        channel = await connection.channel()
        declared = await channel.declare_queue(queue, passive=True)
        return declared.declaration_result.message_count or 0


@pytest.mark.slow
async def test_two_thousand_clients_share_two_connections(node: BrokerNode) -> None:
    def resources() -> tuple[int, int]:
        connections = node.evaluate("length(rabbit_networking:connections())")
        channels = node.evaluate("length(rabbit_channel:list())")
        return int(connections.split()[1].strip("}")), int(channels.split()[1].strip("}"))

    async with asyncio.timeout(TIMEOUT):  # the node may not yet have noticed the end of others
        while await asyncio.to_thread(resources) != (0, 0):
            pass
    async with journey(node.url) as (gateway, workers), AsyncExitStack() as stack:
        first = await stack.enter_async_context(connect(gateway.url))
        assert await ask(first, "x") == "re x"
        before = await asyncio.to_thread(resources)
        clients = []
        for _ in range(40):
            dials = [stack.enter_async_context(connect(gateway.url)) for _ in range(50)]
            clients += await asyncio.gather(*dials)
        answers = await asyncio.gather(*(ask(client, str(n)) for n, client in enumerate(clients)))
        after = await asyncio.to_thread(resources)

        assert answers == [f"re {number}" for number in range(2000)]
        assert len(set(workers.reply_to.values())) == 1
        assert len(workers.reply_to) == 2001
        assert after == before
        assert before[0] == 2 + 1  # one is the worker's
        assert before[1] <= 3 + 1
