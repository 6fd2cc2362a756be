"""Paths of requests, and patterns for them."""

from __future__ import annotations

import re

from .text_option import TextOption

_ESCAPE = re.compile(rb"%(?:[0-9A-Fa-f]{2})?")
_KEPT = "/%"  # decoded they would mean something else
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
    """Return the path of a request target as patterns are matched against it.

    Without the query; what is percent-encoded is decoded (RFC 3986 section 6.2.2.2), so that nobody
    gets past a pattern by writing `%61` for `a`. Only an encoded slash stays one, within its
    segment, and an encoded percent sign.
    """
    return _decoded(target.partition("?")[0].encode())


class PathPattern(TextOption):
    """A path, or a pattern for paths, such as `/chat/*/socket`; upper and lower case differ.

    An options type: give a field of an options model this type.

    `*` stands for any number of characters within one segment, `**` for any number of whole
    segments, none included: `/ocpp/**` is `/ocpp`, `/ocpp/` and all below.

    Args:
        text: as the operator writes it.

    Raises:
        ValueError: it is no such pattern.
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
        """Whether every path matches."""
        return set(str(self).split("/")[1:]) == {"**"}

    def matches(self, path: bytes) -> bool:
        """Tell whether a path, as `normal_path` returns it, is meant."""
        return self._regex.fullmatch(path) is not None


def _decoded(path: bytes) -> bytes:
    # what is no escape stands for a percent sign
    return _ESCAPE.sub(lambda match: _DECODED.get(match[0], b"%25"), path)


def _translated(segments: list[str]) -> bytes:
    """Return a regular expression that takes time in proportion to the path's length.

    What stands between two `*`, or two `**`, is taken where it is found first, which is never
    wrong: what follows can begin anywhere later. Atomic groups keep the matcher from trying others.
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
