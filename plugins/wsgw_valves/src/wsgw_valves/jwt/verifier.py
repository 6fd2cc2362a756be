"""Checks a token: its signature, then its claims."""

from __future__ import annotations

import json
import time
from typing import Any

from joserfc.errors import (
    BadSignatureError,
    ClaimError,
    ExpiredTokenError,
    JoseError,
    MissingClaimError,
)
from joserfc.jws import CompactSignature, JWSRegistry, extract_compact, validate_compact
from joserfc.jwt import ClaimsOption, JWTClaimsRegistry

from .keys import VerificationKeys
from .settings import JwtSettings

# Exceptions for bytes that are not a token, including the library's own
_NO_TOKEN = (JoseError, ValueError, TypeError, KeyError, AttributeError, RecursionError)


class InvalidToken(Exception):
    """A token is not valid.

    Args:
        reason: one word, for metrics.
        description: for the client; a fixed text without parts of the token.
    """

    def __init__(self, reason: str, description: str) -> None:
        self.reason = reason
        self.description = description
        super().__init__(description)


class Verifier:
    """Checks tokens for one gate.

    Args:
        settings: the gate's.
    """

    def __init__(self, settings: JwtSettings) -> None:
        self._most = settings.max_token
        self._registry = _Registry(algorithms=settings.algorithms, strict_check_header=False)
        expected: dict[str, ClaimsOption] = {}
        if settings.issuers:
            expected["iss"] = {"essential": True, "values": list(settings.issuers)}
        if settings.audiences:
            expected["aud"] = {"essential": True, "values": list(settings.audiences)}
        if settings.require_expiry:
            expected["exp"] = {"essential": True}
        self._claims = _Claims(_now, settings.leeway, expected)
        self._scopes = frozenset(settings.scopes)

    def verify(self, token: str, keys: VerificationKeys) -> dict[str, Any]:
        """Returns the claims of a token.

        Raises:
            InvalidToken: the token is not valid.
        """
        if len(token) > self._most:
            raise InvalidToken("too-long", "the token is too long")
        try:
            signature = extract_compact(token.encode(), registry=self._registry)
            header = signature.headers()
            algorithm = header.get("alg")
        except _NO_TOKEN:
            raise InvalidToken("malformed", "not a signed token") from None
        if algorithm not in (self._registry.allowed or ()):
            raise InvalidToken("algorithm", "the algorithm is not allowed")
        self._check_signature(signature, str(algorithm), keys)
        try:
            claims = json.loads(signature.payload)
        except (ValueError, RecursionError):
            raise InvalidToken("malformed", "the claims are not JSON") from None
        if not isinstance(claims, dict):
            raise InvalidToken("malformed", "the claims are not an object")
        self._check_claims(claims)
        return claims

    def lacks_scope(self, claims: dict[str, Any]) -> bool:
        """Returns whether a token lacks a configured scope."""
        given = claims.get("scope", claims.get("scp", ""))
        if isinstance(given, str):
            given = given.split(" ")
        if not isinstance(given, list):
            return bool(self._scopes)
        return not self._scopes <= {each for each in given if isinstance(each, str)}

    def _check_signature(
        self, signature: CompactSignature, algorithm: str, keys: VerificationKeys
    ) -> None:
        candidates = keys.candidates(algorithm, signature.headers().get("kid"))
        if not candidates:
            raise InvalidToken("key", "the key is not known")
        for key in candidates:
            try:
                if validate_compact(signature, key, registry=self._registry):
                    return
            except BadSignatureError:
                continue
            except _NO_TOKEN:
                raise InvalidToken("malformed", "not a signed token") from None
        raise InvalidToken("signature", "the signature is wrong")

    def _check_claims(self, claims: dict[str, Any]) -> None:
        try:
            self._claims.validate(claims)
        except ExpiredTokenError:
            raise InvalidToken("expired", "the token has expired") from None
        except MissingClaimError:
            raise InvalidToken("claims", "the token lacks a claim") from None
        except (ClaimError, *_NO_TOKEN):
            raise InvalidToken(
                "claims", "the token is for another service or not valid yet"
            ) from None


class _Registry(JWSRegistry):
    max_header_length = 4096

    def get_alg(self, name: str) -> Any:
        # The library's own method warns of EdDSA, of which only the name is deprecated.
        if name not in (self.allowed or ()):
            raise BadSignatureError
        return self.algorithms[name]


class _Claims(JWTClaimsRegistry):
    def __init__(self, now: Any, leeway: float, expected: dict[str, ClaimsOption]) -> None:
        super().__init__(now)
        self.options = expected
        self.leeway = leeway  # type: ignore[assignment]  # only added and subtracted


def _now() -> int:
    return int(time.time())
