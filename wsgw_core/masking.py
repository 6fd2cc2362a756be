"""Keeps secrets out of what is printed: effective configuration, errors, logs."""

from __future__ import annotations

import re
from typing import Any

MASK = "***"

_SECRET_KEY = re.compile(
    r"(?:password|passwd|passphrase|secret|token|credentials?|(?:api|private|access)[-_]?key"
    r"|authorization|cookie)\Z",  # the latter two: headers, which routes can ask for
    re.IGNORECASE,
)
# The password is everything up to the last @ before the path: it may hold an @ that should have
# been quoted, and showing half of it would be worse than masking a little too much.
_URL_PASSWORD = re.compile(r"(://[^/?#\s:@]*:)[^/?#\s]*(?=@)")
_URL_QUERY = re.compile(r"([?&]([^=&#\s]+)=)[^&#\s]+")


def masked_text(text: str) -> str:
    """Replace the passwords of all URLs in a text, and query fields named like a secret."""
    text = _URL_PASSWORD.sub(rf"\g<1>{MASK}", text)
    return _URL_QUERY.sub(
        lambda match: f"{match[1]}{MASK}" if is_secret_key(match[2]) else match[0], text
    )


def masked(value: Any, key: str = "") -> Any:
    """Return a copy of plain data (mappings, lists, scalars) without its secrets.

    Args:
        value: what to copy.
        key: the key under which the value stands; one named like a secret masks it whole.
    """
    if isinstance(value, dict):
        return {name: masked(item, str(name)) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [masked(item, key) for item in value]
    if value is not None and is_secret_key(key):
        return MASK
    return masked_text(value) if isinstance(value, str) else value


def is_secret_key(key: str) -> bool:
    """Tell whether a key is named like a secret; `password-file` names no secret."""
    return _SECRET_KEY.search(key) is not None
