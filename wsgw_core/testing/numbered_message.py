"""What clients of the drill send: `CLIENT NUMBER SIZE PADDING`, which tells if it is whole.

The padding is a part of one long pattern that clients and backends both have. Messages with an odd
number are text, the others are binary.
"""

from __future__ import annotations

import random

LARGEST = 1 << 20
PUSHED = "pushed"
"""What a backend says that was asked nothing."""

_STRIDE = 251  # so that neighbours differ
_HEAD = 60
_pattern = random.Random(0).randbytes(LARGEST // 2 + _STRIDE).hex().encode()  # noqa: S311 - no secret


def compose(client: str, number: int, size: int) -> bytes:
    """Returns a message with `size` bytes of padding, ASCII all of it."""
    start = number % _STRIDE
    return b"%s %d %d " % (client.encode(), number, size) + _pattern[start : start + size]


def is_text(number: int) -> bool:
    """Whether the message is sent as text."""
    return number % 2 == 1


def head_of(message: str | bytes | bytearray | memoryview) -> tuple[str, int]:
    """Returns client and number.

    Raises:
        ValueError: it is no such message.
    """
    head = message[:_HEAD]
    text = head if isinstance(head, str) else bytes(head).decode()
    client, number, _ = text.split(" ", 2)
    return client, int(number)


def is_whole(message: str | bytes) -> bool:
    """Whether it is what was composed, and of the same kind."""
    data = message.encode() if isinstance(message, str) else message
    try:
        client, number, size, _ = data[:_HEAD].decode().split(" ", 3)
        whole = data == compose(client, int(number), int(size))
    except ValueError:
        return False
    return whole and is_text(int(number)) == isinstance(message, str)
