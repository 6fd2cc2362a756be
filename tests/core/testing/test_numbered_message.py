"""A message of the drill shows whether it is whole."""

from __future__ import annotations

import pytest

from wsgw_core.testing.numbered_message import compose, head_of, is_text, is_whole


def as_sent(client: str, number: int, size: int) -> str | bytes:
    message = compose(client, number, size)
    return message.decode() if is_text(number) else message


@pytest.mark.parametrize("number", [0, 1, 250, 251, 12_345])
@pytest.mark.parametrize("size", [1, 64, 65_536, 1 << 20])
def test_a_composed_message_is_whole(number: int, size: int) -> None:
    message = as_sent("c1.7", number, size)

    assert is_whole(message)
    assert head_of(message) == ("c1.7", number)
    assert size <= len(message) < size + 60


@pytest.mark.parametrize(
    "message",
    [
        as_sent("c1", 2, 100)[:-1],
        as_sent("c1", 3, 100)[:-1],
        as_sent("c1", 3, 100) + "x",  # type: ignore[operator]  # it is text
        compose("c1", 2, 100).replace(b" 100 ", b" 100 x"),
        compose("c1", 3, 100),  # should be text
        compose("c1", 2, 100).decode(),  # should be binary
        compose("c1", 2, 100).replace(b"c1 2", b"c1 4"),
        b"",
        "hello",
        b"\xff" * 80,
    ],
)
def test_a_changed_message_is_not_whole(message: str | bytes) -> None:
    assert not is_whole(message)
