"""The unit that a gateway relays: one whole websocket message."""

from __future__ import annotations

from collections.abc import Hashable
from enum import IntEnum


class MessageKind(IntEnum):
    """Whether a message is text or binary (RFC 6455 section 5.6); the values are the opcodes."""

    TEXT = 1
    BINARY = 2


TEXT = MessageKind.TEXT
BINARY = MessageKind.BINARY


class Message:
    """One whole message: its fragments are joined, its size is bounded, its text is valid UTF-8.

    A message is immutable: a valve that wants another text makes another message. Two messages
    with equal kind and data are equal.

    Args:
        kind: TEXT or BINARY.
        data: the payload; for TEXT in UTF-8.
    """

    __slots__ = ("data", "kind")

    kind: MessageKind
    data: bytes

    def __init__(self, kind: MessageKind, data: bytes) -> None:
        self.kind = kind
        self.data = data

    @classmethod
    def from_text(cls, text: str) -> Message:
        """Returns a TEXT message; raises UnicodeEncodeError for lone surrogates."""
        return Message(TEXT, text.encode())

    @property
    def size(self) -> int:
        """Bytes of the payload; cheaper than `len(message.data)`."""
        return len(self.data)

    @property
    def text(self) -> str:
        """The payload as a string, decoded at each call.

        Raises:
            UnicodeDecodeError: for a BINARY message that is not valid UTF-8.
        """
        return self.data.decode()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Message):
            return NotImplemented
        return self.kind == other.kind and self.data == other.data

    def __hash__(self) -> int:
        return hash((self.kind, self.data))

    def __repr__(self) -> str:
        shown = self.data if len(self.data) <= 40 else self.data[:40] + b"..."
        return f"{type(self).__name__}({self.kind.name}, {shown!r}, size={self.size})"


class ReplyExpected(Message):
    """A message that counts as delivered only when the application has answered it.

    A valve returns one from `before_transmit` in place of the client's message, and calls
    `Session.answered(handle)` when it sees the reply. Until then a failover sends the message
    again; `expires` seconds after the backend's connection acknowledged it, it counts as delivered.

    Args:
        kind, data: as for Message.
        handle: the argument for `Session.answered`; unique among the session's open ones.
        expires: how many seconds to wait for the reply.
    """

    __slots__ = ("expires", "handle")

    def __init__(self, kind: MessageKind, data: bytes, handle: Hashable, expires: float) -> None:
        super().__init__(kind, data)
        self.handle = handle
        self.expires = expires


class SentOnce(Message):
    """A message that a failover does not send again, because it means nothing to another backend.

    A valve returns one from `before_transmit` in place of the client's message, for example for an
    acknowledgement of something that the backend has sent. When the session leaves the backend,
    wsgw drops those that the backend has not taken. One that comes while no backend serves goes to
    the next backend.
    """

    __slots__ = ()


class Goodbye(Message):
    """The last message of a client: after it the backend may end the connection in any way.

    A valve returns one from `before_transmit` in place of the client's message. If the backend then
    ends the connection and owes no answer to a ReplyExpected, the session ends normally and wsgw
    sends nothing to another backend. In all other respects it is a message like others.
    """

    __slots__ = ()
