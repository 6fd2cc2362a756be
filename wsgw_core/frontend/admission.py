"""Limits the number of clients, and answers those beyond."""

from __future__ import annotations

import random
import sys
from collections import OrderedDict
from collections.abc import Callable
from ipaddress import IPv6Address

from ..api import Clock, Counter, Refusal
from ..file_limit import REFUSED_AT_ONCE
from ..metrics.counters import GatewayCounters
from .trusted_proxies import TrustedProxies, parse_host

# The maximum number of refused connections of one network that wait for their answer. Further ones
# get no answer, so that one network cannot use up the room for the answers to others.
_REFUSED_PER_NETWORK = 16

_TOO_MANY = Refusal(429, (("Retry-After", "10"),), b"too many connections from this address\n")


class Ticket:
    """One connection's place in the counts, from its beginning to its end.

    Attributes:
        network: the client's network if a limit depends on it; None: not known.
        refusal: the answer if the connection is refused, else None.
        dropped: whether to abort the refused connection without an answer.
    """

    __slots__ = ("_admission", "_bytes", "dropped", "network", "refusal")

    def __init__(self, admission: Admission, network: str | None) -> None:
        self._admission = admission
        self._bytes = 0
        self.network = network
        self.refusal: Refusal | None = None
        self.dropped = False

    def of_client(self, address: str) -> Refusal | None:
        """Sets the client behind a trusted proxy; without effect for other clients.

        Args:
            address: the client's address that the proxies report.

        Returns:
            The answer if the client is refused now, else None.
        """
        return self._admission.of_client(self, address)

    def take_memory(self, size: int) -> None:
        """Sets how many bytes of memory the client's handshake needs now."""
        self._admission.opening_bytes += size - self._bytes
        self._bytes = size

    def give_back(self) -> None:
        """Removes the connection from the counts. Call it once, when the connection is gone."""
        self._admission.leave(self)


class Admission:
    """Counts and limits a gateway's connections, including those in their handshake.

    Refused connections do not count as clients; they use extra room beyond the maximum. When that
    is full too, the gateway accepts nothing for a while (see `room`), and clients wait in the
    system's queue.

    Args:
        proxies: peers that do not count themselves; see `Ticket.of_client` for their clients.
        counters: the gateway's counters.
        clock: the time for the rate.
        max_sessions: maximum number of connections; None: no limit.
        max_per_address: maximum number of connections from one address; None: no limit. The hosts
            of an IPv6 network of 64 bits count as one, since one host may use all its addresses.
        max_per_second: maximum average number of new connections a second; None: no limit. See
            SharedRate.
        memory_is_full: returns whether there is too little memory for one more connection.

    Attributes:
        opening_bytes: bytes of memory of all handshakes that are not answered yet.
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
        self._rate = None if max_per_second is None else SharedRate(max_per_second, clock)
        self._knows_networks = max_per_address is not None or max_per_second is not None
        self._admitted = 0
        self._refused = 0
        self._admitted_from: dict[str, int] = {}  # by network; empty if none matters
        self._refused_from: dict[str, int] = {}

    def trust(self, proxies: TrustedProxies) -> None:
        """Sets the proxies for future connections."""
        self._proxies = proxies

    @property
    def room(self) -> int:
        """How many more connections may be accepted, including those that will be refused."""
        return self._max_sessions + REFUSED_AT_ONCE - self._admitted - self._refused

    def arrive(self, host: str) -> Ticket:
        """Returns the ticket of a new connection, which is counted or refused.

        Args:
            host: the peer's address from its socket.
        """
        network = None
        if self._knows_networks and not self._proxies.trusts(host):
            network = _network(host)
        ticket = Ticket(self, network)
        counters = self._counters
        if self._admitted >= self._max_sessions:
            text = "too many clients"
            self._refuse(ticket, counters.refused_max_sessions, _busy(text, 5, 15))
        elif self._memory_is_full():
            self._refuse(ticket, counters.refused_memory, _busy("not enough memory", 5, 15))
        elif network is None or self._admits(ticket, network):
            self._admitted += 1
            if network is not None:
                _add(self._admitted_from, network, 1)
        return ticket

    def of_client(self, ticket: Ticket, address: str) -> Refusal | None:
        """See Ticket."""
        if not self._knows_networks or ticket.network is not None:
            return None
        ticket.network = _network(address)
        if self._admits(ticket, ticket.network):
            _add(self._admitted_from, ticket.network, 1)
        else:
            self._admitted -= 1
        return ticket.refusal

    def leave(self, ticket: Ticket) -> None:
        """See Ticket."""
        ticket.take_memory(0)
        if ticket.refusal is None:
            self._admitted -= 1
            by_network = self._admitted_from
        else:
            self._refused -= 1
            by_network = self._refused_from
        if ticket.network is not None:
            _add(by_network, ticket.network, -1)

    def _admits(self, ticket: Ticket, network: str) -> bool:
        """Returns whether a network may have one more connection now; else refuses it."""
        counters, limit = self._counters, self._max_per_address
        if limit is not None and self._admitted_from.get(network, 0) >= limit:
            self._refuse(ticket, counters.refused_max_sessions_per_address, _TOO_MANY)
        elif self._rate is not None and not self._rate.take(network):
            text = "too many new clients"
            self._refuse(ticket, counters.refused_max_handshakes_per_second, _busy(text, 1, 5))
        else:
            return True
        return False

    def _refuse(self, ticket: Ticket, counter: Counter, refusal: Refusal) -> None:
        counter.value += 1
        ticket.refusal = refusal
        self._refused += 1
        if ticket.network is not None:
            _add(self._refused_from, ticket.network, 1)
            ticket.dropped = self._refused_from[ticket.network] > _REFUSED_PER_NETWORK


class SharedRate:
    """Allows a number of events a second; after a quiet second, all of them at once.

    Half of them are kept for networks that have had none for a second. So a network that takes as
    many as it can leaves others their turns.

    Args:
        rate: the number of events a second.
        clock: the time.
    """

    def __init__(self, rate: int, clock: Clock) -> None:
        self._rate = rate
        self._clock = clock
        self._tokens = float(rate)
        self._filled_at = clock.time()
        self._latest: OrderedDict[str, float] = OrderedDict()  # events of the last second

    def take(self, network: str) -> bool:
        """Counts an event of a network if it is allowed; returns whether it is."""
        now = self._clock.time()
        self._tokens = min(self._rate, self._tokens + (now - self._filled_at) * self._rate)
        self._filled_at = now
        while self._latest and next(iter(self._latest.values())) <= now - 1:
            self._latest.popitem(last=False)
        if self._tokens < (max(1.0, self._rate / 2) if network in self._latest else 1.0):
            return False
        self._tokens -= 1
        self._latest[network] = now
        self._latest.move_to_end(network)
        return True


def _busy(text: str, earliest: int, latest: int) -> Refusal:
    # spread, so that clients refused together do not come again together
    seconds = random.randint(earliest, latest)  # noqa: S311 - not for secrets
    return Refusal(503, (("Retry-After", str(seconds)),), f"{text}\n".encode())


def _network(host: str) -> str:
    address = parse_host(host)
    if address is None:  # the peer was gone before the socket could name it
        return host
    return f"{int(address) >> 64:x}/64" if isinstance(address, IPv6Address) else str(address)


def _add(counts: dict[str, int], network: str, number: int) -> None:
    """Changes a count, and removes it at zero, so that not every address ever seen is kept."""
    count = counts.get(network, 0) + number
    if count:
        counts[network] = count
    else:
        del counts[network]
