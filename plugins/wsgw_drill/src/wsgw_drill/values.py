"""Reads the values of the options of `wsgw drill`. The functions raise ValueError."""

from __future__ import annotations

import re

import click

from wsgw_core.cli.values import read_duration

_KIND = re.compile(r"[A-Za-z][\w.+-]*")
_SET_BY_THE_HANDSHAKE = {
    "connection",
    "sec-websocket-extensions",
    "sec-websocket-key",
    "sec-websocket-version",
    "upgrade",
}


def sizes(text: str) -> tuple[int, int]:
    """Reads the smallest and the largest size in bytes of `64B..64KiB`."""
    from wsgw_core.api.options import parse_size  # noqa: PLC0415 - slow
    from wsgw_core.testing.numbered_message import LARGEST  # noqa: PLC0415 - slow

    low, dots, high = text.partition("..")
    smallest, largest = int(parse_size(low)), int(parse_size(high if dots else low))
    if not 1 <= smallest <= largest <= LARGEST:
        raise ValueError("not a range between 1B and 1MiB")
    return smallest, largest


def way_and_pause(text: str) -> tuple[str, float]:
    """Reads the way and the seconds of `kill=200ms`."""
    way, equals, duration = text.partition("=")
    if not equals:
        raise ValueError("not a way and a duration such as kill=200ms")
    return known_way(way), read_duration(duration)


def url(text: str) -> str:
    """Reads the URL of a gateway for clients."""
    from websockets.exceptions import InvalidURI  # noqa: PLC0415 - slow
    from websockets.uri import parse_uri  # noqa: PLC0415 - slow

    try:
        parse_uri(text)
    except (InvalidURI, ValueError) as error:
        why = error.msg if isinstance(error, InvalidURI) else error
        raise ValueError(f"not a URL such as ws://localhost:8080/: {why}") from error
    return text


def admin_url(text: str) -> str:
    """Reads the URL of an admin API."""
    from urllib.parse import urlsplit  # noqa: PLC0415 - rarely needed

    text = text.rstrip("/")
    parts = urlsplit(text)
    is_known = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    if not is_known or not _is_visible(text) or text != f"{parts.scheme}://{parts.netloc}":
        raise ValueError("not a URL such as http://localhost:8081")
    return text


def backend(text: str) -> tuple[str, int] | str:
    """Reads host and port, or a kind of backends."""
    from wsgw_core.config.address import parse_address  # noqa: PLC0415 - slow

    if _KIND.fullmatch(text):
        return text
    host, port = parse_address(text)
    return host or "127.0.0.1", port


def header(text: str) -> tuple[str, str]:
    """Reads name and value of a header."""
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        raise ValueError("not a header such as 'Authorization: Bearer x'")
    if name.strip().lower() == "host":
        raise ValueError("set the host with --host")
    if name.strip().lower() in _SET_BY_THE_HANDSHAKE:
        raise ValueError("the handshake sets this header itself; leave it out")
    return name.strip(), value.strip()


def path(text: str) -> str:
    """Reads a path that clients request."""
    if not text.startswith("/") or "#" in text or not _is_visible(text):
        raise ValueError("not a path such as /chat/1 or /chat?room=1, percent-encoded")
    return text


def host(text: str) -> str:
    """Reads a Host header."""
    from urllib.parse import urlsplit  # noqa: PLC0415 - rarely needed

    parts = urlsplit(f"//{text}")
    if not _is_visible(text) or parts.netloc != text or not parts.hostname or parts.port == 0:
        raise ValueError("not a host such as chat.example.com or chat.example.com:8080")
    return text


def token_file(text: str) -> str:
    """Reads the token in a file."""
    from wsgw_core.api import read_parsed  # noqa: PLC0415 - slow

    return read_parsed(text, str.strip)


def known_way(name: str) -> str:
    """Returns the name of a way; raises click.UsageError if there is no such way."""
    from .ways import WAYS  # noqa: PLC0415 - slow

    if name not in WAYS:
        raise click.UsageError(f"unknown way {name!r}; the ways are: {', '.join(WAYS)}")
    return name


def _is_visible(text: str) -> bool:
    return text.isascii() and text.isprintable() and not set(text) & set(" @*")
