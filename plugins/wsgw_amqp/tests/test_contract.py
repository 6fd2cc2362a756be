"""The contract suite of backends, against a real broker behind a proxy."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from urllib.parse import quote, urlencode, urlsplit

import pytest
import uvloop
from wsgw_amqp.backend import AmqpBackend
from wsgw_amqp.broker_node import free_port
from wsgw_amqp.settings import AmqpSettings

from wsgw_core.api import BINARY, TEXT, BackendContext, Headers, Message
from wsgw_core.testing.backend_contract import BackendContract
from wsgw_core.testing.backend_harness import BackendHarness, Capabilities
from wsgw_core.testing.broker_proxy import BrokerProxy

from .own_loop import OwnLoop
from .workers import Names, Workers


class Counterpart(BackendHarness):
    """A shared broker behind a proxy, with scripted workers.

    Args:
        url: of the broker.
        options: of the backends, besides the required ones.
    """

    def __init__(self, url: str, **options: object) -> None:
        self._url = url
        self._names = Names()
        self._options = {
            **self._names.options,
            "events": ["connect", "message", "disconnect"],
            "headers": ["X-Wsgw-Session", "X-Contract", "User-Agent"],
            **options,
        }
        parts = urlsplit(url)
        self._proxy = BrokerProxy(parts.hostname or "", parts.port or 0)
        self._aside = OwnLoop()
        self._given: defaultdict[str, int] = defaultdict(int)

    async def start(self) -> None:
        await self._proxy.start()
        self._workers = await self._aside.run(self._start_workers())

    async def stop(self) -> None:
        await self._proxy.stop()
        await self._aside.run(self._workers.stop())
        self._aside.close()

    def make_backend(self, context: BackendContext) -> AmqpBackend:
        options = {"url": f"amqp://127.0.0.1:{self._proxy.port}", **self._options}
        return AmqpBackend(AmqpSettings.model_validate(options), context)

    def make_unreachable_backend(self, context: BackendContext) -> AmqpBackend:
        return AmqpBackend(AmqpSettings(url=f"amqp://127.0.0.1:{free_port()}"), context)

    async def receive(self, session_id: str) -> Message:
        given = self._given[session_id]
        self._given[session_id] += 1
        got = await self._aside.run(self._workers.message(session_id, given))
        is_text = got.content_type == "text/plain; charset=utf-8"
        return Message(TEXT if is_text else BINARY, got.body)

    async def request(self, session_id: str) -> tuple[str, Headers]:
        event = await self._aside.run(self._workers.event(session_id))
        query = urlencode(event["query"], doseq=True, quote_via=quote, safe="")
        return f"{event['path']}?{query}", tuple(event["headers"].items())

    async def reply(self, session_id: str, message: Message) -> None:
        content_type = "text/plain" if message.kind is TEXT else "application/octet-stream"
        replying = self._workers.reply(session_id, message.data, content_type=content_type)
        await self._aside.run(replying)

    async def end(self, session_id: str, code: int, reason: str) -> None:
        headers = {"wsgw-close": code, "wsgw-reason": reason}
        await self._aside.run(self._workers.reply(session_id, b"", headers=headers))

    async def break_off(self, session_id: str) -> None:
        await self._proxy.cut()

    async def freeze(self) -> None:
        self._proxy.freeze()

    async def thaw(self) -> None:
        self._proxy.thaw()

    async def refuse(self) -> None:
        await self._aside.run(self._workers.unbind())

    async def accept(self) -> None:
        await self._aside.run(self._workers.bind())
        await asyncio.sleep(1.1)  # dials retry an unroutable key after a second

    async def _start_workers(self) -> Workers:
        workers = Workers(self._url, self._names)
        workers.start()
        return workers


class AmqpContract(BackendContract):
    capabilities = Capabilities(
        headers=False,  # workers only get configured headers
        silent_while_paused=True,
        refuses=True,
        shared_link=True,
    )

    @pytest.fixture
    def harness(self, broker_url: str) -> BackendHarness:
        return Counterpart(broker_url)


class TestOnTheStandardLoop(AmqpContract):
    pass


class TestOnUvloop(AmqpContract):
    loop_factory = uvloop.new_event_loop


class TestQuorumQueueAndDurableReplies(AmqpContract):
    loop_factory = uvloop.new_event_loop

    @pytest.fixture
    def harness(self, broker_url: str) -> BackendHarness:
        options = {"queue-type": "quorum", "replies-durable": True, "routing-key": "{event}.{kind}"}
        return Counterpart(broker_url, **options)
