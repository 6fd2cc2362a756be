"""Resolves names for aiohttp, and refuses addresses to which wsgw may not connect."""

from __future__ import annotations

import ipaddress
import socket

from aiohttp.abc import AbstractResolver, ResolveResult

from wsgw_core.api import BackendDeclined, Resolver

_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_UNICAST = ipaddress.ip_network("2000::/3")  # all global unicast addresses, RFC 4291 section 2.4


def is_public(host: str) -> bool:
    """Returns whether an address is public.

    Loopback, private, shared, link-local, multicast and reserved addresses are not public, nor are
    IPv6 addresses that embed such an IPv4 address.

    Args:
        host: an IP address as text.
    """
    address = ipaddress.ip_address(host.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        if address in _NAT64:
            address = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        elif address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        elif address not in _UNICAST:
            return False
        elif address.sixtofour is not None:
            address = address.sixtofour
    return address.is_global and not address.is_multicast


class AddressPolicy(AbstractResolver):
    """Looks names up with the gateway's resolver, and leaves out the addresses that are forbidden.

    aiohttp connects to the addresses that `resolve` returns. It makes no second look-up, whose
    answer could differ.

    Args:
        resolver: the gateway's.
        private_is_allowed: whether wsgw may connect to addresses that are not public.
    """

    def __init__(self, resolver: Resolver, *, private_is_allowed: bool) -> None:
        self._resolver = resolver
        self._private_is_allowed = private_is_allowed

    async def check(self, host: str, port: int) -> None:
        """Looks a host up, for each connect event. Does nothing if all addresses are allowed.

        Raises:
            BackendDeclined: with 400; the host has no allowed address.
            BackendUnavailable: see Resolver.
        """
        if not self._private_is_allowed:
            await self.resolve(host, port)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Returns the allowed addresses of a host; aiohttp calls it for each new connection."""
        found = await self._resolver.resolve(host, port)
        allowed = [
            ResolveResult(
                hostname=host,
                host=address[0],
                port=port,
                family=kind,
                proto=protocol,
                flags=socket.AI_NUMERICHOST,
            )
            for kind, _, protocol, _, address in found
            if self._private_is_allowed or is_public(address[0])
        ]
        if not allowed:
            raise BackendDeclined.with_text(400, "the host has no public address")
        return allowed

    async def close(self) -> None:
        """Does nothing: there is nothing to close."""
