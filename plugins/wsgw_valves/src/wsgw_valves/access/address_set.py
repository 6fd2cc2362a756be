"""Looks an address up in many networks."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address


class AddressSet:
    """A set of networks; the time of a look-up grows with the number of prefix lengths.

    Args:
        networks: the networks; a single address is a network, too.
    """

    def __init__(self, networks: Iterable[IPv4Network | IPv6Network]) -> None:
        self._known: dict[tuple[int, int], set[int]] = {}
        for network in networks:
            unused = network.max_prefixlen - network.prefixlen
            known = self._known.setdefault((network.version, unused), set())
            known.add(int(network.network_address) >> unused)

    def has(self, text: str | None) -> bool:
        """Returns whether an address is in one of the networks; False if it is not an address."""
        try:
            address = ip_address(text or "")
        except ValueError:
            return False
        if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        number = int(address)
        return any(
            version == address.version and number >> unused in known
            for (version, unused), known in self._known.items()
        )
