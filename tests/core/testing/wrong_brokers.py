"""Backends of a shared broker with one fault each, which the contract suite must find."""

from __future__ import annotations

from weakref import WeakValueDictionary

from wsgw_core.api import (
    BackendContext,
    BackendUnavailable,
    Close,
    DialRequest,
    Message,
    ReplyOutcome,
    SharedLink,
    Sink,
)

from .broker_backend import Broker, BrokerBackend, BrokerConnection, Wire


class PongConnection(BrokerConnection):
    def write(self, number: int, message: Message) -> None:
        self.wire.publish(self.session_id, message, lambda _stored: None)
        self.wire.ping(lambda: self.confirmed(number))


class TakesAPongForDelivery(BrokerBackend):
    connection_class = PongConnection


class BlamingConnection(BrokerConnection):
    def settle(self, number: int, stored: bool) -> None:
        if stored:
            self.confirmed(number)
        else:
            self.end(Close(1006, "the broker is full", abnormal=True))


class TakesARefusalForADeath(BrokerBackend):
    connection_class = BlamingConnection


class RememberingConnection(BrokerConnection):
    unsettled: dict[tuple[str, int], Message]

    def write(self, number: int, message: Message) -> None:
        self.unsettled[self.session_id, number] = message
        super().write(number, message)

    def settle(self, number: int, stored: bool) -> None:
        del self.unsettled[self.session_id, number]
        super().settle(number, stored)


class SendsAgainItself(BrokerBackend):
    """Publishes on each new wire what the last one has not acknowledged."""

    connection_class = RememberingConnection

    def __init__(self, broker: Broker, context: BackendContext) -> None:
        super().__init__(broker, context)
        self.unsettled: dict[tuple[str, int], Message] = {}

    async def connect(self, request: DialRequest, sink: Sink) -> BrokerConnection:
        is_new = self.link.current is None
        connection = await super().connect(request, sink)
        assert isinstance(connection, RememberingConnection)
        connection.unsettled = self.unsettled
        if is_new:
            for (session_id, _), message in self.unsettled.items():
                connection.wire.publish(session_id, message, lambda _stored: None)
            self.unsettled.clear()
        return connection


class CallsTheSinkAfterTheEnd(BrokerBackend):
    """Keeps sinks in a table from which it removes none."""

    def __init__(self, broker: Broker, context: BackendContext) -> None:
        super().__init__(broker, context)
        self.sinks = WeakValueDictionary[str, Sink]()

    async def connect(self, request: DialRequest, sink: Sink) -> BrokerConnection:
        self.sinks[request.session_id] = sink
        return await super().connect(request, sink)

    def take_reply(self, session_id: str, message: Message) -> None:
        if self.link.find(session_id) is None and session_id in self.sinks:
            self.sinks[session_id].message(message)
        else:
            super().take_reply(session_id, message)


class LinkThatTellsOne(SharedLink[Wire, BrokerConnection]):
    def lost(self, link: Wire, reason: str) -> None:
        for connection in tuple(self._connections)[:1]:
            connection.fail(reason)
        self._link = None
        self._hang_up_in_background(link)


class TellsOneSessionOfALoss(BrokerBackend):
    link_class = LinkThatTellsOne


class LinkThatTellsSlowly(SharedLink[Wire, BrokerConnection]):
    def lost(self, link: Wire, reason: str) -> None:
        for number, connection in enumerate(tuple(self._connections)):
            self._context.clock.call_later(0.01 * number, connection.fail, reason)
        self._link = None
        self._hang_up_in_background(link)


class TellsOneSessionAfterTheOther(BrokerBackend):
    link_class = LinkThatTellsSlowly


class LinkThatForgetsARoute(SharedLink[Wire, BrokerConnection]):
    def _remove(self, connection: BrokerConnection) -> None:
        super()._remove(connection)
        self._routes.pop(connection.session_id, None)


class RemovesTheRouteOfTheNewer(BrokerBackend):
    link_class = LinkThatForgetsARoute


class RefusesTheNewer(BrokerBackend):
    async def connect(self, request: DialRequest, sink: Sink) -> BrokerConnection:
        if self.link.find(request.session_id) is not None:
            raise BackendUnavailable("the session has a connection")
        return await super().connect(request, sink)


class DroppingConnection(BrokerConnection):
    def end(self, close: Close) -> None:
        self._replies.give_back(self)
        super().end(close)


class DropsWhatHasWaited(BrokerBackend):
    connection_class = DroppingConnection


class PassesOnBytesAsText(BrokerBackend):
    def take_reply(self, session_id: str, message: Message) -> None:
        connection = self.link.find(session_id)
        if connection is None or connection.receive(message) is ReplyOutcome.TOO_LARGE:
            super().take_reply(session_id, message)


class UnlimitedConnection(BrokerConnection):
    def receive(self, message: Message, receipt: object = None) -> ReplyOutcome:
        if message.size > self._limits.max_message_size and self._flowing:
            self._sink.message(message)
            return ReplyOutcome.TAKEN
        return super().receive(message, receipt)


class PassesOnRepliesOfAnyLength(BrokerBackend):
    connection_class = UnlimitedConnection


class EndingConnection(BrokerConnection):
    def receive(self, message: Message, receipt: object = None) -> ReplyOutcome:
        outcome = super().receive(message, receipt)
        if outcome is ReplyOutcome.TOO_LARGE:
            self.end(Close(1006, "too long", abnormal=True))
        return outcome


class TakesALongReplyForALoss(BrokerBackend):
    connection_class = EndingConnection


class KeepsAnEntryOfEachSession(BrokerBackend):
    def __init__(self, broker: Broker, context: BackendContext) -> None:
        super().__init__(broker, context)
        self.paths: dict[str, str] = {}

    def introduce(self, request: DialRequest) -> None:
        super().introduce(request)
        self.paths[request.session_id] = request.path


class IgnoresPathAndHeaders(BrokerBackend):
    def introduce(self, request: DialRequest) -> None:
        super().introduce(DialRequest(request.session_id, "/"))
