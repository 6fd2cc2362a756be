"""Ready-made gates and valves.

plugin           registers the kinds
dial_request     a handshake as a dial request, which templates and fields read
header_names     names of headers that gates can see and set, as options
broker_settings  the options of valves for brokers
session_memory   limits what a valve remembers for a session
asked_calls      a backend's calls that the client has not answered
bounded_json     parses JSON in bounded time
json_path        finds values of JSON documents by paths
safe_pattern     regular expressions from the configuration

access       a gate: admits clients by path, header and address
headers      a gate: changes the headers for the backend and the client
jwt          a gate: admits clients with a signed token

actioncable  a valve: Action Cable subscriptions continue at the next server
graphql      a valve: operations and subscriptions continue at the next backend
json_schema  a valve: passes only messages that fit a JSON Schema
jsonrpc      a valve: JSON-RPC calls and subscriptions continue at the next backend
message_log  a valve: logs a line for each message
mqtt         a valve: MQTT clients keep their sessions when their broker is replaced
ocpp         a valve: the next central system answers open calls of chargers
rate_limit   a valve: limits the rate of messages
remember     a valve: repeats clients' messages to each new backend, by rules
socketio     a valve: Socket.IO clients stay connected when their server is replaced
stomp        a valve: STOMP clients keep their sessions when their broker is replaced
yjs          a valve: documents of Yjs do not diverge when their server is replaced
"""

__version__ = "0.1.0"
