"""Headers of which there must be no second one."""

from __future__ import annotations

from collections.abc import Iterable

from .backend import Headers


def without_headers(headers: Headers, names: Iterable[str]) -> Headers:
    """Return headers but for those that a backend could take for others.

    Two values of a header that has one are read in different ways (RFC 9110 section 5.3). So what a
    plugin sets itself it takes out of what the client has sent.

    Args:
        headers: of a client.
        names: of the headers that are set; case does not count, and `_` is as good as `-`.
    """
    meant = {name.lower().replace("_", "-") for name in names}
    return tuple(field for field in headers if field[0].lower().replace("_", "-") not in meant)
