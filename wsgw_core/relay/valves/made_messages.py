"""Checks messages that plugins have made: the relay takes for granted what their types say."""

from __future__ import annotations

from ...api import Message, MessageKind, ReplyExpected


def check_made(message: object) -> None:
    """Find what would otherwise fail far from the plugin that has made the message.

    Raises:
        TypeError: it is no message, or what it holds is not of the type that it should be.
    """
    if not isinstance(message, Message):
        raise TypeError(f"{type(message).__name__} is not a Message")
    # Their annotations say what they should be, not what a plugin has put there.
    data: object = message.data
    kind: object = message.kind
    if not isinstance(data, bytes):
        found = type(data).__name__
        raise TypeError(f"the data of a Message is {found}, not bytes; see Message.from_text")
    if not isinstance(kind, MessageKind):
        raise TypeError(f"the kind of a Message is {kind!r}, not TEXT or BINARY")
    if isinstance(message, ReplyExpected):
        hash(message.handle)
        expires: object = message.expires
        if isinstance(expires, bool) or not isinstance(expires, int | float):
            raise TypeError(f"'expires' of a ReplyExpected is {expires!r}, not a number of seconds")
