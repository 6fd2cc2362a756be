"""One client's messages, there and back.

    client socket -> valve chain -> outbox -> connection -> backend
    client socket <- valve chain <- sink <- connection <- backend

The rooms, in the order in which a session uses them:

session        one client's life, from its first dial to its end
client         what the client is sent, and its socket as the session sees it
valves         the plugins that see and change messages
delivery       what the client says, until a backend has it: sent, acknowledged, sent again
failover       from a lost backend to one that lasts
moves          from a backend that lives to another: drains and returns
all_sessions   what sessions share, and what concerns all of them

A message's way is a chain of plain calls, from one socket's callback to the other socket's write.
The ledger forgets a message when `Outbox.delivered` or `Outbox.answered` reports it, when its reply
is overdue, and at the session's end.

A failover, step by step:

Session.backend_closed   decides whether there is one
Recovery                 dials in rounds, until one succeeds or the hold is over
Dialler                  begins a search; see `wsgw_core.pool.dialling`
BackendSearch            decides which backend is dialled next
Dial                     makes one dial of one backend
Session.resume           goes on with the new backend
"""
