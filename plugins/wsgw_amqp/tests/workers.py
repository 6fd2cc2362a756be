"""A worker on another library, which reads a queue, records the messages, and answers."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import aio_pika
import aiormq
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage
from aio_pika.exceptions import AMQPError, ChannelInvalidStateError

_TIMEOUT = 60.0
_LIBRARY = 5.0  # seconds; other connections in the same loop stay open
_CANCEL_AGAIN = 1.0
_CONNECTION_LOST = (AMQPError, ChannelInvalidStateError, OSError, RuntimeError)


async def library_ends() -> None:
    """Waits for tasks that still close connections after the library's `close`."""
    folder = Path(aiormq.__file__).parent
    left = [
        task
        for task in asyncio.all_tasks()
        if Path(getattr(task.get_coro(), "cr_code", library_ends.__code__).co_filename).parent
        == folder
    ]
    if left:
        await asyncio.wait(left, timeout=_LIBRARY)


class Names:
    """Unique names of an exchange and queues."""

    def __init__(self) -> None:
        unique = uuid.uuid4().hex[:12]
        self.exchange = f"test.{unique}.events"
        self.queue = f"test.{unique}.queue"
        self.dead = f"test.{unique}.dead"
        self.replies = f"test.{unique}.replies.{{instance}}"

    @property
    def options(self) -> dict[str, Any]:
        """The options of a backend."""
        return {
            "exchange": self.exchange,
            "queue": self.queue,
            "queue-type": "classic",
            "dead-letter-exchange": self.dead,
            "replies": self.replies,
        }


class Workers:
    """Reads all messages of a queue in order, also after losses of the connection.

    Args:
        url: of the broker.
        names: of an existing queue.
        answer: returns the reply to a message; None: no reply.

    Attributes:
        messages: the messages of each session, in order.
        ids: the ids of all messages.
        events: connect and disconnect events of each session, in order.
        reply_to: the reply queue of each session.
    """

    def __init__(
        self, url: str, names: Names, answer: Callable[[bytes], bytes | None] = lambda _: None
    ) -> None:
        self.messages: defaultdict[str, list[AbstractIncomingMessage]] = defaultdict(list)
        self.ids: set[str] = set()
        self.events: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
        self.reply_to: dict[str, str] = {}
        self._url = url
        self._names = names
        self._answer = answer
        self._waiting: list[tuple[Callable[[], Any], asyncio.Future[None]]] = []
        self._reading: asyncio.Task[None] | None = None
        self._connection: AbstractConnection | None = None
        self._channel: AbstractChannel | None = None

    def start(self) -> None:
        """Starts to read."""
        self._reading = asyncio.create_task(self._read())

    async def stop(self) -> None:
        """Stops reading, and removes all declarations."""
        while self._reading is not None and not self._reading.done():
            # The library may raise another error while it leaves the queue.
            self._reading.cancel()
            await asyncio.wait([self._reading], timeout=_CANCEL_AGAIN)
        connection = self._connection = await aio_pika.connect(self._url)
        channel = await connection.channel()
        await channel.queue_delete(self._names.queue)
        await channel.queue_delete(self._names.dead)
        await channel.exchange_delete(self._names.exchange)
        await channel.exchange_delete(self._names.dead)
        await connection.close()
        await library_ends()

    async def until(self, condition: Callable[[], Any], what: Callable[[], str]) -> None:
        """Waits for a condition on the read messages."""
        if condition():
            return
        waiting = condition, asyncio.get_running_loop().create_future()
        self._waiting.append(waiting)
        try:
            async with asyncio.timeout(_TIMEOUT):
                await waiting[1]
        except TimeoutError:
            raise AssertionError(f"waited {_TIMEOUT:g} s for {what()}") from None
        finally:
            self._waiting.remove(waiting)

    async def message(self, session_id: str, index: int) -> AbstractIncomingMessage:
        """Waits for a message of a session and returns it."""
        read = self.messages[session_id]
        await self.until(
            lambda: len(read) > index, lambda: f"message {index}; {len(read)} came so far"
        )
        return read[index]

    async def event(self, session_id: str, index: int = 0) -> dict[str, Any]:
        """Waits for an event of a session and returns it."""
        events = self.events[session_id]
        await self.until(lambda: len(events) > index, lambda: f"event {index} of {session_id}")
        return events[index]

    async def reply(self, session_id: str, body: bytes, **properties: Any) -> None:
        """Sends a reply; the properties are those of aio_pika.Message."""
        await self.until(lambda: session_id in self.reply_to, lambda: f"session {session_id}")
        await self.until(lambda: self._channel is not None, lambda: "the connection")
        assert self._channel is not None
        message = aio_pika.Message(body, correlation_id=session_id, **properties)
        await self._channel.default_exchange.publish(message, self.reply_to[session_id])

    async def reply_late(self, session_id: str, body: bytes, milliseconds: int) -> None:
        """Sends a reply that the broker delays."""
        await self.until(lambda: self._channel is not None, lambda: "the connection")
        assert self._channel is not None
        arguments: dict[str, Any] = {
            "x-message-ttl": milliseconds,
            "x-dead-letter-exchange": "",
            "x-dead-letter-routing-key": self.reply_to[session_id],
        }
        waiting = await self._channel.declare_queue(exclusive=True, arguments=arguments)
        message = aio_pika.Message(body, correlation_id=session_id)
        await self._channel.default_exchange.publish(message, waiting.name)

    async def bind(self) -> None:
        """Binds the queue to the exchange."""
        await self._bind(bind=True)

    async def unbind(self) -> None:
        """Removes the binding."""
        await self._bind(bind=False)

    async def _bind(self, *, bind: bool) -> None:
        await self.until(lambda: self._channel is not None, lambda: "the connection")
        assert self._channel is not None
        queue = await self._channel.get_queue(self._names.queue)
        change = queue.bind if bind else queue.unbind
        await change(self._names.exchange, "#")

    async def _read(self) -> None:
        while True:
            with suppress(*_CONNECTION_LOST):
                await self._read_on_one_connection()
            self._channel = None
            await asyncio.sleep(0.05)

    async def _read_on_one_connection(self) -> None:
        self._connection = await aio_pika.connect(self._url, timeout=_TIMEOUT)
        try:
            channel = await self._connection.channel(publisher_confirms=False)
            await channel.set_qos(prefetch_count=500)
            queue = await channel.get_queue(self._names.queue)
            self._channel = channel
            self._notify()
            async with queue.iterator() as messages:
                async for message in messages:
                    await self._take(channel, message)
        finally:
            await self._connection.close()

    async def _take(self, channel: AbstractChannel, message: AbstractIncomingMessage) -> None:
        session_id = message.correlation_id or ""
        if message.reply_to:
            self.reply_to[session_id] = message.reply_to
        if message.type == "wsgw.message":
            self.messages[session_id].append(message)
            self.ids.add(message.message_id or "")
            if (answer := self._answer(message.body)) is not None:
                reply = aio_pika.Message(
                    answer, content_type=message.content_type, correlation_id=session_id
                )
                await channel.default_exchange.publish(reply, message.reply_to or "")
        else:
            told = {"type": message.type, "id": message.message_id, **json.loads(message.body)}
            self.events[session_id].append(told)
        await message.ack()
        self._notify()

    def _notify(self) -> None:
        # Not asyncio.Condition, which would wake a hundred tasks for each message.
        for condition, future in self._waiting:
            if not future.done() and condition():
                future.set_result(None)
