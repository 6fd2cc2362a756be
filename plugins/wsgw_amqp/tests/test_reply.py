"""Properties of replies that no library would send."""

from __future__ import annotations

import struct

import pytest
from pamqp import encode
from wsgw_amqp.reply import InvalidReplyError, read_properties

HEADERS_AND_SESSION = struct.pack("!H", 1 << 13 | 1 << 10)


def test_headers_that_nest_very_deep_are_invalid() -> None:
    table = b""
    for _ in range(3000):
        entry = encode.short_string("a") + b"F" + struct.pack("!I", len(table)) + table
        table = entry
    table = encode.short_string("wsgw-close") + b"I" + struct.pack("!i", 4001) + table
    packed = HEADERS_AND_SESSION + struct.pack("!I", len(table)) + table + encode.short_string("s")

    with pytest.raises(InvalidReplyError, match="headers cannot be read"):
        read_properties(packed)
