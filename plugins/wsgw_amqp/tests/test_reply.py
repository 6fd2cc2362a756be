"""Properties of replies that no library sends."""

from __future__ import annotations

import struct

import pytest
from pamqp import encode
from wsgw_amqp.reply import InvalidReplyError, read_properties

HEADERS_AND_SESSION = struct.pack("!H", 1 << 13 | 1 << 10)


def test_deeply_nested_headers_are_invalid() -> None:
    table = b""
    for _ in range(3000):
        entry = encode.short_string("a") + b"F" + struct.pack("!I", len(table)) + table
        table = entry
    table = encode.short_string("wsgw-close") + b"I" + struct.pack("!i", 4001) + table
    packed = HEADERS_AND_SESSION + struct.pack("!I", len(table)) + table + encode.short_string("s")

    with pytest.raises(InvalidReplyError, match="headers are not valid"):
        read_properties(packed)


def test_error_truncates_long_close_code() -> None:
    value = b"\x0awsgw-closeS" + struct.pack("!I", 100_000) + b"x" * 100_000
    packed = struct.pack("!HI", 0x2000 | 0x0400, len(value)) + value + b"\x01s"
    with pytest.raises(InvalidReplyError, match="wsgw-close is not 1000") as caught:
        read_properties(packed)
    assert len(str(caught.value)) < 200
