"""Finds the token in a handshake."""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes

from wsgw_core.api import Handshake, HandshakeField, Headers, TextOption, without_headers

from ..dial_request import as_dial_request
from ..header_names import is_of_gateway

_SUBPROTOCOL = "subprotocol."
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_SCHEME = re.compile(r"bearer +(.*)", re.IGNORECASE)
_WITH_SCHEME = "authorization"


class TokenSource(TextOption):
    """A place in the handshake, such as `query.token` or `subprotocol.bearer.`.

    Args:
        text: from the configuration.

    Raises:
        ValueError: there is no such place.
    """

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._place, _, self._name = text.partition(".")
        self._field: HandshakeField | None = None
        if text.startswith(_SUBPROTOCOL):
            if _TOKEN.fullmatch(self._name) is None:
                raise ValueError("not a prefix of a subprotocol; write subprotocol.bearer.")
        elif self._place in ("header", "query", "cookie"):
            if self._place == "header" and is_of_gateway(self._name):
                raise ValueError("gates do not see this header; choose another place")
            self._field = HandshakeField(text)
        else:
            raise ValueError(
                f"unknown place {text!r}. Use header.NAME, query.NAME, cookie.NAME or"
                " subprotocol.PREFIX"
            )

    def read(self, handshake: Handshake) -> str | None:
        """Returns the client's token at this place; None: there is none, or more than one."""
        if self._field is None:
            found = [offer for offer in handshake.subprotocols if offer.startswith(self._name)]
            return (found[0][len(self._name) :] or None) if len(found) == 1 else None
        given = self._field.of(as_dial_request(handshake))
        if given is None or self._place != "header":
            return given
        scheme = _SCHEME.fullmatch(given)
        if scheme is not None:
            return scheme[1]
        return None if self._name.lower() == _WITH_SCHEME else given

    def remove(self, handshake: Handshake) -> None:
        """Removes the token from the handshake, so that the backend does not get it."""
        if self._place == "header":
            handshake.headers = without_headers(handshake.headers, [self._name])
        elif self._place == "cookie":
            handshake.headers = tuple(_without_cookie(handshake.headers, self._name))
        elif self._place == "query":
            handshake.path = _without_parameter(handshake.path, self._name)
        else:
            handshake.subprotocols = tuple(
                offer for offer in handshake.subprotocols if not offer.startswith(self._name)
            )


def _without_cookie(headers: Headers, name: str) -> Headers:
    kept = []
    for header, value in headers:
        if header.lower() == "cookie":
            pairs = value.split(";")
            rest = [pair for pair in pairs if pair.partition("=")[0].strip(" \t") != name]
            if not rest:
                continue
            if len(rest) < len(pairs):
                value = ";".join(rest).strip(" \t")  # noqa: PLW2901 - the same header without the cookie
        kept.append((header, value))
    return tuple(kept)


def _without_parameter(target: str, name: str) -> str:
    path, mark, query = target.partition("?")
    wanted = name.encode()
    rest = [pair for pair in query.split("&") if not _is_name(pair.partition("=")[0], wanted)]
    return f"{path}{mark}{'&'.join(rest)}" if rest else path


def _is_name(given: str, wanted: bytes) -> bool:
    # each byte takes one character or three; decoding all names of a long query would cost time
    return len(wanted) <= len(given) <= 3 * len(wanted) and (
        unquote_to_bytes(given.replace("+", " ")) == wanted
    )
