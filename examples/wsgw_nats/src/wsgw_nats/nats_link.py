"""The connection to a NATS server, which all sessions of a backend share."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import count
from math import ceil
from typing import Any, Protocol

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import ConnectionClosedError, Error, NoServersError, SlowConsumerError

from wsgw_core.api import BackendContext, unavailable

from .acknowledgement import Rejection, read_acknowledgement
from .envelope import HEADER_ROOM, TYPE, Headers
from .hang_up import hang_up
from .metrics import NatsMetrics

_AT_ONCE = 100  # messages published in one turn of the event loop


class Publisher(Protocol):
    """Publishes messages, and gets the result of each."""

    def confirmed(self, number: int, /) -> None:
        """Called when JetStream has stored the message."""

    def rejected(self, number: int, rejection: Rejection, /) -> None:
        """Called when JetStream has refused the message."""


class NatsLink:
    """Publishes messages, and passes on acknowledgements and replies; never reconnects.

    Messages wait in a queue, from which one task publishes them, because nats-py's `publish` is a
    coroutine. It does not wait while nats-py's buffer has room, so many messages leave in one
    write.

    Args:
        context: the backend's.
        metrics: the backend's.
        inbox: prefix of the subjects for replies: `INBOX.r.SESSION`.
        ack_timeout: maximum seconds for an acknowledgement.
        on_reply: called with the session's id and each reply.
        on_lost: called once with the link and a reason when it is lost.
    """

    def __init__(
        self,
        context: BackendContext,
        metrics: NatsMetrics,
        inbox: str,
        *,
        ack_timeout: float,
        on_reply: Callable[[str, Msg], object],
        on_lost: Callable[[NatsLink, str], object],
    ) -> None:
        self._context = context
        self._metrics = metrics
        self._ack_timeout = ack_timeout
        self._on_reply = on_reply
        self._on_lost = on_lost
        self._nats = Client()
        self._replies = f"{inbox}.r."
        self._acknowledgements = f"{inbox}.a."
        self._answers = f"{inbox}.q."
        self._asked: dict[str, asyncio.Future[bytes]] = {}
        self._subscriptions: list[Subscription] = []
        self._queue: deque[tuple[str, bytes, str, Headers]] = deque()
        self._wake = asyncio.Event()
        self._tokens = count()
        self._waiting: dict[str, tuple[Publisher, int, float, int]] = {}  # in order of time
        self._all_stored = asyncio.Event()
        self._last_answer = 0.0
        self._publishing: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._error: Exception | None = None
        self._is_lost = False
        self._is_closing = False
        self._is_cut = asyncio.Event()

    async def open(self, servers: Sequence[str], timeout: float) -> None:  # noqa: ASYNC109 - for nats-py
        """Connects and subscribes.

        Args:
            servers: URLs of addresses, tried in this order.
            timeout: seconds for each address.

        Raises:
            BackendUnavailable: no address works.
        """
        try:
            await self._nats.connect(
                list(servers),
                name=f"wsgw {self._context.backend_id}",
                dont_randomize=True,
                connect_timeout=ceil(timeout),
                reconnect_time_wait=0,
                max_reconnect_attempts=1,
                ping_interval=max(1, int(self._context.ping_timeout / 2)),
                max_outstanding_pings=1,
                error_cb=self._note_error,
                disconnected_cb=self._disconnected,
            )
            for subject, callback in (
                (f"{self._acknowledgements}*", self._acknowledgement),
                (f"{self._replies}*", self._reply),
                (f"{self._answers}*", self._answer),
            ):
                self._subscriptions.append(await self._nats.subscribe(subject, cb=callback))
        except (OSError, Error) as error:
            cause = self._error if isinstance(error, NoServersError) and self._error else error
            raise unavailable(str(cause), cause) from error
        self._publishing = asyncio.get_running_loop().create_task(self._publish_all())
        self._look_for_overdue()

    @property
    def largest(self) -> int:
        """The maximum bytes of a message; the server closes the connection for a larger one."""
        return self._nats.max_payload - HEADER_ROOM

    @property
    def unacknowledged(self) -> int:
        """The number of messages without an acknowledgement."""
        return len(self._waiting)

    def publish(
        self, publisher: Publisher, number: int, subject: str, data: bytes, headers: Headers
    ) -> None:
        """Publishes a message, in order; without effect if the link is lost.

        Args:
            publisher: gets the result.
            number: identifies the message for the publisher.
            subject: of the message; a stream must take it.
            data: the payload.
            headers: one of them is `Wsgw-Type`.
        """
        if self._is_lost:
            return
        token = str(next(self._tokens))
        self._waiting[token] = (publisher, number, self._context.clock.time(), len(data))
        self._queue.append((subject, data, self._acknowledgements + token, headers))
        self._wake.set()
        self._metrics.published.labels(headers[TYPE]).value += 1

    def lose(self, reason: str) -> None:
        """Drops the link, because it is lost or useless."""
        if not (self._is_lost or self._is_closing):
            self._is_lost = True
            self._stop()
            self._on_lost(self, reason)

    async def ask(self, subject: str, data: bytes) -> Any:
        """Sends a request and returns its JSON answer.

        nats-py's own requests use a subscription that would be left behind; see `hang_up`.

        Raises:
            Error, TimeoutError, ValueError: there is no valid answer.
        """
        token = str(next(self._tokens))
        answer = self._asked[token] = asyncio.get_running_loop().create_future()
        try:
            await self._nats.publish(subject, data, self._answers + token)
            async with asyncio.timeout(self._ack_timeout):
                return json.loads(await answer)
        finally:
            del self._asked[token]

    async def close(self) -> None:
        """Closes the link, after waiting half of the close timeout for acknowledgements."""
        self._is_closing = True
        try:
            if not self._is_lost and self._waiting:
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._context.limits.close_timeout / 2):
                        await self._all_stored.wait()
        finally:
            self._stop()
            bound = self._context.limits.close_timeout / 5
            await hang_up(self._nats, self._subscriptions, self._is_cut, bound)

    # Inside

    async def _publish_all(self) -> None:
        queue, publish = self._queue, self._nats.publish
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                while queue:
                    for _ in range(min(len(queue), _AT_ONCE)):
                        await publish(*queue.popleft())
                    await asyncio.sleep(0)  # lets others run
        except Exception as error:  # noqa: BLE001 - any error ends publishing
            self.lose(f"cannot publish to NATS: {error}")

    async def _acknowledgement(self, msg: Msg) -> None:
        token = msg.subject[len(self._acknowledgements) :]
        waiting = self._waiting.get(token)
        if waiting is None:
            self._count("late")
            return
        publisher, number, published, size = waiting
        try:
            verdict = read_acknowledgement(msg, size)
        except ValueError:  # from another subscriber; JetStream's answer is still to come
            self._count("unreadable")
            return
        del self._waiting[token]
        if not self._waiting:
            self._all_stored.set()
        self._last_answer = self._context.clock.time()
        self._metrics.publish_seconds.observe(self._last_answer - published)
        if isinstance(verdict, Rejection):
            self._count("refused")
            publisher.rejected(number, verdict)
        else:
            self._count("duplicate" if verdict else "stored")
            publisher.confirmed(number)

    def _count(self, outcome: str) -> None:
        self._metrics.acknowledgements.labels(outcome).value += 1

    async def _reply(self, msg: Msg) -> None:
        self._on_reply(msg.subject[len(self._replies) :], msg)

    async def _answer(self, msg: Msg) -> None:
        asked = self._asked.get(msg.subject[len(self._answers) :])
        if asked is not None and not asked.done():
            asked.set_result(msg.data)

    def _look_for_overdue(self) -> None:
        """Handles messages without an acknowledgement in time; called periodically."""
        bound = self._context.clock.time() - self._ack_timeout
        overdue = []
        for token, (_, _, published, _) in self._waiting.items():
            if published > bound:
                break
            if self._last_answer <= published:
                self.lose(f"JetStream has acknowledged nothing for {self._ack_timeout:g} s")
                return
            overdue.append(token)
        for token in overdue:
            publisher, number, _, size = self._waiting.pop(token)
            self._count("overdue")
            publisher.rejected(number, Rejection("JetStream does not acknowledge", size=size))
            if self._is_lost:
                return
        if not self._is_lost:
            self._timer = self._context.clock.call_later(
                self._ack_timeout / 2, self._look_for_overdue
            )

    async def _note_error(self, error: Exception) -> None:
        self._error = error
        if isinstance(error, SlowConsumerError):
            self._metrics.replies.labels("dropped").value += 1

    async def _disconnected(self) -> None:
        self.lose(f"the connection to NATS is lost: {self._error or 'closed'}")
        self._is_cut.set()
        if self._nats.is_reconnecting:  # blocks the reconnect; `close` cancels this wait
            await asyncio.get_running_loop().create_future()

    def _stop(self) -> None:
        self._queue.clear()
        self._waiting.clear()
        for asked in self._asked.values():
            if not asked.done():
                asked.set_exception(ConnectionClosedError())
        if self._timer is not None:
            self._timer.cancel()
        if self._publishing is not None and self._publishing is not asyncio.current_task():
            self._publishing.cancel()
