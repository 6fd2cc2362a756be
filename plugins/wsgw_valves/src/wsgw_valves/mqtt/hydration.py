"""What a new broker hears, and its answers."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from wsgw_core.api import BINARY, Hydration, HydrationRefused, Message

from .connect import Accepted
from .malformed import MalformedPacket
from .packets import CONNACK, FAILURE, SUBACK, identifier_of
from .subscriptions import codes_of


class NewBroker:
    """A broker that is told what the last one knew.

    CONNECT is answered first. All others are sent at once behind it, and the last of their answers
    ends the hydration.

    Args:
        version: of MQTT.
        connect: a CONNECT.
        others: packets, by the kind and the identifier of their answers.
        when_ready: called when everything is answered.
    """

    __slots__ = ("_awaited", "_connect", "_last", "_others", "_refused", "_version", "_when_ready")

    def __init__(
        self,
        version: int,
        connect: bytes,
        others: Iterable[tuple[tuple[int, int], bytes]],
        when_ready: Callable[[], None],
    ) -> None:
        self._version = version
        self._connect = connect
        self._others = dict(others)
        self._when_ready = when_ready
        self._awaited = set(self._others)
        self._last: bytes | None = None
        self._refused = 0

    def steps(self) -> list[Hydration]:
        """Return them as the gateway takes them."""
        steps = [Hydration(Message(BINARY, self._connect), self._is_welcome)]
        steps += (Hydration(Message(BINARY, packet)) for packet in self._others.values())
        if self._others:
            steps[-1] = Hydration(steps[-1].message, self._is_last)
        return steps

    def swallows(self, packet: bytes) -> bool:
        """Return whether an answer is for no one else, and not the last.

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
            raise HydrationRefused(f"CONNECT refused with {reason:#04x}")
        if not self._others:
            self._when_ready()
        return True

    def _is_last(self, message: Message) -> bool:
        if message.data is not self._last:
            return False
        if self._refused:
            raise HydrationRefused(f"{self._refused} subscriptions refused")
        self._when_ready()
        return True
