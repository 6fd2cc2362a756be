"""Remembers a client's namespaces and rooms for the next server."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import parse_qs, urlsplit

from wsgw_core.api import (
    BINARY,
    TEXT,
    CloseSession,
    HydratingValve,
    Hydration,
    Message,
    MessageValve,
    ReplyExpected,
    SentOnce,
    Session,
    Valve,
)

from ..session_memory import SHARE, MemoryExceeded, SessionMemory
from .attachments import Attachments
from .namespace import Namespace
from .packet import MESSAGE, OPEN, PING, PONG, Packet, Type, read_packet, with_id
from .settings import RoomRule, SocketioSettings

_MOST_OPEN = 1000  # events with attachments that wait for their acknowledgement


class SocketioValve:
    """The valve of one entry in the configuration.

    Args:
        settings: the valve's checked options.
    """

    def __init__(self, settings: SocketioSettings, _context: object) -> None:
        self._settings = settings
        self._rules: dict[bytes, list[RoomRule]] = {}
        for rule in settings.rooms:
            self._rules.setdefault(rule.namespace.encode(), []).append(rule)

    def for_session(self, session: Session) -> MessageValve:
        """Returns the valve of a session."""
        query = parse_qs(urlsplit(session.path).query)
        if query.get("EIO") != ["4"] or "sid" in query:
            return _Untouched()  # another version, or a session that began with long polling
        return SocketioSession(session, self._settings, self._rules)


class _Untouched:
    """A session that cannot move."""

    def before_transmit(self, message: Message) -> Message:
        return message

    def after_receive(self, message: Message) -> Message:
        return message


class SocketioSession:
    """The valve of one session.

    Args:
        session: the session.
        settings: see SocketioValve.
        rules: rules for rooms, by namespace.
    """

    def __init__(
        self, session: Session, settings: SocketioSettings, rules: dict[bytes, list[RoomRule]]
    ) -> None:
        self._session = session
        self._settings = settings
        self._rules = rules
        self._memory = SessionMemory(settings.max_remembered_bytes)
        self._namespaces: dict[bytes, Namespace] = {}
        self._is_open = False
        self._pings = 0  # pings of this server without the client's answer
        bounds = settings.max_attachments, settings.max_attached
        self._outward = Attachments(*bounds)
        self._inward = Attachments(*bounds)
        # Numbers of attachments of events that wait for their acknowledgement
        self._attached: dict[tuple[bytes, int], int] = {}

    def before_transmit(self, message: Message) -> Message | None:
        """See MessageValve."""
        if message.kind is TEXT:
            begin = message.data[:1]
            if begin == PONG:
                return self._pong(message)
            if begin != MESSAGE:
                return message
        try:
            parts = self._outgoing(message)
        except MemoryExceeded as error:
            raise CloseSession(1008, str(error)) from None
        for part in parts[1:]:
            self._session.send_to_backend(part)
        return parts[0] if parts else None

    def after_receive(self, message: Message) -> Message | None:
        """See MessageValve."""
        if message.kind is TEXT:
            begin = message.data[:1]
            if begin == PING:
                self._pings += 1
            elif begin == OPEN:
                self._opened()
            if begin != MESSAGE:
                return message
        parts = self._incoming(message)
        for part in parts[1:]:
            self._session.send_to_client(part)
        return parts[0] if parts else None

    def hydrate(self) -> Sequence[Hydration]:
        """See HydratingValve."""
        self._inward.take()
        self._pings = 0
        if not self._is_open:
            return []
        steps = [Hydration(None, _is_open)]
        for namespace in self._namespaces.values():
            namespace.ack_ids.change_server()
            if namespace.is_connected:
                steps += namespace.hydrations()
        return steps

    @property
    def held_bytes(self) -> int:
        """See HoldingValve."""
        return self._outward.bytes + self.held_from_backend

    @property
    def held_from_backend(self) -> int:
        """See HoldingValve."""
        return self._inward.bytes

    @property
    def lasting_bytes(self) -> int:
        """See HoldingValve."""
        return self._memory.used + len(self._attached) * SHARE

    # Packets of engine.io

    def _opened(self) -> None:
        """Handles the greeting of a server.

        The client expects a ping within the interval since the last one, which another server has
        sent. So the valve sends one now; the client's answer does not reach the server.
        """
        if self._is_open:
            self._session.send_to_client(Message(TEXT, PING))
        self._is_open = True

    def _pong(self, message: Message) -> Message | None:
        if self._pings == 0 or self._session.backend_id is None:
            return None  # for a lost server
        self._pings -= 1
        return SentOnce(TEXT, message.data)

    # Packets of socket.io, each with its attachments

    def _outgoing(self, message: Message) -> list[Message]:
        packet, parts = _whole(self._outward, message)
        if packet is None:
            return parts
        match packet.type_:
            case Type.CONNECT:
                return [self._connect(packet.namespace, message)]
            case Type.DISCONNECT:
                self._forget(packet.namespace)
            case Type.EVENT | Type.BINARY_EVENT:
                return self._event(packet, parts)
            case Type.ACK | Type.BINARY_ACK:
                return self._ack_of_client(packet, parts)
        return parts

    def _incoming(self, message: Message) -> list[Message]:
        packet, parts = _whole(self._inward, message)
        namespace = None if packet is None else self._namespaces.get(packet.namespace)
        if packet is None or namespace is None:
            return parts
        match packet.type_:
            case Type.CONNECT if not namespace.is_connected:
                namespace.is_connected = True
                self._session.answered(namespace.name)
            case Type.CONNECT_ERROR if not namespace.is_connected:
                self._forget(namespace.name)
            case Type.DISCONNECT:
                self._forget(namespace.name)
            case Type.ACK | Type.BINARY_ACK if packet.id is not None:
                self._ack_of_server(namespace, packet.id)
            case Type.EVENT | Type.BINARY_EVENT if packet.id is not None:
                shown = namespace.ack_ids.to_client(packet.id)
                if shown != packet.id:
                    parts[0] = Message(TEXT, with_id(parts[0].data, packet, shown))
        return parts

    # Namespaces

    def _connect(self, name: bytes, message: Message) -> Message:
        if name in self._namespaces:
            return message
        self._memory.take(message.size)
        rules = self._rules.get(name, ())
        self._namespaces[name] = Namespace(name, message, rules, self._memory)
        return ReplyExpected(TEXT, message.data, name, self._settings.expires)

    def _forget(self, name: bytes) -> None:
        namespace = self._namespaces.pop(name, None)
        if namespace is None:
            return
        namespace.rooms.forget_all()
        self._memory.free(namespace.message.size)
        if not namespace.is_connected:
            self._session.answered(name)

    # Events and their acknowledgements

    def _event(self, packet: Packet, parts: list[Message]) -> list[Message]:
        namespace, id_ = self._namespaces.get(packet.namespace), packet.id
        joins = False
        if namespace is not None and packet.type_ == Type.EVENT:
            joins = namespace.rooms.note(parts[0].data[packet.body :], id_)
        if namespace is not None and id_ is None and joins and namespace.is_connected:
            return [SentOnce(TEXT, parts[0].data)]  # the next server gets it by hydration
        if namespace is None or id_ is None or not (joins or self._settings.wait_for_acks):
            return parts
        key = namespace.name, id_
        if len(parts) > 1:
            self._note_attached(key, len(parts) - 1)
        expires = self._settings.expires
        return [
            ReplyExpected(part.kind, part.data, (key, place), expires)
            for place, part in enumerate(parts)
        ]

    def _note_attached(self, key: tuple[bytes, int], attachments: int) -> None:
        if len(self._attached) >= _MOST_OPEN:
            del self._attached[next(iter(self._attached))]  # expires by itself
        self._attached[key] = attachments

    def _ack_of_server(self, namespace: Namespace, id_: int) -> None:
        key = namespace.name, id_
        namespace.rooms.acknowledged(id_)
        for place in range(1 + self._attached.pop(key, 0)):
            self._session.answered((key, place))

    def _ack_of_client(self, packet: Packet, parts: list[Message]) -> list[Message]:
        namespace = self._namespaces.get(packet.namespace)
        if namespace is None or packet.id is None:
            return parts
        id_ = namespace.ack_ids.to_server(packet.id)
        if id_ is None or self._session.backend_id is None:
            return []  # for a lost server
        if id_ != packet.id:
            parts[0] = Message(TEXT, with_id(parts[0].data, packet, id_))
        return [SentOnce(part.kind, part.data) for part in parts]


def _whole(attachments: Attachments, message: Message) -> tuple[Packet | None, list[Message]]:
    """Returns a packet with all its parts; no packet for other messages and violations."""
    waiting = attachments.packet
    if message.kind is BINARY:
        if waiting is None:
            return None, [message]
        return (waiting, attachments.take()) if attachments.add(message) else (None, [])
    if waiting is not None:  # the peer closes for that
        return None, [*attachments.take(), message]
    packet = read_packet(message.data)
    if packet is None or not packet.attachments:
        return packet, [message]
    attachments.begin(packet, message)
    return None, []


def _is_open(message: Message) -> bool:
    return message.kind is TEXT and message.data[:1] == OPEN


def _is_valve(valve: SocketioValve) -> Valve:
    return valve  # checked by the type checker


def _is_message_valve(valve: SocketioSession) -> HydratingValve:
    return valve  # checked by the type checker
