"""Which peers are trusted proxies, and the clients behind them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

_MOST_HOPS = 32  # longer than any real chain of proxies
_MOST_EMPTY = 96  # ignored elements (RFC 9110 section 5.6.1.2)
_LONGEST_ENTRY = 100  # characters; an IPv6 address with scope and port has fewer
_WITH_PORT = re.compile(r"(?:\[([^\[\]]*)\]|([0-9.]+))(?::\d{1,5})?\Z")


class TrustedProxies:
    """The networks of the proxies whose forwarding headers wsgw believes.

    An IPv4-mapped IPv6 address (`::ffff:192.0.2.7`) counts as the IPv4 address.

    Args:
        networks: the networks of the proxies; without any, no peer is trusted.
    """

    def __init__(self, networks: Iterable[IPv4Network | IPv6Network] = ()) -> None:
        self._networks = tuple(networks)
        self._trusts = lru_cache(maxsize=1024)(self._is_inside)

    def trusts(self, host: str) -> bool:
        """Returns whether a host is one of the proxies, given its address from the socket."""
        return bool(self._networks) and self._trusts(host)

    def client_address(self, peer_host: str, forwarded_for: Sequence[str]) -> str:
        """Returns the address of the client behind the proxies, without a port.

        It walks the chain from its end as long as the hop that reported an entry is trusted, so it
        never reaches entries that a client wrote. An entry that is not an address ends the walk,
        and so does the 32nd entry; the last hop reached is the client. It ignores up to 96 empty
        elements.

        Args:
            peer_host: the address of the TCP connection's peer.
            forwarded_for: the values of all `X-Forwarded-For` headers, in order.
        """
        address = parse_host(peer_host)
        if address is None:
            return peer_host
        if not self.trusts(peer_host):
            return str(address)
        for entry in _last_entries(forwarded_for):
            hop = _hop(entry)
            if hop is None:
                break
            address = hop
            if not self.trusts(str(hop)):
                break
        return str(address)

    def _is_inside(self, host: str) -> bool:
        address = parse_host(host)
        return address is not None and any(address in network for network in self._networks)


def _last_entries(values: Sequence[str]) -> Sequence[str]:
    """Returns the entries to walk, the last one first."""
    most = _MOST_HOPS + _MOST_EMPTY
    elements = ",".join(values).rsplit(",", most)[-most:]
    return [entry for entry in reversed(elements) if entry.strip(" \t")][:_MOST_HOPS]


def _hop(entry: str) -> IPv4Address | IPv6Address | None:
    if len(entry) > _LONGEST_ENTRY:
        return None
    return parse_host(_without_port(entry.strip()))


def parse_host(host: str) -> IPv4Address | IPv6Address | None:
    """Returns the address in a text, an IPv4-mapped one as IPv4; None: it is no address."""
    try:
        # a scope (fe80::1%eth0) names the link, not the host
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def _without_port(entry: str) -> str:
    """Returns an entry without its port; some proxies write `192.0.2.7:4711` or `[::1]:4711`."""
    match = _WITH_PORT.match(entry)
    return (match[1] or match[2] or "") if match else entry
