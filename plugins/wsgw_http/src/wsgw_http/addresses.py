"""Which addresses may be connected to, and looking names up for the client library."""

from __future__ import annotations

import ipaddress
import socket

from aiohttp.abc import AbstractResolver, ResolveResult

from wsgw_core.api import BackendDeclined, Resolver

_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_UNICAST = ipaddress.ip_network("2000::/3")  # all that has been given to anybody in IPv6
_TEXT = (("Content-Type", "text/plain; charset=utf-8"),)


def is_public(host: str) -> bool:
    """Tell whether an address, as text, is one of the public internet.

    Loopback, private, shared, link-local, multicast and reserved ones are not, nor are addresses of
    IPv6 that stand for such ones of IPv4.
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
    """Looks names up by the gateway's resolver, and refuses what may not be connected to.

    Connections are made to the addresses that are returned here: there is no second look-up whose
    answer could differ.

    Args:
        resolver: of the gateway.
        private_is_allowed: whether addresses that are not public may be connected to.
    """

    def __init__(self, resolver: Resolver, *, private_is_allowed: bool) -> None:
        self._resolver = resolver
        self._private_is_allowed = private_is_allowed

    async def check(self, host: str, port: int) -> None:
        """Look a host up, unless all addresses are allowed.

        Raises:
            BackendDeclined: with 400; it has no address that may be connected to.
            BackendUnavailable: see Resolver.
        """
        if not self._private_is_allowed:
            await self.resolve(host, port)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return the addresses that may be connected to, as the client library has them."""
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
            raise BackendDeclined(400, _TEXT, b"the host has no public address\n")
        return allowed

    async def close(self) -> None:
        """Nothing is held."""
