"""The packets of one session."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from weakref import WeakValueDictionary

from wsgw_core.api import (
    BINARY,
    TEXT,
    CloseSession,
    Counter,
    Goodbye,
    Hydration,
    Message,
    ReplyExpected,
    SentOnce,
    Session,
)

from ..session_memory import MemoryExceeded, SessionMemory
from . import packets, publish
from .connect import MQTT_5, Accepted, Connect
from .hydration import NewBroker
from .inward import BrokersMessages
from .malformed import MalformedPacket
from .outward import OpenPackets
from .packets import PacketSplitter, body_of, identifier_of, reason_of
from .publish import TopicAliases
from .settings import MqttSettings
from .subscriptions import Request, Subscriptions

_IDENTIFIER = 70  # bytes of memory for a packet identifier, about
_CONNECT_HANDLE = 0  # others are packet identifiers; of PUBREL, negative ones
_MOST_JOINED = 64 * 1024  # bytes of packets that are sent as one message
_TAKEN_OVER = b"\xe0\x02\x8e\x00"  # a DISCONNECT of MQTT 5 with reason 0x8E
_WITH_WILL = 0x04  # the reason of a DISCONNECT that asks for the will
# Reasons of a broker that shuts down or is full; another broker may take the client.
_GOES = frozenset((0x88, 0x89, 0x8B, 0x9C, 0x9D))

_Outcome = Message | None


class LatestSessions(WeakValueDictionary[tuple[str, bytes], "MqttSession"]):
    """Holds the session that a broker accepted last, by route and client identifier."""


class MqttSession:
    """Remembers the client's state for the broker, and hydrates the next broker with it.

    Args:
        settings: the valve's checked options.
        session: the session.
        latest: the sessions of the valve, by client identifier.
        closed: counts sessions that the valve closes, by reason.
        unremembered: counts messages of QoS 2 without room.
    """

    __slots__ = (
        "__weakref__",
        "_accepted",
        "_afterwards",
        "_aliases",
        "_brokers",
        "_client",
        "_closed",
        "_connect",
        "_from_broker",
        "_from_client",
        "_is_gone",
        "_latest",
        "_memory",
        "_new_broker",
        "_open",
        "_server",
        "_session",
        "_settings",
        "_subscriptions",
        "_unremembered",
        "_version",
    )

    def __init__(
        self,
        settings: MqttSettings,
        session: Session,
        latest: LatestSessions,
        closed: Callable[[str], Counter],
        unremembered: Counter,
    ) -> None:
        self._settings = settings
        self._session = session
        self._latest = latest
        self._closed = closed
        self._unremembered = unremembered
        self._client = PacketSplitter(settings.max_packet_size)
        self._server = PacketSplitter(settings.max_packet_size)
        self._memory = SessionMemory(settings.max_remembered_bytes)
        self._open = OpenPackets(self._memory)
        self._brokers = BrokersMessages()
        self._aliases = TopicAliases(self._memory)
        self._version = 0
        self._connect: Connect | None = None
        self._accepted: Accepted | None = None
        self._subscriptions = Subscriptions(0, self._memory, settings.max_subscriptions)
        self._new_broker: NewBroker | None = None
        self._is_gone = False  # after DISCONNECT
        self._afterwards: Callable[[], None] | None = None  # called after the packets are sent
        self._from_client: dict[int, Callable[[bytes], _Outcome]] = {
            packets.CONNECT: self._connects,
            packets.PUBLISH: self._publishes,
            packets.PUBACK: self._acknowledges,
            packets.PUBREC: self._acknowledges,
            packets.PUBREL: self._releases,
            packets.PUBCOMP: self._acknowledges,
            packets.SUBSCRIBE: self._subscribes,
            packets.UNSUBSCRIBE: self._subscribes,
            packets.PINGREQ: _as_it_is,
            packets.DISCONNECT: self._says_goodbye,
            packets.AUTH: _as_it_is,
        }
        self._from_broker: dict[int, Callable[[bytes], _Outcome]] = {
            packets.CONNACK: self._accepts,
            packets.PUBLISH: self._delivers,
            packets.PUBACK: self._answers,
            packets.PUBREC: self._receives,
            packets.PUBREL: self._brokers_release,
            packets.PUBCOMP: self._completes,
            packets.SUBACK: self._grants,
            packets.UNSUBACK: self._grants,
            packets.PINGRESP: _as_it_is,
            packets.DISCONNECT: self._dismisses,
            packets.AUTH: _as_it_is,
        }

    # MessageValve

    def before_transmit(self, message: Message) -> Message | None:
        """See MessageValve."""
        if message.kind is TEXT:
            raise self._end(1003, "malformed", "MQTT uses binary messages")
        try:
            return self._through(message, self._client, self._from_client, joins=True)
        except MalformedPacket as error:
            raise self._end(1008, "malformed", str(error)) from None
        except MemoryExceeded as error:
            raise self._end(1008, "too-much", str(error)) from None

    def after_receive(self, message: Message) -> Message | None:
        """See MessageValve."""
        if message.kind is TEXT:
            raise self._end(1011, "broker", "the broker sent a text message")
        try:
            joins = self._new_broker is None  # answers of a new broker must stay separate
            return self._through(message, self._server, self._from_broker, joins=joins)
        except MalformedPacket as error:
            raise self._end(1011, "broker", f"from the broker: {error}") from None
        except MemoryExceeded as error:
            raise self._end(1008, "too-much", str(error)) from None

    def hydrate(self) -> Sequence[Hydration]:
        """See HydratingValve."""
        self._server.forget()
        self._new_broker = None
        for release in self._brokers.lose():
            self._session.send_to_client(Message(BINARY, release))
        if self._connect is None or self._accepted is None:
            return ()  # CONNECT is replayed
        if self._connect.authenticates:
            return self._begin_again("connect again to authenticate")
        if self._is_taken_over:
            self._closed("taken-over").value += 1
            if self._version == MQTT_5:
                self._session.send_to_client(Message(BINARY, _TAKEN_OVER))
            self._session.close(1000, "another client has the same identifier")
            return (Hydration(None, _never),)
        others: dict[tuple[int, int], bytes] = {}
        try:
            for identifier, packet in self._subscriptions.packets(self._open.free_identifiers()):
                others[packets.SUBACK, identifier] = packet
        except MemoryExceeded as error:
            return self._begin_again(str(error))
        for identifier, packet in self._open.unreleased():
            others[packets.PUBREC, identifier] = packet
        connect = self._connect.again(self._accepted)
        self._new_broker = NewBroker(self._version, connect, others, self._has_new_broker)
        return self._new_broker.steps()

    @property
    def held_bytes(self) -> int:
        """See HoldingValve."""
        return self._client.waiting_bytes + self.held_from_backend

    @property
    def held_from_backend(self) -> int:
        """See HoldingValve."""
        return self._server.waiting_bytes

    @property
    def lasting_bytes(self) -> int:
        """See HoldingValve."""
        identifiers = (self._open.count + self._brokers.count) * _IDENTIFIER
        return self._memory.used + identifiers

    @property
    def _is_taken_over(self) -> bool:
        """Whether a newer client with the same identifier has a broker."""
        newest = self._latest.get(self._key, self)
        return newest is not self and newest._session.backend_id is not None  # noqa: SLF001 - of its own class

    def _begin_again(self, why: str) -> Sequence[Hydration]:
        """Closes the session, so that the client connects again; sends nothing else."""
        self._session.close(1012, why)
        return (Hydration(None, _never),)

    def _has_new_broker(self) -> None:
        self._new_broker = None

    def _end(self, code: int, why: str, text: str) -> CloseSession:
        self._closed(why).value += 1
        return CloseSession(code, text)

    # Messages and packets

    def _through(
        self,
        message: Message,
        splitter: PacketSplitter,
        acts: dict[int, Callable[[bytes], _Outcome]],
        *,
        joins: bool,
    ) -> Message | None:
        """Handles the packets of a message; returns the first message to pass on."""
        data = message.data
        if splitter.is_packet(data):
            outcome = self._act(data, acts)
            if outcome is not None and type(outcome) is Message and outcome.data is data:
                outcome = message
        else:
            outcome = self._split(data, splitter, acts, joins=joins)
        if self._afterwards is not None:
            afterwards, self._afterwards = self._afterwards, None
            afterwards()
        return outcome

    def _act(self, packet: bytes, acts: dict[int, Callable[[bytes], _Outcome]]) -> _Outcome:
        act = acts.get(packet[0] >> 4)
        if act is None:
            raise MalformedPacket(f"a packet of type {packet[0] >> 4} is not allowed here")
        if self._connect is None and act != self._connects:
            raise MalformedPacket("a packet before CONNECT")
        if self._is_gone and acts is self._from_client:
            raise MalformedPacket("a packet after DISCONNECT")
        return act(packet)

    def _split(
        self,
        data: bytes,
        splitter: PacketSplitter,
        acts: dict[int, Callable[[bytes], _Outcome]],
        *,
        joins: bool,
    ) -> _Outcome:
        outcomes: list[Message] = []
        room = len(data) + self._settings.max_packet_size
        joined: list[bytes] = []  # of the last outcome
        size = 0
        for packet in splitter.split(data):
            outcome = self._act(packet, acts)
            if outcome is None:
                continue
            room -= outcome.size
            if room < 0:  # topic aliases can multiply the bytes
                raise MemoryExceeded("the packets are too large with their topics")
            if joins and joined and type(outcome) is Message and size < _MOST_JOINED:
                joined.append(outcome.data)
                size += outcome.size
                continue
            if len(joined) > 1:
                outcomes[-1] = Message(BINARY, b"".join(joined))
            joined = [outcome.data] if type(outcome) is Message else []
            size = outcome.size
            outcomes.append(outcome)
        if len(joined) > 1:
            outcomes[-1] = Message(BINARY, b"".join(joined))
        if not outcomes:
            return None
        onward = acts is self._from_client
        send = self._session.send_to_backend if onward else self._session.send_to_client
        for outcome in outcomes[1:]:
            send(outcome)
        return outcomes[0]

    # Packets of the client

    def _expecting(self, packet: bytes, handle: int) -> Message:
        return ReplyExpected(BINARY, packet, handle, self._settings.answer_timeout)

    def _connects(self, packet: bytes) -> _Outcome:
        if self._connect is not None:
            raise MalformedPacket("a second CONNECT")
        self._connect = Connect(packet)
        self._version = self._connect.version
        self._memory.take(self._connect.size)
        self._subscriptions = Subscriptions(
            self._version, self._memory, self._settings.max_subscriptions
        )
        return self._expecting(packet, _CONNECT_HANDLE)

    def _publishes(self, packet: bytes) -> _Outcome:
        if self._version == MQTT_5:
            packet = self._aliases.resolved(packet)
        quality = publish.quality_of(packet)
        if not quality:
            return Message(BINARY, packet)
        identifier = publish.identifier_of(packet)
        if self._open.repeats(identifier, packet):
            return SentOnce(BINARY, packet)
        if not self._open.publish(identifier, packet, quality):
            self._unremembered.value += 1
        return self._expecting(packet, identifier)

    def _acknowledges(self, packet: bytes) -> _Outcome:
        is_owed = self._brokers.is_owed(packet) and self._session.backend_id is not None
        return SentOnce(BINARY, packet) if is_owed else None

    def _releases(self, packet: bytes) -> _Outcome:
        return self._expecting(packet, -identifier_of(packet))

    def _subscribes(self, packet: bytes) -> _Outcome:
        request = Request.of(packet, self._version, self._settings.max_subscriptions)
        self._open.ask(request)
        self._subscriptions.ask(request)
        return self._expecting(packet, request.identifier)

    def _says_goodbye(self, packet: bytes) -> _Outcome:
        self._is_gone = True
        assert self._connect is not None  # noqa: S101 - see _act
        if reason_of(packet, body_of(packet)) != _WITH_WILL:
            self._connect.forget_will()
        return Goodbye(BINARY, packet)

    # Packets of the broker

    def _accepts(self, packet: bytes) -> _Outcome:
        if self._accepted is None:
            self._session.answered(_CONNECT_HANDLE)
            accepted = Accepted.of(packet, self._version)
            if accepted.reason:
                self._afterwards = lambda: self._session.close(1000)
            else:
                self._accepted = accepted
                self._latest[self._key] = self
                self._aliases.most = accepted.most_aliases
        return Message(BINARY, packet)

    @property
    def _key(self) -> tuple[str, bytes]:
        assert self._connect is not None  # noqa: S101 - for the type checker
        assert self._accepted is not None  # noqa: S101 - likewise
        identifier = self._accepted.identifier or self._connect.identifier
        return self._session.route, identifier or self._session.id.encode()

    def _delivers(self, packet: bytes) -> _Outcome:
        if quality := publish.quality_of(packet):
            self._brokers.note(publish.identifier_of(packet), quality)
        return Message(BINARY, packet)

    def _answers(self, packet: bytes) -> _Outcome:
        identifier = identifier_of(packet)
        self._open.answer(identifier)
        self._session.answered(identifier)
        return Message(BINARY, packet)

    def _receives(self, packet: bytes) -> _Outcome:
        if self._new_broker is not None and self._new_broker.swallows(packet):
            return None
        if reason_of(packet, body_of(packet) + 2) >= packets.FAILURE:
            return self._answers(packet)
        identifier = identifier_of(packet)
        self._open.receive(identifier)
        self._session.answered(identifier)
        return Message(BINARY, packet)

    def _brokers_release(self, packet: bytes) -> _Outcome:
        self._brokers.note_release(packet)
        return Message(BINARY, packet)

    def _completes(self, packet: bytes) -> _Outcome:
        identifier = identifier_of(packet)
        self._open.complete(identifier)
        self._session.answered(-identifier)
        return Message(BINARY, packet)

    def _grants(self, packet: bytes) -> _Outcome:
        if self._new_broker is not None and self._new_broker.swallows(packet):
            return None
        identifier = identifier_of(packet)
        request = self._open.answer(identifier)
        if request is not None:
            self._subscriptions.answer(request, packet)
            self._session.answered(identifier)
        return Message(BINARY, packet)

    def _dismisses(self, packet: bytes) -> _Outcome:
        if self._new_broker is not None:
            return None  # the close of this broker ends the hydration
        if reason_of(packet, body_of(packet)) in _GOES:
            self._afterwards = self._session.fail_over
            return None
        self._afterwards = lambda: self._session.close(1000)
        return Message(BINARY, packet)


def _never(_message: Message) -> bool:
    return False


def _as_it_is(packet: bytes) -> _Outcome:
    return Message(BINARY, packet)
