"""Parses the relevant messages; all others pass unparsed."""

from __future__ import annotations

from ..bounded_json import read_json

_OF_CLIENT = b'subscribe"'  # of `unsubscribe`, too
_RESTART = b'"server_restart"'
_OF_SERVER = (b'_subscription"', b'"welcome"')


def read_command(data: bytes, max_size: int) -> tuple[str, str]:
    """Returns `subscribe` or `unsubscribe` and the identifier; empty for all other messages.

    Args:
        data: of the client.
        max_size: maximum bytes of a message to parse.
    """
    if _OF_CLIENT not in data:
        return "", ""
    return _texts(data, "command", max_size)


def read_answer(data: bytes, max_size: int) -> tuple[str, str]:
    """Returns `welcome`, `confirm_subscription` or `reject_subscription` and the identifier.

    Args:
        data: of the server.
        max_size: maximum bytes of a message to parse.
    """
    if _OF_SERVER[0] not in data and _OF_SERVER[1] not in data:
        return "", ""
    return _texts(data, "type", max_size)


def is_restart(data: bytes, max_size: int) -> bool:
    """Returns whether a server announces a restart and asks clients to reconnect.

    Args:
        data: of the server.
        max_size: maximum bytes of a message to parse.
    """
    if _RESTART not in data:
        return False
    message = _read(data, max_size)
    return (
        message.get("type") == "disconnect"
        and message.get("reason") == "server_restart"
        and message.get("reconnect") is True
    )


def _texts(data: bytes, name: str, max_size: int) -> tuple[str, str]:
    message = _read(data, max_size)
    kind, identifier = message.get(name), message.get("identifier")
    return (
        kind if isinstance(kind, str) else "",
        identifier if isinstance(identifier, str) else "",
    )


def _read(data: bytes, max_size: int) -> dict[str, object]:
    """Returns the JSON object in a message; empty if there is none."""
    if len(data) > max_size:
        return {}
    try:
        message = read_json(data)
    except ValueError:
        return {}
    return message if isinstance(message, dict) else {}
