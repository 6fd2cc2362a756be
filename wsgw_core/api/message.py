"""The unit that a gateway carries: one whole websocket message."""

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
    """One whole message: fragments joined, size bounded, and text known to be valid UTF-8.

    Messages are values: nobody changes one after it was made, a valve that wants another text
    makes another message. Compares by kind and data.

    Args:
        kind: TEXT or BINARY.
        data: the payload; for TEXT its UTF-8 encoding.
    """

    __slots__ = ("data", "kind")

    kind: MessageKind
    data: bytes

    def __init__(self, kind: MessageKind, data: bytes) -> None:
        self.kind = kind
        self.data = data

    @classmethod
    def from_text(cls, text: str) -> Message:
        """Make a TEXT message; raises UnicodeEncodeError for lone surrogates."""
        return Message(TEXT, text.encode())

    @property
    def size(self) -> int:
        """Bytes of the payload; may be known without making it."""
        return len(self.data)

    @property
    def text(self) -> str:
        """The payload as a string, decoded anew at each call.

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

    A valve returns one from `before_transmit` in place of the client's message and calls
    `Session.answered(handle)` when it sees the reply. Until then, or until `expires` seconds have
    passed since the backend's connection acknowledged it, a failover sends it again.

    Args:
        kind, data: as for Message.
        handle: what `Session.answered` will be called with; unique among the session's open ones.
        expires: seconds after which the reply is no longer waited for.
    """

    __slots__ = ("expires", "handle")

    def __init__(self, kind: MessageKind, data: bytes, handle: Hashable, expires: float) -> None:
        super().__init__(kind, data)
        self.handle = handle
        self.expires = expires


class SentOnce(Message):
    """A message that means nothing to any other backend: a failover does not send it again.

    A valve returns one from `before_transmit` in place of the client's message, such as the
    acknowledgement of something that the backend has sent. When the session leaves the backend,
    what it has not taken of these is dropped. One that comes while no backend serves goes to the
    next.
    """

    __slots__ = ()


class Goodbye(Message):
    """The last message of a client: a backend that has it may end the connection in any way.

    A valve returns one from `before_transmit` in place of the client's message. If the backend then
    ends the connection, and owes no answer to a ReplyExpected, that is the session's normal end:
    nothing is sent to another backend. Otherwise it is a message like others.
    """

    __slots__ = ()
