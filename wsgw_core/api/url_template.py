"""URLs made from a client's handshake."""

from __future__ import annotations

import re
from typing import ClassVar
from urllib.parse import quote, unquote_to_bytes, urlsplit

from .template import Template

_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*://")
_HOST_PART = re.compile(r"[A-Za-z0-9.-]{1,253}")
_HALF_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_PATH_CHARACTERS = "/%:@!$&'()*+,;=~-._"
_FORBIDDEN = re.compile(rb"[\x00-\x1f\x7f/\\]")


class UrlTemplate(Template):
    """A URL made from a client's handshake, such as `https://app/rooms/{query.room}`.

    Each value is percent-encoded for its place. No value can add a segment to the path: a value
    that is empty, `.` or `..`, or contains a slash or a backslash, is not allowed. Only `{path}`
    may have several segments; it is used as the client sent it. In the host a value may have
    letters, digits, dots and hyphens. The scheme has no fields.

    If clients choose the host, it can be any machine: check `constant_host`, and limit the
    addresses to which the plugin connects.
    """

    max_bytes: ClassVar[int] = 8000

    def escape(self, name: str, value: str, before: str) -> str:
        """See Template."""
        scheme = _SCHEME.match(before)
        if scheme is None:
            raise ValueError("stands in the scheme")
        if "?" in before:
            return quote(value, safe="")
        if name == "path":
            if _HALF_ESCAPE.search(value):
                raise ValueError("has a % that encodes nothing")
            return quote(value, safe=_PATH_CHARACTERS)
        if "/" not in before[scheme.end() :]:
            if _HOST_PART.fullmatch(value) is None:
                raise ValueError("has a character that is not allowed in a host")
            return value
        return quote(value, safe="")

    def check(self, text: str) -> None:
        """See Template."""
        if _SCHEME.match(text) is None:
            raise ValueError("is no URL such as https://host/path")
        if "#" in text or " " in text:
            raise ValueError("has a space or a fragment")
        parts = urlsplit(text)
        if not parts.hostname or ".." in parts.hostname or parts.hostname[0] in ".-":
            raise ValueError("has no valid host")
        try:
            port = parts.port
        except ValueError:
            port = 0
        if port == 0:
            raise ValueError("has no valid port")
        *segments, last = parts.path.split("/")[1:] or [""]
        for segment in (*segments, last or "x"):
            decoded = unquote_to_bytes(segment)
            if not decoded or decoded.partition(b";")[0] in (b".", b".."):
                raise ValueError("has an empty segment or one of dots")
            if _FORBIDDEN.search(decoded):
                raise ValueError("has a slash, backslash or control character in a segment")

    @property
    def constant_host(self) -> str | None:
        """The host if no field is part of it, else None."""
        before, brace, field = str(self).partition("{")
        ends = re.search(r"://.*[/?]", before) or field.startswith("path}") or not brace
        return urlsplit(before).hostname if ends else None
