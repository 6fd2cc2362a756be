"""The parts of one session, and what others can read of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...api import Handshake, Headers, Message
from ...plugins.open_plugins import PluginSet
from ...pool.backends.backend_pool import PooledBackend
from ...spread_calls import SpreadCalls
from ..all_sessions.session_context import SessionContext
from ..client.client_side import ClientEnd, ClientSide
from ..delivery.ledger import Ledger
from ..delivery.outbox import Outbox
from ..delivery.read_pauses import PauseReason
from ..delivery.session_sink import SessionSink
from ..delivery.traffic_account import TrafficAccount
from ..failover.dial_requests import DialRequests
from ..failover.recovery import Recovery
from ..failover.session_dials import SessionDials
from ..valves.session_valves import NoValves, SessionValves
from .backend_side import BackendSide


class SessionParts:
    """Makes the parts of a session; properties show its figures.

    Only the session, and the classes that act for it, use the parts. All others use the properties.

    Args:
        session_id: unguessable.
        handshake: the client's request, as the gates left it.
        context: what all sessions share.

    Attributes:
        client_message: takes each message of the client; does not change between `Session.open` and
            the end.
        subprotocol: the subprotocol that the first backend has chosen.
        reconnects: how many connections have followed the first one.
        is_paused_for_memory: whether reading is paused to save memory.
        plugin_state: what plugins keep with the session; None: nothing.
        context: see above.
        requests: makes the requests for dials.
        dials: dials backends.
        ledger, outbox: keep and send the client's messages.
        account: counts the messages.
        client_side, backend_side: the two sides.
        recovery: looks for another backend.
        valves: the plugins' valves.
    """

    __slots__ = (
        "__weakref__",
        "account",
        "backend_side",
        "client_message",
        "client_side",
        "context",
        "dials",
        "id",
        "is_paused_for_memory",
        "ledger",
        "outbox",
        "path",
        "peer",
        "plugin_state",
        "reconnects",
        "recovery",
        "requests",
        "subprotocol",
        "valves",
    )

    def __init__(self, session_id: str, handshake: Handshake, context: SessionContext) -> None:
        self.id = session_id
        self.path = handshake.path
        self.peer = handshake.peer
        self.subprotocol: str | None = None
        self.reconnects = 0
        self.is_paused_for_memory = False
        self.plugin_state: dict[str, Any] | None = None
        self.context = context
        limits = context.limits
        self.ledger = Ledger(limits.ledger_bytes, limits.for_plugins().message_share)
        self.account = TrafficAccount(self.ledger, context.counters.unassigned)
        self.client_side = ClientSide(self.account)
        self.outbox = Outbox(self.ledger, self.account, context)
        self.client_message: Callable[[Message], None] = self.outbox.transmit
        self.requests = DialRequests(session_id, handshake, context.reconnect_header)
        self.dials = SessionDials(self.requests, self.ledger, context)
        self.recovery = Recovery(self.dials, self.ledger, context)
        self.backend_side = BackendSide(
            self.client_side, self.outbox, self.ledger, self.account, self.recovery, context
        )
        self.valves: SessionValves | NoValves = NoValves(self.client_side, self.outbox)

    @property
    def client(self) -> ClientEnd | None:
        """The client; None before it is answered and after it has gone."""
        return self.client_side.end

    @property
    def headers(self) -> Headers:
        """The client's end-to-end headers."""
        return self.requests.handshake.headers

    @property
    def backend(self) -> PooledBackend | None:
        """The backend that serves now."""
        return self.backend_side.backend

    @property
    def backend_id(self) -> str | None:
        """The id of the backend that serves now."""
        backend = self.backend_side.backend
        return backend.id if backend is not None else None

    @property
    def is_hydrating(self) -> bool:
        """Whether the backend that serves is being hydrated."""
        return self.backend_side.is_hydrating

    @property
    def route(self) -> str:
        """The id of the session's route; empty if no routes are configured."""
        return self.context.route

    @property
    def plugins(self) -> PluginSet:
        """The plugins' objects that the session uses."""
        return self.context.plugins

    @property
    def group(self) -> str:
        """The name of the group of backends that can serve the session."""
        return self.context.dialler.group

    @property
    def may_fail_over(self) -> bool:
        """Whether the session may have another backend after its first one."""
        return self.context.failover.enabled

    @property
    def max_message_size(self) -> int:
        """Maximum bytes of a message."""
        return self.context.limits.max_message_size

    @property
    def client_ends(self) -> SpreadCalls:
        """Spreads the ends of clients; see SessionTable."""
        return self.context.table.client_ends

    # Messages

    @property
    def client_is_paused(self) -> bool:
        """Whether reading the client is paused."""
        return bool(self.outbox.client_pauses)

    @property
    def client_is_slow(self) -> bool:
        """Whether reading the backend is paused because the client is slow."""
        return PauseReason.OTHER_SIDE_SLOW in self.client_side.backend_pauses

    @property
    def unacknowledged(self) -> int:
        """How many of the client's messages no backend has acknowledged."""
        return len(self.ledger)

    @property
    def unacknowledged_bytes(self) -> int:
        """Bytes of these messages."""
        return self.ledger.bytes

    @property
    def undelivered(self) -> int:
        """How many of the client's messages are lost if the session ends now."""
        return len(self.ledger) + self.valves.waiting

    @property
    def awaits_answers(self) -> bool:
        """Whether the backend still has to answer the client's messages; False: perhaps unknown."""
        if self.client is None or not self.outbox.delivered_is_answered:
            return False
        sink = self.backend_side.sink
        held = sink.held_bytes if sink is not None else 0
        return self.undelivered > 0 or held > 0 or self.valves.replies_wait

    @property
    def messages_received(self) -> int:
        """Messages of the client that went on to a backend."""
        return self.account.messages_received

    @property
    def messages_sent(self) -> int:
        """Messages sent to the client."""
        return self.account.messages_sent

    def count_traffic(self) -> None:
        """Adds the bytes relayed since the last call to the metrics, before these are read."""
        self.account.settle()

    def pause_for_answers(self) -> bool:
        """Pauses reading the client until it is closed, if it waits for answers.

        Returns:
            Whether it waits for answers.
        """
        waits = self.client_side.closing is None and self.awaits_answers
        self.outbox.client_pauses.switch(PauseReason.ANSWERS_AWAITED, waits)
        return waits

    # Memory

    @property
    def held_bytes(self) -> int:
        """Bytes that wait on both sides: for a peer, a valve or an acknowledgement."""
        held = self.valves.held_bytes
        if self.ledger.weight:
            held += self.ledger.held_bytes
        return held + sum(end.held_bytes for end in self._ends())

    @property
    def lasting_bytes(self) -> int:
        """Bytes that a read pause cannot free: of headers, compression and valves."""
        lasting = self.requests.header_bytes + self.valves.lasting_bytes
        return lasting + sum(end.lasting_bytes for end in self._ends())

    def _ends(self) -> list[ClientEnd | SessionSink]:
        ends = (self.client_side.end, self.backend_side.sink)
        return [end for end in ends if end is not None]

    @property
    def is_in_a_message(self) -> bool:
        """Whether a message has arrived in part, and its rest would go on to the other side.

        A packet of which a valve keeps the first messages counts as such a message.
        """
        client, sink = self.client, self.backend_side.sink
        if client is None:
            return False
        return (
            client.is_in_a_message
            or self.valves.incomplete_bytes > 0
            or (client.is_flushed and sink is not None and sink.is_in_a_message)
        )

    def pause_for_memory(self, pause: bool) -> None:
        """Pauses or resumes reading the client.

        Reading the backend is paused too if replies already wait for the client, or one of them, or
        a packet of them in a valve, is incomplete.
        """
        client, sink = self.client, self.backend_side.sink
        pause = pause and client is not None and self.client_side.closing is None
        self.is_paused_for_memory = pause
        self.outbox.client_pauses.switch(PauseReason.MEMORY_SHORT, pause)
        full = client is not None and not client.is_flushed
        coming = sink is not None and (
            sink.is_in_a_message or self.valves.incomplete_from_backend > 0
        )
        self.client_side.backend_pauses.switch(PauseReason.MEMORY_SHORT, pause and (full or coming))
