"""The messages of the drill's clients: `CLIENT NUMBER SIZE PADDING`.

The padding is a part of one long pattern that clients and backends both know, so that a backend can
check the message. Messages with an odd number are text, the others are binary.
"""

from __future__ import annotations

import random

LARGEST = 1 << 20
PUSHED = "pushed"
"""The text of a message that a backend sends unasked."""

_STRIDE = 251  # so that neighbours differ
_HEAD = 60
_pattern = random.Random(0).randbytes(LARGEST // 2 + _STRIDE).hex().encode()  # noqa: S311 - no secret


def compose(client: str, number: int, size: int) -> bytes:
    """Returns a message in ASCII with `size` bytes of padding."""
    start = number % _STRIDE
    return b"%s %d %d " % (client.encode(), number, size) + _pattern[start : start + size]


def is_text(number: int) -> bool:
    """Returns whether the message is sent as text."""
    return number % 2 == 1


def head_of(message: str | bytes | bytearray | memoryview) -> tuple[str, int]:
    """Returns the client and the number of a message.

    Raises:
        ValueError: it is not a message of the drill.
    """
    head = message[:_HEAD]
    text = head if isinstance(head, str) else bytes(head).decode()
    client, number, _ = text.split(" ", 2)
    return client, int(number)


def is_whole(message: str | bytes) -> bool:
    """Returns whether a message equals the composed one, in content and kind."""
    data = message.encode() if isinstance(message, str) else message
    try:
        client, number, size, _ = data[:_HEAD].decode().split(" ", 3)
        whole = data == compose(client, int(number), int(size))
    except ValueError:
        return False
    return whole and is_text(int(number)) == isinstance(message, str)
