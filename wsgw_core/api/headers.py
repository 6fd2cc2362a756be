"""Removes client headers that would collide with those that a plugin sets."""

from __future__ import annotations

from collections.abc import Iterable

from .backend import Headers


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
