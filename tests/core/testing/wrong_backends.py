"""Backends with one fault each, which the contract suite must find."""

from __future__ import annotations

import asyncio
import contextlib
import os
import queue
import socket
import subprocess
import sys
import threading
import time
from collections import defaultdict
from typing import ClassVar

from wsgw_core.api import (
    BINARY,
    TEXT,
    BackendContext,
    BackendUnavailable,
    Close,
    CloseCause,
    DialRequest,
    Message,
    Sink,
)
from wsgw_core.testing.long_callbacks import MOST_SECONDS

from .memory_backend import Connection, Counterpart, DirectMemoryConnection, MemoryBackend


class LosesAMessage(DirectMemoryConnection):
    async def transmit(self, message: Message) -> None:
        if message.data != b"message 77":
            await super().transmit(message)


class TakesACrossingEndForAnAnswer(DirectMemoryConnection):
    def judge(self, close: Close) -> Close:
        return close


class SwapsMessages(DirectMemoryConnection):
    kept: Message | None = None

    async def transmit(self, message: Message) -> None:
        if message.data == b"message 4":
            self.kept = message
            return
        await super().transmit(message)
        if self.kept is not None:
            kept, self.kept = self.kept, None
            await super().transmit(kept)


class SwapsReplies(DirectMemoryConnection):
    kept: Message | None = None

    def hear(self, message: Message) -> None:
        if message.data == b"message 4":
            self.kept = message
            return
        super().hear(message)
        if self.kept is not None:
            kept, self.kept = self.kept, None
            super().hear(kept)


class MakesBinaryText(DirectMemoryConnection):
    async def transmit(self, message: Message) -> None:
        kind = TEXT if message.kind is BINARY and message.data.isascii() else message.kind
        await super().transmit(Message(kind, message.data))


class ClosesTwice(DirectMemoryConnection):
    def tell_end(self, close: Close) -> None:
        super().tell_end(close)
        super().tell_end(close)


class ClosesTwiceLater(DirectMemoryConnection):
    def tell_end(self, close: Close) -> None:
        super().tell_end(close)
        self.loop.call_later(0.01, super().tell_end, close)


class NeverSaysThatItIsClosed(DirectMemoryConnection):
    def tell_end(self, close: Close) -> None:
        if self._closing is None:
            super().tell_end(close)


class ReportsDeliveryEarly(DirectMemoryConnection):
    def send(self, message: Message, /) -> None:
        super().send(message)
        if not self.ended:
            self.loop.call_soon(self.sink.delivered, 1)

    def tell_delivered(self, count: int) -> None:
        """Does nothing; the delivery was reported too early."""


class ReportsDeliveryTwice(DirectMemoryConnection):
    def tell_delivered(self, count: int) -> None:
        super().tell_delivered(2 * count)


class ForgetsTheLastDelivery(DirectMemoryConnection):
    owed = 0

    def tell_delivered(self, count: int) -> None:
        if self.owed:
            super().tell_delivered(self.owed)
        self.owed = count


class CallsBeforeStart(DirectMemoryConnection):
    def hear(self, message: Message) -> None:
        self.sink.message(message)


class TellsALossBeforeStart(DirectMemoryConnection):
    def finish(self, close: Close) -> None:
        self.started = True
        super().finish(close)


class CallsAfterItsEnd(DirectMemoryConnection):
    def tell_end(self, close: Close) -> None:
        super().tell_end(close)
        self.loop.call_soon(self.sink.writable, True)


class CallsFromInsideSend(DirectMemoryConnection):
    def send(self, message: Message, /) -> None:
        self.sink.delivered(1)
        super().send(message)

    def tell_delivered(self, count: int) -> None:
        """Does nothing; the delivery was reported too early."""


class CallsFromInsideClose(DirectMemoryConnection):
    def close(
        self, code: int, reason: str = "", cause: CloseCause = CloseCause.SESSION_ENDED
    ) -> None:
        super().close(code, reason, cause)
        self.finish(Close(code, reason))


