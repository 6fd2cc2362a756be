"""The keys in a file."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any

from joserfc.jwk import ECKey, JWKRegistry, Key, OctKey, OKPKey, RSAKey

MOST_BYTES = 1024 * 1024
_MOST_KEYS = 1000
_MOST_TRIES = 8  # a signature costs time
_SHORTEST_SECRET = 32  # bytes; RFC 7518 section 3.2
_FEWEST_BITS = 2048  # of RSA; RFC 7518 section 3.3
_PRIVATE = "has a private key; give the public key, which verifies tokens"
_PEM = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----.*?-----END \1-----", re.DOTALL)
_TYPES = {"HS": "oct", "RS": "RSA", "PS": "RSA", "ES": "EC", "Ed": "OKP"}
_CURVES = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521", "ES256K": "secp256k1"}
_CURVES |= {"Ed25519": "Ed25519", "Ed448": "Ed448"}
_EDWARDS = ("Ed25519", "Ed448")  # keys of the other OKP curves do not sign


class VerificationKeys:
    """Keys by their ids.

    Args:
        keys: keys for the allowed algorithms.
    """

    def __init__(self, keys: Iterable[Key]) -> None:
        self._by_id: dict[str | None, list[Key]] = {}
        self._all = tuple(keys)
        for key in self._all:
            self._by_id.setdefault(key.kid, []).append(key)

    def __len__(self) -> int:
        return len(self._all)

    @classmethod
    def read(cls, text: str, algorithms: Sequence[str]) -> VerificationKeys:
        """Returns the keys in a file for the allowed algorithms.

        Args:
            text: a JWK or JWKS, public keys in PEM, or a secret for HS256 and its like.
            algorithms: the allowed algorithms.

        Raises:
            ValueError: the file has no such key.
        """
        text = text.strip()
        if text.startswith("{"):
            found = _in_jwks(text)
        elif _PEM.search(text):
            found = [_from_pem(match) for match in _PEM.finditer(text)]
        elif _TYPES[algorithms[0][:2]] == "oct":
            found = [_from_secret(text)]
        else:
            raise ValueError("has no public key: it is neither a JWKS nor PEM")
        keys = [key for key in found if any(fits(key, each) for each in algorithms)]
        if not keys:
            raise ValueError(f"none of its {len(found)} keys is for {', '.join(algorithms)}")
        return cls(keys)

    def candidates(self, algorithm: str, key_id: object) -> list[Key]:
        """Returns the keys that may have signed a token, at most a few.

        Args:
            algorithm: of the token; an allowed one.
            key_id: of the token. Keys without an id serve all tokens with an unknown id.
        """
        found: Iterable[Key] = self._all
        if isinstance(key_id, str):
            found = self._by_id.get(key_id) or self._by_id.get(None) or ()
        return [key for key in found if fits(key, algorithm)][:_MOST_TRIES]


def fits(key: Key, algorithm: str) -> bool:
    """Returns whether a key fits an algorithm: its type, its curve and its own `alg`."""
    own = key.get("alg")
    if own not in (None, algorithm) and {own, algorithm} != {"EdDSA", key.get("crv")}:
        return False
    if key.key_type != _TYPES[algorithm[:2]]:
        return False
    if algorithm == "EdDSA":
        return key.get("crv") in _EDWARDS
    return algorithm not in _CURVES or key.get("crv") == _CURVES[algorithm]


def _in_jwks(text: str) -> list[Key]:
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError("begins like a JWKS but is not valid JSON") from None
    listed = data.get("keys", [data])
    if not isinstance(listed, list):
        raise ValueError("'keys' of a JWKS must be a list")
    if len(listed) > _MOST_KEYS:
        raise ValueError(f"has {len(listed)} keys, more than {_MOST_KEYS}")
    return [key for key in map(_from_jwk, listed) if key is not None]


def _from_jwk(data: Any) -> Key | None:
    """Returns the key, or None if it is not usable; RFC 7517 section 5 says to skip such keys."""
    if not isinstance(data, dict) or data.get("use", "sig") != "sig":
        return None
    if data.get("kty") == "RSA" and len(str(data.get("n"))) * 6 < _FEWEST_BITS:
        return None
    if data.get("kty") == "oct" and len(str(data.get("k"))) * 6 < _SHORTEST_SECRET * 8:
        return None
    if data.get("kty") != "oct" and "d" in data:
        raise ValueError(_PRIVATE)
    try:
        key = JWKRegistry.import_key(data)
        key.check_key_op("verify")
    except Exception:  # noqa: BLE001 - also from the library below, such as for an unknown curve
        return None
    return key


def _from_pem(match: re.Match[str]) -> Key:
    if "PRIVATE" in match[1]:
        raise ValueError(_PRIVATE)
    for kind in (RSAKey, ECKey, OKPKey):
        try:
            key: Key = kind.import_key(match[0])
        except Exception:  # noqa: BLE001, S112 - the key is of another kind, or unreadable
            continue
        if isinstance(key, RSAKey) and len(str(key.get("n"))) * 6 < _FEWEST_BITS:
            raise ValueError(f"has an RSA key of less than {_FEWEST_BITS} bits")
        return key
    raise ValueError(f"has an unreadable {match[1].lower()} in PEM")


def _from_secret(text: str) -> Key:
    if len(text.encode()) < _SHORTEST_SECRET:
        raise ValueError(f"has a secret shorter than {_SHORTEST_SECRET} bytes")
    return OctKey.import_key(text)
