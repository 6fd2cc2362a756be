"""How many clients are let in, and what those beyond are told."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address
from typing import TYPE_CHECKING

from ..api import Clock, Refusal
from ..file_limit import REFUSED_AT_ONCE

if TYPE_CHECKING:
    from ..api import Counter
    from ..metrics.counters import GatewayCounters
    from .trusted_proxies import TrustedProxies

# Refused connections of one network that may wait for their answer; those beyond get none, so that
# nobody fills the room in which others are told why they are refused.
_REFUSED_PER_NETWORK = 16


class Ticket:
    """One connection's place among all others, from its beginning to its end.

    Attributes:
        refusal: the answer, if it was not let in.
        dropped: it gets no answer, but is to be broken off at once.
    """

    __slots__ = ("_admission", "_held", "dropped", "network", "refusal")

    def __init__(self, admission: Admission, network: str | None) -> None:
        self._admission = admission
        self._held = 0
        self.network = network  # None: not known yet, or of no interest
        self.refusal: Refusal | None = None
        self.dropped = False

    def of_client(self, address: str) -> Refusal | None:
        """Notes who the client behind a trusted proxy is; without effect for other clients.

        Args:
            address: as the proxies tell.

        Returns:
            The answer, if it is not let in any more.
        """
        return self._admission.of_client(self, address)

    def hold(self, size: int) -> None:
        """Notes how many bytes of memory its handshake takes now."""
        self._admission.opening_bytes += size - self._held
        self._held = size

    def give_back(self) -> None:
        """Makes room: the connection is gone. To be called once."""
        self._admission.leave(self)


class Admission:
    """Counts a gateway's connections, those in their handshake and sessions alike, and bounds them.

    A connection that is refused is not counted, but takes some of the room that there is beyond all
    sessions. When that is full too, nothing more is accepted for a while (see `room`): the system
    lets clients wait meanwhile.

    Args:
        proxies: peers that do not count themselves: their clients do, see `Ticket.of_client`.
        counters: of the gateway.
        clock: for the rate.
        max_sessions: connections at a time; None: not bounded.
        max_per_address: of them from one address; None: not bounded. The hosts of an IPv6 network
            of 64 bits count as one, since a single host may use all its addresses.
        max_per_second: new ones, in the mean; as many may come at once after a quiet second. None:
            not bounded.
        memory_is_full: returns whether there is too little memory for one more.

    Attributes:
        opening_bytes: what the clients take that are not answered yet.
    """

    def __init__(
        self,
        proxies: TrustedProxies,
        counters: GatewayCounters,
        clock: Clock,
        *,
        max_sessions: int | None = None,
        max_per_address: int | None = None,
        max_per_second: int | None = None,
        memory_is_full: Callable[[], bool] = lambda: False,
    ) -> None:
        self._proxies = proxies
        self._memory_is_full = memory_is_full
        self.opening_bytes = 0
        self._counters = counters
        self._max_sessions = sys.maxsize if max_sessions is None else max_sessions
        self._max_per_address = max_per_address
        self._rate = None if max_per_second is None else TokenBucket(max_per_second, clock)
        self._admitted = 0
        self._refused = 0
        self._admitted_from: dict[str, int] = {}  # by network; empty while that is not bounded
        self._refused_from: dict[str, int] = {}

    def trust(self, proxies: TrustedProxies) -> None:
        """Has other peers count as proxies from now on."""
        self._proxies = proxies

    @property
    def room(self) -> int:
        """How many more connections may be accepted, those included that will be refused."""
        return self._max_sessions + REFUSED_AT_ONCE - self._admitted - self._refused

    def arrive(self, host: str) -> Ticket:
        """Decides on a new connection.

        Args:
            host: the peer's address, as its socket names it.
        """
        network = None
        if self._max_per_address is not None and not self._proxies.trusts(host):
            network = _network(host)
        ticket = Ticket(self, network)
        counters = self._counters
        if self._admitted >= self._max_sessions:
            text = "too many clients"
            self._refuse(ticket, counters.refused_max_sessions, _busy(text, 5, 15))
        elif self._memory_is_full():
            self._refuse(ticket, counters.refused_memory, _busy("not enough memory", 5, 15))
        elif network is not None and self._is_full(network):
            self._refuse(ticket, counters.refused_max_sessions_per_address, _too_many())
        elif self._rate is not None and not self._rate.take():
            text = "too many new clients"
            self._refuse(ticket, counters.refused_max_handshakes_per_second, _busy(text, 1, 5))
        else:
            self._admitted += 1
            if network is not None:
                _add(self._admitted_from, network, 1)
        return ticket

    def of_client(self, ticket: Ticket, address: str) -> Refusal | None:
        """See Ticket."""
        if self._max_per_address is None or ticket.network is not None:
            return None
        ticket.network = _network(address)
        if self._is_full(ticket.network):
            self._admitted -= 1
            self._refuse(ticket, self._counters.refused_max_sessions_per_address, _too_many())
        else:
            _add(self._admitted_from, ticket.network, 1)
        return ticket.refusal

    def leave(self, ticket: Ticket) -> None:
        """See Ticket."""
        ticket.hold(0)
        if ticket.refusal is None:
            self._admitted -= 1
            by_network = self._admitted_from
        else:
            self._refused -= 1
            by_network = self._refused_from
        if ticket.network is not None:
            _add(by_network, ticket.network, -1)

    def _is_full(self, network: str) -> bool:
        limit = self._max_per_address
        return limit is not None and self._admitted_from.get(network, 0) >= limit

    def _refuse(self, ticket: Ticket, counter: Counter, refusal: Refusal) -> None:
        counter.value += 1
        ticket.refusal = refusal
        self._refused += 1
        if ticket.network is not None:
            _add(self._refused_from, ticket.network, 1)
            ticket.dropped = self._refused_from[ticket.network] > _REFUSED_PER_NETWORK


class TokenBucket:
    """Allows a number of events a second, after a quiet second all of them at once.

    Args:
        rate: events a second.
        clock: the time.
    """

    def __init__(self, rate: int, clock: Clock) -> None:
        self._rate = rate
        self._clock = clock
        self._tokens = float(rate)
        self._filled_at = clock.time()

    def take(self) -> bool:
        """Counts an event; False: it is one too many."""
        now = self._clock.time()
        self._tokens = min(self._rate, self._tokens + (now - self._filled_at) * self._rate)
        self._filled_at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


def _busy(text: str, earliest: int, latest: int) -> Refusal:
    # spread, or all who are refused together come again together
    seconds = random.randint(earliest, latest)  # noqa: S311 - not for secrets
    return Refusal(503, (("Retry-After", str(seconds)),), f"{text}\n".encode())


def _too_many() -> Refusal:
    return Refusal(429, (("Retry-After", "10"),), b"too many connections from this address\n")


def _network(host: str) -> str:
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:  # the peer had gone before it was asked for
        return host
    if not isinstance(address, IPv6Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return f"{int(address) >> 64:x}/64"


def _add(counts: dict[str, int], network: str, number: int) -> None:
    """Changes a count; what is zero is forgotten, or every address ever seen would be kept."""
    count = counts.get(network, 0) + number
    if count:
        counts[network] = count
    else:
        del counts[network]
