"""Backends in Redis: streams that workers read, or channels.

plugin             registers the kind
settings           what can be configured
server_address     where Redis is, as a URL says
password_file      a password that may change
names              names of keys and channels, made from a client's handshake
backend            one configured Redis: connects sessions
session_record     what is kept of a session while it lasts
connection         one session's messages
event_entry        the entries of the event stream
published_message  the commands that publish to a channel
dialler            opens, authenticates and proves connections to Redis
opened_connection  the part of that which redis-py does
line               one connection: many commands under way, replies in order, time limits
link               the connections that all sessions share
publisher          writes the commands of all sessions in batches
reply_reader       reads the stream of replies
reply_entry        what a reply entry means
reply_delivery     gives replies to their sessions
dead_letters       keeps replies that no session takes
subscriber         shares subscriptions to channels among sessions
disconnects        disconnect events that Redis does not have yet
refusal            what an error of Redis means
played             a server and a worker for `wsgw drill`
measures           the numbers for operators
worker             for applications: reads events, replies; needs nothing but `redis`
"""

__version__ = "0.1.0"
