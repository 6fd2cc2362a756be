"""The options of the gate."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from wsgw_core.api import Duration, FileName, Limits, Options, PlainText, Size, read_parsed

from ..header_names import OwnHeader, distinct
from .keys import MOST_BYTES, VerificationKeys
from .token_source import TokenSource

Shared = Literal["HS256", "HS384", "HS512"]
Rsa = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"]
Curve = Literal["ES256", "ES384", "ES512", "ES256K", "EdDSA", "Ed25519", "Ed448"]
Algorithm = Literal[Shared, Rsa, Curve]


def _quotable(text: str) -> str:
    if not (text.isascii() and text.isprintable()) or '"' in text or "\\" in text:
        raise ValueError("must be printable ASCII without quotation marks and backslashes")
    return text


Scope = Annotated[str, Field(pattern=r"^[!#-\[\]-~]+$")]


class JwtSettings(Options):
    """Where tokens are, and what they must contain."""

    keys_file: FileName = Field(
        description="file with the keys: a JWK or a JWKS, public keys in PEM, or, for `HS...`, a"
        " secret; read again when it has changed"
    )
    algorithms: tuple[Algorithm, ...] = Field(
        default=("RS256", "PS256", "ES256", "EdDSA"),
        min_length=1,
        description="allowed signature algorithms; either `HS...`, which use a shared secret, or"
        " the others",
    )
    token_from: tuple[TokenSource, ...] = Field(
        default=("header.Authorization",),
        validate_default=True,
        min_length=1,
        description="where to look for the token; the first place that has one counts:"
        " `header.NAME` (with or without `Bearer`; `Authorization` with), `query.NAME`,"
        " `cookie.NAME`, or `subprotocol.PREFIX` for an offer with this prefix",
    )
    forward_token: bool = Field(default=False, description="whether the backend gets the token too")
    max_token: Size = Field(
        default=8 * 1024, gt=0, le=64 * 1024, description="wsgw refuses a longer token"
    )
    issuers: tuple[PlainText, ...] = Field(
        default=(), description="allowed values of the token's `iss`; none: any"
    )
    audiences: tuple[PlainText, ...] = Field(
        default=(), description="values, one of which must be in the token's `aud`; none: any"
    )
    scopes: tuple[Scope, ...] = Field(
        default=(), description="values that must all be in the token's `scope` or `scp`"
    )
    require_expiry: bool = Field(default=True, description="refuse tokens without `exp`")
    leeway: Duration = Field(
        default=0.0,
        le=3600,
        description="tolerance for wrong clocks when `exp`, `nbf` and `iat` are checked",
    )
    claims: Annotated[dict[OwnHeader, PlainText], AfterValidator(distinct)] = Field(
        default={},
        description="headers for the backend, later gates and templates, each with the claim that"
        " fills it: the claim's name, or `/a/b` for `b` in `a`; wsgw drops headers with these"
        " names that a client sends",
    )
    realm: Annotated[str, AfterValidator(_quotable)] = Field(
        default="wsgw", description="the realm in `WWW-Authenticate`"
    )

    @model_validator(mode="after")
    def _check(self) -> JwtSettings:
        shared = [name for name in self.algorithms if name.startswith("HS")]
        if shared and len(shared) < len(self.algorithms):
            raise ValueError("'algorithms' mixes HS... with others; use HS... for another route")
        if any(not claim.strip("/") for claim in self.claims.values()):
            raise ValueError("'claims' has a header without a claim")
        return self

    def keys_in(self, text: str) -> VerificationKeys:
        """Returns the keys in a file's text.

        Raises:
            ValueError: the file has no key for the algorithms.
        """
        return VerificationKeys.read(text, self.algorithms)

    def file_problems(self) -> Iterable[tuple[str, str]]:
        """See Options."""
        try:
            read_parsed(self.keys_file, self.keys_in, MOST_BYTES)
        except ValueError as error:
            yield "keys-file", str(error)

    def warnings(self, limits: Limits) -> Iterable[tuple[str, str]]:
        """See Options. Warns if tokens for other services are valid."""
        if not self.audiences:
            yield "audiences", "is empty: tokens issued for other services are valid"
