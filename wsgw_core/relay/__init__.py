"""One client's messages, there and back.

    client socket -> valve chain -> outbox -> connection -> backend
    client socket <- valve chain <----------- link <------- backend

routes         which clients are served by what; the session opener follows them
environment    what all sessions of one route share
session        one client's life: which states it can be in says `session_state`; what plugins
               see of it is the session view
outbox         what the client says, on its way: owed, sent, and held back; stops its reading
ledger         what the backend still owes an acknowledgement for; sent again after a failover
               awaited replies and early answers find the messages that wait for the application
link           the session's end of one backend connection; dead once another has replaced it
client side    what the client is sent, and whether its backend is read; the client end is the
               client's socket, as the session sees it
read holds     why one side is not read for a while
memory watch   bounds what all sessions hold together: holds the clients that have the most
valve chain    the plugins that see and change messages of one direction; both directions are the
               session valves
valve worker   goes on with asynchronous valves that have to wait
passed pings   pings of the client that its backend is to answer
traffic account   counts the messages for the backend that serves
dial requests  what backends are asked for, and told
acceptances    the backends that hear of a session's end
recovery       looks for another backend, and watches whether it lasts; a failover says for how
               long, and how often
poison         which message backends may have died of; a cautious replay sends such ones one by one
suspect turns  keep sessions that die together from being taken for each other's poison
closing flush  gives the backend what a client has left, then the client's close
close rules    what one side hears of the other's end
planned move   waits until a session can leave its backend and nobody misses anything; a drain has
               all sessions of a backend do so
dismissal      closes all clients of a gateway that stops
announcements  what the log and the listeners are told
session table  all sessions of a gateway, and what ended ones have left: closing connections

A message's way is a chain of plain calls, from one socket's callback to the other socket's write.
"""
