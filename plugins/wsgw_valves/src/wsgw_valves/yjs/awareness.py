"""A client's own awareness state: name and cursor.

A message is `01`, the length of the rest, the number of clients, and for each client its id, a
clock, and a state with its length. All numbers are variable: seven bits in each byte.
"""

from __future__ import annotations

_LONGEST = 8  # bytes of a number: ids have 53 bits
_MOST = 1000  # clients in a message


class _Malformed(Exception):
    """The bytes are not an awareness message, or it is about too many clients."""


class OwnAwareness:
    """Finds the client's own state in its messages.

    A message may also be about other clients, which the server has reported. The first message
    about a single client is about the client itself.

    Attributes:
        message: repeats the client's last own state; None: there is none.
    """

    __slots__ = ("_id", "message")

    def __init__(self) -> None:
        self._id: int | None = None
        self.message: bytes | None = None

    def said(self, data: bytes) -> None:
        """Remembers a message about the client itself.

        Args:
            data: begins with `01`.
        """
        try:
            entries = _entries(data)
        except _Malformed:
            return
        if self._id is None and len(entries) == 1:
            self._id = next(iter(entries))
        if self._id is not None and self._id in entries:
            update = b"\x01" + entries[self._id]
            self.message = b"\x01" + _number(len(update)) + update


def _entries(data: bytes) -> dict[int, bytes]:
    """Returns the bytes about each client by its id."""
    length, at = _read(data, 1)
    if at + length != len(data):
        raise _Malformed
    count, at = _read(data, at)
    if count > _MOST:
        raise _Malformed
    entries = {}
    for _ in range(count):  # each needs bytes, so the loop is bounded
        begin = at
        client, at = _read(data, at)
        _, at = _read(data, at)
        length, at = _read(data, at)
        at += length
        if at > len(data):
            raise _Malformed
        entries[client] = data[begin:at]
    if at != len(data):
        raise _Malformed
    return entries


def _read(data: bytes, at: int) -> tuple[int, int]:
    """Returns the number at a position, and the position after it."""
    number = 0
    for index, byte in enumerate(data[at : at + _LONGEST]):
        number |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return number, at + index + 1
    raise _Malformed


def _number(value: int) -> bytes:
    written = bytearray()
    while value > 0x7F:
        written.append(0x80 | value & 0x7F)
        value >>= 7
    written.append(value)
    return bytes(written)