class SwallowsALoss(DirectMemoryConnection):
    def finish(self, close: Close) -> None:
        if not close.abnormal:
            super().finish(close)


class TakesALossForAClose(DirectMemoryConnection):
    def finish(self, close: Close) -> None:
        super().finish(Close(close.code, close.reason))


class HidesTheCloseCode(DirectMemoryConnection):
    def tell_end(self, close: Close) -> None:
        super().tell_end(Close(1000, "", close.abnormal))


class ThrowsAwayWhatIsUnsentAtItsClose(DirectMemoryConnection):
    def close(
        self, code: int, reason: str = "", cause: CloseCause = CloseCause.SESSION_ENDED
    ) -> None:
        self._outgoing.clear()
        super().close(code, reason, cause)


class WaitsForEverWithItsClose(DirectMemoryConnection):
    def close(
        self, code: int, reason: str = "", cause: CloseCause = CloseCause.SESSION_ENDED
    ) -> None:
        if self._closing is None:
            self._closing = Close(code, reason)
            self._write_on()


class RaisesWhenItIsClosedAgain(DirectMemoryConnection):
    def close(
        self, code: int, reason: str = "", cause: CloseCause = CloseCause.SESSION_ENDED
    ) -> None:
        if self._closing is not None:
            raise RuntimeError("closed already")
        super().close(code, reason, cause)


class RaisesAfterItsEnd(DirectMemoryConnection):
    def send(self, message: Message, /) -> None:
        if self.ended:
            raise ConnectionResetError("gone")
        super().send(message)


class IgnoresPause(DirectMemoryConnection):
    def pause(self) -> None:
        """Ignores the pause."""


class LosesRepliesWhilePaused(DirectMemoryConnection):
    def hear(self, message: Message) -> None:
        if self._flowing or not self.started:
            super().hear(message)


class IsAlwaysWritable(DirectMemoryConnection):
    def _tell_writable(self) -> None:
        """Never reports that it is not writable."""


class EndsTwiceWhenBothSidesClose(DirectMemoryConnection):
    def close(
        self, code: int, reason: str = "", cause: CloseCause = CloseCause.SESSION_ENDED
    ) -> None:
        super().close(code, reason, cause)
        self.loop.call_later(0.01, self.tell_end, Close(code, reason))

    def finish(self, close: Close) -> None:
        if close.code == 1000:
            return  # comes later
        super().finish(close)


class TakesAnEndFromBothSidesForALoss(DirectMemoryConnection):
    def finish(self, close: Close) -> None:
        crossed = self._closing is not None and close.code != self._closing.code
        super().finish(Close(close.code, close.reason, close.abnormal or crossed))


class SleepsInSend(DirectMemoryConnection):
    def send(self, message: Message, /) -> None:
        time.sleep(0.0001)
        super().send(message)


class LeaksATask(DirectMemoryConnection):
    leaked: ClassVar[list[asyncio.Task[bool]]] = []

    def start(self) -> None:
        super().start()
        self.leaked.append(self.loop.create_task(asyncio.Event().wait()))


def backend_of(connection_class: type[DirectMemoryConnection]) -> type[MemoryBackend]:
    """Returns a backend whose only fault is in its connections."""
    return type(connection_class.__name__, (MemoryBackend,), {"connection_class": connection_class})


class MixesSessions(MemoryBackend):
    async def connect(self, request: DialRequest, sink: Sink) -> Connection:
        connection = await super().connect(request, sink)
        links = list(self.counterpart.links.values())
        if len(links) == 12:
            links[3].on_message, links[11].on_message = links[11].on_message, links[3].on_message
        return connection


class LeaksADescriptor(MemoryBackend):
    leaked: ClassVar[list[int]] = []

    async def connect(self, request: DialRequest, sink: Sink) -> Connection:
        self.leaked.append(os.dup(0))
        return await super().connect(request, sink)


class LeaksACancelledDial(MemoryBackend):
    leaked: ClassVar[list[asyncio.Task[bool]]] = []

    async def connect(self, request: DialRequest, sink: Sink) -> Connection:
        self.leaked.append(asyncio.create_task(asyncio.Event().wait()))
        connection = await super().connect(request, sink)
        self.leaked.pop().cancel()
        return connection


