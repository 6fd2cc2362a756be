"""Option types for addresses, networks, hosts and origins."""

from __future__ import annotations

import re
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Annotated, Any, NamedTuple
from urllib.parse import urlsplit

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

from .patterns import HostPattern, OriginPattern

_MAPPED = 96  # the length of the prefix ::ffff:0:0/96


class Address(NamedTuple):
    """An address to listen on; an empty host means every interface, IPv4 and IPv6."""

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        if self.host == "localhost":
            return True
        try:
            return ip_address(self.host.partition("%")[0]).is_loopback
        except ValueError:
            return False


_ADDRESS = re.compile(r"(?:\[([0-9A-Fa-f:.%a-z]+)\]|([^\[\]:/\s\x00-\x1f\x7f-\x9f]*)):(\d{1,5})\Z")


def parse_address(value: Any) -> Any:
    """Reads `host:port`, `:port` or `[ipv6]:port`; port 0 lets the system choose.

    Raises:
        ValueError: anything else.
    """
    if isinstance(value, tuple):
        return value
    match = _ADDRESS.match(value.strip()) if isinstance(value, str) else None
    if not match or int(match[3]) > 65535:
        raise ValueError("not an address such as 127.0.0.1:8080, :8080 or [::1]:8080")
    return Address(match[1] or match[2], int(match[3]))


TEXT = WithJsonSchema({"type": "string"})  # for options that are parsed from text


ListenAddress = Annotated[Address, BeforeValidator(parse_address), PlainSerializer(str), TEXT]


HostName = Annotated[HostPattern, BeforeValidator(HostPattern.parse), PlainSerializer(str), TEXT]


AllowedOrigin = Annotated[
    OriginPattern,
    BeforeValidator(OriginPattern.parse),
    PlainSerializer(str),
    TEXT,
]


def parse_network(value: Any) -> Any:
    """Reads `10.0.0.0/8`, `2001:db8::/32` or a single address.

    Raises:
        ValueError: anything else.
    """
    if isinstance(value, (IPv4Network, IPv6Network)):
        return value
    try:
        network = ip_network(value.strip() if isinstance(value, str) else "")
    except ValueError:
        raise ValueError(
            "not a network such as 10.0.0.0/8 or 2001:db8::/32 (no bits set after the prefix),"
            " and not an address such as 192.0.2.7"
        ) from None
    if isinstance(network, IPv6Network) and network.prefixlen >= _MAPPED:
        mapped = network.network_address.ipv4_mapped
        if mapped is not None:  # peers with such addresses count as IPv4
            raise ValueError(f"IPv4 within IPv6; write {mapped}/{network.prefixlen - _MAPPED}")
    return network


ProxyNetwork = Annotated[
    IPv4Network | IPv6Network, BeforeValidator(parse_network), PlainSerializer(str), TEXT
]


def id_from_address(text: str) -> str:
    """Returns the default id for a URL or an address: `a-1` for `ws://a:1` and for `a:1`."""
    netloc = urlsplit(text).netloc.rpartition("@")[2] if "//" in text else text
    return re.sub(r"[^A-Za-z0-9]", "-", netloc)
