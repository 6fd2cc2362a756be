"""Reads the path and the host of a request's target (RFC 9112 section 3.2)."""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes

from .bad_request import BadRequest

# A name or an address, with an optional port; narrower than RFC 3986, which also allows "," and ";"
_HOST = re.compile(r"((?:[0-9A-Za-z._~%\-]+|\[[0-9A-Fa-f:.]+\]))(?::([0-9]{0,5}))?")
_ABSOLUTE = re.compile(r"(ws|http)(s?)://([^/?#]*)(.*)", re.IGNORECASE | re.DOTALL)
_SEPARATOR = re.compile(rb"[/\\]")
_LONGEST_PATH = 8192  # characters, without the query


def is_host(value: str) -> bool:
    """Returns whether `Host` may have this value."""
    return _HOST.fullmatch(value) is not None


def path_of(target: str, host: str) -> str:
    """Returns the path and the query of a target, as the client sent them.

    The host of an absolute URI must equal `Host`, because other programs may use either.

    Args:
        target: the target, in origin form or in absolute form.
        host: the value of `Host`, which is valid.

    Raises:
        BadRequest: the target has another form, names another host, or has a path that programs
            read in different ways, before or after decoding.
    """
    absolute = _ABSOLUTE.fullmatch(target)
    if absolute is not None:
        secure, authority, target = absolute[2], absolute[3], absolute[4]
        if not is_host(authority):
            raise BadRequest(400, "the request target has no valid host")
        port = "443" if secure else "80"
        if _normal(authority, port) != _normal(host, port):
            raise BadRequest(400, "the request target and Host name different hosts")
        if not target.startswith("/"):
            target = f"/{target}"
    if not target.startswith("/"):
        raise BadRequest(400, "the request target must be a path or an absolute URI")
    path = target.partition("?")[0]
    if len(path) > _LONGEST_PATH:
        raise BadRequest(414, f"the path has more than {_LONGEST_PATH} characters")
    if "#" in target or "\\" in path:
        raise BadRequest(400, "the request target must not contain # or \\")
    for segment in _SEPARATOR.split(unquote_to_bytes(path)):
        if segment.partition(b";")[0] in (b".", b".."):
            raise BadRequest(400, "the path must not have dot segments")
    return target


def _normal(authority: str, default_port: str) -> tuple[str, str]:
    match = _HOST.fullmatch(authority)
    assert match is not None  # noqa: S101 - the callers have checked it
    return match[1].lower(), match[2] or default_port
