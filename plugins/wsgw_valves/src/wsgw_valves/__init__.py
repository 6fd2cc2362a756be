"""Ready-made gates and valves.

plugin       registers the kinds
asked        a handshake, as templates and fields read it
broker_settings  what can be configured for valves of brokers
session_memory   how much is remembered of a session
json_path    values of JSON documents, named by paths
safe_pattern regular expressions of operators

access       a gate: who may come in, by path, header and address
headers      a gate: other headers for the backend and the client
jwt          a gate: who may come in, by a signed token

actioncable  a valve: Action Cable subscriptions go on at the next server
graphql      a valve: operations and subscriptions go on at the next backend
json_schema  a valve: only messages that a JSON Schema describes
jsonrpc      a valve: JSON-RPC calls and subscriptions go on at the next backend
message_log  a valve: a line for each message
mqtt         a valve: MQTT clients keep their sessions when their broker is replaced
ocpp         a valve: calls of chargers are answered by whichever central system serves
rate_limit   a valve: how much a client may send
remember     a valve: tells each new backend what clients have said, by rules
socketio     a valve: Socket.IO clients stay connected when their server is replaced
stomp        a valve: STOMP clients keep their sessions when their broker is replaced
yjs          a valve: documents of Yjs do not diverge when their server is replaced
"""

__version__ = "0.1.0"
