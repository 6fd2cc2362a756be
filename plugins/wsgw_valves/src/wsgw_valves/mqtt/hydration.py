"""The hydration of a new broker."""

from __future__ import annotations

from collections.abc import Callable

from wsgw_core.api import BINARY, Hydration, HydrationRefused, Message

from .connect import Accepted
from .malformed import MalformedPacket
from .packets import CONNACK, FAILURE, SUBACK, identifier_of
from .subscriptions import codes_of


class NewBroker:
    """The hydration of a new broker with the client's state.

    The broker answers CONNECT first. wsgw sends all other packets at once after that; the last of
    their answers ends the hydration.

    Args:
        version: of MQTT.
        connect: the CONNECT.
        others: further packets, by the type and identifier of their answers.
        when_ready: called when the broker has answered all packets.
    """

    __slots__ = ("_awaited", "_connect", "_last", "_others", "_refused", "_version", "_when_ready")

    def __init__(
        self,
        version: int,
        connect: bytes,
        others: dict[tuple[int, int], bytes],
        when_ready: Callable[[], None],
    ) -> None:
        self._version = version
        self._connect = connect
        self._others = others
        self._when_ready = when_ready
        self._awaited = set(self._others)
        self._last: bytes | None = None
        self._refused = 0

    def steps(self) -> list[Hydration]:
        """Returns the steps of the hydration."""
        steps = [Hydration(Message(BINARY, self._connect), self._is_welcome)]
        steps += (Hydration(Message(BINARY, packet)) for packet in self._others.values())
        if self._others:
            steps[-1] = Hydration(steps[-1].message, self._is_last)
        return steps

    def swallows(self, packet: bytes) -> bool:
        """Returns whether to drop a packet: an answer of the hydration, except the last one.

        Args:
            packet: a SUBACK, UNSUBACK or PUBREC.
        """
        kind = packet[0] >> 4
        key = kind, identifier_of(packet)
        if key not in self._awaited:
            return False
        self._awaited.remove(key)
        if kind == SUBACK:
            self._refused += sum(code >= FAILURE for code in codes_of(packet, self._version))
        if self._awaited:
            return True
        self._last = packet
        return False

    def _is_welcome(self, message: Message) -> bool:
        if message.data[0] >> 4 != CONNACK:
            return False
        try:
            reason = Accepted.of(message.data, self._version).reason
        except MalformedPacket as error:
            raise HydrationRefused(f"CONNACK: {error}") from error
        if reason:
            raise HydrationRefused(f"the broker refused CONNECT with {reason:#04x}")
        if not self._others:
            self._when_ready()
        return True

    def _is_last(self, message: Message) -> bool:
        if message.data is not self._last:
            return False
        if self._refused:
            raise HydrationRefused(f"the broker refused {self._refused} subscriptions")
        self._when_ready()
        return True
