"""Relays one client's messages, in both directions.

    client socket -> valve chain -> outbox -> connection -> backend
    client socket <- valve chain <- sink <- connection <- backend

The folders, in the order in which a session uses them:

session        one client's session, from its first dial to its end
client         sends to the client
valves         runs the plugins that see and change messages
delivery       keeps and sends the client's messages until a backend has acknowledged them
failover       from a lost backend to one that lasts
moves          planned moves: from a live backend to another
all_sessions   what sessions share, and what concerns all of them

A message's way is a chain of plain calls, from one socket's callback to the other socket's write.

A failover, step by step:

Session.backend_closed   decides whether there is one
Recovery                 dials in rounds, until one succeeds or the hold is over
SessionDials             makes the request for a round
BackendSearch            decides which backend is dialled next; see `wsgw_core.pool.dialling`
Dial                     makes one dial of one backend
Session.resume           goes on with the new backend

Where to look:

which events lead to which state         session/session_state.py
when a message is forgotten              Ledger: at `delivered`; if a valve expects a reply, at
                                         `answered` or when the reply is overdue
what is sent again after a failover      Ledger.rewind, Outbox.send_to
which close code each side gets, why     wsgw_core.websocket.session_ends, session/close_rules.py
what pauses reading one side             delivery/read_pauses.py: PauseReason
"""
