"""The meanings of options whose models do not state them."""

from __future__ import annotations

MEANINGS = {
    "server.frontend.address": "where clients connect",
    "server.admin.address": "where operators connect",
    "server.block-headers": "client headers that wsgw does not send to backends",
    "server.reconnect-header": "header with the value `1` that tells a backend that the"
    " session had another one before; wsgw drops it if a client sends it",
    "server.logging-level": "write records of this level and above to stderr",
    "upstream.backends[].kind": "the kind; by default the scheme of `url`",
    "upstream.backends[].id": "name for operators; by default host and port of `url`",
    "upstream.backends[].url": "address of the backend; its form depends on the kind",
    "valves": "the valves of each session, in the order in which client messages pass them",
    "valves[].kind": "the kind",
    "valves[].on-error": "after a fault in the valve: `close` ends the session with 1011,"
    " `discard` drops the message",
    "listeners": "receive the events of each session",
    "listeners[].kind": "the kind",
    "gates": "decide about each opening handshake, in this order",
    "gates[].kind": "the kind",
    "failover.enabled": "`false`: when a backend is lost, its sessions end",
    "limits.max-header-bytes": "maximum bytes of the head of a client's request",
    "limits.handshake-timeout": "maximum time for a client to send its request",
    "limits.ledger-messages": "maximum undelivered messages of a session; above it wsgw stops"
    " reading from the client",
    "limits.ledger-bytes": "the same in bytes; both bounds share one account",
    "limits.write-high-water": "when more bytes than this wait for a socket, wsgw stops reading the"
    " other side",
    "limits.close-timeout": "maximum time of a closing handshake, and for delivering the messages"
    " of a client that has left. A client that still takes 256 bytes a second of what precedes its"
    " close has longer",
}