class ResolvesANameInTheLoop(MemoryBackend):
    async def connect(self, request: DialRequest, sink: Sink) -> Connection:
        socket.getaddrinfo("127.0.0.1", 80)
        return await super().connect(request, sink)


class ConnectsInTheLoop(MemoryBackend):
    async def connect(self, request: DialRequest, sink: Sink) -> Connection:
        with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as stream:
            stream.connect(server.getsockname())
        return await super().connect(request, sink)


class Guarding(DirectMemoryConnection):
    known: set[bytes]

    async def transmit(self, message: Message) -> None:
        if message.data in self.known:
            self.tell_delivered(1)
            return
        self.known.add(message.data)
        await super().transmit(message)


class SendsNothingTwice(MemoryBackend):
    """Drops repeated messages to protect the application from duplicates."""

    connection_class = Guarding

    def __init__(self, counterpart: Counterpart, context: BackendContext) -> None:
        super().__init__(counterpart, context)
        self.known: defaultdict[str, set[bytes]] = defaultdict(set)

    async def connect(self, request: DialRequest, sink: Sink) -> Connection:
        connection = await super().connect(request, sink)
        assert isinstance(connection, Guarding)
        connection.known = self.known[request.session_id]
        return connection


class RefusesASessionThatItKnows(MemoryBackend):
    def __init__(self, counterpart: Counterpart, context: BackendContext) -> None:
        super().__init__(counterpart, context)
        self.known: set[str] = set()

    async def connect(self, request: DialRequest, sink: Sink) -> Connection:
        if request.session_id in self.known:
            raise BackendUnavailable("the session has a connection")
        self.known.add(request.session_id)
        return await super().connect(request, sink)


class LetsANetworkErrorOut(MemoryBackend):
    async def connect(self, request: DialRequest, sink: Sink) -> Connection:
        if not self.counterpart.alive:
            raise ConnectionRefusedError
        return await super().connect(request, sink)


class IsAlwaysHealthy(MemoryBackend):
    async def probe(self) -> None:
        """Never fails."""


class CannotCloseUnopened(MemoryBackend):
    async def open(self) -> None:
        self.pool: list[Connection] = []

    async def close(self) -> None:
        self.pool.clear()


class ClosesNormallyWhenItIsOutOfTime(DirectMemoryConnection):
    def tell_end(self, close: Close) -> None:
        if close.reason == "too slow":
            close = Close(1000)
        super().tell_end(close)


class DropsLargeMessages(DirectMemoryConnection):
    async def transmit(self, message: Message) -> None:
        if message.size > 512 * 1024:
            self.tell_delivered(1)
        else:
            await super().transmit(message)


class TakesALongMessageForALoss(DirectMemoryConnection):
    async def transmit(self, message: Message) -> None:
        if message.size > 512 * 1024:
            self.finish(Close(1006, "too long", abnormal=True))
        else:
            await super().transmit(message)


class DoesNotWaitForItsConnections(MemoryBackend):
    async def close(self) -> None:
        """Does not wait for the connections."""


class BlocksOnce(DirectMemoryConnection):
    """Blocks before one message that two tests send."""

    def send(self, message: Message, /) -> None:
        if message.data == b"message 150":
            self.block()
        super().send(message)

    def block(self) -> None:
        raise NotImplementedError


class WaitsForAnEvent(BlocksOnce):
    def block(self) -> None:
        threading.Event().wait(0.0001)


class WaitsForAQueue(BlocksOnce):
    def block(self) -> None:
        with contextlib.suppress(queue.Empty):
            queue.Queue[int]().get(timeout=0.0001)


class Computes(BlocksOnce):
    def block(self) -> None:
        end = time.thread_time() + MOST_SECONDS
        while time.thread_time() <= end:
            pass


class RunsAProcess(BlocksOnce):
    def block(self) -> None:
        subprocess.run([sys.executable, "-Sc", ""], check=True)
