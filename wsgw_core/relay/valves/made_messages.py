"""Checks messages that plugins have made, because the relay relies on their types."""

from __future__ import annotations

from ...api import Message, MessageKind, ReplyExpected


def check_made(message: object) -> None:
    """Raises an error here that would otherwise come far from the plugin that made the message.

    Raises:
        TypeError: it is no Message, or one of its fields has a wrong type.
    """
    if not isinstance(message, Message):
        raise TypeError(f"{type(message).__name__} is not a Message")
    # As objects, because a plugin may have put anything there, whatever the annotations say.
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
