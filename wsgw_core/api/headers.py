"""Checks headers that a plugin makes, and removes client headers that would collide with them."""

from __future__ import annotations

import re
from collections.abc import Iterable

from .backend import Headers
from .options import HEADER_NAME

_NAME = re.compile(HEADER_NAME)
# RFC 9110 section 7.6.1, and the headers of one leg's own handshake. wsgw passes none of them on.
OF_ONE_LEG = frozenset(
    {
        "connection",
        "content-length",
        "expect",
        "host",
        "http2-settings",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "sec-websocket-accept",
        "sec-websocket-extensions",
        "sec-websocket-key",
        "sec-websocket-protocol",
        "sec-websocket-version",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")  # RFC 9110 section 5.5


def without_headers(headers: Headers, names: Iterable[str]) -> Headers:
    """Returns a client's headers without those that a plugin sets itself.

    A backend may take either value if a single-valued header comes twice (RFC 9110 section 5.3).

    Args:
        headers: the client's headers.
        names: the names of the headers that the plugin sets; case does not count, and `_` equals
            `-`.
    """
    meant = {name.lower().replace("_", "-") for name in names}
    return tuple(field for field in headers if field[0].lower().replace("_", "-") not in meant)


def checked_headers(headers: Headers) -> Headers:
    """Returns headers that a plugin has made, if the gateway can send them.

    Raises:
        ValueError: a name is not a token, or a value has a control character or one beyond
            ISO-8859-1. The text does not show values.
        TypeError: they are not pairs of texts.
    """
    headers = tuple(headers)
    for name, value in headers:
        if _NAME.fullmatch(name) is None:
            raise ValueError(f"not the name of a header: {name!r}")
        if _VALUE.fullmatch(value) is None:
            raise ValueError(
                f"the value of {name} has control characters, or others than ISO-8859-1; write"
                ' .encode().decode("latin-1") for UTF-8'
            )
    return headers
