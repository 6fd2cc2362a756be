"""Backends in Redis: streams, which workers read, or channels.

plugin             registers the kind
settings           the options
server_address     the address of Redis, from a URL
password_file      reads a password, which may change
names              templates of keys and channels
backend            one configured Redis: connects sessions
session_record     what all backends keep for a session
connection         sends one session's messages
event_entry        the entries of the event stream
published_message  the commands that publish to a channel
dialler            opens and authenticates connections to Redis
opened_connection  what redis-py does for a new connection
line               one connection: pipelined commands, replies in order, timeouts
link               the connections that all sessions share, tested by a write
publisher          writes the commands of all sessions in batches
reply_reader       reads the stream of replies
reply_entry        parses a reply entry
reply_delivery     delivers replies to their sessions
dead_letters       stores replies that no session takes
subscriber         shares subscriptions to channels among sessions
disconnects        disconnect events that Redis does not have yet
refusal            classifies the errors of Redis
played             a server and a worker for `wsgw drill`
metrics            the metrics of a backend
worker             for applications: reads events, replies; needs nothing but `redis`
"""

__version__ = "0.1.0"
