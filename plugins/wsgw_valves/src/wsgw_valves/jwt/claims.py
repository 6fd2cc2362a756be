"""Turns claims of a token into headers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from wsgw_core.api import Headers, without_headers

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_LONGEST = 4096  # bytes


class UnusableClaim(Exception):
    """The value of a claim does not fit into a header."""


class ClaimHeaders:
    """Turns claims into headers.

    Args:
        claims: names of claims by names of headers.
    """

    def __init__(self, claims: Mapping[str, str]) -> None:
        self._paths = {header: _path(name) for header, name in claims.items()}

    def put(self, headers: Headers, claims: Mapping[str, Any]) -> Headers:
        """Returns headers with those of claims, in place of the client's headers of these names.

        Raises:
            UnusableClaim: the value of a claim does not fit into a header.
        """
        if not self._paths:
            return headers
        made = []
        for header, path in self._paths.items():
            text = _text(_found(claims, path))
            if text is not None:
                made.append((header, text))
        return (*without_headers(headers, self._paths), *made)


def _path(name: str) -> tuple[str, ...]:
    if not name.startswith("/"):
        return (name,)
    return tuple(step.replace("~1", "/").replace("~0", "~") for step in name[1:].split("/"))


def _found(claims: Any, path: tuple[str, ...]) -> Any:
    for step in path:
        if not isinstance(claims, Mapping) or step not in claims:
            return None
        claims = claims[step]
    return claims


def _text(value: Any) -> str | None:
    """Returns the text of a claim: UTF-8 decoded as ISO-8859-1; a list joined by commas."""
    if isinstance(value, list):
        parts = [_plain(each) for each in value]
        if any("," in part for part in parts):
            raise UnusableClaim("a list whose items have commas")
        value = ",".join(parts)
    elif value is None:
        return None
    text = _plain(value)
    try:
        encoded = text.encode()
    except UnicodeEncodeError:
        raise UnusableClaim("a lone surrogate") from None
    if _CONTROL.search(text) or len(encoded) > _LONGEST:
        raise UnusableClaim("control characters, or too long")
    return encoded.decode("latin-1") or None


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (str, int, float)):
        text = str(value)
        # the receiver of a header removes spaces, and would see another user
        if text != text.strip():
            raise UnusableClaim("spaces at an end")
        return text
    raise UnusableClaim("neither text nor number nor a list of these")
