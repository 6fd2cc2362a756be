"""Named values of a client's handshake, such as `query.room`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from difflib import get_close_matches
from urllib.parse import unquote_to_bytes

from .backend import DialRequest
from .headers import OF_ONE_LEG
from .options import HEADER_NAME
from .text_option import TextOption

_SEGMENT = re.compile(r"path\.([1-9][0-9]?)\Z")
_TOKEN = re.compile(HEADER_NAME)
_PORT = re.compile(r":\d+\Z")
_WITH_NAME = ("path.N", "query.NAME", "header.NAME", "cookie.NAME")
_PLAIN_KEYS = ("path", "peer")
# no client needs more, and reading them costs time
_MOST_PAIRS = 1000  # parameters of a query, or cookies
_MOST_ESCAPES = 8192  # in one value


class UnusableValue(Exception):
    """A value cannot be used; the text is for the client."""


class HandshakeField(TextOption):
    """Names a value of a client's handshake, such as `path.1`, `query.room` or `cookie.team`.

    An options type: give a field of an options model this type. The name is checked when the
    configuration is read; `of` returns the value for one client.

    Names: `path` (without the query), `path.N` (segment N, the first is 1), `query.NAME`,
    `header.NAME`, `cookie.NAME`, `peer` (the address without the port). Values are decoded, as
    UTF-8.

    Args:
        name: the name that the operator writes.

    Raises:
        ValueError: there is no such name.
    """

    def __init__(self, name: str) -> None:
        if not is_field(name, _PLAIN_KEYS):
            raise ValueError(unknown_field(name, _PLAIN_KEYS, "{}"))
        super().__init__(name)

    def of(self, request: DialRequest) -> str | None:
        """Returns the client's value, or None if it is missing, empty, repeated or not UTF-8.

        It reads no query and no cookies with more than a thousand values.
        """
        try:
            return HandshakeValues(request).get(self._text) or None
        except UnusableValue:
            return None


class HandshakeValues:
    """The values of one client's handshake.

    Args:
        request: the client's request.
        subprotocol: the session's subprotocol.
    """

    def __init__(self, request: DialRequest, subprotocol: str | None = None) -> None:
        self._request = request
        self._subprotocol = subprotocol
        self._path, _, self._query = request.path.partition("?")

    def get(self, name: str) -> str | None:
        """Returns a value; an empty text or None if the client gave none.

        Raises:
            UnusableValue: the client gave it more than once, it is not UTF-8, or the client gave
                too many values.
        """
        source, _, key = name.partition(".")
        if not key:
            return self._plain(name)
        if source == "query":
            return self._parameter(name, key)
        if source == "header":
            return _utf8(name, _only(name, list(self._header(key))).encode("latin-1"))
        if source == "cookie":
            return _utf8(name, _only(name, list(self._cookies(key))).encode("latin-1"))
        segment = self._path.split("/")[int(key) : int(key) + 1]
        return _decoded(name, segment[0]) if segment else None

    def _plain(self, name: str) -> str | None:
        return {
            "session": self._request.session_id,
            "path": self._path,
            "peer": self._peer(),
            "subprotocol": self._subprotocol,
            "route": self._request.route,
        }[name]

    def _peer(self) -> str:
        peer = self._request.peer
        if peer.startswith("["):
            return peer[1:].partition("]")[0]
        return _PORT.sub("", peer) if peer.count(":") == 1 else peer

    def _header(self, wanted: str) -> Iterator[str]:
        wanted = wanted.lower()
        return (value for name, value in self._request.headers if name.lower() == wanted)

    def _cookies(self, wanted: str) -> Iterator[str]:
        for header in self._header("cookie"):
            for pair in _pairs("cookies", header, ";"):
                name, _, value = pair.partition("=")
                if name.strip(" \t") == wanted:  # other spaces of ISO-8859-1 are bytes of UTF-8
                    yield value.strip(" \t")

    def _parameter(self, name: str, key: str) -> str:
        wanted, found = key.encode(), []
        for pair in _pairs("parameters", self._query, "&"):
            given, _, value = pair.replace("+", " ").partition("=")
            # each byte takes one character or three
            if len(wanted) <= len(given) <= 3 * len(wanted) and unquote_to_bytes(given) == wanted:
                found.append(value)
        return _decoded(name, _only(name, found))


def is_field(name: str, plain: tuple[str, ...]) -> bool:
    """Returns whether a name stands for a value of a handshake.

    Args:
        name: the name that the operator writes.
        plain: the allowed names without a key; those with a key, such as `query.NAME`, always are.
    """
    return name in plain or _has_key(name)


def unknown_field(name: str, plain: tuple[str, ...], form: str) -> str:
    """Returns an error text for an unknown name, with the names that exist.

    Args:
        name: the name that the operator wrote.
        plain: see `is_field`.
        form: how to show a name; `{}` stands for it.
    """
    source, _, key = name.partition(".")
    if source == "header" and _is_of_one_leg(key):
        host = f"; {form.format('header.X-Forwarded-Host')} is the client's Host"
        hint = host if key.lower() == "host" else ""
        return f"{form.format(name)} never has a value: wsgw does not pass this header on{hint}"
    every = (*plain, *_WITH_NAME)
    near = get_close_matches(name, every, n=1)
    hint = f"; did you mean {form.format(near[0])}?" if near else ""
    fields = " ".join(map(form.format, every))
    return f"unknown field {form.format(name)}{hint} There are {fields}"


def _has_key(name: str) -> bool:
    source, _, key = name.partition(".")
    if source in ("header", "cookie"):
        if source == "header" and _is_of_one_leg(key):
            return False
        return _TOKEN.fullmatch(key) is not None
    return (source == "query" and bool(key)) or _SEGMENT.match(name) is not None


def _is_of_one_leg(header: str) -> bool:
    return header.lower().replace("_", "-") in OF_ONE_LEG


def _only(name: str, found: list[str]) -> str:
    """Returns the single value; programs differ in which of several they take."""
    if len(found) > 1:
        raise UnusableValue(f"{name} is given more than once")
    return found[0] if found else ""


def _pairs(what: str, text: str, separator: str) -> list[str]:
    if text.count(separator) >= _MOST_PAIRS:
        raise UnusableValue(f"more than {_MOST_PAIRS} {what} are given")
    return text.split(separator)


def _decoded(name: str, value: str) -> str:
    if value.count("%") > _MOST_ESCAPES:
        raise UnusableValue(f"{name} has more than {_MOST_ESCAPES} escapes")
    return _utf8(name, unquote_to_bytes(value))


def _utf8(name: str, value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise UnusableValue(f"{name} is not valid UTF-8") from error
