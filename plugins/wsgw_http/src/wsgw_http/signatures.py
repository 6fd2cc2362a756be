"""Signatures of requests, by https://www.standardwebhooks.com."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable, Iterable

from pydantic import SecretStr

_PREFIX = "whsec_"


def signing_key(secret: str) -> bytes:
    """Returns the key of a secret, which is base64 with or without `whsec_` before it.

    Raises:
        ValueError: the secret is not base64; the text does not quote it.
    """
    try:
        key = base64.b64decode(secret.strip().removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not key:
        raise ValueError("a signing secret is not base64, with or without whsec_ before it")
    return key


def keys_in(text: str) -> tuple[bytes, ...]:
    """Returns the keys in a file, which has one secret on each line.

    Raises:
        ValueError: a line is not a secret, or the file has none.
    """
    keys = tuple(signing_key(line) for line in text.splitlines() if line.strip())
    if not keys:
        raise ValueError("the file has no signing secret")
    return keys


def keys_of(secrets: Iterable[SecretStr]) -> tuple[bytes, ...]:
    """Returns the keys of secrets."""
    return tuple(signing_key(secret.get_secret_value()) for secret in secrets)


class Signer:
    """Signs requests with each key. Receivers accept any of them, so that you can rotate secrets.

    Args:
        keys: returns the current keys.
    """

    def __init__(self, keys: Callable[[], tuple[bytes, ...]]) -> None:
        self._keys = keys

    def headers(self, event_id: str, timestamp: int, body: bytes) -> tuple[tuple[str, str], ...]:
        """Returns the headers that sign one request.

        Args:
            event_id: the same for each attempt.
            timestamp: of this attempt, in seconds of Unix time.
            body: the body of the request.
        """
        signed = b"%s.%d.%s" % (event_id.encode(), timestamp, body)
        return (
            ("webhook-id", event_id),
            ("webhook-timestamp", str(timestamp)),
            ("webhook-signature", " ".join(_signature(key, signed) for key in self._keys())),
        )


def _signature(key: bytes, signed: bytes) -> str:
    digest = hmac.digest(key, signed, hashlib.sha256)
    return f"v1,{base64.b64encode(digest).decode()}"
