"""The options of the gate."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainSerializer,
    WithJsonSchema,
    model_validator,
)

from wsgw_core.api import HeaderValue, Options, PathPattern

from ..header_names import SeenHeader, distinct

_MAPPED = 96  # the length of the prefix ::ffff:0:0/96

Action = Literal["allow", "deny"]


def _network(value: object) -> IPv4Network | IPv6Network:
    if isinstance(value, (IPv4Network, IPv6Network)):
        return value
    try:
        network = ip_network(value if isinstance(value, str) else "")
    except ValueError as error:
        found = str(error) if "host bits" in str(error) else "not an address or network"
        raise ValueError(f"{found}; write 192.0.2.7, 192.0.2.0/24 or 2001:db8::/32") from None
    if isinstance(network, IPv6Network) and network.prefixlen >= _MAPPED:
        mapped = network.network_address.ipv4_mapped
        if mapped is not None:  # clients with such addresses count as IPv4
            raise ValueError(f"IPv4 within IPv6; write {mapped}/{network.prefixlen - _MAPPED}")
    return network


Network = Annotated[
    IPv4Network | IPv6Network,
    BeforeValidator(_network),
    PlainSerializer(str),
    WithJsonSchema({"type": "string", "examples": ["192.0.2.7", "192.0.2.0/24"]}),
]


class AccessRule(Options):
    """Conditions, which must all hold for a client, and the action for it."""

    action: Action = Field(description="whether these clients are admitted")
    paths: tuple[PathPattern, ...] = Field(
        default=(),
        description="patterns, one of which must match the path without the query: `*` stands for"
        " any characters within a segment, `**` for any number of segments; none: every path",
    )
    headers: Annotated[dict[SeenHeader, HeaderValue], AfterValidator(distinct)] = Field(
        default={},
        description="headers that the request must have with exactly these values; `*`: any value",
    )
    addresses: tuple[Network, ...] = Field(
        default=(),
        description="addresses and networks, one of which must contain the client's address; none:"
        " every address",
    )

    @model_validator(mode="after")
    def _has_a_condition(self) -> AccessRule:
        if not (self.paths or self.headers or self.addresses):
            raise ValueError(
                "needs 'paths', 'headers' or 'addresses'; for all other clients use 'otherwise'"
            )
        return self


class AccessSettings(Options):
    """The rules of the gate."""

    rules: tuple[AccessRule, ...] = Field(
        min_length=1, description="the first rule whose conditions all hold decides"
    )
    otherwise: Action = Field(
        default="deny", description="what happens to clients that no rule matches"
    )
    status: int = Field(default=403, ge=400, le=499, description="HTTP status of a refusal")

    @model_validator(mode="after")
    def _lets_some_in(self) -> AccessSettings:
        if self.otherwise == "deny" and all(rule.action == "deny" for rule in self.rules):
            raise ValueError(
                "refuses every client: no rule allows any; add one, or 'otherwise: allow'"
            )
        return self
