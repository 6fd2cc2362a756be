"""Patterns for the paths of requests."""

from __future__ import annotations

import re

from .text_option import TextOption

_ESCAPE = re.compile(rb"%(?:[0-9A-Fa-f]{2})?")
_KEPT = "/%"  # decoded, they would mean something else
_DIGITS = "0123456789abcdefABCDEF"
_DECODED = {  # a table, since each escape of a client's path is looked up
    f"%{high}{low}".encode(): (
        f"%{high}{low}".upper().encode()
        if chr(int(high + low, 16)) in _KEPT
        else bytes.fromhex(high + low)
    )
    for high in _DIGITS
    for low in _DIGITS
}


def normal_path(target: str) -> bytes:
    """Returns the path of a request target in the form that PathPattern matches.

    The result has no query. Percent-encoded characters are decoded (RFC 3986 section 6.2.2.2), so
    that a client cannot get past a pattern by writing `%61` for `a`. Only an encoded slash and an
    encoded percent sign stay encoded.
    """
    return _decoded(target.partition("?")[0].encode())


class PathPattern(TextOption):
    """A path, or a pattern for paths such as `/chat/*/socket`. Case counts.

    An options type: give a field of an options model this type.

    `*` matches any number of characters within one segment, `**` any number of whole segments,
    including none: `/ocpp/**` matches `/ocpp`, `/ocpp/` and everything below.

    Args:
        text: the text that the operator writes.

    Raises:
        ValueError: the text is not a pattern.
    """

    def __init__(self, text: str) -> None:
        text = text.strip()
        super().__init__(text)
        segments = text.split("/")
        if segments[0] or len(segments) == 1:
            raise ValueError("not a path such as /chat, /chat/*/socket or /ocpp/**")
        if not text.isprintable():
            raise ValueError("control characters are written as %00 and the like")
        if "?" in text or "#" in text:
            raise ValueError("a path without query: ? and # are written as %3F and %23")
        if any("**" in segment and segment != "**" for segment in segments):
            raise ValueError("** stands for whole segments, as in /ocpp/** or /**/socket")
        self._regex = re.compile(_translated(segments[1:]), re.DOTALL)

    @property
    def matches_all(self) -> bool:
        """Whether the pattern matches every path."""
        return set(str(self).split("/")[1:]) == {"**"}

    def matches(self, path: bytes) -> bool:
        """Returns whether the pattern matches a path in the form of `normal_path`."""
        return self._regex.fullmatch(path) is not None


def _decoded(path: bytes) -> bytes:
    # a % without two hexadecimal digits stands for itself
    return _ESCAPE.sub(lambda match: _DECODED.get(match[0], b"%25"), path)


def _translated(segments: list[str]) -> bytes:
    """Returns a regular expression whose matching time is proportional to the path's length.

    It takes the text between two `*`, or two `**`, at its first occurrence. That is never wrong,
    because the rest can begin anywhere later. Atomic groups stop the matcher from backtracking.
    """
    runs: list[bytes] = [b""]
    for segment in segments:
        if segment == "**":
            runs.append(b"")
        else:
            runs[-1] += b"/" + _translated_segment(segment)
    first, *others = runs
    if not others:
        return first
    between = [rb"(?>(?:/[^/]*+)*?%b(?=/|\Z))" % run for run in others[:-1]]
    return first + b"".join(between) + rb"(?:/[^/]*+)*" + others[-1]


def _translated_segment(segment: str) -> bytes:
    parts = [re.escape(_decoded(part.encode())) for part in segment.split("*")]
    first, *others = parts
    if not others:
        return first
    between = [rb"(?>[^/]*?%b)" % part for part in others[:-1] if part]
    return first + b"".join(between) + b"[^/]*" + others[-1]
