"""A namespace of a client."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import count

from wsgw_core.api import TEXT, Hydration, HydrationRefused, Message

from ..session_memory import SessionMemory
from .ack_ids import AckIds
from .packet import Type, make_packet, read_packet
from .rooms import Rooms
from .settings import RoomRule

_OWN_IDS = 900_000_000_000_000  # ids of hydrations; clients count from 0


class Namespace:
    """One namespace of one session.

    Args:
        name: begins with a slash.
        message: the CONNECT of the client.
        rules: for the rooms of the namespace.
        memory: the session's.

    Attributes:
        message: see above.
        is_connected: whether a server has accepted the client.
        ack_ids: of the servers.
        rooms: the rooms that the client has joined.
    """

    __slots__ = ("ack_ids", "is_connected", "message", "name", "rooms")

    def __init__(
        self, name: bytes, message: Message, rules: Sequence[RoomRule], memory: SessionMemory
    ) -> None:
        self.name = name
        self.message = message
        self.is_connected = False
        self.ack_ids = AckIds()
        self.rooms = Rooms(rules, memory)

    def hydrations(self) -> Iterator[Hydration]:
        """Yields the steps that connect the namespace at the next server and join its rooms."""
        yield Hydration(self.message, self._is_let_in)
        own_ids = count(_OWN_IDS)
        for body, is_acknowledged in self.rooms.joins():
            id_ = next(own_ids) if is_acknowledged else None
            yield Hydration(
                Message(TEXT, make_packet(Type.EVENT, self.name, id_, body)),
                None if id_ is None else partial(self._is_ack, id_),
            )

    def _is_let_in(self, message: Message) -> bool:
        packet = read_packet(message.data) if message.kind is TEXT else None
        if packet is None or packet.namespace != self.name:
            return False
        if packet.type_ == Type.CONNECT_ERROR:
            raise HydrationRefused(f"the server refused the namespace {self.name.decode()!r}")
        return packet.type_ == Type.CONNECT

    def _is_ack(self, id_: int, message: Message) -> bool:
        packet = read_packet(message.data) if message.kind is TEXT else None
        return (
            packet is not None
            and (packet.type_, packet.namespace, packet.id) == (Type.ACK, self.name, id_)
        )  # fmt: skip
